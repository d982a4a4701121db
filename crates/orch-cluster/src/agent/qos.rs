//! How a pod's requests and limits become its containers' shares.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use orch_core::runtime::Resources;

use crate::kinds::pod::resource::huge_page_size;
use crate::kinds::pod::resources::{QosClass, qos_class};
use crate::kinds::pod::{Sum, is_sidecar, together};

/// Where the kubelet has a pod's control group, and what it holds the pod's containers to together (its
/// `ResourceConfigForPod`): the processor time that they request, and those limits that all of them have, or the pod.
pub(crate) fn pod_group(pod: &Pod, page_sizes: Option<&BTreeSet<u64>>) -> (String, Resources) {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let Some(spec) = &pod.spec else {
        return (format!("pod{uid}"), Resources::default());
    };
    let class = qos_class(spec);
    let parent = match class {
        QosClass::Guaranteed => format!("pod{uid}"),
        QosClass::Burstable => format!("burstable/pod{uid}"),
        QosClass::BestEffort => format!("besteffort/pod{uid}"),
    };
    let (requests, limits) = (sum(spec, Amounts::Requests), sum(spec, Amounts::Limits));
    let has = |resources: Option<&ResourceRequirements>, name: &str| {
        let limit = resources.and_then(|resources| resources.limits.as_ref()?.get(name));
        limit.and_then(milli).is_some_and(|amount| amount > 0)
    };
    let limit_of = |name: &str| {
        let mut containers = spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten());
        let declared = has(spec.resources.as_ref(), name)
            || containers.all(|container| has(container.resources.as_ref(), name));
        limits.0.get(name).filter(|_| declared)
    };
    let positive = |amount: i128| u64::try_from(amount).ok().filter(|amount| *amount > 0);
    let millis = requests
        .0
        .get("cpu")
        .and_then(|cpu| positive(cpu.milli_value().into()))
        // Whatever its overhead.
        .filter(|_| class != QosClass::BestEffort);
    let resources = Resources {
        cpu_shares: Some(shares(millis.unwrap_or(0))),
        cpu_limit_millis: limit_of("cpu").and_then(|cpu| positive(cpu.milli_value().into())),
        memory_limit_bytes: limit_of("memory").and_then(|memory| positive(memory.value().into())),
        hugepages: page_sizes.map_or_else(BTreeMap::new, |sizes| {
            let asked = limits
                .0
                .iter()
                .map(|(name, amount)| (name.as_str(), positive(amount.value().into())));
            hugepages(sizes, asked)
        }),
        ..Resources::default()
    };
    (parent, resources)
}

/// What a pod's containers ask for together, in thousandths of a processor and of a byte; none if they say nothing of either.
pub(crate) fn asked(spec: &PodSpec) -> [u64; 2] {
    let sum = sum(spec, Amounts::Requests);
    ["cpu", "memory"].map(|name| {
        let amount = sum.0.get(name).map(|amount| amount.milli_value());
        amount.and_then(|amount| u64::try_from(amount).ok()).unwrap_or(0)
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Amounts {
    /// Where a resource is limited and not requested, the limit.
    Requests,
    Limits,
}

/// What a pod's containers take together at most, or the pod says instead; and its overhead.
fn sum(spec: &PodSpec, amounts: Amounts) -> Sum {
    let of = |resources: Option<&ResourceRequirements>| {
        let limits = resources.and_then(|resources| resources.limits.clone());
        let mut list = limits.unwrap_or_default();
        let requests = resources.and_then(|resources| resources.requests.clone());
        list.extend(
            requests
                .filter(|_| amounts == Amounts::Requests)
                .unwrap_or_default(),
        );
        list
    };
    let mains: Vec<_> = spec
        .containers
        .iter()
        .map(|main| of(main.resources.as_ref()))
        .collect();
    let inits = spec.init_containers.iter().flatten();
    let inits: Vec<_> = inits
        .map(|init| (of(init.resources.as_ref()), is_sidecar(init)))
        .collect();
    let mut sum = together(
        mains.iter().map(pairs),
        inits.iter().map(|(list, is_sidecar)| (pairs(list), *is_sidecar)),
    );
    let mut whole = Sum::default();
    whole.add(pairs(&of(spec.resources.as_ref())));
    sum.0.extend(whole.0);
    let overhead = spec.overhead.iter().flat_map(pairs);
    let counts = |name: &str| amounts == Amounts::Requests || sum.0.contains_key(name);
    let overhead: Vec<_> = overhead.filter(|(name, _)| counts(name)).collect();
    sum.add(overhead);
    sum
}

fn pairs(list: &BTreeMap<String, Quantity>) -> impl Iterator<Item = (&str, &str)> + Clone {
    list.iter()
        .map(|(name, amount)| (name.as_str(), amount.0.as_str()))
}

/// Processor time in thousandths as shares of it: 1024 for a processor.
pub(crate) fn shares(millis: u64) -> u64 {
    (millis.saturating_mul(1024) / 1000).clamp(2, 262_144)
}

/// What the container may use: shares from the processor request (1 processor: 1024), limits as they are,
/// and how soon the kernel takes it when memory runs out (the kubelet's `GetContainerOOMScoreAdjust`).
pub(crate) fn resources(
    pod: &Pod,
    container: &Container,
    node_memory: Option<u64>,
    page_sizes: Option<&BTreeSet<u64>>,
) -> Resources {
    let limits = container
        .resources
        .as_ref()
        .and_then(|resources| resources.limits.as_ref());
    let cpu_limit = limit(container, "cpu").and_then(milli);
    let cpu = request(container, "cpu")
        .and_then(milli)
        .or(cpu_limit)
        .unwrap_or(0);
    Resources {
        cpu_shares: Some(shares(cpu)),
        cpu_limit_millis: cpu_limit.filter(|value| *value > 0),
        memory_limit_bytes: limit(container, "memory")
            .and_then(value)
            .filter(|bytes| *bytes > 0),
        pids_limit: None,
        oom_score_adj: Some(oom_score_adj(pod, container, node_memory)),
        hugepages: page_sizes.map_or_else(BTreeMap::new, |sizes| {
            let asked = limits
                .into_iter()
                .flatten()
                .map(|(name, amount)| (name.as_str(), value(amount)));
            hugepages(sizes, asked)
        }),
    }
}

/// How much memory in huge pages may be used, by their size: of each size that the node has or that is asked for, what is
/// asked for, or none.
fn hugepages<'a>(
    sizes: &BTreeSet<u64>,
    asked: impl Iterator<Item = (&'a str, Option<u64>)>,
) -> BTreeMap<u64, u64> {
    let asked = asked.filter_map(|(name, amount)| Some((huge_page_size(name)?, amount.unwrap_or(0))));
    sizes.iter().map(|size| (*size, 0)).chain(asked).collect()
}

fn oom_score_adj(pod: &Pod, container: &Container, node_memory: Option<u64>) -> i32 {
    let class = pod.spec.as_ref().map_or(QosClass::BestEffort, qos_class);
    match (class, node_memory) {
        (QosClass::Guaranteed, _) => -997,
        (QosClass::BestEffort, _) | (_, None | Some(0)) => 1000,
        (_, Some(total)) => {
            let limit = || limit(container, "memory").and_then(value);
            let requested = request(container, "memory")
                .and_then(value)
                .or_else(limit)
                .unwrap_or(0);
            let taken = u128::from(requested) * 1000 / u128::from(total);
            let score = 1000 - i32::try_from(taken).unwrap_or(1000);
            // Never below what keeps the node itself alive, never above the best effort pods.
            score.clamp(3, 999)
        }
    }
}

/// The container's limit of a resource.
pub(crate) fn limit<'a>(container: &'a Container, resource: &str) -> Option<&'a Quantity> {
    container.resources.as_ref()?.limits.as_ref()?.get(resource)
}

/// The container's request of a resource, by default its limit.
pub(crate) fn request<'a>(container: &'a Container, resource: &str) -> Option<&'a Quantity> {
    let resources = container.resources.as_ref()?;
    let asked = resources
        .requests
        .as_ref()
        .and_then(|requests| requests.get(resource));
    asked.or_else(|| limit(container, resource))
}

/// An amount in whole units, rounded up; none if it cannot be read or is below zero.
pub(crate) fn value(quantity: &Quantity) -> Option<u64> {
    u64::try_from(orch_core::object::Quantity::try_from(quantity).ok()?.value()).ok()
}

/// An amount in thousandths, rounded up; none if it cannot be read or is below zero.
pub(crate) fn milli(quantity: &Quantity) -> Option<u64> {
    u64::try_from(
        orch_core::object::Quantity::try_from(quantity)
            .ok()?
            .milli_value(),
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testkit::{pod, pod_with};

    #[test]
    fn pods_are_in_the_groups_of_their_class_with_what_the_kubelet_gives_these() {
        let both = |cpu: &str, memory: &str| format!(r#"{{"cpu": "{cpu}", "memory": "{memory}"}}"#);
        let guaranteed = |cpu, memory| format!(r#"{{"limits": {0}, "requests": {0}}}"#, both(cpu, memory));
        let (one, two) = (guaranteed("1", "1Gi"), guaranteed("500m", "256Mi"));
        let spec = |containers: &[&str], more: &str| {
            let list = containers.iter().enumerate();
            let list = list.map(|(n, resources)| format!(r#"{{"name": "c{n}", "resources": {resources}}}"#));
            format!(
                r#"{{"containers": [{}]{more}}}"#,
                list.collect::<Vec<_>>().join(",")
            )
        };
        let init = format!(
            r#", "initContainers": [{{"name": "i", "resources": {}}}]"#,
            guaranteed("4", "64Mi")
        );
        let bare_init = r#", "initContainers": [{"name": "i"}]"#;
        let overhead = r#", "overhead": {"cpu": "250m", "memory": "1Mi"}"#;
        let whole = r#", "resources": {"limits": {"cpu": "3"}, "requests": {"cpu": "2"}}"#;
        let mib = |count: u64| Some(count << 20);
        for (spec, parent, expected) in [
            (spec(&["{}"], ""), "besteffort/podu-1", (2, None, None)),
            (spec(&["{}"], overhead), "besteffort/podu-1", (2, None, None)),
            (spec(&[&one, &two], ""), "podu-1", (1536, Some(1500), mib(1280))),
            (
                spec(&[&one, &two], overhead),
                "podu-1",
                (1792, Some(1750), mib(1281)),
            ),
            (spec(&[&one], &init), "podu-1", (4096, Some(4000), mib(1024))),
            // One without a limit can use what there is, and so can the pod.
            (spec(&[&one, "{}"], ""), "burstable/podu-1", (1024, None, None)),
            (spec(&[&one], bare_init), "burstable/podu-1", (1024, None, None)),
            (
                spec(
                    &[r#"{"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m"}}"#],
                    "",
                ),
                "burstable/podu-1",
                (102, None, mib(1024)),
            ),
            // What the pod says as a whole comes before what its containers say.
            (spec(&["{}"], whole), "burstable/podu-1", (2048, Some(3000), None)),
        ] {
            let (told, resources) = pod_group(&pod_with(&spec), None);
            let Resources {
                cpu_shares,
                cpu_limit_millis,
                memory_limit_bytes,
                ..
            } = resources;
            let (shares, cpu, memory) = expected;
            assert_eq!(told, parent, "{spec}");
            assert_eq!(
                (cpu_shares, cpu_limit_millis, memory_limit_bytes),
                (Some(shares), cpu, memory),
                "{spec}"
            );
        }
    }

    #[test]
    fn huge_pages_are_limited_to_what_is_asked_for_and_to_none_else() {
        let pod = pod_with(
            r#"{"containers": [
                {"name": "a", "resources": {"limits": {"cpu": "1", "hugepages-2Mi": "6Mi"}}},
                {"name": "b", "resources": {"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}}},
                {"name": "c"}]}"#,
        );
        let (mib, gib) = (1 << 20, 1 << 30);
        let sizes = BTreeSet::from([2 * mib, gib]);
        let containers = &pod.spec.as_ref().unwrap().containers;
        for (container, bytes) in containers.iter().zip([6 * mib, 4 * mib, 0]) {
            let of = |sizes| resources(&pod, container, None, sizes).hugepages;
            assert_eq!(
                of(Some(&sizes)),
                [(2 * mib, bytes), (gib, 0)].into(),
                "{}",
                container.name
            );
            assert!(
                of(None).is_empty(),
                "a runtime that has no limits of them is not asked"
            );
        }
        let (_, together) = pod_group(&pod, Some(&sizes));
        assert_eq!(together.hugepages, [(2 * mib, 10 * mib), (gib, 0)].into());
        assert_eq!(huge_page_size("hugepages-1Gi"), Some(gib));
        assert_eq!(
            (huge_page_size("hugepages-x"), huge_page_size("memory")),
            (None, None)
        );
    }

    #[test]
    fn shares_and_scores_are_the_kubelets() {
        let cases = [
            (r#"{}"#, 2, None, 1000),
            (
                r#"{"requests": {"cpu": "500m", "memory": "1Gi"}}"#,
                512,
                None,
                750,
            ),
            (
                r#"{"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "2", "memory": "1Gi"}}"#,
                2048,
                Some(2000),
                -997,
            ),
        ];
        for (wanted, shares, limit, score) in cases {
            let mut pod = pod("web");
            let spec = pod.spec.as_mut().unwrap();
            spec.containers[0].resources = serde_json::from_str(wanted).unwrap();
            let container = pod.spec.as_ref().unwrap().containers[0].clone();
            let resources = resources(&pod, &container, Some(4 << 30), None);
            assert_eq!(resources.cpu_shares, Some(shares), "{wanted}");
            assert_eq!(resources.cpu_limit_millis, limit, "{wanted}");
            assert_eq!(resources.oom_score_adj, Some(score), "{wanted}");
        }
    }
}

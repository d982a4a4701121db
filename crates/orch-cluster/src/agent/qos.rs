//! How a pod's requests and limits become its containers' shares.

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use orch_core::runtime::Resources;

use crate::kinds::pod::resources::{QosClass, qos_class};

/// What the container may use: shares from the processor request (1 processor: 1024), limits as they are,
/// and how soon the kernel takes it when memory runs out (the kubelet's `GetContainerOOMScoreAdjust`).
pub(crate) fn resources(pod: &Pod, container: &Container, node_memory: Option<u64>) -> Resources {
    let cpu_limit = limit(container, "cpu").and_then(milli);
    let cpu = request(container, "cpu")
        .and_then(milli)
        .or(cpu_limit)
        .unwrap_or(0);
    Resources {
        cpu_shares: Some((cpu.saturating_mul(1024) / 1000).clamp(2, 262_144)),
        cpu_limit_millis: cpu_limit.filter(|value| *value > 0),
        memory_limit_bytes: limit(container, "memory")
            .and_then(value)
            .filter(|bytes| *bytes > 0),
        pids_limit: None,
        oom_score_adj: Some(oom_score_adj(pod, container, node_memory)),
    }
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
    use crate::agent::testkit::pod;

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
            let resources = resources(&pod, &container, Some(4 << 30));
            assert_eq!(resources.cpu_shares, Some(shares), "{wanted}");
            assert_eq!(resources.cpu_limit_millis, limit, "{wanted}");
            assert_eq!(resources.oom_score_adj, Some(score), "{wanted}");
        }
    }
}

//! The downward API: what a container can learn of its own pod.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use super::qos::{limit, milli, request, value};

/// What a pod's references can resolve to.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its addresses, the primary first; on the machine's network the machine's.
    pub pod_ips: Vec<IpAddr>,
    /// The machine's address.
    pub host_ip: IpAddr,
    /// Processor time that pods may use, in thousandths; what an absent limit means.
    pub allocatable_cpu_millis: u64,
    /// Memory that pods may use, in bytes.
    pub allocatable_memory: u64,
}

impl<'a> Facts<'a> {
    /// Facts of a pod on a machine of which nothing is known.
    #[cfg(test)]
    pub(crate) fn of(pod: &'a Pod) -> Self {
        Self {
            pod,
            pod_ips: Vec::new(),
            host_ip: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            allocatable_cpu_millis: 0,
            allocatable_memory: 0,
        }
    }
}

/// The paths a `fieldRef` in an environment may name.
const PATHS: &str = "metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], \
     metadata.annotations['KEY'], spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, \
     status.podIP, status.podIPs";

/// What a `fieldRef` names. The error says what is allowed.
pub(crate) fn field(facts: &Facts<'_>, path: &str) -> Result<String, String> {
    let meta = &facts.pod.metadata;
    let spec = facts.pod.spec.as_ref();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    if let Some((base, key)) = subscript(path) {
        let map = match base {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return Err(unknown(path)),
        };
        return Ok(text(map.as_ref().and_then(|map| map.get(key))));
    }
    let join = |ips: &[IpAddr]| ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",");
    Ok(match path {
        "metadata.name" => text(meta.name.as_ref()),
        "metadata.namespace" => text(meta.namespace.as_ref()),
        "metadata.uid" => text(meta.uid.as_ref()),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.hostIP" | "status.hostIPs" => facts.host_ip.to_string(),
        "status.podIP" => join(facts.pod_ips.get(..1).unwrap_or_default()),
        "status.podIPs" => join(&facts.pod_ips),
        _ => return Err(unknown(path)),
    })
}

/// What a `fieldRef` in a file names: also all labels or annotations, a line each.
pub(crate) fn file_field(facts: &Facts<'_>, path: &str) -> Result<String, String> {
    let meta = &facts.pod.metadata;
    let map = match path {
        "metadata.labels" => &meta.labels,
        "metadata.annotations" => &meta.annotations,
        _ => return field(facts, path),
    };
    let lines = map
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value:?}"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn unknown(path: &str) -> String {
    format!("fieldRef: invalid value {path:?}: must be one of {PATHS}")
}

/// Takes `metadata.labels['app']` apart.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (base, key) = path.strip_suffix("']")?.split_once("['")?;
    Some((base, key))
}

/// What a `resourceFieldRef` names, divided by its divisor and rounded up.
pub(crate) fn resource(
    facts: &Facts<'_>,
    container: &Container,
    from: &ResourceFieldSelector,
) -> Result<String, String> {
    let named = from.container_name.as_deref().filter(|name| !name.is_empty());
    let of = match named {
        None => container,
        Some(name) => {
            let spec = facts.pod.spec.as_ref();
            let all = spec.into_iter().flat_map(|spec| {
                spec.containers
                    .iter()
                    .chain(spec.init_containers.iter().flatten())
            });
            let mut found = all.filter(|container| container.name == name);
            found
                .next()
                .ok_or_else(|| format!("resourceFieldRef: the pod has no container {name:?}"))?
        }
    };
    let (kind, resource) = from.resource.split_once('.').unwrap_or_default();
    let quantity = match kind {
        "limits" => limit(of, resource),
        "requests" => request(of, resource),
        _ => {
            return Err(format!(
                "resourceFieldRef: invalid value {:?}: must be limits.RESOURCE or requests.RESOURCE",
                from.resource
            ));
        }
    };
    // In thousandths throughout, for processors are counted so.
    let amount = match (quantity.and_then(milli), kind, resource) {
        (Some(amount), _, _) => u128::from(amount),
        (None, "limits", "cpu") => u128::from(facts.allocatable_cpu_millis),
        (None, "limits", "memory") => u128::from(facts.allocatable_memory) * 1000,
        (None, _, _) => 0,
    };
    let divisor = match &from.divisor {
        None => 1000,
        Some(divisor) => match milli(divisor).map(u128::from) {
            Some(0) if value(divisor) == Some(0) => 1000,
            Some(divisor) => divisor,
            None => {
                return Err(format!(
                    "resourceFieldRef.divisor: {:?} is not a quantity",
                    divisor.0
                ));
            }
        },
    };
    Ok(amount.div_ceil(divisor.max(1)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testkit::pod;

    #[test]
    fn fields_resolve_and_others_are_refused() {
        let mut pod = pod("web");
        pod.metadata.labels = Some([("app".to_owned(), "shop".to_owned())].into());
        let mut facts = Facts::of(&pod);
        facts.pod_ips = vec!["10.0.0.7".parse().unwrap()];
        let cases = [
            ("metadata.name", Some("web")),
            ("metadata.namespace", Some("default")),
            ("metadata.labels['app']", Some("shop")),
            ("metadata.labels['none']", Some("")),
            ("status.podIP", Some("10.0.0.7")),
            ("status.hostIP", Some("127.0.0.1")),
            ("metadata.labels", None),
            ("spec.containers['x']", None),
        ];
        for (path, value) in cases {
            assert_eq!(field(&facts, path).ok().as_deref(), value, "{path}");
        }
        assert!(field(&facts, "nonsense").unwrap_err().contains("metadata.name"));
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let pod = pod("web");
        let mut facts = Facts::of(&pod);
        facts.allocatable_memory = 1 << 30;
        facts.allocatable_cpu_millis = 4000;
        let container: Container = serde_json::from_str(
            r#"{"name": "c", "resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "100Mi"}}}"#,
        )
        .unwrap();
        let cases = [
            (r#"{"resource": "limits.cpu"}"#, "2"),
            (r#"{"resource": "limits.cpu", "divisor": "1m"}"#, "1500"),
            (r#"{"resource": "requests.memory", "divisor": "1Mi"}"#, "100"),
            (r#"{"resource": "limits.memory", "divisor": "1Mi"}"#, "1024"),
            (r#"{"resource": "requests.cpu", "divisor": "0"}"#, "2"),
        ];
        for (from, expected) in cases {
            let from: ResourceFieldSelector = serde_json::from_str(from).unwrap();
            assert_eq!(resource(&facts, &container, &from).unwrap(), expected, "{from:?}");
        }
    }
}

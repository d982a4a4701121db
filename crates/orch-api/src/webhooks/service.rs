//! Where a service is reached (kube-aggregator's `ResolveEndpoint` and `ResolveCluster`).

use k8s_openapi::api::admissionregistration::v1::ServiceReference;
use k8s_openapi::api::core::v1::{Endpoints, Service, ServicePort};
use orch_cluster::webhooks::CallError;
use orch_core::client::Client;
use orch_core::random::Random;

/// The port of HTTPS.
const DEFAULT_PORT: i32 = 443;

/// The hosts and ports to connect to, one of which will do: the endpoints of the service if there are any, beginning anywhere, else its
/// cluster IP.
pub(super) async fn addresses(
    client: &Client,
    reference: &ServiceReference,
) -> Result<Vec<(String, u16)>, CallError> {
    let name = &reference.name;
    let service: Service = client
        .api(&reference.namespace)
        .get(name)
        .await
        .map_err(CallError::new)?;
    let spec = service.spec.unwrap_or_default();
    let wanted = reference.port.unwrap_or(DEFAULT_PORT);
    if spec.type_.as_deref() == Some("ExternalName") {
        return Ok(vec![to(
            spec.external_name.as_deref().unwrap_or_default(),
            wanted,
        )?]);
    }
    let mut ports = spec.ports.iter().flatten();
    let port = ports.find(|port| port.port == wanted);
    let port = port.ok_or_else(|| {
        CallError::new(format_args!(
            "no service port {wanted} found for service {name:?}"
        ))
    })?;
    let endpoints = client.api::<Endpoints>(&reference.namespace).get_opt(name).await;
    let endpoints = endpoints.map_err(CallError::new)?;
    let found = endpoints.iter().flat_map(|endpoints| all(endpoints, port));
    let found = found.map(|(ip, port)| to(ip, port));
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    if !found.is_empty() {
        let first = Random::from_os().below(found.len() as u64);
        found.rotate_left(usize::try_from(first).unwrap_or_default());
        return Ok(found);
    }
    match spec.cluster_ip.as_deref() {
        Some(ip) if !ip.is_empty() && ip != "None" => Ok(vec![to(ip, wanted)?]),
        _ => Err(CallError::new(format_args!(
            "no endpoints available for service {name:?}"
        ))),
    }
}

/// The addresses that serve a port.
fn all<'a>(endpoints: &'a Endpoints, wanted: &'a ServicePort) -> impl Iterator<Item = (&'a str, i32)> {
    let subsets = endpoints.subsets.iter().flatten();
    subsets.flat_map(|subset| {
        let mut ports = subset.ports.iter().flatten();
        let port = ports.find(|port| {
            port.name.as_deref().unwrap_or_default() == wanted.name.as_deref().unwrap_or_default()
        });
        let addresses = port.into_iter().flat_map(|port| {
            let addresses = subset.addresses.iter().flatten();
            addresses.map(|address| (address.ip.as_str(), port.port))
        });
        addresses.collect::<Vec<_>>()
    })
}

fn to(host: &str, port: i32) -> Result<(String, u16), CallError> {
    let port = u16::try_from(port).map_err(|_| CallError::new(format_args!("port {port} is none")))?;
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn endpoints_are_those_that_serve_the_port() {
        let endpoints: Endpoints = from_value(json!({"metadata": {}, "subsets": [
            {"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "https", "port": 1}]},
            {"addresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "other", "port": 2}]},
            {"addresses": [{"ip": "10.0.0.3"}, {"ip": "10.0.0.4"}], "ports": [{"name": "https", "port": 3}, {"port": 4}]},
        ]}))
        .unwrap();
        for (name, expected) in [
            (Some("https"), vec![("10.0.0.3", 3), ("10.0.0.4", 3)]),
            (None, vec![("10.0.0.3", 4), ("10.0.0.4", 4)]),
            (Some("http"), vec![]),
        ] {
            let port = ServicePort {
                name: name.map(str::to_owned),
                ..ServicePort::default()
            };
            let found: Vec<_> = all(&endpoints, &port).collect();
            assert_eq!(found, expected, "{name:?}");
        }
    }
}

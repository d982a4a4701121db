//! Where a service is reached (kube-aggregator's `ResolveEndpoint` and `ResolveCluster`).

use k8s_openapi::api::admissionregistration::v1::ServiceReference;
use k8s_openapi::api::core::v1::{Endpoints, Service, ServicePort};
use orch_cluster::webhooks::CallError;
use orch_core::client::Client;

/// The port of HTTPS.
const DEFAULT_PORT: i32 = 443;

/// The host and port to connect to: an endpoint of the service if there is one, else its cluster IP.
pub(super) async fn address(
    client: &Client,
    reference: &ServiceReference,
) -> Result<(String, u16), CallError> {
    let name = &reference.name;
    let service: Service = client
        .api(&reference.namespace)
        .get(name)
        .await
        .map_err(CallError::new)?;
    let spec = service.spec.unwrap_or_default();
    let wanted = reference.port.unwrap_or(DEFAULT_PORT);
    if spec.type_.as_deref() == Some("ExternalName") {
        return to(spec.external_name.as_deref().unwrap_or_default(), wanted);
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
    if let Some((ip, port)) = endpoints.as_ref().and_then(|endpoints| endpoint(endpoints, port)) {
        return to(ip, port);
    }
    match spec.cluster_ip.as_deref() {
        Some(ip) if !ip.is_empty() && ip != "None" => to(ip, wanted),
        _ => Err(CallError::new(format_args!(
            "no endpoints available for service {name:?}"
        ))),
    }
}

/// The first address that serves a port.
fn endpoint<'a>(endpoints: &'a Endpoints, wanted: &ServicePort) -> Option<(&'a str, i32)> {
    endpoints.subsets.iter().flatten().find_map(|subset| {
        let address = subset.addresses.as_ref()?.first()?;
        let mut ports = subset.ports.iter().flatten();
        let port = ports.find(|port| {
            port.name.as_deref().unwrap_or_default() == wanted.name.as_deref().unwrap_or_default()
        })?;
        Some((address.ip.as_str(), port.port))
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
    fn an_endpoint_is_one_that_serves_the_port() {
        let endpoints: Endpoints = from_value(json!({"metadata": {}, "subsets": [
            {"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "https", "port": 1}]},
            {"addresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "other", "port": 2}]},
            {"addresses": [{"ip": "10.0.0.3"}], "ports": [{"name": "https", "port": 3}, {"port": 4}]},
        ]}))
        .unwrap();
        for (name, expected) in [
            (Some("https"), Some(("10.0.0.3", 3))),
            (None, Some(("10.0.0.3", 4))),
            (Some("http"), None),
        ] {
            let port = ServicePort {
                name: name.map(str::to_owned),
                ..ServicePort::default()
            };
            assert_eq!(endpoint(&endpoints, &port), expected, "{name:?}");
        }
    }
}

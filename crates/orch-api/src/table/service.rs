//! Services, and where they lead.

use orch_core::object::Document;
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{self, List, Or, Text};
use super::{Column, NONE, Printer, age, or};

/// How many endpoints are named.
const NAMED: usize = 3;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    #[serde(rename = "type")]
    type_: Text,
    #[serde(rename = "clusterIP")]
    cluster_ip: Text,
    #[serde(rename = "clusterIPs")]
    cluster_ips: List<Text>,
    #[serde(rename = "externalIPs")]
    external_ips: List<Text>,
    external_name: Text,
    ports: List<Port>,
    selector: Or<std::collections::BTreeMap<String, Text>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    port: Or<i64>,
    node_port: Or<i64>,
    protocol: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    load_balancer: Or<LoadBalancer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: List<Ingress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ingress {
    ip: Text,
    hostname: Text,
}

pub(super) static SERVICE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Type", "How it is reached."),
        Column::text("Cluster-IP", "Its address within the cluster."),
        Column::text("External-IP", "Its addresses outside of the cluster."),
        Column::text("Port(s)", "Its ports, and those of the nodes that lead there."),
        Column::AGE,
        Column::text("Selector", "Which pods it leads to.").wide(),
    ],
    row: |service, now| {
        let spec: Spec = read::field(service, "spec");
        let first = spec.cluster_ips.first().unwrap_or(&spec.cluster_ip);
        let ports: Vec<_> = spec.ports.iter().map(Port::shown).collect();
        let selector: Vec<_> = spec
            .selector
            .iter()
            .map(|(key, value)| format!("{key}={}", **value))
            .collect();
        let cells = vec![
            json!(service.meta().name),
            json!(*spec.type_),
            json!(or(first, NONE)),
            json!(external(&spec, service)),
            json!(or(&ports.join(","), NONE)),
            json!(age::of(service, now)),
            json!(or(&selector.join(","), NONE)),
        ];
        cells.into()
    },
};

impl Port {
    /// `80:30080/TCP`.
    fn shown(&self) -> String {
        let node = match *self.node_port {
            0 => String::new(),
            port => format!(":{port}"),
        };
        format!("{}{node}/{}", *self.port, *self.protocol)
    }
}

fn external(spec: &Spec, service: &Document) -> String {
    let own = spec.external_ips.iter().map(|ip| ip.as_str());
    match spec.type_.as_str() {
        "ExternalName" => spec.external_name.to_string(),
        "LoadBalancer" => {
            let status: Status = read::field(service, "status");
            let ingress = status.load_balancer.ingress.iter();
            let of_balancer = ingress.map(|one| or(&one.ip, &one.hostname));
            let all: Vec<_> = of_balancer
                .chain(own)
                .filter(|address| !address.is_empty())
                .collect();
            or(&all.join(","), "<pending>").to_owned()
        }
        _ => or(&own.collect::<Vec<_>>().join(","), NONE).to_owned(),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subset {
    addresses: List<Ingress>,
    ports: List<Port>,
}

pub(super) static ENDPOINTS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Endpoints", "Where the service of this name leads."),
        Column::AGE,
    ],
    row: |endpoints, now| {
        let subsets: Vec<Subset> = read::field(endpoints, "subsets");
        let all: Vec<String> = subsets
            .iter()
            .flat_map(|subset| {
                let bare = subset.ports.is_empty().then_some(None);
                let ports = bare.into_iter().chain(subset.ports.iter().map(Some));
                ports.flat_map(|port| {
                    subset.addresses.iter().map(move |address| match port {
                        Some(port) if address.ip.contains(':') => format!("[{}]:{}", *address.ip, *port.port),
                        Some(port) => format!("{}:{}", *address.ip, *port.port),
                        None => address.ip.to_string(),
                    })
                })
            })
            .collect();
        let mut shown = all[..all.len().min(NAMED)].join(",");
        if all.len() > NAMED {
            shown += &format!(" + {} more...", all.len() - NAMED);
        }
        let cells: Vec<Value> = vec![
            json!(endpoints.meta().name),
            json!(or(&shown, NONE)),
            json!(age::of(endpoints, now)),
        ];
        cells.into()
    },
};

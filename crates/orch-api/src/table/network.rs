//! Ways into the cluster, who may reach whom, addresses, and the endpoints of services.

use std::collections::BTreeSet;

use orch_core::object::LabelSelector;
use serde::Deserialize;
use serde_json::json;

use super::read::{self, List, Or, Text};
use super::{Column, NONE, Printer, or, plain};

/// How many hosts, ports and endpoints are named.
const NAMED: usize = 3;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct IngressSpec {
    ingress_class_name: Option<String>,
    rules: List<Rule>,
    tls: List<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rule {
    host: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct IngressStatus {
    load_balancer: Or<LoadBalancer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: List<Point>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Point {
    ip: Text,
    hostname: Text,
}

pub(super) static INGRESS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Class", "Who is to act on it."),
        Column::text("Hosts", "Whose requests it leads in."),
        Column::text("Address", "Where it is reached."),
        Column::text("Ports", "The ports at which it is reached."),
        Column::AGE,
    ],
    row: |ingress, now| {
        let spec: IngressSpec = read::field(ingress, "spec");
        let status: IngressStatus = read::field(ingress, "status");
        let points = status.load_balancer.ingress.iter();
        let points = points.map(|point| or(&point.ip, &point.hostname));
        let addresses: BTreeSet<_> = points.filter(|address| !address.is_empty()).collect();
        let addresses: Vec<_> = addresses.into_iter().collect();
        let between = [
            json!(spec.ingress_class_name.as_deref().unwrap_or(NONE)),
            json!(hosts(&spec.rules)),
            json!(addresses.join(",")),
            json!(if spec.tls.is_empty() { "80" } else { "80, 443" }),
        ];
        plain::named(ingress, now, between)
    },
};

/// The first hosts; what is not shown counts the rules, also those of no host.
fn hosts(rules: &[Rule]) -> String {
    let named = rules.iter().enumerate().filter(|(_, rule)| !rule.host.is_empty());
    let shown: Vec<_> = named.take(NAMED).collect();
    let Some((last, _)) = shown.last() else {
        return "*".to_owned();
    };
    let is_more = shown.len() == NAMED && rules.len() > last + 1;
    let shown: Vec<_> = shown.iter().map(|(_, rule)| rule.host.as_str()).collect();
    let more = if is_more {
        format!(" + {} more...", rules.len() - NAMED)
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(","))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClassSpec {
    controller: Text,
    parameters: Option<Parameters>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Parameters {
    api_group: Option<String>,
    kind: Text,
    name: Text,
}

pub(super) static INGRESS_CLASS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Controller", "Who acts on ingresses of it."),
        Column::text("Parameters", "What else that is told."),
        Column::AGE,
    ],
    row: |class, now| {
        let spec: ClassSpec = read::field(class, "spec");
        let parameters = spec.parameters.map(|parameters| {
            let group = parameters.api_group.map(|group| format!(".{group}"));
            format!(
                "{}{}/{}",
                *parameters.kind,
                group.unwrap_or_default(),
                *parameters.name
            )
        });
        let between = [
            json!(*spec.controller),
            json!(parameters.as_deref().unwrap_or(NONE)),
        ];
        plain::named(class, now, between)
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PolicySpec {
    pod_selector: Or<LabelSelector>,
}

pub(super) static NETWORK_POLICY: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Pod-Selector", "Which pods it is of."),
        Column::AGE,
    ],
    row: |policy, now| {
        let spec: PolicySpec = read::field(policy, "spec");
        let selector = spec.pod_selector.to_selector();
        let selector = selector.map_or_else(|_| "<error>".to_owned(), |selector| selector.to_string());
        plain::named(policy, now, [json!(or(&selector, NONE))])
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RangeSpec {
    cidrs: List<Text>,
}

pub(super) static SERVICE_CIDR: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("CIDRs", "The addresses that services get."),
        Column::AGE,
    ],
    row: |range, now| {
        let spec: RangeSpec = read::field(range, "spec");
        let cidrs: Vec<_> = spec.cidrs.iter().map(|cidr| cidr.as_str()).collect();
        plain::named(range, now, [json!(cidrs.join(","))])
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AddressSpec {
    parent_ref: Option<Parent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parent {
    group: Text,
    resource: Text,
    namespace: Text,
    name: Text,
}

pub(super) static IP_ADDRESS: Printer = Printer {
    columns: &[Column::NAME, Column::text("ParentRef", "Whose it is.")],
    row: |address, _| {
        let spec: AddressSpec = read::field(address, "spec");
        let parent = spec.parent_ref.map(|parent| {
            let dot = if parent.group.is_empty() { "" } else { "." };
            let of = format!("{}{dot}{}", *parent.resource, *parent.group).to_lowercase();
            let slash = if parent.namespace.is_empty() { "" } else { "/" };
            format!("{of}{slash}{}/{}", *parent.namespace, *parent.name)
        });
        let cells = vec![
            json!(address.meta().name),
            json!(parent.as_deref().unwrap_or(NONE)),
        ];
        cells.into()
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    addresses: List<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    port: Option<i64>,
    name: Option<String>,
}

pub(super) static ENDPOINT_SLICE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("AddressType", "Of which type its addresses are."),
        Column::text("Ports", "The ports of its endpoints."),
        Column::text("Endpoints", "The addresses of its endpoints."),
        Column::AGE,
    ],
    row: |slice, now| {
        let type_: String = read::field(slice, "addressType");
        let ports: Vec<Port> = read::field(slice, "ports");
        let ports = ports.into_iter().map(|port| match (port.port, port.name) {
            (Some(number), _) => number.to_string(),
            (None, Some(name)) => name,
            (None, None) => "*".to_owned(),
        });
        let endpoints: Vec<Endpoint> = read::field(slice, "endpoints");
        let addresses = endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter());
        let addresses = addresses.map(|address| address.to_string());
        let between = [
            json!(type_),
            json!(first(ports.collect())),
            json!(first(addresses.collect())),
        ];
        plain::named(slice, now, between)
    },
};

/// The first few, and how many more there are.
fn first(all: Vec<String>) -> String {
    let shown = all[..all.len().min(NAMED)].join(",");
    match all.len().saturating_sub(NAMED) {
        0 => or(&shown, "<unset>").to_owned(),
        more => format!("{shown} + {more} more..."),
    }
}

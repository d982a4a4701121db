//! The kinds of networking.k8s.io/v1, which nothing acts on yet: ways into the cluster, who may reach whom, and addresses.

mod address;
mod ingress;
mod ingress_class;
mod network_policy;

#[cfg(test)]
mod tests;

use k8s_openapi::api::networking::v1::{
    IPAddress, Ingress, IngressClass, IngressStatus, NetworkPolicy, ServiceCIDR,
};

use super::table::{BuiltIn, one, status, stored, two, without_status};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            short_names: &["ing"],
            has_status: true,
            prepare_create: without_status,
            validate_status: |new, _| status(new, |new: &IngressStatus| ingress::validate_status(new)),
            ..stored::<Ingress>(
                "ingress",
                |new| one::<Ingress>(new, ingress::validate_new),
                |new, _| one::<Ingress>(new, ingress::validate),
            )
        },
        BuiltIn {
            default: ingress_class::default,
            ..stored::<IngressClass>(
                "ingressclass",
                |new| one::<IngressClass>(new, ingress_class::validate),
                |new, old| two::<IngressClass>(new, old, ingress_class::validate_update),
            )
        },
        BuiltIn {
            short_names: &["netpol"],
            default: network_policy::default,
            ..stored::<NetworkPolicy>(
                "networkpolicy",
                |new| one::<NetworkPolicy>(new, network_policy::validate),
                |new, _| one::<NetworkPolicy>(new, network_policy::validate),
            )
        },
        BuiltIn {
            short_names: &["ip"],
            ..stored::<IPAddress>(
                "ipaddress",
                |new| one::<IPAddress>(new, address::validate_address),
                |new, old| two::<IPAddress>(new, old, address::validate_address_update),
            )
        },
        BuiltIn {
            has_status: true,
            prepare_create: without_status,
            ..stored::<ServiceCIDR>(
                "servicecidr",
                |new| one::<ServiceCIDR>(new, address::validate_range),
                |new, old| two::<ServiceCIDR>(new, old, address::validate_range_update),
            )
        },
    ]
}

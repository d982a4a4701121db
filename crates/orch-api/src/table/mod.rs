//! The table form of objects that `kubectl get` shows: Kubernetes' own columns and cells, pure.
//!
//! A kind's [`Printer`] makes a row of a document and the time that it is; `wire.rs` writes rows as `meta.k8s.io/v1`'s `Table`.
//! Sources: Kubernetes' `pkg/printers/internalversion/printers.go`, and `rest.NewDefaultTableConvertor` for custom resources.

mod admission;
mod age;
mod autoscaler;
mod batch;
mod certificate;
mod claim;
mod custom;
mod event;
mod network;
mod node;
mod plain;
mod pod;
mod rbac;
mod read;
mod service;
mod storage;
#[cfg(test)]
mod tests;
mod volume;
mod wire;
mod workload;

use std::sync::Arc;

use jiff::Timestamp;
use orch_core::object::{ApiResource, Document};
use serde::Serialize;
use serde_json::Value;

pub(crate) use custom::Columns;
pub(crate) use wire::{Include, Table, write_metadata};

/// What a column holds, as `TableColumnDefinition` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Column {
    name: &'static str,
    #[serde(rename = "type")]
    type_: &'static str,
    format: &'static str,
    description: &'static str,
    /// 0 is always shown, more in wide output only.
    priority: u8,
}

impl Column {
    const NAME: Self = Self {
        format: "name",
        ..Self::text("Name", "What the object is called.")
    };
    const AGE: Self = Self::text("Age", "How long ago it was created.");

    const fn text(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            type_: "string",
            format: "",
            description,
            priority: 0,
        }
    }

    const fn number(name: &'static str, description: &'static str) -> Self {
        Self {
            type_: "integer",
            ..Self::text(name, description)
        }
    }

    const fn boolean(name: &'static str, description: &'static str) -> Self {
        Self {
            type_: "boolean",
            ..Self::text(name, description)
        }
    }

    const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }
}

/// What a table says of one object.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// One for each column, the wide ones too.
    cells: Vec<Value>,
    /// The phase in which it has ended, of a pod that has (a `Completed` condition of the row).
    ended: Option<&'static str>,
}

impl From<Vec<Value>> for Row {
    fn from(cells: Vec<Value>) -> Self {
        Self { cells, ended: None }
    }
}

/// How a kind's objects are shown.
#[derive(Debug)]
pub(crate) struct Printer {
    columns: &'static [Column],
    row: fn(&Document, Timestamp) -> Row,
}

impl Printer {
    fn row(&self, document: &Document, now: Timestamp) -> Row {
        let row = (self.row)(document, now);
        debug_assert_eq!(row.cells.len(), self.columns.len(), "{}", document.kind());
        row
    }

    /// The one of a kind, which may be Kubernetes' own (`is_built_in`) or a custom one.
    pub(crate) fn of(resource: &ApiResource, is_built_in: bool) -> &'static Self {
        match (is_built_in, &*resource.group, &*resource.kind) {
            (false, ..) => &plain::CUSTOM,
            (_, "apiextensions.k8s.io", "CustomResourceDefinition") => &plain::CUSTOM,
            (_, "", "ConfigMap") => &plain::CONFIG_MAP,
            (_, "", "Event") => &event::EVENT,
            (_, "", "Namespace") => &plain::NAMESPACE,
            (_, "", "Node") => &node::NODE,
            (_, "", "Pod") => &pod::POD,
            (_, "", "Secret") => &plain::SECRET,
            (_, "", "Service") => &service::SERVICE,
            (_, "", "ServiceAccount") => &plain::SERVICE_ACCOUNT,
            (_, "", "Endpoints") => &service::ENDPOINTS,
            (_, "", "PersistentVolumeClaim") => &claim::CLAIM,
            (_, "", "LimitRange") => &plain::CREATED,
            (_, "", "PersistentVolume") => &volume::VOLUME,
            (_, "", "PodTemplate") => &workload::POD_TEMPLATE,
            (_, "", "ReplicationController") => &workload::REPLICATION_CONTROLLER,
            (_, "", "ResourceQuota") => &plain::QUOTA,
            (
                _,
                "admissionregistration.k8s.io",
                "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
            ) => &plain::WEBHOOKS,
            (_, "admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => &admission::POLICY,
            (_, "admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => &admission::BINDING,
            (_, "certificates.k8s.io", "CertificateSigningRequest") => &certificate::REQUEST,
            (_, "node.k8s.io", "RuntimeClass") => &plain::RUNTIME_CLASS,
            (_, "storage.k8s.io", "CSIDriver") => &storage::DRIVER,
            (_, "storage.k8s.io", "CSINode") => &storage::NODE,
            (_, "storage.k8s.io", "CSIStorageCapacity") => &storage::CAPACITY,
            (_, "storage.k8s.io", "StorageClass") => &storage::CLASS,
            (_, "storage.k8s.io", "VolumeAttachment") => &storage::ATTACHMENT,
            (_, "storage.k8s.io", "VolumeAttributesClass") => &storage::ATTRIBUTES,
            (_, "apps", "ControllerRevision") => &workload::REVISION,
            (_, "apps", "DaemonSet") => &workload::DAEMON_SET,
            (_, "apps", "StatefulSet") => &workload::STATEFUL_SET,
            (_, "autoscaling", "HorizontalPodAutoscaler") => &autoscaler::AUTOSCALER,
            (_, "batch", "CronJob") => &batch::CRON_JOB,
            (_, "batch", "Job") => &batch::JOB,
            (_, "discovery.k8s.io", "EndpointSlice") => &network::ENDPOINT_SLICE,
            (_, "networking.k8s.io", "IPAddress") => &network::IP_ADDRESS,
            (_, "networking.k8s.io", "Ingress") => &network::INGRESS,
            (_, "networking.k8s.io", "IngressClass") => &network::INGRESS_CLASS,
            (_, "networking.k8s.io", "NetworkPolicy") => &network::NETWORK_POLICY,
            (_, "networking.k8s.io", "ServiceCIDR") => &network::SERVICE_CIDR,
            (_, "policy", "PodDisruptionBudget") => &plain::DISRUPTION_BUDGET,
            (_, "rbac.authorization.k8s.io", "Role" | "ClusterRole") => &plain::CREATED,
            (_, "rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &rbac::BINDING,
            (_, "scheduling.k8s.io", "PriorityClass") => &plain::PRIORITY_CLASS,
            (_, "apps", "Deployment") => &workload::DEPLOYMENT,
            (_, "apps", "ReplicaSet") => &workload::REPLICA_SET,
            (_, "coordination.k8s.io", "Lease") => &plain::LEASE,
            _ => &plain::OTHER,
        }
    }
}

/// How tables show the objects of a kind: as is known here, or as its definition says.
#[derive(Clone, Debug)]
pub(crate) enum Layout {
    Known(&'static Printer),
    Custom(Arc<Columns>),
}

impl Layout {
    /// That of a kind that no definition defines.
    pub(crate) fn of(resource: &ApiResource, is_built_in: bool) -> Self {
        Self::Known(Printer::of(resource, is_built_in))
    }

    /// What the columns are.
    fn columns(&self) -> Value {
        // They are plain texts and numbers.
        let columns = match self {
            Self::Known(printer) => serde_json::to_value(printer.columns),
            Self::Custom(columns) => serde_json::to_value(columns.definitions()),
        };
        columns.unwrap_or_default()
    }
}

const NONE: &str = "<none>";
const UNKNOWN: &str = "<unknown>";

/// A text, or what stands for none.
fn or<'t>(text: &'t str, none: &'t str) -> &'t str {
    if text.is_empty() { none } else { text }
}

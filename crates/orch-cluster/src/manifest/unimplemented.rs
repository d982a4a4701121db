//! Fields that are stored but do not do what they say, so that no manifest loses something in silence.

use std::borrow::Cow;

use orch_core::object::FieldPath;
use serde_json::Value;

/// A field that is stored but has no effect here, or another than it says.
///
/// ```
/// use orch_cluster::manifest::Unimplemented;
///
/// Unimplemented::field("spec.containers[*].lifecycle");
/// Unimplemented::field("spec.hostIPC").unless(false);
/// Unimplemented::field("spec.backup.target").only("tape").but("the backup goes to disk");
/// ```
#[derive(Clone, Debug)]
pub struct Unimplemented {
    path: String,
    harmless: Vec<Value>,
    only: Option<Value>,
    /// Whether it works where something else is there: `but` then says what is needed, and what happens without.
    is_conditional: bool,
    but: Cow<'static, str>,
}

impl Unimplemented {
    /// The field at `path`: names joined by dots, `[*]` for every element of a list.
    pub fn field(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            harmless: Vec::new(),
            only: None,
            is_conditional: false,
            but: Cow::Borrowed("it is stored but has no effect here"),
        }
    }

    /// But not with this value, which asks for what happens anyway.
    #[must_use]
    pub fn unless(mut self, value: impl Into<Value>) -> Self {
        self.harmless.push(value.into());
        self
    }

    /// With this value only.
    #[must_use]
    pub fn only(mut self, value: impl Into<Value>) -> Self {
        self.only = Some(value.into());
        self
    }

    /// What happens instead, where the field is not simply without effect.
    #[must_use]
    pub fn but(mut self, happens: impl Into<Cow<'static, str>>) -> Self {
        self.but = happens.into();
        self
    }

    /// It works where something else is there: what that is, and what happens without.
    fn needs(mut self, what: &'static str) -> Self {
        self.is_conditional = true;
        self.but(what)
    }

    /// Where the object uses it.
    pub(super) fn found_in(&self, object: &Value) -> Vec<FieldPath> {
        let mut found = vec![(FieldPath::root(), object)];
        for step in self.path.split('.') {
            let (name, each) = match step.strip_suffix("[*]") {
                Some(name) => (name, true),
                None => (step, false),
            };
            let mut next = Vec::new();
            for (path, value) in found {
                let Some(field) = value.get(name) else { continue };
                let path = path.child(name.to_owned());
                if each {
                    let items = field.as_array().into_iter().flatten().enumerate();
                    next.extend(items.map(|(index, item)| (path.index(index), item)));
                } else {
                    next.push((path, field));
                }
            }
            found = next;
        }
        found.retain(|(_, value)| self.matters(value));
        found.into_iter().map(|(path, _)| path).collect()
    }

    /// The warning.
    pub(super) fn message(&self) -> String {
        if self.is_conditional {
            self.but.clone().into_owned()
        } else {
            format!("not implemented in this version; {}", self.but)
        }
    }

    /// The field, and whether it is without effect whatever its value.
    #[cfg(test)]
    pub(super) fn extent(&self) -> (&str, bool) {
        (&self.path, self.harmless.is_empty() && self.only.is_none())
    }

    fn matters(&self, value: &Value) -> bool {
        let empty = match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        !empty && !self.harmless.contains(value) && self.only.as_ref().is_none_or(|only| only == value)
    }
}

/// What becomes of a pod that asks for what the node agent cannot do.
const WAITS: &str = "the pod will wait with CreateContainerConfigError";

/// The kinds of volume that the node agent does not have.
const VOLUMES: [&str; 24] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "image",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// The fields of a pod, as the node agent, the scheduler and the runtimes have them today; `prefix` is where
/// the pod lies in the object.
pub(super) fn pod(prefix: &str) -> Vec<Unimplemented> {
    let spec = |path: &str| Unimplemented::field(format!("{prefix}spec.{path}"));
    let mut fields: Vec<Unimplemented> = [
        "affinity.podAffinity",
        "affinity.podAntiAffinity",
        "ephemeralContainers",
        "evictionResponders",
        "hostnameOverride",
        "preemptionPolicy",
        "priorityClassName",
        "resourceClaims",
        "resources.claims",
        "runtimeClassName",
        "schedulingGroup",
        "securityContext.fsGroupChangePolicy",
        "securityContext.seLinuxChangePolicy",
        "securityContext.seLinuxOptions",
        "securityContext.supplementalGroupsPolicy",
        "securityContext.windowsOptions",
        "subdomain",
        "topologySpreadConstraints",
    ]
    .into_iter()
    .map(spec)
    .collect();
    let resolver = "needs a cluster DNS, which the node's agent is told of (AgentConfig::cluster_dns); without one the \
                    machine's resolver is used";
    fields.extend([
        spec("automountServiceAccountToken").unless(false),
        spec("dnsPolicy").only("ClusterFirst").needs(resolver),
        spec("dnsPolicy").only("ClusterFirstWithHostNet").needs(resolver),
        spec("enableServiceLinks").unless(false),
        spec("hostIPC").unless(false),
        spec("os.name").unless("linux"),
        spec("schedulerName").unless("default-scheduler"),
        spec("securityContext.fsGroup")
            .but("the containers' processes are of that group, but the volumes' files do not become so"),
        spec("serviceAccount").unless("default"),
        spec("serviceAccountName").unless("default"),
        spec("setHostnameAsFQDN").unless(false),
    ]);
    fields.extend(VOLUMES.map(|kind| spec(&format!("volumes[*].{kind}")).but(WAITS)));
    fields.extend(volume(&format!("{prefix}spec.volumes[*].")));
    for list in ["containers", "initContainers"] {
        fields.extend(container(&format!("{prefix}spec.{list}[*].")));
    }
    fields
}

/// Of the volumes that there are.
fn volume(prefix: &str) -> Vec<Unimplemented> {
    let field = |path: &str| Unimplemented::field(format!("{prefix}{path}"));
    let mut fields: Vec<Unimplemented> = [
        "configMap.defaultUser",
        "configMap.items[*].user",
        "downwardAPI.defaultUser",
        "downwardAPI.items[*].user",
        "emptyDir.mode",
        "projected.defaultUser",
        "projected.sources[*].configMap.items[*].user",
        "projected.sources[*].downwardAPI.items[*].user",
        "projected.sources[*].secret.items[*].user",
        "secret.defaultUser",
        "secret.items[*].user",
    ]
    .into_iter()
    .map(field)
    .collect();
    fields.push(
        field("emptyDir.medium")
            .unless("")
            .but("the volume lies on the node's disk"),
    );
    fields.push(field("emptyDir.sizeLimit").but("the volume may grow as large as the node's disk"));
    for source in ["clusterTrustBundle", "podCertificate", "serviceAccountToken"] {
        fields.push(field(&format!("projected.sources[*].{source}")).but("its file is left out"));
    }
    fields
}

fn container(prefix: &str) -> Vec<Unimplemented> {
    let field = |path: &str| Unimplemented::field(format!("{prefix}{path}"));
    let mut fields: Vec<Unimplemented> = [
        "env[*].valueFrom.fileKeyRef",
        "resources.claims",
        "resources.limits.ephemeral-storage",
        "resources.requests.ephemeral-storage",
        "restartPolicyRules",
        "securityContext.procMount",
        "securityContext.seLinuxOptions",
        "securityContext.windowsOptions",
        "volumeMounts[*].bindMountOptions",
    ]
    .into_iter()
    .map(field)
    .collect();
    fields.extend([
        field("terminationMessagePath").unless("/dev/termination-log"),
        field("terminationMessagePolicy").unless("File"),
        field("volumeDevices").but(WAITS),
        field("volumeMounts[*].mountPropagation").unless("None"),
        field("volumeMounts[*].recursiveReadOnly").unless("Disabled"),
    ]);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        fields.push(field(&format!("{probe}.grpc")).but(WAITS));
        fields.push(field(&format!("{probe}.httpGet.protocol")));
        fields.push(
            field(&format!("{probe}.httpGet.scheme"))
                .unless("HTTP")
                .but(WAITS),
        );
    }
    for hook in ["lifecycle.postStart", "lifecycle.preStop"] {
        fields.push(field(&format!("{hook}.httpGet.protocol")));
        fields.push(field(&format!("{hook}.httpGet.scheme")).unless("HTTP").but(WAITS));
        fields.push(field(&format!("{hook}.tcpSocket")).but(WAITS));
    }
    fields
}

/// The fields of a node.
pub(super) fn node() -> Vec<Unimplemented> {
    [
        "spec.configSource",
        "spec.externalID",
        "spec.podCIDR",
        "spec.podCIDRs",
        "spec.podPreemptionPolicy",
        "spec.providerID",
    ]
    .into_iter()
    .map(Unimplemented::field)
    .collect()
}

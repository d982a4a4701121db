//! Fields that are stored but have no effect, so that no manifest loses something in silence.

use orch_core::object::FieldPath;
use serde_json::Value;

/// A field that is stored but has no effect here.
///
/// ```
/// use orch_cluster::manifest::Unimplemented;
///
/// Unimplemented::field("spec.containers[*].lifecycle");
/// Unimplemented::field("spec.hostIPC").unless(false);
/// Unimplemented::field("spec.dnsPolicy").only("ClusterFirst").because("there is no cluster DNS");
/// ```
#[derive(Clone, Debug)]
pub struct Unimplemented {
    path: String,
    harmless: Vec<Value>,
    only: Option<Value>,
    because: Option<String>,
}

impl Unimplemented {
    /// The field at `path`: names joined by dots, `[*]` for every element of a list.
    pub fn field(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            harmless: Vec::new(),
            only: None,
            because: None,
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

    /// What happens instead, or why.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.because = Some(reason.into());
        self
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
        let because = self.because.as_ref().map(|reason| format!(": {reason}"));
        format!(
            "not implemented in this version{}; it is stored but has no effect here",
            because.unwrap_or_default()
        )
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

/// The fields of a pod, as the node agent, the scheduler and the runtimes have them today; `prefix` is where
/// the pod lies in the object.
pub(super) fn pod(prefix: &str) -> Vec<Unimplemented> {
    let spec = |path: &str| Unimplemented::field(format!("{prefix}spec.{path}"));
    let mut fields: Vec<Unimplemented> = [
        "affinity.podAffinity",
        "affinity.podAntiAffinity",
        "ephemeralContainers",
        "hostnameOverride",
        "preemptionPolicy",
        "priorityClassName",
        "resourceClaims",
        "resources",
        "runtimeClassName",
        "securityContext.appArmorProfile",
        "securityContext.fsGroup",
        "securityContext.fsGroupChangePolicy",
        "securityContext.seLinuxChangePolicy",
        "securityContext.seLinuxOptions",
        "securityContext.seccompProfile",
        "securityContext.supplementalGroupsPolicy",
        "securityContext.windowsOptions",
        "subdomain",
        "topologySpreadConstraints",
        "volumes[*].csi",
        "volumes[*].ephemeral",
        "volumes[*].image",
        "volumes[*].iscsi",
        "volumes[*].nfs",
        "volumes[*].persistentVolumeClaim",
    ]
    .into_iter()
    .map(spec)
    .collect();
    fields.extend([
        spec("automountServiceAccountToken").unless(false),
        spec("dnsPolicy")
            .only("ClusterFirst")
            .because("there is no cluster DNS, so the machine's resolver is used"),
        spec("dnsPolicy")
            .only("ClusterFirstWithHostNet")
            .because("there is no cluster DNS, so the machine's resolver is used"),
        spec("enableServiceLinks").unless(false),
        spec("hostIPC").unless(false),
        spec("hostUsers").unless(true),
        spec("os.name").unless("linux"),
        spec("schedulerName").unless("default-scheduler"),
        spec("serviceAccount").unless("default"),
        spec("serviceAccountName").unless("default"),
        spec("setHostnameAsFQDN").unless(false),
    ]);
    for list in ["containers", "initContainers"] {
        fields.extend(container(&format!("{prefix}spec.{list}[*].")));
    }
    fields
}

fn container(prefix: &str) -> Vec<Unimplemented> {
    let field = |path: &str| Unimplemented::field(format!("{prefix}{path}"));
    let mut fields: Vec<Unimplemented> = [
        "env[*].valueFrom.fileKeyRef",
        "resizePolicy",
        "resources.claims",
        "resources.limits.ephemeral-storage",
        "restartPolicyRules",
        "securityContext.appArmorProfile",
        "securityContext.procMount",
        "securityContext.seLinuxOptions",
        "securityContext.seccompProfile",
        "securityContext.windowsOptions",
        "volumeDevices",
    ]
    .into_iter()
    .map(field)
    .collect();
    fields.push(field("terminationMessagePath").unless("/dev/termination-log"));
    fields.push(field("terminationMessagePolicy").unless("File"));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        fields.push(field(&format!("{probe}.grpc")));
    }
    fields
}

/// The fields of a node.
pub(super) fn node() -> Vec<Unimplemented> {
    ["spec.configSource", "spec.podCIDR", "spec.podCIDRs"]
        .into_iter()
        .map(Unimplemented::field)
        .collect()
}

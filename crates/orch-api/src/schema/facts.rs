//! What Kubernetes' OpenAPI says of how lists and maps merge, beside the types that k8s-openapi has.
//!
//! From the definitions of Kubernetes v1.36 (`api/openapi-spec/swagger.json`), for all that the built-in kinds
//! are made of. `atomic` is left out of lists: it is what a list is of which nothing is said.

/// Of a list or a struct in a field: `(type, field, list type with its keys, patch strategy, patch merge key)`;
/// empty where nothing is said. Sorted.
#[rustfmt::skip]
pub(super) const FIELDS: &[(&str, &str, &str, &str, &str)] = &[
    ("admissionregistration.v1.MutatingWebhook", "matchConditions", "map name", "merge", "name"),
    ("admissionregistration.v1.MutatingWebhookConfiguration", "webhooks", "map name", "merge", "name"),
    ("admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec", "validationActions", "set", "", ""),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "matchConditions", "map name", "merge", "name"),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "variables", "map name", "merge", "name"),
    ("admissionregistration.v1.ValidatingAdmissionPolicyStatus", "conditions", "map type", "", ""),
    ("admissionregistration.v1.ValidatingWebhook", "matchConditions", "map name", "merge", "name"),
    ("admissionregistration.v1.ValidatingWebhookConfiguration", "webhooks", "map name", "merge", "name"),
    ("apps.v1.DaemonSetStatus", "conditions", "map type", "merge", "type"),
    ("apps.v1.DeploymentSpec", "strategy", "", "retainKeys", ""),
    ("apps.v1.DeploymentStatus", "conditions", "map type", "merge", "type"),
    ("apps.v1.ReplicaSetStatus", "conditions", "map type", "merge", "type"),
    ("apps.v1.StatefulSetStatus", "conditions", "map type", "merge", "type"),
    ("autoscaling.v2.HorizontalPodAutoscalerStatus", "conditions", "map type", "merge", "type"),
    ("batch.v1.JobStatus", "conditions", "", "merge", "type"),
    ("batch.v1.PodFailurePolicyOnExitCodesRequirement", "values", "set", "", ""),
    ("batch.v1.UncountedTerminatedPods", "failed", "set", "", ""),
    ("batch.v1.UncountedTerminatedPods", "succeeded", "set", "", ""),
    ("certificates.v1.CertificateSigningRequestStatus", "conditions", "map type", "", ""),
    ("core.v1.ComponentStatus", "conditions", "map type", "merge", "type"),
    ("core.v1.Container", "env", "map name", "merge", "name"),
    ("core.v1.Container", "ports", "map containerPort protocol", "merge", "containerPort"),
    ("core.v1.Container", "volumeDevices", "map devicePath", "merge", "devicePath"),
    ("core.v1.Container", "volumeMounts", "map mountPath", "merge", "mountPath"),
    ("core.v1.ContainerRestartRuleOnExitCodes", "values", "set", "", ""),
    ("core.v1.ContainerStatus", "allocatedResourcesStatus", "map name", "merge", "name"),
    ("core.v1.ContainerStatus", "volumeMounts", "map mountPath", "merge", "mountPath"),
    ("core.v1.EphemeralContainer", "env", "map name", "merge", "name"),
    ("core.v1.EphemeralContainer", "ports", "map containerPort protocol", "merge", "containerPort"),
    ("core.v1.EphemeralContainer", "volumeDevices", "map devicePath", "merge", "devicePath"),
    ("core.v1.EphemeralContainer", "volumeMounts", "map mountPath", "merge", "mountPath"),
    ("core.v1.NamespaceStatus", "conditions", "map type", "merge", "type"),
    ("core.v1.NodeAllocatableResourceClaimStatus", "containers", "set", "", ""),
    ("core.v1.NodeSpec", "podCIDRs", "set", "merge", ""),
    ("core.v1.NodeStatus", "addresses", "map type", "merge", "type"),
    ("core.v1.NodeStatus", "conditions", "map type", "merge", "type"),
    ("core.v1.PersistentVolumeClaimStatus", "conditions", "map type", "merge", "type"),
    ("core.v1.PodSpec", "containers", "map name", "merge", "name"),
    ("core.v1.PodSpec", "ephemeralContainers", "map name", "merge", "name"),
    ("core.v1.PodSpec", "hostAliases", "map ip", "merge", "ip"),
    ("core.v1.PodSpec", "imagePullSecrets", "map name", "merge", "name"),
    ("core.v1.PodSpec", "initContainers", "map name", "merge", "name"),
    ("core.v1.PodSpec", "resourceClaims", "map name", "merge,retainKeys", "name"),
    ("core.v1.PodSpec", "schedulingGates", "map name", "merge", "name"),
    ("core.v1.PodSpec", "topologySpreadConstraints", "map topologyKey whenUnsatisfiable", "merge", "topologyKey"),
    ("core.v1.PodSpec", "volumes", "map name", "merge,retainKeys", "name"),
    ("core.v1.PodStatus", "conditions", "map type", "merge", "type"),
    ("core.v1.PodStatus", "hostIPs", "", "merge", "ip"),
    ("core.v1.PodStatus", "podIPs", "map ip", "merge", "ip"),
    ("core.v1.PodStatus", "resourceClaimStatuses", "map name", "merge,retainKeys", "name"),
    ("core.v1.ReplicationControllerStatus", "conditions", "map type", "merge", "type"),
    ("core.v1.ResourceRequirements", "claims", "map name", "", ""),
    ("core.v1.ResourceStatus", "resources", "map resourceID", "", ""),
    ("core.v1.ServiceAccount", "secrets", "map name", "merge", "name"),
    ("core.v1.ServiceSpec", "ports", "map port protocol", "merge", "port"),
    ("core.v1.ServiceStatus", "conditions", "map type", "merge", "type"),
    ("discovery.v1.Endpoint", "addresses", "set", "", ""),
    ("meta.v1.ObjectMeta", "finalizers", "set", "merge", ""),
    ("meta.v1.ObjectMeta", "ownerReferences", "map uid", "merge", "uid"),
    ("networking.v1.ServiceCIDRStatus", "conditions", "map type", "merge", "type"),
    ("policy.v1.PodDisruptionBudgetSpec", "selector", "", "replace", ""),
    ("policy.v1.PodDisruptionBudgetStatus", "conditions", "map type", "merge", "type"),
    ("storage.v1.CSIDriverSpec", "volumeLifecycleModes", "set", "", ""),
    ("storage.v1.CSINodeSpec", "drivers", "map name", "merge", "name"),
];

/// Of maps in fields: `(type, field, map type)`, which overrules what is said of the type in the field. Sorted.
pub(super) const MAPS: &[(&str, &str, &str)] = &[
    (
        "core.v1.PersistentVolumeClaimStatus",
        "allocatedResourceStatuses",
        "granular",
    ),
    ("core.v1.PersistentVolumeSpec", "claimRef", "granular"),
    ("core.v1.PodSpec", "nodeSelector", "atomic"),
    ("core.v1.ReplicationControllerSpec", "selector", "atomic"),
    ("core.v1.ServiceSpec", "selector", "atomic"),
    ("node.v1.Scheduling", "nodeSelector", "atomic"),
];

/// Types whose values are replaced whole by those who apply them: `x-kubernetes-map-type: atomic`. Sorted.
pub(super) const ATOMIC: &[&str] = &[
    "admissionregistration.v1.MatchResources",
    "admissionregistration.v1.NamedRuleWithOperations",
    "admissionregistration.v1.ParamRef",
    "autoscaling.v1.CrossVersionObjectReference",
    "core.v1.ConfigMapKeySelector",
    "core.v1.EndpointAddress",
    "core.v1.EndpointPort",
    "core.v1.FileKeySelector",
    "core.v1.LocalObjectReference",
    "core.v1.NodeSelector",
    "core.v1.NodeSelectorTerm",
    "core.v1.ObjectFieldSelector",
    "core.v1.ObjectReference",
    "core.v1.ResourceFieldSelector",
    "core.v1.ScopeSelector",
    "core.v1.SecretKeySelector",
    "core.v1.SecretReference",
    "core.v1.TopologySelectorTerm",
    "core.v1.TypedLocalObjectReference",
    "discovery.v1.EndpointPort",
    "meta.v1.LabelSelector",
    "meta.v1.OwnerReference",
    "networking.v1.ServiceBackendPort",
    "rbac.v1.RoleRef",
    "rbac.v1.Subject",
];

/// Values that keys of lists have where they are left out: `(type, field, value)`. Sorted. These are not in that
/// file; they are the `+default` marks of Kubernetes' types. That required keys default to nothing there (a
/// container's name to `""`) is left out: who forgets one is told so at once.
pub(super) const DEFAULTS: &[(&str, &str, &str)] = &[
    ("core.v1.ContainerPort", "protocol", "TCP"),
    ("core.v1.LocalObjectReference", "name", ""),
    ("core.v1.ServicePort", "protocol", "TCP"),
];

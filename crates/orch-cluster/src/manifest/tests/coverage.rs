//! Every field of a kind is either served or said not to be.

use std::cell::RefCell;

use k8s_openapi::api::apps::v1::{DeploymentSpec, ReplicaSetSpec};
use k8s_openapi::api::core::v1::{NodeSpec, PodSpec};
use serde::de::value::{BorrowedStrDeserializer, Error};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::unimplemented::{self, Unimplemented};

/// What the scheduler, the controllers, the node agent and the runtimes do: where, and the fields there. Within a group a
/// field `x.y` is the `y` of `x`.
const POD: &[(&str, &str)] = &[
    (
        "spec",
        "activeDeadlineSeconds hostNetwork hostPID hostUsers hostname nodeName nodeSelector overhead priority resources.limits \
         resources.requests restartPolicy shareProcessNamespace terminationGracePeriodSeconds readinessGates[*].conditionType schedulingGates[*].name \
         imagePullSecrets[*].name hostAliases[*].hostnames hostAliases[*].ip",
    ),
    (
        "spec.dnsConfig",
        "nameservers searches options[*].name options[*].value",
    ),
    (
        "spec.tolerations[*]",
        "effect key operator tolerationSeconds value",
    ),
    (
        "spec.securityContext",
        "appArmorProfile.localhostProfile appArmorProfile.type runAsGroup runAsNonRoot runAsUser \
         seccompProfile.localhostProfile seccompProfile.type \
         supplementalGroups sysctls[*].name sysctls[*].value",
    ),
    (
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[*]",
        "weight",
    ),
    (
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[*].preference",
        TERM,
    ),
    (
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[*]",
        TERM,
    ),
    ("spec.volumes[*]", "name hostPath.path hostPath.type"),
    ("spec.volumes[*].configMap", "defaultMode name optional"),
    ("spec.volumes[*].configMap.items[*]", FILE),
    ("spec.volumes[*].secret", "defaultMode secretName optional"),
    ("spec.volumes[*].secret.items[*]", FILE),
    ("spec.volumes[*].downwardAPI", "defaultMode"),
    ("spec.volumes[*].downwardAPI.items[*]", "mode path"),
    ("spec.volumes[*].downwardAPI.items[*]", FACT),
    ("spec.volumes[*].projected", "defaultMode"),
    ("spec.volumes[*].projected.sources[*].configMap", "name optional"),
    ("spec.volumes[*].projected.sources[*].configMap.items[*]", FILE),
    ("spec.volumes[*].projected.sources[*].secret", "name optional"),
    ("spec.volumes[*].projected.sources[*].secret.items[*]", FILE),
    (
        "spec.volumes[*].projected.sources[*].downwardAPI.items[*]",
        "mode path",
    ),
    ("spec.volumes[*].projected.sources[*].downwardAPI.items[*]", FACT),
];

const CONTAINER: &[(&str, &str)] = &[
    (
        "",
        "args command image imagePullPolicy name resources.limits resources.requests resizePolicy[*].resourceName resizePolicy[*].restartPolicy restartPolicy stdin stdinOnce tty \
         workingDir lifecycle.stopSignal",
    ),
    (".env[*]", "name value"),
    (".env[*].valueFrom", FACT),
    (".env[*].valueFrom.configMapKeyRef", "key name optional"),
    (".env[*].valueFrom.secretKeyRef", "key name optional"),
    (
        ".envFrom[*]",
        "prefix configMapRef.name configMapRef.optional secretRef.name secretRef.optional",
    ),
    (".lifecycle.postStart", ACTION),
    (".lifecycle.postStart", "sleep.seconds"),
    (".lifecycle.preStop", ACTION),
    (".lifecycle.preStop", "sleep.seconds"),
    (".livenessProbe", ACTION),
    (".livenessProbe", PROBE),
    (".readinessProbe", ACTION),
    (".readinessProbe", PROBE),
    (".startupProbe", ACTION),
    (".startupProbe", PROBE),
    (".ports[*]", "containerPort hostIP hostPort name protocol"),
    (
        ".securityContext",
        "allowPrivilegeEscalation appArmorProfile.localhostProfile appArmorProfile.type capabilities.add capabilities.drop privileged readOnlyRootFilesystem runAsGroup \
         runAsNonRoot runAsUser seccompProfile.localhostProfile seccompProfile.type",
    ),
    (".volumeMounts[*]", "mountPath name readOnly subPath subPathExpr"),
];

const TERM: &str = "matchExpressions[*].key matchExpressions[*].operator matchExpressions[*].values \
                    matchFields[*].key matchFields[*].operator matchFields[*].values";
const FILE: &str = "key mode path";
const FACT: &str = "fieldRef.apiVersion fieldRef.fieldPath resourceFieldRef.containerName resourceFieldRef.divisor \
                    resourceFieldRef.resource";
const ACTION: &str = "exec.command httpGet.host httpGet.httpHeaders[*].name httpGet.httpHeaders[*].value httpGet.path \
                      httpGet.port";
const PROBE: &str = "failureThreshold initialDelaySeconds periodSeconds successThreshold tcpSocket.host tcpSocket.port \
                     terminationGracePeriodSeconds timeoutSeconds";
const NODE: &[(&str, &str)] = &[(
    "spec",
    "unschedulable taints[*].effect taints[*].key taints[*].timeAdded taints[*].value",
)];
const SELECTOR: (&str, &str) = (
    "spec.selector",
    "matchLabels matchExpressions[*].key matchExpressions[*].operator matchExpressions[*].values",
);
const DEPLOYMENT: &[(&str, &str)] = &[
    SELECTOR,
    (
        "spec",
        "minReadySeconds paused progressDeadlineSeconds replicas revisionHistoryLimit strategy.type \
         strategy.rollingUpdate.maxSurge strategy.rollingUpdate.maxUnavailable",
    ),
];
const REPLICA_SET: &[(&str, &str)] = &[SELECTOR, ("spec", "minReadySeconds replicas")];

fn expand(at: &str, groups: &[(&str, &str)]) -> Vec<String> {
    let fields = groups.iter().flat_map(|(group, fields)| {
        fields
            .split_whitespace()
            .map(move |field| format!("{at}{group}.{field}"))
    });
    fields.collect()
}

/// The fields of a pod that are served, by a runtime that can do everything.
pub(crate) fn served_by_pods() -> Vec<String> {
    let mut pod = expand("", POD);
    for list in ["containers", "initContainers"] {
        pod.extend(expand(&format!("spec.{list}[*]"), CONTAINER));
    }
    pod
}

#[test]
fn every_field_is_served_or_warned_of() {
    let (served, unimplemented) = (served_by_pods(), unimplemented::pod(""));
    compare("Pod", &leaves::<PodSpec>(), &served, &unimplemented);
    compare(
        "Node",
        &leaves::<NodeSpec>(),
        &expand("", NODE),
        &unimplemented::node(),
    );
    compare(
        "Deployment",
        &leaves::<DeploymentSpec>(),
        &expand("", DEPLOYMENT),
        &[],
    );
    compare(
        "ReplicaSet",
        &leaves::<ReplicaSetSpec>(),
        &expand("", REPLICA_SET),
        &[],
    );
}

fn compare(kind: &str, leaves: &[String], served: &[String], unimplemented: &[Unimplemented]) {
    // A list of scalars, or a map, is one field.
    let is_served = |leaf: &str, field: &str| {
        leaf.strip_prefix(field)
            .is_some_and(|rest| matches!(rest, "" | "[*]" | ".*"))
    };
    let is_within = |leaf: &str, field: &str| {
        let below = leaf.strip_prefix(field);
        let is_key = leaf.strip_suffix('*').is_some_and(|map| field.starts_with(map));
        is_key || below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    for leaf in leaves {
        let served = served.iter().any(|field| is_served(leaf, field));
        let mut warned = unimplemented.iter().map(Unimplemented::extent);
        assert!(
            served || warned.clone().any(|(field, _)| is_within(leaf, field)),
            "{kind}: {leaf} is neither served nor warned of"
        );
        let never =
            warned.find(|(field, always)| *always && leaf.starts_with(field) && is_within(leaf, field));
        assert!(
            !served || never.is_none(),
            "{kind}: {leaf} is served, and warned of"
        );
    }
    for field in served {
        let known = leaves.iter().any(|leaf| is_served(leaf, field));
        assert!(known, "{kind} has no field {field}");
    }
    for (field, _) in unimplemented.iter().map(Unimplemented::extent) {
        let known = leaves.iter().any(|leaf| is_within(leaf, field));
        assert!(known, "{kind} has no field {field}");
    }
}

/// The innermost fields of a type, as it tells them itself when it is decoded; a pod template is a Pod's matter.
fn leaves<T: DeserializeOwned>() -> Vec<String> {
    let leaves = RefCell::default();
    let root = Place {
        path: "spec".to_owned(),
        leaves: &leaves,
    };
    if let Err(error) = T::deserialize(root) {
        panic!("{error} after {:?}", leaves.borrow().last());
    }
    leaves.into_inner()
}

/// A value that has every field, and of each list and map one.
#[derive(Clone)]
struct Place<'a> {
    path: String,
    leaves: &'a RefCell<Vec<String>>,
}

impl Place<'_> {
    fn leaf(self) {
        self.leaves.borrow_mut().push(self.path);
    }

    fn step(&self, step: &str) -> Self {
        Self {
            path: format!("{}{step}", self.path),
            leaves: self.leaves,
        }
    }
}

macro_rules! leaves {
    ($($method:ident: $visit:ident($value:expr),)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.leaf();
            visitor.$visit($value)
        }
    )*};
}

/// A string that is a time as well.
const TEXT: &str = "2026-01-01T00:00:00Z";

impl<'de> Deserializer<'de> for Place<'_> {
    type Error = Error;

    leaves! {
        deserialize_any: visit_str(TEXT),
        deserialize_bool: visit_bool(true),
        deserialize_i32: visit_i32(1),
        deserialize_i64: visit_i64(1),
        deserialize_f64: visit_f64(1.0),
        deserialize_str: visit_str(TEXT),
        deserialize_string: visit_str(TEXT),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(One(Some(self.step("[*]"))))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_struct("", &["*"], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(All {
            fields: fields.iter(),
            place: self,
            value: None,
        })
    }

    serde::forward_to_deserialize_any! {
        i8 i16 u8 u16 u32 u64 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

struct One<'a>(Option<Place<'a>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|place| seed.deserialize(place)).transpose()
    }
}

struct All<'a> {
    fields: std::slice::Iter<'static, &'static str>,
    place: Place<'a>,
    value: Option<Place<'a>>,
}

impl<'de> MapAccess<'de> for All<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.fields.find(|field| **field != "template") else {
            return Ok(None);
        };
        self.value = Some(self.place.step(&format!(".{field}")));
        seed.deserialize(BorrowedStrDeserializer::new(field)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.value.take().unwrap())
    }
}

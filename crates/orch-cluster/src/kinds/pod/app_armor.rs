//! Which AppArmor profile a container asks for: by the field, or by the annotation that Kubernetes had before it (KEP-24).
//!
//! The annotation is deprecated since Kubernetes 1.30 and still counts: of a new pod it is copied to the container's field,
//! and whoever reads a pod that was not created here (a template) asks [`app_armor_of`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, EphemeralContainer, Pod, PodSpec, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::{Value, json};

use crate::kinds::check;
use crate::kinds::raw::{Raw, child, child_or_new, is_unset, items, items_mut, text};

/// What an annotation for a container begins with; the container's name follows.
const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
const RUNTIME_DEFAULT: &str = "runtime/default";
const UNCONFINED: &str = "unconfined";
const LOCALHOST: &str = "localhost/";

/// The longest name of a profile: that of the longest path (`PATH_MAX`), for a profile may be named by one.
const LONGEST: usize = 4095;

type Annotations = BTreeMap<String, String>;

/// The profile that counts for a container, and the field that asks for it, from the pod's root: its own field, its
/// annotation, or the pod's field, as in the kubelet's `GetProfile`. `at` is the container's place.
pub(crate) fn app_armor_of<'p>(
    pod: &'p Pod,
    container: &'p Container,
    at: &FieldPath,
) -> Option<(Cow<'p, AppArmorProfile>, FieldPath)> {
    const FIELD: &str = "appArmorProfile";
    let own = container.security_context.as_ref();
    if let Some(profile) = own.and_then(|own| own.app_armor_profile.as_ref()) {
        return Some((Cow::Borrowed(profile), at.child("securityContext").child(FIELD)));
    }
    let key = format!("{PREFIX}{}", container.name);
    let annotations = pod.metadata.annotations.as_ref();
    if let Some(profile) = annotations
        .and_then(|annotations| annotations.get(&key))
        .and_then(|value| of_annotation(value))
    {
        let at = FieldPath::new("metadata").child("annotations").key(key);
        return Some((Cow::Owned(profile), at));
    }
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let profile = of_pod.and_then(|pod| pod.app_armor_profile.as_ref())?;
    let at = FieldPath::new("spec").child("securityContext").child(FIELD);
    Some((Cow::Borrowed(profile), at))
}

/// None of one that says nothing, or nothing that could be.
fn of_annotation(value: &str) -> Option<AppArmorProfile> {
    let profile = |type_: &str, name: Option<&str>| AppArmorProfile {
        type_: type_.to_owned(),
        localhost_profile: name.map(str::to_owned),
    };
    let profile = match value {
        RUNTIME_DEFAULT => profile("RuntimeDefault", None),
        UNCONFINED => profile("Unconfined", None),
        other => profile("Localhost", Some(other.strip_prefix(LOCALHOST)?)),
    };
    let mut errors = FieldErrors::default();
    validate_app_armor(&mut errors, &FieldPath::new(""), &profile);
    errors.is_empty().then_some(profile)
}

/// Copies annotations of a new pod to the fields of its containers that have none of their own, but for those that say what
/// the pod's own field says (Kubernetes: `applyAppArmorVersionSkew`).
pub(super) fn copy_annotations(pod: &mut Raw) {
    let found = annotations(pod);
    if found.is_empty() || is_windows(pod) {
        return;
    }
    let found: Vec<_> = found
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), as_json(&of_annotation(value)?))))
        .collect();
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let of_pod = child(spec, "securityContext").and_then(|context| context.get("appArmorProfile"));
    let of_pod = of_pod.cloned();
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            let wanted = found.iter().find(|(name, _)| name == text(container, "name"));
            if let Some((_, profile)) = wanted
                && of_pod.as_ref() != Some(profile)
                && let Some(context) = child_or_new(container, "securityContext")
                && is_unset(context, "appArmorProfile")
            {
                context.insert("appArmorProfile".to_owned(), profile.clone());
            }
        }
    }
}

fn as_json(profile: &AppArmorProfile) -> Value {
    match &profile.localhost_profile {
        Some(name) => json!({"type": profile.type_, "localhostProfile": name}),
        None => json!({"type": profile.type_}),
    }
}

/// What the writer of a pod or of a template (`object`, at `at`) should know of annotations for containers that no field
/// says it of.
pub(super) fn warnings(object: &Raw, at: Option<&FieldPath>) -> Vec<String> {
    let Some(spec) = child(object, "spec") else {
        return Vec::new();
    };
    let has_field = |holder: &Raw| {
        child(holder, "securityContext").is_some_and(|context| !is_unset(context, "appArmorProfile"))
    };
    let is_said_of_all = has_field(spec);
    let mut warnings = Vec::new();
    for (name, value) in annotations(object) {
        let mut containers = ["initContainers", "containers"]
            .into_iter()
            .flat_map(|list| items(spec, list));
        let Some(container) = containers.find(|container| text(container, "name") == name) else {
            continue; // it is refused
        };
        // Of a pod, an annotation that says what its field says is not worth a word, and another is copied.
        let is_said = match (at, of_annotation(value)) {
            (None, Some(profile)) => {
                let of_pod = child(spec, "securityContext").and_then(|own| own.get("appArmorProfile"));
                of_pod == Some(&as_json(&profile))
            }
            (None, None) => false,
            (Some(_), _) => is_said_of_all,
        };
        if !is_said && !has_field(container) {
            let metadata = at.map_or_else(|| FieldPath::new("metadata"), |at| at.child("metadata"));
            let at = metadata.child("annotations").key(format!("{PREFIX}{name}"));
            warnings.push(format!(
                "{at}: deprecated since v1.30; use the \"appArmorProfile\" field instead"
            ));
        }
    }
    warnings
}

/// The names of containers and what their annotations say.
fn annotations(object: &Raw) -> Vec<(&str, &str)> {
    let annotations = child(object, "metadata").and_then(|metadata| child(metadata, "annotations"));
    let annotations = annotations.into_iter().flatten();
    annotations
        .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value.as_str()?)))
        .collect()
}

fn is_windows(pod: &Raw) -> bool {
    let os = child(pod, "spec").and_then(|spec| child(spec, "os"));
    os.is_some_and(|os| text(os, "name") == "windows")
}

/// Whether a pod cannot be judged by its spec alone.
pub(super) fn has_annotations(meta: &ObjectMeta) -> bool {
    let annotations = meta.annotations.iter().flatten();
    annotations.into_iter().any(|(key, _)| key.starts_with(PREFIX))
}

/// Validates the field, of a pod or of a container.
pub(super) fn validate_app_armor(errors: &mut FieldErrors, at: &FieldPath, profile: &AppArmorProfile) {
    let name_at = || at.child("localhostProfile");
    let name = profile.localhost_profile.as_deref();
    match profile.type_.as_str() {
        "Localhost" => {
            let name = name.unwrap_or_default();
            if name.is_empty() {
                let detail = "must be set when AppArmor type is Localhost";
                errors.push(FieldError::required(&name_at(), detail));
            } else if name != name.trim() {
                let detail = "must not be padded with whitespace";
                errors.push(FieldError::invalid(&name_at(), name, detail));
            }
            if name.len() > LONGEST {
                errors.push(FieldError::too_long(&name_at(), LONGEST));
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if let Some(name) = name {
                let detail = "can only be set when AppArmor type is Localhost";
                errors.push(FieldError::invalid(&name_at(), name, detail));
            }
        }
        "" => {
            let detail = "type is required when appArmorProfile is set";
            errors.push(FieldError::required(&at.child("type"), detail));
        }
        other => {
            let types = ["Localhost", "RuntimeDefault", "Unconfined"];
            check::optional_one_of(errors, &at.child("type"), Some(other), &types);
        }
    }
}

/// Validates annotations of a pod or of a template, which stand at `at` (Kubernetes: `ValidateAppArmorPodAnnotations`).
pub(super) fn validate_annotations(
    errors: &mut FieldErrors,
    at: &FieldPath,
    annotations: Option<&Annotations>,
    spec: &PodSpec,
) {
    for (key, value) in annotations.into_iter().flatten() {
        let Some(name) = key.strip_prefix(PREFIX) else {
            continue;
        };
        if !containers(spec, &FieldPath::new("")).any(|(_, own, _)| own == name) {
            errors.push(FieldError::invalid(
                &at.key(key.clone()),
                name,
                "container not found",
            ));
        }
        let is_known =
            matches!(value.as_str(), "" | RUNTIME_DEFAULT | UNCONFINED) || value.starts_with(LOCALHOST);
        if !is_known {
            let detail = format!("invalid AppArmor profile name: {value:?}");
            errors.push(FieldError::invalid(&at.key(key.clone()), value, detail));
        }
    }
}

/// Validates that annotations and fields of a new pod, or of a template, say the same where both speak; `at` is the spec's
/// place (Kubernetes: `validateAppArmorAnnotationsAndFieldsMatchOnCreate`).
pub(super) fn validate_agreement(
    errors: &mut FieldErrors,
    at: &FieldPath,
    annotations: Option<&Annotations>,
    spec: &PodSpec,
) {
    let Some(annotations) = annotations else { return };
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return;
    }
    let of_pod = spec.security_context.as_ref();
    let of_pod = of_pod.and_then(|context| context.app_armor_profile.as_ref());
    for (at, name, context) in containers(spec, at) {
        let own = context.and_then(|context| context.app_armor_profile.as_ref());
        let (Some(field), Some(said)) = (own.or(of_pod), annotations.get(&format!("{PREFIX}{name}"))) else {
            continue;
        };
        let at = at.child("securityContext").child("appArmorProfile");
        let agrees = match field.type_.as_str() {
            "Unconfined" => said == UNCONFINED,
            "RuntimeDefault" => said == RUNTIME_DEFAULT,
            "Localhost" => {
                if let Some(said) = said.strip_prefix(LOCALHOST)
                    && field.localhost_profile.as_deref() != Some(said)
                {
                    let detail = "apparmor profile in annotation and field must match";
                    errors.push(FieldError::forbidden(&at.child("localhostProfile"), detail));
                }
                said.starts_with(LOCALHOST)
            }
            _ => true, // it is refused for itself
        };
        if !agrees {
            let detail = "apparmor type in annotation and field must match";
            errors.push(FieldError::forbidden(&at.child("type"), detail));
        }
    }
}

/// Validates that an update leaves the annotations as they are (Kubernetes: `ValidatePodSpecificAnnotationUpdates`).
pub(super) fn validate_update(errors: &mut FieldErrors, new: &ObjectMeta, old: &ObjectMeta) {
    let at = FieldPath::new("metadata").child("annotations");
    let value =
        |meta: &ObjectMeta, key: &str| meta.annotations.as_ref().and_then(|all| all.get(key).cloned());
    let ours = |meta: &ObjectMeta| {
        let keys = meta.annotations.iter().flat_map(BTreeMap::keys);
        let ours: Vec<_> = keys.filter(|key| key.starts_with(PREFIX)).cloned().collect();
        ours
    };
    for key in ours(old) {
        if value(new, &key) != value(old, &key) {
            let detail = "may not remove or update AppArmor annotations";
            errors.push(FieldError::forbidden(&at.key(key), detail));
        }
    }
    for key in ours(new) {
        if value(old, &key).is_none() {
            errors.push(FieldError::forbidden(
                &at.key(key),
                "may not add AppArmor annotations",
            ));
        }
    }
}

/// The place of each container in a spec at `at`, its name, and its context.
fn containers<'s>(
    spec: &'s PodSpec,
    at: &FieldPath,
) -> impl Iterator<Item = (FieldPath, &'s str, Option<&'s SecurityContext>)> {
    let place = |list: &'static str, index: usize| at.child(list).index(index);
    let plain = |own: &'s Container| (own.name.as_str(), own.security_context.as_ref());
    let later = |own: &'s EphemeralContainer| (own.name.as_str(), own.security_context.as_ref());
    let init = spec.init_containers.iter().flatten().map(plain).enumerate();
    let main = spec.containers.iter().map(plain).enumerate();
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(later).enumerate();
    let all: Vec<_> = init
        .map(|(index, own)| (place("initContainers", index), own))
        .chain(main.map(|(index, own)| (place("containers", index), own)))
        .chain(ephemeral.map(|(index, own)| (place("ephemeralContainers", index), own)))
        .collect();
    all.into_iter().map(|(at, (name, context))| (at, name, context))
}

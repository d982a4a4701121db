//! What is wrong with a definition.

use std::collections::HashSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceScale,
};
use orch_core::object::{Document, FieldError, FieldErrors, FieldPath, metadata, metadata::NameRule, names};

use crate::custom::schema::Structural;
use crate::custom::{Column, Path};
use crate::kinds::certificates::check_certificates;
use crate::kinds::check;
use crate::kinds::webhooks::{as_of_admission, endpoint, reviews};

/// The annotation without which nobody may define kinds of Kubernetes' own groups (KEP-1111).
const APPROVED: &str = "api-approved.kubernetes.io";
/// Kubernetes' own groups.
const PROTECTED: [&str; 2] = ["k8s.io", "kubernetes.io"];
/// What a column may hold.
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 9] = [
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
    "name",
];
/// Most fields of a version that can be selected by.
const MOST_SELECTABLE: usize = 8;

pub(super) fn definition(definition: &CustomResourceDefinition) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let spec = &definition.spec;
    let name = definition.metadata.name.as_deref().unwrap_or_default();
    if name != format!("{}.{}", spec.names.plural, spec.group) {
        let at = FieldPath::new("metadata").child("name");
        errors.push(FieldError::invalid(
            &at,
            name,
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    let at = FieldPath::new("spec");
    group(&mut errors, &at.child("group"), definition);
    check::one_of(
        &mut errors,
        &at.child("scope"),
        Some(&spec.scope),
        &["Cluster", "Namespaced"],
    );
    if spec.preserve_unknown_fields == Some(true) {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid(
            &at.child("preserveUnknownFields"),
            true,
            detail,
        ));
    }
    versions(&mut errors, &at.child("versions"), spec);
    kind_names(&mut errors, &at.child("names"), &spec.names);
    if let Some(conversion) = &spec.conversion {
        convert(&mut errors, &at.child("conversion"), conversion);
    }
    let status = definition.status.as_ref();
    let stored = status.and_then(|status| status.stored_versions.as_ref());
    for (index, version) in stored.into_iter().flatten().enumerate() {
        if !spec.versions.iter().any(|known| known.name == *version) {
            let at = FieldPath::new("status").child("storedVersions").index(index);
            errors.push(FieldError::invalid(&at, version, "missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in it and removes it from status.storedVersions".replace("v1", version)));
        }
    }
    errors
}

/// Of a definition that replaces `old`: what it is called and where its objects live is what they are stored by.
pub(super) fn update(new: &CustomResourceDefinition, old: &CustomResourceDefinition) -> FieldErrors {
    let mut errors = definition(new);
    let at = FieldPath::new("spec");
    check::immutable(&mut errors, &at.child("group"), &new.spec.group, &old.spec.group);
    check::immutable(&mut errors, &at.child("scope"), &new.spec.scope, &old.spec.scope);
    let (names, was) = (&new.spec.names, &old.spec.names);
    let at = at.child("names");
    check::immutable(&mut errors, &at.child("kind"), &names.kind, &was.kind);
    check::immutable(&mut errors, &at.child("plural"), &names.plural, &was.plural);
    errors
}

/// What is wrong with the metadata, as with those of no kind of Kubernetes' own, and with the schemas, which are read as they were written.
pub(super) fn metadata_and_schemas(definition: &Document) -> FieldErrors {
    let mut errors = metadata::validate(definition.meta(), NameRule::Subdomain);
    let versions = definition.lookup("spec.versions").unwrap_or_default();
    for (index, version) in versions.as_array().into_iter().flatten().enumerate() {
        let at = FieldPath::new("spec")
            .child("versions")
            .index(index)
            .child("schema");
        let schema = version
            .get("schema")
            .and_then(|schema| schema.get("openAPIV3Schema"));
        let at = at.child("openAPIV3Schema");
        match schema {
            None => errors.push(FieldError::required(&at, "schemas are required")),
            Some(schema) => errors.extend(Structural::read(schema, &at).err().into_iter().flatten()),
        }
    }
    errors
}

fn group(errors: &mut FieldErrors, at: &FieldPath, definition: &CustomResourceDefinition) {
    let group = &definition.spec.group;
    check::required_name(errors, at, group, names::dns_subdomain);
    if !group.is_empty() && !group.contains('.') {
        errors.push(FieldError::invalid(
            at,
            group,
            "should be a domain with at least one dot",
        ));
    }
    let is_of = |own: &str| group == own || group.ends_with(&format!(".{own}"));
    let annotations = definition.metadata.annotations.as_ref();
    let approval = annotations.and_then(|annotations| annotations.get(APPROVED));
    let approval = approval.map(String::as_str).unwrap_or_default();
    let is_approved = approval.starts_with("https://") || approval.starts_with("unapproved");
    if PROTECTED.iter().any(|own| is_of(own)) && !is_approved {
        let at = FieldPath::new("metadata").child("annotations").key(APPROVED);
        let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
        errors.push(match approval {
            "" => FieldError::required(&at, detail),
            other => FieldError::invalid(&at, other, detail),
        });
    }
}

fn versions(errors: &mut FieldErrors, at: &FieldPath, spec: &CustomResourceDefinitionSpec) {
    let mut known = HashSet::new();
    for (index, version) in spec.versions.iter().enumerate() {
        let at = at.index(index);
        check::format(
            errors,
            &at.child("name"),
            &version.name,
            names::dns1035_label(&version.name),
        );
        known.insert(&version.name);
        one_version(errors, &at, version);
    }
    if known.len() != spec.versions.len() {
        errors.push(FieldError::invalid(
            at,
            &spec.versions,
            "must contain unique version names",
        ));
    }
    if spec.versions.iter().filter(|version| version.storage).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(at, &spec.versions, detail));
    }
}

fn one_version(errors: &mut FieldErrors, at: &FieldPath, version: &CustomResourceDefinitionVersion) {
    if let Some(warning) = &version.deprecation_warning {
        let at = at.child("deprecationWarning");
        if version.deprecated != Some(true) {
            let detail = "can only be set for deprecated versions";
            errors.push(FieldError::invalid(&at, warning, detail));
        }
        if warning.len() > 256 {
            errors.push(FieldError::too_long(&at, 256));
        }
    }
    let parts = version.subresources.as_ref();
    if let Some(scale) = parts.and_then(|parts| parts.scale.as_ref()) {
        scale_paths(errors, &at.child("subresources").child("scale"), scale);
    }
    for (index, column) in version.additional_printer_columns.iter().flatten().enumerate() {
        let at = at.child("additionalPrinterColumns").index(index);
        if column.name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        }
        check::one_of(errors, &at.child("type"), Some(&column.type_), &COLUMN_TYPES);
        let format = column.format.as_deref().filter(|format| !format.is_empty());
        check::optional_one_of(errors, &at.child("format"), format, &COLUMN_FORMATS);
        let at = at.child("jsonPath");
        if column.json_path.is_empty() {
            errors.push(FieldError::required(&at, ""));
        } else if !column.json_path.starts_with('.') {
            let detail = "must be a json path starting with \".\"";
            errors.push(FieldError::invalid(&at, &column.json_path, detail));
        } else if let Some(detail) = Column::asks_too_much(&column.json_path) {
            errors.push(FieldError::invalid(&at, &column.json_path, detail));
        }
    }
    let fields = version.selectable_fields.as_deref().unwrap_or_default();
    let at = at.child("selectableFields");
    if fields.len() > MOST_SELECTABLE {
        errors.push(FieldError::too_many(&at, fields.len(), MOST_SELECTABLE));
    }
    let mut known = HashSet::new();
    for (index, field) in fields.iter().enumerate() {
        let (at, path) = (at.index(index).child("jsonPath"), &field.json_path);
        match Path::read(path) {
            None => errors.push(FieldError::invalid(
                &at,
                path,
                "must be a simple path of fields, such as .spec.color",
            )),
            Some(path) if path.is_below("metadata") => {
                let detail = "must not point to fields in metadata";
                errors.push(FieldError::invalid(&at, &field.json_path, detail));
            }
            Some(_) if !known.insert(path) => errors.push(FieldError::duplicate(&at, path)),
            Some(_) => {}
        }
    }
}

fn scale_paths(errors: &mut FieldErrors, at: &FieldPath, scale: &CustomResourceSubresourceScale) {
    let selector = scale.label_selector_path.as_deref().unwrap_or_default();
    for (field, path, below) in [
        (
            "specReplicasPath",
            scale.spec_replicas_path.as_str(),
            &["spec"][..],
        ),
        ("statusReplicasPath", &scale.status_replicas_path, &["status"]),
        ("labelSelectorPath", selector, &["spec", "status"]),
    ] {
        let at = at.child(field);
        if path.is_empty() {
            if field != "labelSelectorPath" {
                errors.push(FieldError::required(&at, ""));
            }
            continue;
        }
        let is_right = Path::read(path).is_some_and(|path| below.iter().any(|field| path.is_below(field)));
        if !is_right {
            let above: Vec<_> = below.iter().map(|field| format!(".{field}")).collect();
            let mut detail = format!("should be a json path under {}", above.join(" or "));
            if Path::is_too_long(path) {
                detail += ", of no more than 32 fields and 1 KiB";
            }
            errors.push(FieldError::invalid(&at, path, detail));
        }
    }
}

fn kind_names(errors: &mut FieldErrors, at: &FieldPath, given: &CustomResourceDefinitionNames) {
    check::required_name(errors, &at.child("plural"), &given.plural, names::dns1035_label);
    let kind = |errors: &mut FieldErrors, field: &'static str, kind: &str| {
        let wrong = names::dns1035_label(&kind.to_lowercase());
        let at = at.child(field);
        match (kind, wrong.is_empty()) {
            ("", _) => errors.push(FieldError::required(&at, "")),
            (_, true) => {}
            (kind, false) => {
                let detail = format!(
                    "may have mixed case, but should otherwise match: {}",
                    wrong.join(",")
                );
                errors.push(FieldError::invalid(&at, kind, detail));
            }
        }
    };
    kind(errors, "kind", &given.kind);
    if let Some(list) = given.list_kind.as_deref().filter(|list| !list.is_empty()) {
        kind(errors, "listKind", list);
        if list == given.kind {
            let detail = "kind and listKind may not be the same";
            errors.push(FieldError::invalid(&at.child("listKind"), list, detail));
        }
    }
    let singular = given.singular.iter().map(|name| (at.child("singular"), name));
    let short = given.short_names.iter().flatten().enumerate();
    let short = short.map(|(index, name)| (at.child("shortNames").index(index), name));
    let categories = given.categories.iter().flatten().enumerate();
    let categories = categories.map(|(index, name)| (at.child("categories").index(index), name));
    for (at, name) in singular.chain(short).chain(categories) {
        if !name.is_empty() {
            check::format(errors, &at, name, names::dns1035_label(name));
        }
    }
}

fn convert(errors: &mut FieldErrors, at: &FieldPath, conversion: &CustomResourceConversion) {
    check::one_of(
        errors,
        &at.child("strategy"),
        Some(&conversion.strategy),
        &["None", "Webhook"],
    );
    let at = at.child("webhook");
    let Some(webhook) = &conversion.webhook else {
        if conversion.strategy == "Webhook" {
            let detail = "required when strategy is set to Webhook";
            errors.push(FieldError::required(&at, detail));
        }
        return;
    };
    if conversion.strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        errors.push(FieldError::forbidden(&at, detail));
        return;
    }
    let client_at = at.child("clientConfig");
    match &webhook.client_config {
        None => {
            let detail = "required when strategy is set to Webhook";
            errors.push(FieldError::required(&client_at, detail));
        }
        Some(client) => {
            let client = as_of_admission(client);
            endpoint::validate(errors, &client_at, &client);
            if let Some(bundle) = client.ca_bundle.filter(|bundle| !bundle.0.is_empty())
                && let Err(wrong) = check_certificates(&bundle.0)
            {
                let detail = format!("unable to load root certificates: {wrong}");
                errors.push(FieldError::invalid(
                    &client_at.child("caBundle"),
                    "<bundle>",
                    detail,
                ));
            }
        }
    }
    let versions = &webhook.conversion_review_versions;
    reviews::validate(errors, &at.child("conversionReviewVersions"), versions, "");
}

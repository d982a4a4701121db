//! Creates.

use serde_json::{Map, Value};

use super::admit::invalid_if_any;
use super::raw::{KEPT, bad, identify, metadata, object_to_json, text};
use super::{Failure, LocalBackend, store_key, subject};
use crate::client::{ApiError, Collection, Kind, Operation, Target, WriteParams, Written};
use crate::object::{Document, FieldError, FieldErrors, FieldPath, ObjectKey, RawObject, names};
use crate::store::{Revision, Txn};
use crate::time;

/// How often a generated name is drawn anew because it is taken.
const NAME_ATTEMPTS: usize = 8;
/// Length of the random end of a generated name, and of the longest beginning (Kubernetes' `names.go`).
const SUFFIX: usize = 5;
const LONGEST_BASE: usize = 63 - SUFFIX;

impl LocalBackend {
    pub(super) async fn write_new(
        &self,
        collection: &Collection,
        mut object: RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        let kind = self.kind_to_make(&collection.resource).await?;
        let mut target = Target {
            resource: collection.resource.clone(),
            key: ObjectKey::new(None, ""),
        };
        identify(&target, &mut object)?;
        params.receive(&mut object)?;
        let meta = metadata(&mut object)?;
        let namespace = namespace_for(&target, collection, meta)?;
        if text(meta, "resourceVersion").is_some_and(|version| !version.is_empty()) {
            return Err(ApiError::BadRequest(
                "metadata.resourceVersion: must not be set on objects to be created".to_owned(),
            ));
        }
        for field in KEPT {
            meta.remove(field);
        }
        meta.remove("resourceVersion");
        let named = text(meta, "name")
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        let base = text(meta, "generateName").unwrap_or_default().to_owned();
        let Some(first_name) = named.clone().or_else(|| self.generate_name(&base)) else {
            target.key = ObjectKey::new(namespace.as_deref(), "");
            let path = FieldPath::new("metadata").child("name");
            let error = FieldError::required(&path, "name or generateName is required");
            return Err(ApiError::Invalid {
                subject: subject(&target),
                errors: FieldErrors::from(error),
            });
        };
        meta.insert("uid".to_owned(), self.shared.random.uuid().into());
        meta.insert("creationTimestamp".to_owned(), now_in_seconds());
        meta.insert("generation".to_owned(), 1.into());

        let mut name = first_name;
        let namespace = namespace.as_deref();
        give_name(&mut object, &mut target, namespace, &name)?;
        let admitted = self.prepare(&kind, &target, &mut object, params).await?;
        for _ in 0..NAME_ATTEMPTS {
            match self.make(&kind, &target, &mut object, params).await {
                Err(ApiError::AlreadyExists(_)) if named.is_none() => {
                    // Only the name is drawn anew, and what is filled in from it; the rules have had their say.
                    name = self.generate_name(&base).unwrap_or_default();
                    give_name(&mut object, &mut target, namespace, &name)?;
                    kind.rules.default(&mut object);
                }
                Ok(mut written) => {
                    written.warnings.splice(0..0, admitted);
                    return Ok(written);
                }
                Err(error) => return Err(error),
            }
        }
        Err(ApiError::AlreadyExists(subject(&target)))
    }

    /// Fills the object in and lets the rules change it; what they warn of.
    async fn prepare(
        &self,
        kind: &Kind,
        target: &Target,
        object: &mut RawObject,
        params: &WriteParams,
    ) -> Result<Vec<String>, ApiError> {
        let mut warnings = kind.rules.create_warnings(object);
        kind.rules.prepare_create(object);
        kind.rules.default(object);
        if let Some(manager) = &params.field_manager {
            manager.record(None, object)?;
        }
        let mut admission = self.admission(Operation::Create, kind, target, None, params);
        if admission.mutate(object).await? {
            kind.rules.default(object);
        }
        warnings.extend(admission.into_warnings());
        Ok(warnings)
    }

    /// Creates the object if it may be stored as it is.
    async fn make(
        &self,
        kind: &Kind,
        target: &Target,
        object: &mut RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        let json = object_to_json(object)?;
        // Also checks the metadata's own types.
        let document = Document::from_stored(json.clone(), Revision::ZERO).map_err(bad)?;
        let mut errors = kind.rules.validate_metadata(document.meta());
        errors.extend(kind.rules.validate(&document));
        invalid_if_any(target, errors)?;
        let mut admission = self.admission(Operation::Create, kind, target, None, params);
        admission.validate(object).await?;
        let mut warnings = admission.into_warnings();
        warnings.extend(kind.rules.warnings(object));
        let written = |document, changed| Written {
            document,
            changed,
            warnings,
        };
        if params.dry_run {
            return match self.read(target).await {
                Ok(_) => Err(ApiError::AlreadyExists(subject(target))),
                Err(ApiError::NotFound(_)) => Ok(written(document, false)),
                Err(error) => Err(error),
            };
        }
        let key = store_key(&target.resource, &target.key);
        let txn = Txn::new().create(key.clone(), json);
        match self.commit_document(target, &key, document, txn).await {
            Ok(document) => Ok(written(document, true)),
            Err(Failure::Raced) => Err(ApiError::AlreadyExists(subject(target))),
            Err(Failure::Api(error)) => Err(error),
        }
    }

    fn generate_name(&self, base: &str) -> Option<String> {
        if base.is_empty() {
            return None;
        }
        let end = (0..=LONGEST_BASE.min(base.len()))
            .rev()
            .find(|end| base.is_char_boundary(*end))?;
        Some(format!(
            "{}{}",
            &base[..end],
            self.shared.random.name_suffix(SUFFIX)
        ))
    }
}

/// Makes `name` the name of the object, and of what is written.
fn give_name(
    object: &mut RawObject,
    target: &mut Target,
    namespace: Option<&str>,
    name: &str,
) -> Result<(), ApiError> {
    target.key = ObjectKey::new(namespace, name);
    check_name(target, "name", name)?;
    metadata(object)?.insert("name".to_owned(), name.into());
    Ok(())
}

/// The namespace a new object goes to.
fn namespace_for(
    target: &Target,
    collection: &Collection,
    meta: &mut Map<String, Value>,
) -> Result<Option<String>, ApiError> {
    let given = text(meta, "namespace")
        .filter(|n| !n.is_empty())
        .map(str::to_owned);
    if !collection.resource.is_namespaced() {
        return Ok(None);
    }
    match (given, collection.namespace.as_ref()) {
        (Some(given), Some(asked)) if given != *asked => Err(ApiError::BadRequest(format!(
            "metadata.namespace: {given:?} does not match the namespace of the request, {asked:?}"
        ))),
        (Some(namespace), _) => {
            check_name(target, "namespace", &namespace)?;
            Ok(Some(namespace))
        }
        (None, Some(asked)) => {
            check_name(target, "namespace", asked)?;
            meta.insert("namespace".to_owned(), asked.as_str().into());
            Ok(Some(asked.clone()))
        }
        (None, None) => Err(ApiError::BadRequest(format!(
            "metadata.namespace: required, for {} live in namespaces",
            collection.resource.group_resource()
        ))),
    }
}

/// Refuses what has no place in a key; kinds ask more.
fn check_name(target: &Target, field: &'static str, name: &str) -> Result<(), ApiError> {
    let path = FieldPath::new("metadata").child(field);
    let wrong = names::path_segment(name).into_iter();
    let errors = wrong.map(|detail| FieldError::invalid(&path, name, detail));
    invalid_if_any(target, errors.collect())
}

/// Now, to the second, as Kubernetes writes times.
fn now_in_seconds() -> Value {
    super::delete::in_seconds(time::now()).to_string().into()
}

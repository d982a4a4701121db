//! Creates, updates and patches.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Failure, LocalBackend, store_key, subject};
use crate::client::error::MODIFIED;
use crate::client::{
    AdmissionRequest, ApiError, Collection, Kind, Operation, Part, Patch, Refusal, Target, WriteParams,
    Written,
};
use crate::object::{Document, DocumentError, FieldError, FieldErrors, FieldPath, ObjectKey, RawObject};
use crate::store::{Revision, Txn};
use crate::time;

/// How often a write that no resource version makes conditional is tried against other writers.
const ATTEMPTS: usize = 32;
/// How often a generated name is drawn anew because it is taken.
const NAME_ATTEMPTS: usize = 8;
/// Length of the random end of a generated name, and of the longest beginning (Kubernetes' `names.go`).
const SUFFIX: usize = 5;
const LONGEST_BASE: usize = 63 - SUFFIX;

/// Metadata that belongs to the store: an update takes it from the object as it is.
const KEPT: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

impl LocalBackend {
    pub(super) async fn write_new(
        &self,
        collection: &Collection,
        mut object: RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        let kind = self.kind(&collection.resource);
        let mut target = Target {
            resource: collection.resource.clone(),
            key: ObjectKey::new(None, ""),
        };
        self.identify(&target, &mut object)?;
        let meta = metadata(&mut object)?;
        let namespace = namespace_for(collection, meta)?;
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
        for _ in 0..NAME_ATTEMPTS {
            check_name(&name).map_err(ApiError::BadRequest)?;
            metadata(&mut object)?.insert("name".to_owned(), name.as_str().into());
            target.key = ObjectKey::new(namespace.as_deref(), &name);
            // Only a generated name is tried again, so only then is the object needed twice.
            let candidate = if named.is_some() {
                std::mem::take(&mut object)
            } else {
                object.clone()
            };
            let made = self.make(&kind, &target, candidate, params).await;
            match (made, &named) {
                (Err(ApiError::AlreadyExists(_)), None) => {
                    name = self.generate_name(&base).unwrap_or_default();
                }
                (made, _) => return made,
            }
        }
        Err(ApiError::AlreadyExists(subject(&target)))
    }

    async fn make(
        &self,
        kind: &Kind,
        target: &Target,
        mut object: RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        kind.rules.prepare_create(&mut object);
        kind.rules.default(&mut object);
        let mut warnings = Vec::new();
        self.admit(
            Operation::Create,
            target,
            &mut object,
            None,
            params,
            &mut warnings,
            |object| kind.rules.validate(object),
        )
        .await?;
        warnings.extend(kind.rules.warnings(&object));
        let json = to_json(&object)?;
        // Also checks the metadata's own types before anything is written.
        let document = Document::from_stored(json.clone(), Revision::ZERO).map_err(bad)?;
        if params.dry_run {
            return match self.read(target).await {
                Ok(_) => Err(ApiError::AlreadyExists(subject(target))),
                Err(ApiError::NotFound(_)) => Ok(Written {
                    document,
                    changed: false,
                    warnings,
                }),
                Err(error) => Err(error),
            };
        }
        drop(document);
        let txn = Txn::new().create(store_key(&target.resource, &target.key), json.clone());
        match self.commit(target, txn).await {
            Ok(committed) => {
                let document = Document::from_stored(json, committed.revision).map_err(bad)?;
                Ok(Written {
                    document,
                    changed: true,
                    warnings,
                })
            }
            Err(Failure::Raced) => Err(ApiError::AlreadyExists(subject(target))),
            Err(Failure::Api(error)) => Err(error),
        }
    }

    pub(super) async fn write_update(
        &self,
        target: &Target,
        part: Part<'_>,
        mut object: RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        let meta = object.get("metadata").and_then(Value::as_object);
        let read = Expectation::of(meta)?;
        if part == Part::Status {
            let status = to_json(object.get("status").unwrap_or(&Value::Null))?;
            return self
                .write_status(target, &read, params, |_| Ok(status.clone()))
                .await;
        }
        self.identify(target, &mut object)?;
        let kind = self.kind(&target.resource);
        for _ in 0..ATTEMPTS {
            let old = self.read(target).await?;
            read.check(target, &old)?;
            // An unconditional write may have to be tried again.
            let new = if read.revision.is_some() {
                std::mem::take(&mut object)
            } else {
                object.clone()
            };
            match self.replace(&kind, target, part, &old, new, params).await {
                Ok(written) => return Ok(written),
                Err(Failure::Raced) if read.revision.is_none() => {}
                Err(Failure::Raced) => return Err(ApiError::stale(subject(target))),
                Err(Failure::Api(error)) => return Err(error),
            }
        }
        Err(ApiError::stale(subject(target)))
    }

    pub(super) async fn write_patch(
        &self,
        target: &Target,
        part: Part<'_>,
        patch: &Patch,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        if let (Part::Status, Patch::Merge(merge)) = (part, patch) {
            let read = Expectation::of(merge.get("metadata").and_then(Value::as_object))?;
            let change = merge.get("status");
            return self
                .write_status(target, &read, params, |old| {
                    let mut status = match old.field("status") {
                        Some(json) => serde_json::from_str(json).map_err(|e| bad(e.into()))?,
                        None => Value::Null,
                    };
                    if let Some(change) = change {
                        json_patch::merge(&mut status, change);
                    }
                    to_json(&status)
                })
                .await;
        }
        let kind = self.kind(&target.resource);
        for _ in 0..ATTEMPTS {
            let old = self.read(target).await?;
            let mut new = patch.apply(old.to_raw().map_err(bad)?)?;
            // The patched object carries the version that was read unless the patch names one.
            Expectation::of(new.get("metadata").and_then(Value::as_object))?.check(target, &old)?;
            let outcome = if part == Part::Status {
                let status = to_json(new.get("status").unwrap_or(&Value::Null))?;
                self.replace_status(target, &old, &status, params).await
            } else {
                self.identify(target, &mut new)?;
                self.replace(&kind, target, part, &old, new, params).await
            };
            match outcome {
                Ok(written) => return Ok(written),
                Err(Failure::Raced) => {}
                Err(Failure::Api(error)) => return Err(error),
            }
        }
        Err(ApiError::stale(subject(target)))
    }

    /// Writes the status that `make` gives, again if another writer comes between.
    async fn write_status(
        &self,
        target: &Target,
        read: &Expectation,
        params: &WriteParams,
        make: impl Fn(&Document) -> Result<Bytes, ApiError>,
    ) -> Result<Written, ApiError> {
        for _ in 0..ATTEMPTS {
            let old = self.read(target).await?;
            read.check(target, &old)?;
            match self.replace_status(target, &old, &make(&old)?, params).await {
                Ok(written) => return Ok(written),
                Err(Failure::Raced) if read.revision.is_none() => {}
                Err(Failure::Raced) => break,
                Err(Failure::Api(error)) => return Err(error),
            }
        }
        Err(ApiError::stale(subject(target)))
    }

    /// Replaces the status; the rest of the object is copied, not parsed.
    async fn replace_status(
        &self,
        target: &Target,
        old: &Document,
        status: &Bytes,
        params: &WriteParams,
    ) -> Result<Written, Failure> {
        let unchanged = Written {
            document: old.clone(),
            changed: false,
            warnings: Vec::new(),
        };
        let old_status = old.field("status").unwrap_or("null");
        if same_json(old_status.as_bytes(), status) {
            return Ok(unchanged);
        }
        let kind = self.kind(&target.resource);
        invalid_if_any(target, kind.rules.validate_status(status, old)).map_err(Failure::Api)?;
        let json = old
            .rebuild(None, Some(("status", status)))
            .map_err(|e| Failure::Api(bad(e)))?;
        self.put(target, old, json, params, Vec::new()).await
    }

    /// Replaces an object, or what a subresource may change of it.
    async fn replace(
        &self,
        kind: &Kind,
        target: &Target,
        part: Part<'_>,
        old: &Document,
        mut new: RawObject,
        params: &WriteParams,
    ) -> Result<Written, Failure> {
        let api = Failure::Api;
        let mut old_raw = old.to_raw().map_err(|e| api(bad(e)))?;
        let old_meta = metadata(&mut old_raw).map_err(api)?;
        old_meta.remove("resourceVersion");
        let meta = metadata(&mut new).map_err(api)?;
        meta.remove("resourceVersion");
        for field in KEPT {
            match old_meta.get(field) {
                Some(value) => meta.insert(field.to_owned(), value.clone()),
                None => meta.remove(field),
            };
        }
        meta.insert("name".to_owned(), target.key.name().into());
        if let Some(namespace) = target.key.namespace() {
            meta.insert("namespace".to_owned(), namespace.into());
        }
        let mut warnings = Vec::new();
        match part {
            Part::Subresource(name) => {
                let errors = kind.rules.subresource(name, &mut new, &old_raw).ok_or_else(|| {
                    api(ApiError::BadRequest(format!(
                        "{} have no subresource {name:?}",
                        target.resource.group_resource()
                    )))
                })?;
                invalid_if_any(target, errors).map_err(api)?;
            }
            Part::Whole | Part::Status => {
                match old_raw.get("status") {
                    Some(status) => new.insert("status".to_owned(), status.clone()),
                    None => new.remove("status"),
                };
                kind.rules.prepare_update(&mut new, &old_raw);
                kind.rules.default(&mut new);
                let validate = |object: &RawObject| {
                    let mut errors = kind.rules.validate_update(object, &old_raw);
                    errors.extend(check_finalizers(object, old));
                    errors
                };
                self.admit(
                    Operation::Update,
                    target,
                    &mut new,
                    Some(old),
                    params,
                    &mut warnings,
                    validate,
                )
                .await
                .map_err(api)?;
                warnings.extend(kind.rules.warnings(&new));
                if desired_differs(&new, &old_raw) {
                    let generation = old.meta().generation + 1;
                    metadata(&mut new)
                        .map_err(api)?
                        .insert("generation".to_owned(), generation.into());
                }
            }
        }
        if new == old_raw {
            return Ok(Written {
                document: old.clone(),
                changed: false,
                warnings,
            });
        }
        let json = to_json(&new).map_err(api)?;
        let document = Document::from_stored(json.clone(), Revision::ZERO).map_err(|e| api(bad(e)))?;
        if self.is_finished(kind, &document) {
            if params.dry_run {
                return Ok(Written {
                    document,
                    changed: false,
                    warnings,
                });
            }
            let gone = self.erase(target, old, &document).await?;
            return Ok(Written {
                document: gone,
                changed: true,
                warnings,
            });
        }
        self.put(target, old, json, params, warnings).await
    }

    /// Writes `json` in place of `old`.
    pub(super) async fn put(
        &self,
        target: &Target,
        old: &Document,
        json: Bytes,
        params: &WriteParams,
        warnings: Vec<String>,
    ) -> Result<Written, Failure> {
        let api = |error| Failure::Api(bad(error));
        if params.dry_run {
            let document = Document::from_stored(json, old.revision()).map_err(api)?;
            return Ok(Written {
                document,
                changed: false,
                warnings,
            });
        }
        let txn = Txn::new().update(
            store_key(&target.resource, &target.key),
            old.revision(),
            json.clone(),
        );
        let committed = self.commit(target, txn).await?;
        let document = Document::from_stored(json, committed.revision).map_err(api)?;
        Ok(Written {
            document,
            changed: true,
            warnings,
        })
    }

    /// Runs admission around the kind's validation.
    #[expect(clippy::too_many_arguments, reason = "the parts of one admission request")]
    async fn admit(
        &self,
        operation: Operation,
        target: &Target,
        object: &mut RawObject,
        old: Option<&Document>,
        params: &WriteParams,
        warnings: &mut Vec<String>,
        validate: impl FnOnce(&RawObject) -> FieldErrors,
    ) -> Result<(), ApiError> {
        let rules = &self.shared.admission;
        if !rules.iter().any(|rule| rule.handles(&target.resource, operation)) {
            return invalid_if_any(target, validate(object));
        }
        let client = self.client();
        let mut request = AdmissionRequest {
            operation,
            resource: &target.resource,
            key: &target.key,
            object,
            old,
            dry_run: params.dry_run,
            warnings,
            client: &client,
        };
        for rule in rules
            .iter()
            .filter(|rule| rule.handles(&target.resource, operation))
        {
            rule.mutate(&mut request)
                .await
                .map_err(|refusal| refused(target, rule.name(), refusal))?;
        }
        invalid_if_any(target, validate(request.object))?;
        for rule in rules
            .iter()
            .filter(|rule| rule.handles(&target.resource, operation))
        {
            rule.validate(&request)
                .await
                .map_err(|refusal| refused(target, rule.name(), refusal))?;
        }
        Ok(())
    }

    /// Admission for a delete, where there is nothing to validate.
    pub(super) async fn admit_delete(
        &self,
        target: &Target,
        old: &Document,
        dry_run: bool,
    ) -> Result<(), ApiError> {
        if !self
            .shared
            .admission
            .iter()
            .any(|rule| rule.handles(&target.resource, Operation::Delete))
        {
            return Ok(());
        }
        let mut object = old.to_raw().map_err(bad)?;
        let params = WriteParams { dry_run };
        let nothing = |_: &RawObject| FieldErrors::default();
        let mut warnings = Vec::new();
        self.admit(
            Operation::Delete,
            target,
            &mut object,
            Some(old),
            &params,
            &mut warnings,
            nothing,
        )
        .await
    }

    /// Fills in `apiVersion` and `kind`, and refuses an object of another kind or name.
    fn identify(&self, target: &Target, object: &mut RawObject) -> Result<(), ApiError> {
        let resource = &target.resource;
        for (field, expected) in [
            ("apiVersion", resource.api_version()),
            ("kind", (&*resource.kind).into()),
        ] {
            match object.get(field) {
                None | Some(Value::Null) => {
                    object.insert(field.to_owned(), expected.into());
                }
                Some(Value::String(given)) if *given == expected => {}
                Some(given) => {
                    return Err(ApiError::BadRequest(format!(
                        "{field}: expected {expected:?}, got {given}"
                    )));
                }
            }
        }
        let meta = metadata(object)?;
        for (field, expected) in [
            ("name", target.key.name()),
            ("namespace", target.key.namespace().unwrap_or_default()),
        ] {
            let given = text(meta, field).unwrap_or_default();
            if !given.is_empty() && !target.key.name().is_empty() && given != expected {
                return Err(ApiError::BadRequest(format!(
                    "metadata.{field}: {given:?} does not match the {field} of the request, {expected:?}"
                )));
            }
        }
        Ok(())
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

/// What a writer assumes of the object it changes.
struct Expectation {
    revision: Option<Revision>,
    uid: Option<String>,
}

impl Expectation {
    fn of(meta: Option<&Map<String, Value>>) -> Result<Self, ApiError> {
        let field = |name| {
            meta.and_then(|meta| text(meta, name))
                .filter(|value| !value.is_empty())
        };
        let revision = match field("resourceVersion") {
            None | Some("0") => None,
            Some(version) => Some(version.parse().map(Revision::new).map_err(|_| {
                ApiError::BadRequest(format!(
                    "metadata.resourceVersion: {version:?} is not a decimal number"
                ))
            })?),
        };
        Ok(Self {
            revision,
            uid: field("uid").map(str::to_owned),
        })
    }

    fn check(&self, target: &Target, old: &Document) -> Result<(), ApiError> {
        let uid = &old.meta().uid;
        if let Some(expected) = self.uid.as_ref().filter(|expected| *expected != uid) {
            let reason =
                format!("Precondition failed: UID in precondition: {expected}, UID in object meta: {uid}");
            return Err(ApiError::conflict(subject(target), reason));
        }
        match self.revision {
            Some(revision) if revision != old.revision() => {
                Err(ApiError::conflict(subject(target), MODIFIED))
            }
            _ => Ok(()),
        }
    }
}

/// The namespace a new object goes to.
fn namespace_for(collection: &Collection, meta: &mut Map<String, Value>) -> Result<Option<String>, ApiError> {
    let given = text(meta, "namespace")
        .filter(|n| !n.is_empty())
        .map(str::to_owned);
    if !collection.resource.is_namespaced() {
        meta.remove("namespace");
        return Ok(None);
    }
    match (given, collection.namespace.as_ref()) {
        (Some(given), Some(asked)) if given != *asked => Err(ApiError::BadRequest(format!(
            "metadata.namespace: {given:?} does not match the namespace of the request, {asked:?}"
        ))),
        (Some(namespace), _) => {
            check_name(&namespace).map_err(ApiError::BadRequest)?;
            Ok(Some(namespace))
        }
        (None, Some(asked)) => {
            check_name(asked).map_err(ApiError::BadRequest)?;
            meta.insert("namespace".to_owned(), asked.as_str().into());
            Ok(Some(asked.clone()))
        }
        (None, None) => Err(ApiError::BadRequest(format!(
            "metadata.namespace: required, for {} live in namespaces",
            collection.resource.group_resource()
        ))),
    }
}

/// What any name must be to have a place in a path (apimachinery `path.IsValidPathSegmentName`); kinds ask more.
fn check_name(name: &str) -> Result<(), String> {
    const LONGEST: usize = 253;
    let reason = match name {
        "" => "must not be empty".to_owned(),
        "." | ".." => "may not be '.' or '..'".to_owned(),
        name if name.contains(['/', '%']) => "may not contain '/' or '%'".to_owned(),
        name if name.len() > LONGEST => format!("must be no more than {LONGEST} characters"),
        _ => return Ok(()),
    };
    Err(format!("metadata.name: Invalid value: {name:?}: {reason}"))
}

/// An object being deleted takes no new finalizers.
fn check_finalizers(object: &RawObject, old: &Document) -> Option<FieldError> {
    if !old.meta().is_deleting() {
        return None;
    }
    let now = object.get("metadata")?.get("finalizers")?.as_array()?;
    let added: Vec<_> = now
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| !old.meta().finalizers.iter().any(|had| had == name))
        .collect();
    let path = FieldPath::new("metadata").child("finalizers");
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
    );
    (!added.is_empty()).then(|| FieldError::forbidden(&path, detail))
}

/// Whether desired state differs: anything but metadata and status.
fn desired_differs(new: &RawObject, old: &RawObject) -> bool {
    let desired = |object: &RawObject| -> usize {
        object
            .keys()
            .filter(|key| !matches!(key.as_str(), "metadata" | "status"))
            .count()
    };
    desired(new) != desired(old)
        || new
            .iter()
            .any(|(key, value)| !matches!(key.as_str(), "metadata" | "status") && old.get(key) != Some(value))
}

fn same_json(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    match (
        serde_json::from_slice::<Value>(one),
        serde_json::from_slice::<Value>(other),
    ) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn metadata(object: &mut RawObject) -> Result<&mut Map<String, Value>, ApiError> {
    let entry = object.entry("metadata").or_insert_with(|| json!({}));
    if entry.is_null() {
        *entry = json!({});
    }
    match entry {
        Value::Object(meta) => Ok(meta),
        other => Err(ApiError::BadRequest(format!(
            "metadata: expected a map, got {other}"
        ))),
    }
}

fn text<'m>(meta: &'m Map<String, Value>, field: &str) -> Option<&'m str> {
    meta.get(field).and_then(Value::as_str)
}

fn to_json(value: &impl serde::Serialize) -> Result<Bytes, ApiError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| bad(error.into()))
}

pub(super) fn bad(error: DocumentError) -> ApiError {
    ApiError::BadRequest(error.to_string())
}

fn invalid_if_any(target: &Target, errors: FieldErrors) -> Result<(), ApiError> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::Invalid {
            subject: subject(target),
            errors,
        })
    }
}

fn refused(target: &Target, rule: &str, refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Forbidden(reason) => ApiError::Forbidden {
            subject: subject(target),
            reason: format!("{rule}: {reason}"),
        },
        Refusal::Invalid(errors) => ApiError::Invalid {
            subject: subject(target),
            errors,
        },
    }
}

/// Now, to the second, as Kubernetes writes times.
fn now_in_seconds() -> Value {
    super::delete::in_seconds(time::now()).to_string().into()
}

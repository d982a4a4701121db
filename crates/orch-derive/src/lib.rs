//! `#[derive(Object)]` for orch-core.

mod attributes;
mod expand;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes a struct with a field `metadata: ObjectMeta` a kind of object.
///
/// ```
/// use orch_core::object::{Object, ObjectMeta};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Default, Serialize, Deserialize, Object)]
/// #[object(group = "example.com")]
/// struct Backup {
///     metadata: ObjectMeta,
///     spec: BackupSpec,
/// }
///
/// #[derive(Clone, Debug, Default, Serialize, Deserialize)]
/// struct BackupSpec {
///     volume: String,
/// }
///
/// assert_eq!(Backup::resource().api_version(), "example.com/v1");
/// assert_eq!(Backup::resource().group_resource(), "backups.example.com");
/// ```
///
/// The attribute `#[object(...)]` takes
///
/// | key | meaning | default |
/// |---|---|---|
/// | `group` | the API group, a DNS name of yours; empty for Kubernetes' core group | none, it must be given |
/// | `version` | the version within the group | `"v1"` |
/// | `kind` | the kind, in CamelCase and singular | the struct's name |
/// | `plural` | the kind's name in API paths, in lower case | Kubernetes' guess: `backups`, `policies`, `classes` |
/// | `scope` | `"Namespaced"` or `"Cluster"` | `"Namespaced"` |
/// | `crate` | where orch-core is to be found | `"::orch_core"` |
///
/// A wrong name, an unknown key or a missing field is a compile error that says what is allowed:
///
/// ```compile_fail
/// #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, orch_core::object::Object)]
/// #[object(group = "example.com", plural = "Backups")]
/// struct Backup {
///     metadata: orch_core::object::ObjectMeta,
/// }
/// ```
#[proc_macro_derive(Object, attributes(object))]
pub fn derive_object(input: TokenStream) -> TokenStream {
    expand::object(input.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

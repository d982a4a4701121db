//! Reads manifests: Kubernetes objects in files of YAML or JSON.
//!
//! Everything that is wrong with a file is told at once, each fault with its document, line and field and
//! with what is allowed. What is right but has no effect here is warned of, never dropped in silence.
//!
//! The grammar is YAML 1.2, of which JSON is a part; plain scalars mean what kubectl takes them for, by YAML
//! 1.1 (`yes` and `on` are true, `0644` is octal; as keys they become the strings `"true"` and `"420"`, which is
//! warned of). Keys given twice and unknown fields are errors, as with
//! `kubectl --validate=strict`. Lists (`kind: List`) stand for their items.

mod error;
mod item;
mod kinds;
mod node;
mod read;
mod scalar;
#[cfg(test)]
pub(crate) mod tests;
mod unimplemented;
mod value;
mod yaml;

pub use error::{ManifestError, ManifestErrors, ManifestWarning, Place};
pub use item::Item;
pub use kinds::ManifestKinds;
pub use node::Position;
pub use unimplemented::Unimplemented;

use serde_json::Value;

/// The objects of a file.
///
/// ```
/// use orch_cluster::manifest::{Manifest, ManifestKinds};
///
/// let text = "
/// apiVersion: v1
/// kind: Namespace
/// metadata: {name: shop}
/// ---
/// apiVersion: apps/v1
/// kind: Deployment
/// metadata: {name: web, namespace: shop}
/// spec:
///   replicas: three
///   selector: {matchLabels: {app: web}}
///   template:
///     metadata: {labels: {app: web}}
///     spec: {containers: [{name: web, image: nginx}]}
/// ";
/// let errors = Manifest::read("web.yaml", text, &ManifestKinds::builtin()).unwrap_err();
/// assert_eq!(
///     errors.to_string(),
///     r#"web.yaml:10 (document 2, Deployment shop/web): spec.replicas: expected an integer, got "three""#,
/// );
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Manifest {
    /// The objects, in the order of the file.
    pub items: Vec<Item>,
    /// What has no effect, in the order of the file.
    pub warnings: Vec<ManifestWarning>,
}

impl Manifest {
    /// Reads a file of this name and text, with the usual [`Limits`].
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it; then none of its objects is given.
    pub fn read(file: &str, text: &str, kinds: &ManifestKinds) -> Result<Self, ManifestErrors> {
        Self::read_within(file, text, kinds, &Limits::default())
    }

    /// Reads a file of this name and text.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it; then none of its objects is given.
    pub fn read_within(
        file: &str,
        text: &str,
        kinds: &ManifestKinds,
        limits: &Limits,
    ) -> Result<Self, ManifestErrors> {
        read::read(file, text, kinds, limits)
    }
}

/// Reads a text of one YAML document, or of JSON, as a value, by the same grammar; what it means is not looked at.
///
/// # Errors
///
/// What is wrong with the text, called `file` in it, or that it holds none or several.
///
/// ```
/// use orch_cluster::manifest::{Limits, value};
///
/// let limits = Limits::default();
/// assert_eq!(value("body", "data: {a: yes}", &limits).unwrap()["data"]["a"], true);
/// let errors = value("body", "a: 1\na: 2", &limits).unwrap_err();
/// assert!(errors.to_string().starts_with("body:2 (document 1): a: "), "{errors}");
/// ```
pub fn value(file: &str, text: &str, limits: &Limits) -> Result<Value, ManifestErrors> {
    value::value(file, text, limits)
}

/// How much a file may hold. Past a limit it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Documents.
    pub documents: usize,
    /// Lists and objects within each other.
    pub depth: usize,
    /// Values with all aliases resolved, which is what a file of aliases of aliases blows up.
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024 * 1024,
            documents: 10_000,
            depth: 100,
            values: 1_000_000,
        }
    }
}

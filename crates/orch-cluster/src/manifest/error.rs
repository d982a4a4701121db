//! What is wrong with a manifest, and where.

use std::fmt;
use std::sync::Arc;

use orch_core::object::FieldPath;

use super::Position;

/// A place in a manifest: `web.yaml:12 (document 2, Deployment default/web): spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name, as the reader was told it.
    pub file: Arc<str>,
    /// Counts the documents of the file that hold something, from 1.
    pub document: usize,
    /// Kind, namespace and name of the object, as far as they are known; may be empty.
    pub object: String,
    /// The line and column.
    pub position: Position,
    /// The field within the object.
    pub path: FieldPath,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{} (document {}",
            self.file, self.position.line, self.document
        )?;
        if !self.object.is_empty() {
            write!(f, ", {}", self.object)?;
        }
        f.write_str(")")?;
        if !self.path.is_root() {
            write!(f, ": {}", self.path)?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// Where.
    pub place: Place,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ManifestError {}

/// Something in a manifest that has no effect, or another than its writer may expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestWarning {
    /// Where.
    pub place: Place,
    /// What it is about.
    pub message: String,
}

impl fmt::Display for ManifestWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// All that is wrong with a manifest, in the order of the file; shown one to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestErrors(pub(super) Vec<ManifestError>);

impl ManifestErrors {
    /// All of them as one error, if there are any.
    pub fn gather(errors: impl IntoIterator<Item = ManifestError>) -> Result<(), Self> {
        let errors: Vec<_> = errors.into_iter().collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self(errors))
        }
    }

    /// Looks at each, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, ManifestError> {
        self.0.iter()
    }

    /// How many there are; never none.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestErrors {}

impl IntoIterator for ManifestErrors {
    type Item = ManifestError;
    type IntoIter = std::vec::IntoIter<ManifestError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ManifestErrors {
    type Item = &'a ManifestError;
    type IntoIter = std::slice::Iter<'a, ManifestError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

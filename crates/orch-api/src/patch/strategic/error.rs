//! Why a strategic merge patch cannot be applied.

use orch_core::object::FieldPath;

/// Why a patch cannot be applied, and where. Shows no values, which may be secret.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}{fault}", at(.path))]
pub struct Error {
    /// The field of the patch or, where the fault says so, of the object.
    pub path: FieldPath,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a patch, or with an object that it cannot be applied to.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It nests too deeply.
    #[error("the {what} nests more than {limit} levels of maps and lists")]
    TooDeep {
        /// The patch or the object.
        what: &'static str,
        /// What is allowed.
        limit: usize,
    },
    /// `$patch` says something that it cannot say there.
    #[error("$patch is {found}, which is neither \"replace\" nor \"delete\": to merge leave it out")]
    Directive {
        /// What it says, as JSON.
        found: String,
    },
    /// A directive for a list names no field.
    #[error("names no list: write {directive}/FIELD")]
    NamesNoList {
        /// The directive.
        directive: &'static str,
    },
    /// What must be a list is none.
    #[error("{what} must be a list")]
    NoList {
        /// The directive's value, or the list that it is about.
        what: &'static str,
    },
    /// `$retainKeys` is no list of names.
    #[error("must be a list of names of fields")]
    RetainKeysMalformed,
    /// The patch sets a field that its own `$retainKeys` does not name.
    #[error("is set, but $retainKeys beside it does not name it: name it there, or leave it out")]
    NotRetained,
    /// An item of a merged list lacks the field that tells it apart.
    #[error(
        "has no {key:?}, by which items of this list are told apart: add it to this item of {}",
        .of.words()
    )]
    NoMergeKey {
        /// The merge key.
        key: Box<str>,
        /// Which list it is an item of.
        of: Origin,
    },
    /// Maps cannot be merged, for nothing tells them apart.
    #[error("is a list of maps of which the schema says no merge key: replace it with $patch: replace")]
    NoKeyKnown,
    /// The items of a list are of several types.
    #[error(
        "holds items of several types, those of the patch and of the object taken together: give it one type of items"
    )]
    Mixed,
    /// A list to merge holds something that has no place in one.
    #[error("holds {found}, which a list that merges cannot: it holds {expected}")]
    WrongItem {
        /// What it holds.
        found: &'static str,
        /// What it may hold.
        expected: &'static str,
    },
    /// Scalars are to be removed from a list that holds maps.
    #[error("removes scalars, but the list holds maps: name them in the list itself, with $patch: delete")]
    DeletesMaps,
    /// The patch has items in another order than it asks for, or items that the order leaves out.
    #[error(
        "does not name the items of the patch's own list in the order in which they stand there: \
         name each of them, in that order"
    )]
    Order,
}

/// Where an item comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The patch.
    Patch,
    /// The object to be patched.
    Object,
    /// The list of a `$setElementOrder`.
    Order,
}

impl Origin {
    fn words(self) -> &'static str {
        match self {
            Self::Patch => "the patch",
            Self::Object => "the object, by replacing the list",
            Self::Order => "the order",
        }
    }
}

impl Error {
    pub(super) fn new(at: &FieldPath, fault: Fault) -> Self {
        Self {
            path: at.clone(),
            fault,
        }
    }
}

/// The path before a message; nothing for the object itself.
fn at(path: &FieldPath) -> String {
    if path.is_root() {
        String::new()
    } else {
        format!("{path}: ")
    }
}

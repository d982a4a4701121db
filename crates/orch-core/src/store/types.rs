//! Keys, revisions, entries and pages.

use std::fmt;

use bytes::Bytes;

/// A point in the store's history: the number of the commit that made it. Grows by one with each commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Before the first commit.
    pub const ZERO: Self = Self(0);

    /// The revision numbered `n`.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The revision of the commit after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! bytes_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Bytes);

        impl $name {
            /// Its bytes, shared.
            pub fn bytes(&self) -> &Bytes {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        // Sound because equality, order and hash are those of the bytes.
        impl std::borrow::Borrow<[u8]> for $name {
            fn borrow(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<Bytes> for $name {
            fn from(bytes: Bytes) -> Self {
                Self(bytes)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Bytes::copy_from_slice(text.as_bytes()))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0.escape_ascii())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{}\"", self.0.escape_ascii())
            }
        }
    };
}

bytes_newtype! {
    /// What a value is stored under: 1 to [`KEY_BYTES`](super::limits::KEY_BYTES) bytes, ordered bytewise.
    Key
}

bytes_newtype! {
    /// The beginning that keys of a range share; the empty prefix is the whole store.
    Prefix
}

impl Prefix {
    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &Key) -> bool {
        key.as_ref().starts_with(&self.0)
    }
}

/// A key with its value and where they stand in history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Bytes,
    /// The commit that created the key (anew, if it had been deleted).
    pub created: Revision,
    /// The commit that wrote this value.
    pub modified: Revision,
}

/// What was read, and the store's revision at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// The answer.
    pub value: T,
    /// The newest commit that it reflects.
    pub revision: Revision,
}

/// How to list: which page, of which snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Most entries to return; none, zero, or more than
    /// [`PAGE_ENTRIES`](super::limits::PAGE_ENTRIES), means that many.
    pub limit: Option<usize>,
    /// The first key to return, if not the first of the range: the last page's [`Page::next`].
    pub from: Option<Key>,
    /// The snapshot to read, if not the newest.
    pub at: Option<Revision>,
    /// Without `at`: whether a snapshot that is not the newest any more will do, as for a view that goes on to follow
    /// the changes after it. It lets a store of several machines answer from the nearest (etcd's serializable reads).
    pub may_be_stale: bool,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Entries in key order.
    pub entries: Vec<Entry>,
    /// The snapshot's revision: pass it as [`ListOptions::at`] for the next page, or watch from it.
    pub revision: Revision,
    /// The first key after this page, if there are more.
    pub next: Option<Key>,
}

//! Transactions: compares, then puts and deletes, all or nothing.

use bytes::Bytes;

use super::{CommitError, Key, Revision, limits};

/// What a compare asks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key exists, whatever its value.
    Present,
    /// The key exists and was last written by this commit.
    Modified(Revision),
}

impl Expect {
    /// Whether it holds for a key that was last written at `modified`, or does not exist.
    pub fn holds(self, modified: Option<Revision>) -> bool {
        match self {
            Self::Absent => modified.is_none(),
            Self::Present => modified.is_some(),
            Self::Modified(expected) => modified == Some(expected),
        }
    }
}

/// A condition under which a transaction is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key looked at; it need not be one that the transaction writes (a lease that fences writers).
    pub key: Key,
    /// What must hold.
    pub expect: Expect,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes `value` under `key`, creating the key if need be.
    Put {
        /// The key.
        key: Key,
        /// Its new value.
        value: Bytes,
    },
    /// Removes `key`; nothing if it is absent.
    Delete {
        /// The key.
        key: Key,
    },
}

impl Op {
    /// The key it changes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// A set of changes applied together if all compares hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold.
    pub compares: Vec<Compare>,
    /// Then all are applied. A key may occur once only.
    pub ops: Vec<Op>,
}

impl Txn {
    /// An empty transaction.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires `expect` of `key`.
    #[must_use]
    pub fn compare(mut self, key: impl Into<Key>, expect: Expect) -> Self {
        self.compares.push(Compare {
            key: key.into(),
            expect,
        });
        self
    }

    /// Writes `key` unconditionally.
    #[must_use]
    pub fn put(mut self, key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        self.ops.push(Op::Put {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Removes `key` unconditionally.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Key>) -> Self {
        self.ops.push(Op::Delete { key: key.into() });
        self
    }

    /// Writes `key`, which must not exist yet.
    #[must_use]
    pub fn create(self, key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        let key = key.into();
        self.compare(key.clone(), Expect::Absent).put(key, value)
    }

    /// Writes `key`, which must have been last written at `read`.
    #[must_use]
    pub fn update(self, key: impl Into<Key>, read: Revision, value: impl Into<Bytes>) -> Self {
        let key = key.into();
        self.compare(key.clone(), Expect::Modified(read)).put(key, value)
    }

    /// Removes `key`, which must have been last written at `read`.
    #[must_use]
    pub fn remove(self, key: impl Into<Key>, read: Revision) -> Self {
        let key = key.into();
        self.compare(key.clone(), Expect::Modified(read)).delete(key)
    }

    /// Checks the transaction against the store's [`limits`] and for keys that occur twice.
    ///
    /// Every store calls this before it looks at its data.
    pub fn check(&self) -> Result<(), CommitError> {
        let refuse = |reason: String| Err(CommitError::Invalid { reason });
        let total = self.compares.len() + self.ops.len();
        if total > limits::TXN_OPS {
            return refuse(format!(
                "{total} compares and operations, at most {} allowed",
                limits::TXN_OPS
            ));
        }
        for key in self
            .compares
            .iter()
            .map(|c| &c.key)
            .chain(self.ops.iter().map(Op::key))
        {
            let length = key.as_ref().len();
            if length == 0 || length > limits::KEY_BYTES {
                return refuse(format!(
                    "key of {length} bytes, 1 to {} allowed",
                    limits::KEY_BYTES
                ));
            }
        }
        for op in &self.ops {
            if let Op::Put { key, value } = op
                && value.len() > limits::VALUE_BYTES
            {
                return refuse(format!(
                    "value of {} bytes under {key}, at most {} allowed",
                    value.len(),
                    limits::VALUE_BYTES
                ));
            }
        }
        if let [first, rest @ ..] = self.ops.as_slice()
            && !rest.is_empty()
        {
            let mut seen = std::collections::HashSet::from([first.key()]);
            if let Some(twice) = rest.iter().find(|op| !seen.insert(op.key())) {
                return refuse(format!("key {} occurs twice", twice.key()));
            }
        }
        Ok(())
    }
}

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The revision of this commit; if it changed nothing, the store's newest.
    pub revision: Revision,
    /// Whether anything changed.
    pub changed: bool,
}

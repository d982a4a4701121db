//! What can go wrong with an object, in Kubernetes' words.

use std::fmt;

use crate::object::{ApiResource, DocumentError, FieldErrors, ObjectKey};
use crate::store::Revision;

/// Which object (or collection) an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorSubject {
    /// Its kind.
    pub resource: Box<ApiResource>,
    /// Its namespace and name; an empty name where none is known.
    pub key: ObjectKey,
}

impl ErrorSubject {
    pub(crate) fn new(resource: &ApiResource, key: &ObjectKey) -> Self {
        Self {
            resource: Box::new(resource.clone()),
            key: key.clone(),
        }
    }
}

impl fmt::Display for ErrorSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.key.name();
        write!(f, "{} {name:?}", self.resource.group_resource())?;
        match self.key.namespace() {
            Some(namespace) => write!(f, " in namespace {namespace:?}"),
            None => Ok(()),
        }
    }
}

/// Why a client call failed: the reasons of Kubernetes' `Status`, as a type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// There is no such object.
    #[error("{0} not found")]
    NotFound(ErrorSubject),
    /// An object of that name exists.
    #[error("{0} already exists")]
    AlreadyExists(ErrorSubject),
    /// The object is not in the state that the caller assumed. Read it again, then decide again.
    #[error("operation cannot be fulfilled on {subject}: {reason}")]
    Conflict {
        /// The object.
        subject: ErrorSubject,
        /// What differs.
        reason: String,
    },
    /// Fields break the kind's rules; every one of them is named.
    #[error("{subject} is invalid: {errors}")]
    Invalid {
        /// The object.
        subject: ErrorSubject,
        /// What is wrong, field by field.
        errors: FieldErrors,
    },
    /// An admission rule, or a deposed leader's fence, does not permit it.
    #[error("{subject} is forbidden: {reason}")]
    Forbidden {
        /// The object.
        subject: ErrorSubject,
        /// Why.
        reason: String,
    },
    /// A policy that is stored in the cluster, as Kubernetes' ValidatingAdmissionPolicy, does not permit it.
    #[error("{subject} is forbidden: {message}")]
    RefusedByPolicy {
        /// The object.
        subject: ErrorSubject,
        /// The status code of HTTP, of 400 or more.
        code: u16,
        /// One word for programs, such as `Invalid`.
        reason: String,
        /// Which policy, and what it says.
        message: String,
    },
    /// Somebody outside of this process who was asked does not permit it, or could not be asked: in the words of Kubernetes' `Status`,
    /// which are another's.
    #[error("{message}")]
    Denied {
        /// The status code of HTTP, of 400 or more.
        code: u16,
        /// One word for programs, such as `Forbidden`; may be empty.
        reason: String,
        /// What a person is told.
        message: String,
    },
    /// The request itself makes no sense: an unreadable selector, patch or object.
    #[error("bad request: {0}")]
    BadRequest(String),
    /// The resource version, continue token or watch is too old: list again from the start.
    #[error("expired: {0}")]
    Expired(String),
    /// The stored object cannot be read as the type asked for. From a write it means that the write was done: it is
    /// what it left that does not fit the type.
    #[error("{subject} cannot be decoded: {source}")]
    Decode {
        /// The object.
        subject: ErrorSubject,
        /// What does not fit.
        source: DocumentError,
    },
    /// The store cannot be reached. Nothing was written.
    #[error("the store is unavailable: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// It is not known whether the write was applied. Read back to learn it.
    #[error("outcome unknown: {0}")]
    Unknown(Box<dyn std::error::Error + Send + Sync>),
}

/// Kubernetes' own sentence for an update that came too late.
pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

impl ApiError {
    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Whether the object was changed meanwhile.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Whether an object of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists(_))
    }

    pub(crate) fn conflict(subject: ErrorSubject, reason: impl Into<String>) -> Self {
        Self::Conflict {
            subject,
            reason: reason.into(),
        }
    }

    pub(crate) fn stale(subject: ErrorSubject) -> Self {
        Self::conflict(subject, MODIFIED)
    }

    pub(crate) fn compacted(after: Revision, oldest: Revision) -> Self {
        Self::Expired(format!("too old resource version: {after} ({oldest})"))
    }
}

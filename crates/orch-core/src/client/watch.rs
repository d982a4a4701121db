//! Changes to objects, as clients see them.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{BoxStream, Stream, StreamExt};

use super::ApiError;
use crate::object::Document;
use crate::store::Revision;

/// A change to an object that a watch selects.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent<T> {
    /// It was created, or now matches the selectors.
    Added(T),
    /// It was changed.
    Modified(T),
    /// It was deleted, or no longer matches; this is what it was, at the revision of the deletion.
    Deleted(T),
}

impl<T> WatchEvent<T> {
    /// The object.
    pub fn object(&self) -> &T {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => object,
        }
    }

    /// The event with its object converted.
    pub fn try_map<U, E>(self, convert: impl FnOnce(T) -> Result<U, E>) -> Result<WatchEvent<U>, E> {
        Ok(match self {
            Self::Added(object) => WatchEvent::Added(convert(object)?),
            Self::Modified(object) => WatchEvent::Modified(convert(object)?),
            Self::Deleted(object) => WatchEvent::Deleted(convert(object)?),
        })
    }
}

/// Changes in order, up to a revision.
#[derive(Clone, Debug)]
pub struct WatchBatch {
    /// A new watch after it continues here.
    pub revision: Revision,
    /// The changes; several to one object are all there, in order.
    pub events: Vec<WatchEvent<Document>>,
}

/// A stream of changes. After an error it has ended: list again if it was [`ApiError::Expired`], else watch
/// again from the last batch.
pub struct DocumentWatch(BoxStream<'static, Result<WatchBatch, ApiError>>);

impl DocumentWatch {
    /// Wraps the stream that a backend made.
    pub fn new(stream: impl Stream<Item = Result<WatchBatch, ApiError>> + Send + 'static) -> Self {
        Self(stream.boxed())
    }

    /// Waits for the next changes.
    pub async fn next(&mut self) -> Option<Result<WatchBatch, ApiError>> {
        self.0.next().await
    }
}

impl Stream for DocumentWatch {
    type Item = Result<WatchBatch, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for DocumentWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentWatch").finish_non_exhaustive()
    }
}

//! What a watch delivers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{BoxStream, Stream, StreamExt};

use super::{Entry, Key, Revision, WatchError};

/// One key's change in one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key that changed.
    pub key: Key,
    /// What it holds now; none if the commit deleted it.
    pub current: Option<Entry>,
    /// What it held before; none if the commit created it.
    pub previous: Option<Entry>,
}

/// Whole commits, in order: every change under the watched prefix up to `revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The last commit that the batch covers; a new watch after it resumes.
    pub revision: Revision,
    /// The changes with the commit that made each, ordered by commit. Never empty.
    pub changes: Vec<(Revision, Change)>,
}

/// A stream of [`Batch`]es. It ends only after an error.
pub struct Watch(BoxStream<'static, Result<Batch, WatchError>>);

impl Watch {
    /// Wraps the stream that a store made.
    pub fn new(stream: impl Stream<Item = Result<Batch, WatchError>> + Send + 'static) -> Self {
        Self(stream.boxed())
    }

    /// Waits for the next batch.
    pub async fn next(&mut self) -> Option<Result<Batch, WatchError>> {
        self.0.next().await
    }
}

impl Stream for Watch {
    type Item = Result<Batch, WatchError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

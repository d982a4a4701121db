//! Changes, as they come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use orch_core::client::{
    ApiError, Client, Collection, DocumentWatch, ListParams, WatchBatch, WatchEvent, WatchParams,
};
use orch_core::object::{ApiResource, Document};
use orch_core::store::Revision;
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::shown::Shown;
use super::{Asked, Server};
use crate::accept::Answered;
use crate::answer::{self, Answer};
use crate::query::Version;
use crate::resources::Served;
use crate::status::Refused;

/// The annotation of the bookmark that ends what there was at the beginning (KEP-3157).
const INITIAL_END: &str = "k8s.io/initial-events-end";

pub(super) async fn watch(server: &Server, asked: &Asked) -> Result<Answer, Refused> {
    let shown = Shown::of(asked, Answered::One)?;
    let query = &asked.query;
    let (labels, fields) = (query.labels()?, query.fields()?);
    let version = query.version()?;
    let longest = server.options.watch_timeout;
    let timeout = query.timeout()?.map_or(longest, |asked| asked.min(longest));
    let takes_bookmarks = query.is_set("allowWatchBookmarks");
    // What there is comes first where no version is named after which to begin, and where it is asked for.
    let asks = query.is_set("sendInitialEvents");
    if asks && query.get("resourceVersionMatch") != Some("NotOlderThan") {
        return Err(Refused::bad_request(
            "resourceVersionMatch: must be NotOlderThan where sendInitialEvents is given",
        ));
    }
    let names_none = matches!(version, Version::Newest | Version::Any);
    let is_told_first = asks || (names_none && query.get("sendInitialEvents").is_none());
    let served = asked.served.clone();
    let (backend, collection) = (server.client.backend(), asked.collection());
    let mut waiting = VecDeque::new();
    let after = match version {
        Version::Exact(_) if asks => {
            return Err(Refused::bad_request(
                "resourceVersionMatch: must be NotOlderThan for a watch",
            ));
        }
        Version::NotOlder(revision) | Version::Exact(revision) if !asks => revision,
        _ => {
            let mut params = ListParams::default()
                .labels(labels.clone())
                .fields(fields.clone());
            if !is_told_first {
                params = params.limit(1);
            }
            let mut list = backend.list(&collection, &params).await?;
            if let Version::NotOlder(least) = version
                && list.revision < least
            {
                return Err(Refused::too_new(least.get(), list.revision.get()));
            }
            if is_told_first {
                served.bring(&server.client, list.items.iter_mut()).await?;
                let items = list.items.into_iter();
                waiting.extend(items.map(|document| Told::Event(WatchEvent::Added(document))));
            }
            if asks && takes_bookmarks {
                waiting.push_back(Told::Bookmark {
                    revision: list.revision,
                    ends_initial: true,
                });
            }
            list.revision
        }
    };
    let params = WatchParams::after(after).labels(labels).fields(fields);
    let changes = match not_before(server, &collection, after).await {
        Ok(()) => backend.watch(&collection, &params).await,
        Err(error) => Err(error),
    };
    let changes = match changes {
        Ok(changes) => Some(changes),
        // As Kubernetes tells it: who watches lists anew by the event, and would try again for ever by a refusal.
        Err(error @ ApiError::Expired(_)) => {
            waiting.push_back(Told::Failure(error.into()));
            None
        }
        Err(error) => return Err(error.into()),
    };
    let bookmarks = takes_bookmarks.then(|| {
        let mut bookmarks = tokio::time::interval(server.options.bookmark_interval);
        bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first is due at once.
        bookmarks.reset();
        bookmarks
    });
    Ok(answer::lines(lines(Watching {
        changes,
        waiting,
        told: after,
        resource: collection.resource,
        shown,
        served,
        client: server.client.clone(),
        bookmarks,
        end: Instant::now() + timeout.max(Duration::from_secs(1)),
    })))
}

/// An error if there was no such revision yet: the store is another than the one that the caller knows, or has lost its end. What
/// happens until then would be missed.
async fn not_before(server: &Server, collection: &Collection, after: Revision) -> Result<(), ApiError> {
    let one = ListParams::default().limit(1);
    let now = server.client.backend().list(collection, &one).await?.revision;
    if now < after {
        return Err(ApiError::Expired(format!(
            "resource version {after} is newer than any there is ({now}); list again"
        )));
    }
    Ok(())
}

/// A watch under way.
struct Watching {
    /// None once it has ended.
    changes: Option<DocumentWatch>,
    /// What is still to be told. It becomes text as it is sent: the objects are shared with who else holds them, and text is not.
    waiting: VecDeque<Told>,
    /// Up to which revision everything is told, once these are.
    told: Revision,
    resource: Arc<ApiResource>,
    shown: Shown,
    served: Served,
    client: Client,
    bookmarks: Option<Interval>,
    end: Instant,
}

/// A line to be.
enum Told {
    Event(WatchEvent<Document>),
    Bookmark { revision: Revision, ends_initial: bool },
    Failure(Refused),
}

/// What happens next to a watch.
enum Next {
    Changes(WatchBatch),
    Failed(Refused),
    Bookmark,
    End,
}

fn lines(watching: Watching) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(watching, |mut watching| async move {
        loop {
            if let Some(told) = watching.waiting.pop_front() {
                return Some((watching.line(&told), watching));
            }
            let told = watching.told;
            match watching.next().await {
                Next::Changes(batch) => {
                    watching.told = batch.revision;
                    watching.waiting.extend(batch.events.into_iter().map(Told::Event));
                }
                Next::Failed(refused) => {
                    watching.changes = None;
                    watching.waiting.push_back(Told::Failure(refused));
                }
                Next::Bookmark => watching.bookmark(told),
                Next::End if watching.changes.take().is_some() && watching.bookmarks.is_some() => {
                    // Where to go on.
                    watching.bookmark(told);
                }
                Next::End => return None,
            }
        }
    })
}

impl Watching {
    /// Says up to which revision everything is told.
    fn bookmark(&mut self, revision: Revision) {
        self.waiting.push_back(Told::Bookmark {
            revision,
            ends_initial: false,
        });
    }

    fn line(&mut self, told: &Told) -> Bytes {
        match told {
            Told::Event(WatchEvent::Added(document)) => line("ADDED", document, &mut self.shown),
            Told::Event(WatchEvent::Modified(document)) => line("MODIFIED", document, &mut self.shown),
            Told::Event(WatchEvent::Deleted(document)) => line("DELETED", document, &mut self.shown),
            Told::Bookmark {
                revision,
                ends_initial,
            } => bookmark(&self.resource, *revision, *ends_initial, &mut self.shown),
            Told::Failure(refused) => failure(refused),
        }
    }

    async fn next(&mut self) -> Next {
        let Some(changes) = &mut self.changes else {
            return Next::End;
        };
        let bookmark = async {
            match &mut self.bookmarks {
                Some(bookmarks) => bookmarks.tick().await,
                None => std::future::pending().await,
            }
        };
        let batch = tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.end) => return Next::End,
            batch = changes.next() => batch,
            _ = bookmark => return Next::Bookmark,
        };
        let mut batch = match batch {
            Some(Ok(batch)) => batch,
            Some(Err(error)) => return Next::Failed(error.into()),
            None => return Next::End,
        };
        let documents = batch.events.iter_mut().map(|event| match event {
            WatchEvent::Added(document) | WatchEvent::Modified(document) | WatchEvent::Deleted(document) => {
                document
            }
        });
        match self.served.bring(&self.client, documents).await {
            Ok(()) => Next::Changes(batch),
            Err(error) => Next::Failed(error.into()),
        }
    }
}

fn line(what: &str, document: &Document, shown: &mut Shown) -> Bytes {
    let mut line = Vec::with_capacity(document.stored().len() + 80);
    line.extend_from_slice(format!("{{\"type\":\"{what}\",\"object\":").as_bytes());
    shown.write(document, &mut line);
    line.extend_from_slice(b"}\n");
    line.into()
}

fn failure(refused: &Refused) -> Bytes {
    format!("{}\n", json!({"type": "ERROR", "object": refused.status()})).into()
}

/// An object of which there is nothing but a version, in the form of the others.
fn bookmark(resource: &ApiResource, revision: Revision, ends_initial: bool, shown: &mut Shown) -> Bytes {
    let mut meta = json!({"resourceVersion": revision.to_string()});
    if ends_initial {
        meta["annotations"] = json!({INITIAL_END: "true"});
    }
    let object = json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": meta});
    match Document::parse(object.to_string().into()) {
        Ok(document) => line("BOOKMARK", &document, shown),
        // A kind and a version are all that it takes.
        Err(_) => format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into(),
    }
}

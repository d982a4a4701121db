//! What the manifest's pods that have failed, or do so again and again, had written last; asked for aside, so that no wait stands still for it.

use std::collections::HashSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use orch_core::runtime::{ContainerId, LogOptions, Runtime, RuntimeError};
use tokio::time::{sleep, timeout};

use super::news::{failing, line, loops};
use super::state::has_failed;
use super::watch::{Views, named, uid};

/// How long a runtime may take to give them, and how long it is then left alone.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many pods are asked for at once.
const AT_ONCE: usize = 8;

/// How much of a line is read: more than is shown.
const LONGEST: usize = 4096;

/// Asks for them on behalf of one wait. What is asked for when that is over the next asks for again.
pub(crate) struct LastWords<'a> {
    views: &'a Views,
    asked: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// The uids of the pods that are asked for.
    of: HashSet<String>,
}

struct Answer {
    uid: String,
    pod: String,
    /// None: nobody answered. It may be had later.
    words: Option<String>,
}

impl<'a> LastWords<'a> {
    pub(crate) fn of(views: &'a Views) -> Self {
        Self {
            views,
            asked: FuturesUnordered::new(),
            of: HashSet::new(),
        }
    }

    /// Asks for those of pods that have failed, or begun to fail again and again, since the last time.
    pub(crate) fn ask(&mut self) {
        let Some(runtime) = &self.views.runtime else {
            return;
        };
        for pod in self.views.our_pods() {
            if self.of.len() >= AT_ONCE {
                return;
            }
            let uid = uid(&pod);
            if (has_failed(&pod) || loops(&pod)) && !self.views.has_said_last(&uid) && self.of.insert(uid) {
                self.asked.push(answer(runtime.clone(), pod).boxed());
            }
        }
    }

    /// Waits until there are some: of which pod, and what. Nothing is lost if that is given up.
    pub(crate) async fn next(&mut self) -> (String, String) {
        loop {
            match self.answered().await {
                Some(Some(words)) => return words,
                Some(None) => {}
                None => return pending().await,
            }
        }
    }

    /// Those that can be had soon, where there is nothing else to wait for.
    pub(crate) async fn rest(&mut self) -> Vec<(String, String)> {
        let mut said = Vec::new();
        let rest = async {
            while let Some(words) = self.answered().await {
                said.extend(words);
            }
        };
        // What is late is not told.
        let _ = timeout(PATIENCE, rest).await;
        said
    }

    /// The next answer, and what is to be told of it; none: nobody is asked.
    async fn answered(&mut self) -> Option<Option<(String, String)>> {
        let Answer { uid, pod, words } = self.asked.next().await?;
        self.of.remove(&uid);
        if words.is_some() {
            self.views.said_last(uid);
        }
        // There is room for another.
        self.ask();
        let words = words.filter(|words| !words.is_empty());
        Some(words.map(|words| (pod, format!("its log ends with: {words}"))))
    }
}

async fn answer(runtime: Arc<dyn Runtime>, pod: Arc<Pod>) -> Answer {
    let words = match timeout(PATIENCE, last_line(&*runtime, &pod)).await {
        Ok(Ok(words)) => Some(words),
        Ok(Err(RuntimeError::Unavailable { .. } | RuntimeError::Timeout { .. })) | Err(_) => {
            sleep(PATIENCE).await;
            None
        }
        // It will not be had later either.
        Ok(Err(_)) => Some(String::new()),
    };
    Answer {
        uid: uid(&pod),
        pod: named(&pod),
        words,
    }
}

/// The last line of the container through which a pod has failed; empty if there is none.
async fn last_line(runtime: &dyn Runtime, pod: &Pod) -> Result<String, RuntimeError> {
    let id = failing(pod).and_then(|(_, end)| end.container_id.as_deref()?.split_once("://"));
    let Some((_, id)) = id else {
        return Ok(String::new());
    };
    let options = LogOptions {
        tail: Some(1),
        ..LogOptions::default()
    };
    let mut chunks = runtime.logs(&ContainerId(id.to_owned()), &options).await?;
    let mut words = Vec::new();
    while words.len() < LONGEST
        && let Some(chunk) = chunks.next().await
    {
        words.extend_from_slice(&chunk?.data);
    }
    words.truncate(LONGEST);
    Ok(line(&String::from_utf8_lossy(&words)))
}

//! What a pod's containers wrote (`pods/log`, which `kubectl logs` reads).

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use orch_cluster::agent::{AccessError, ContainerAt};
use orch_core::runtime::{LogChunk, LogOptions, LogStream, RuntimeError};

use super::{Asked, Server};
use crate::answer::{self, Answer};
use crate::query::Query;
use crate::status::Refused;

/// `PodLogOptions` of core/v1.
struct Options {
    previous: bool,
    /// After so many bytes it is cut off.
    limit: Option<usize>,
    of_runtime: LogOptions,
}

pub(super) async fn log(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let query = &asked.query;
    let options = options(query, orch_core::time::now())?;
    let document = server.client.backend().get(&asked.target(name)).await?;
    let pod: Pod = serde_json::from_slice(&document.to_json())
        .map_err(|error| Refused::internal(format!("pod {name:?} cannot be read: {error}")))?;
    let container = container(&pod, name, query.get("container"))?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let Some(node) = node.filter(|node| !node.is_empty()) else {
        // It has not written anything.
        return Ok(answer::written(stream::empty()));
    };
    let Some(access) = server.nodes.iter().find(|access| access.node() == node) else {
        return Err(Refused::unavailable(format!(
            "pod {name:?} is on node {node:?}, whose containers cannot be reached from here"
        )));
    };
    let namespace = asked.place.namespace.clone().unwrap_or_default();
    let at = ContainerAt::new(namespace, name).container(&*container);
    match access.logs(&at, options.previous, &options.of_runtime).await {
        Ok(chunks) => Ok(answer::written(up_to(options.limit, chunks))),
        Err(AccessError::NotMade { .. }) if options.previous => Err(Refused::bad_request(format!(
            "previous terminated container {container:?} in pod {name:?} not found"
        ))),
        // The agent may not have seen yet that the pod is its own.
        Err(AccessError::NotMade { .. } | AccessError::NoPod { .. }) => Err(Refused::bad_request(format!(
            "container {container:?} in pod {name:?} is waiting to start: {}",
            why_it_waits(&pod, &container)
        ))),
        Err(AccessError::NoContainer { .. }) => Err(not_of(name, &container)),
        Err(error) => Err(Refused::internal(error.to_string())),
    }
}

fn options(query: &Query, now: Timestamp) -> Result<Options, Refused> {
    let seconds = query.parsed::<u32>("sinceSeconds", "a number of seconds of 1 or more")?;
    let time = query.parsed::<Timestamp>("sinceTime", "a time such as 2030-01-02T03:04:05Z")?;
    let since = match (seconds, time) {
        (Some(_), Some(_)) => {
            return Err(Refused::bad_request(
                "sinceTime: must be left out where sinceSeconds is given: at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        }
        (Some(0), None) => {
            return Err(Refused::bad_request(
                "sinceSeconds: \"0\": must be greater than 0",
            ));
        }
        (Some(seconds), None) => {
            let ago = SignedDuration::try_from(Duration::from_secs(seconds.into())).unwrap_or_default();
            now.checked_sub(ago).ok()
        }
        (None, time) => time,
    };
    let limit = query.parsed::<usize>("limitBytes", "a number of bytes of 1 or more")?;
    if limit == Some(0) {
        return Err(Refused::bad_request("limitBytes: \"0\": must be greater than 0"));
    }
    let stream = match query.get("stream") {
        None | Some("All") => None,
        Some("Stdout") => Some(LogStream::Stdout),
        Some("Stderr") => Some(LogStream::Stderr),
        Some(other) => {
            return Err(Refused::bad_request(format!(
                "stream: {other:?}: must be All, Stdout or Stderr"
            )));
        }
    };
    Ok(Options {
        previous: query.is_set("previous"),
        limit,
        of_runtime: LogOptions {
            follow: query.is_set("follow"),
            since,
            tail: query.parsed("tailLines", "a number of lines")?,
            timestamps: query.is_set("timestamps"),
            stream,
        },
    })
}

/// The container asked for, or the only one.
fn container(pod: &Pod, name: &str, asked: Option<&str>) -> Result<String, Refused> {
    let names = |all: &mut dyn Iterator<Item = &String>| all.cloned().collect::<Vec<_>>();
    let spec = pod.spec.as_ref();
    let main = names(
        &mut spec
            .iter()
            .flat_map(|spec| spec.containers.iter().map(|one| &one.name)),
    );
    let init = spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let init = names(&mut init.map(|one| &one.name));
    match (asked, &main[..]) {
        (Some(asked), _) if main.iter().chain(&init).any(|name| name == asked) => Ok(asked.to_owned()),
        (Some(asked), _) => Err(not_of(name, asked)),
        (None, [only]) => Ok(only.clone()),
        (None, _) => {
            let mut message = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                main.join(" ")
            );
            if !init.is_empty() {
                message += &format!(" or one of the init containers: [{}]", init.join(" "));
            }
            Err(Refused::bad_request(message))
        }
    }
}

fn not_of(pod: &str, container: &str) -> Refused {
    Refused::bad_request(format!("container {container} is not valid for pod {pod}"))
}

/// What the pod's status says of a container that was not made yet.
fn why_it_waits(pod: &Pod, container: &str) -> String {
    let status = pod.status.as_ref();
    let all = status.into_iter().flat_map(|status| {
        let own = status.container_statuses.iter().flatten();
        own.chain(status.init_container_statuses.iter().flatten())
    });
    let mut named = all.filter(|status: &&ContainerStatus| status.name == container);
    let waiting = named
        .next()
        .and_then(|status| status.state.as_ref()?.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.clone());
    reason.unwrap_or_else(|| "ContainerCreating".to_owned())
}

/// The bytes of what was written, up to so many. What fails in the midst ends it: the caller has the beginning already.
fn up_to(
    limit: Option<usize>,
    chunks: BoxStream<'static, Result<LogChunk, RuntimeError>>,
) -> impl Stream<Item = Bytes> + Send {
    let left = limit.unwrap_or(usize::MAX);
    stream::unfold((chunks, left), async |(mut chunks, left)| {
        if left == 0 {
            return None;
        }
        match chunks.next().await? {
            Ok(LogChunk { mut data, .. }) => {
                data.truncate(left);
                let left = left - data.len();
                Some((data, (chunks, left)))
            }
            Err(error) => {
                tracing::warn!(%error, "what a container wrote cannot be read on");
                None
            }
        }
    })
}

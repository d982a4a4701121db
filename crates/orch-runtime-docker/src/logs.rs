//! What containers wrote.
//!
//! The engine keeps entries: a line, or a piece of a line longer than 16 KiB, each with a time that all
//! pieces of a line share. Its `tail` counts entries of both streams and its `since` may count whole seconds,
//! so lines are put together, counted and filtered here, and the engine is only asked for enough of them.

mod lines;

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use orch_core::runtime::{ContainerId, LogChunk, LogOptions, LogStream, RuntimeError};

use crate::NAME;
use crate::driver::Driver;
use crate::engine::path;
use lines::{Entries, Entry, Joiner, Line};

/// How far apart in time two entries can be in the wrong order (both streams are read side by side).
const DISORDER: SignedDuration = SignedDuration::from_secs(1);

type Logs = BoxStream<'static, Result<LogChunk, RuntimeError>>;

impl Driver {
    pub(crate) async fn logs(
        self: &Arc<Self>,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<Logs, RuntimeError> {
        let known = self.known_container(id).await?;
        let request = Request { id, tty: known.tty };
        let shape = Shape {
            since: options.since,
            stream: options.stream,
            timestamps: options.timestamps,
        };
        let Some(tail) = options.tail else {
            let since = options.since.map(|since| since.as_second().to_string());
            let query = [("tail", "all"), ("since", since.as_deref().unwrap_or("0"))];
            let body = self.log_body(&request, options.follow, &query).await?;
            return Ok(Reader::new(Arc::clone(self), body, known.tty, shape, Joiner::default(), 0).stream());
        };
        if tail == 0 && !options.follow {
            return Ok(futures::stream::empty().boxed());
        }
        if tail == 0 {
            let body = self.log_body(&request, true, &[("tail", "0")]).await?;
            return Ok(Reader::new(Arc::clone(self), body, known.tty, shape, Joiner::default(), 0).stream());
        }
        let mut history = self.history(&request, tail, &shape).await?;
        let lines = std::mem::take(&mut history.lines)
            .into_iter()
            .filter(|line| shape.lets(line));
        if !options.follow {
            let lines: Vec<Line> = lines
                .chain(history.joiner.rest().filter(|line| shape.lets(line)))
                .collect();
            let chunks: Vec<_> = last(lines, tail).map(|line| Ok(shape.show(line))).collect();
            return Ok(futures::stream::iter(chunks).boxed());
        }
        let unfinished = history
            .joiner
            .unfinished()
            .filter(|line| shape.lets(line))
            .count();
        let ready = last(lines.collect(), tail.saturating_sub(unfinished))
            .map(|line| shape.show(line))
            .collect();
        // Entries are only ever added, so those already read are the first of those since a moment before.
        let since = history
            .last
            .checked_sub(DISORDER)
            .unwrap_or(history.last)
            .max(history.first);
        let seen = history.times.iter().filter(|at| **at >= since).count();
        let moment = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
        let body = self
            .log_body(&request, true, &[("tail", "all"), ("since", &moment)])
            .await?;
        let mut reader = Reader::new(Arc::clone(self), body, known.tty, shape, history.joiner, seen);
        reader.skip_before = Some(since);
        reader.ready = ready;
        Ok(reader.stream())
    }

    async fn log_body(
        &self,
        request: &Request<'_>,
        follow: bool,
        query: &[(&str, &str)],
    ) -> Result<Incoming, RuntimeError> {
        let follow = if follow { "true" } else { "false" };
        let mut all = vec![
            ("stdout", "true"),
            ("stderr", "true"),
            ("timestamps", "true"),
            ("follow", follow),
        ];
        all.extend(query);
        let logs = path(&format!("/containers/{}/logs", request.id), &all);
        let response = self.engine.open(Method::GET, &logs).await;
        match response {
            Ok(response) => Ok(response.into_body()),
            Err(fault) if fault.is_missing() => Err(self.gone(request.id)),
            Err(fault) => Err(fault.during(format!("reading logs of container {}", request.id))),
        }
    }

    /// At least the last `tail` of the lines that `shape` lets through, or all there are.
    async fn history(
        self: &Arc<Self>,
        request: &Request<'_>,
        tail: usize,
        shape: &Shape,
    ) -> Result<History, RuntimeError> {
        let mut ask = tail.saturating_add(8);
        loop {
            let count = ask.to_string();
            let body = self.log_body(request, false, &[("tail", &count)]).await?;
            let history = self.read_history(body, request.tty).await?;
            let complete = history.times.len() < ask
                || shape
                    .since
                    .is_some_and(|since| history.first.checked_add(DISORDER).is_ok_and(|at| at < since));
            let unfinished = history.joiner.unfinished();
            let let_through: Vec<&Line> = history
                .lines
                .iter()
                .chain(unfinished)
                .filter(|line| shape.lets(line))
                .collect();
            let chosen = let_through.iter().rev().take(tail);
            // The first line of a stream may have begun before what was read.
            let whole = let_through.len() >= tail && !chosen.clone().any(|line| line.first);
            if complete || whole {
                return Ok(history);
            }
            ask = ask.saturating_mul(4);
        }
    }

    async fn read_history(self: &Arc<Self>, mut body: Incoming, tty: bool) -> Result<History, RuntimeError> {
        let mut entries = Entries::new(tty);
        let mut history = History::default();
        loop {
            while let Some(entry) = entries.next() {
                history.add(entry);
            }
            match self.engine.next_bytes(&mut body).await {
                Ok(Some(bytes)) => entries.push(&bytes),
                Ok(None) => break,
                Err(fault) => return Err(fault.during("reading logs")),
            }
        }
        if let Some(entry) = entries.rest() {
            history.add(entry);
        }
        Ok(history)
    }
}

fn last(lines: Vec<Line>, count: usize) -> impl Iterator<Item = Line> {
    let from = lines.len().saturating_sub(count);
    lines.into_iter().skip(from)
}

struct Request<'a> {
    id: &'a ContainerId,
    tty: bool,
}

/// Which lines are wanted, and how they look.
#[derive(Clone, Debug)]
struct Shape {
    since: Option<Timestamp>,
    stream: Option<LogStream>,
    timestamps: bool,
}

impl Shape {
    fn lets(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.at >= since)
            && self.stream.is_none_or(|stream| stream == line.stream)
    }

    fn show(&self, line: Line) -> LogChunk {
        let data = if self.timestamps {
            [&line.stamp[..], b" ", &line.data[..]].concat().into()
        } else {
            line.data.freeze()
        };
        LogChunk {
            stream: line.stream,
            data,
        }
    }
}

#[derive(Debug)]
struct History {
    lines: Vec<Line>,
    joiner: Joiner,
    times: Vec<Timestamp>,
    first: Timestamp,
    last: Timestamp,
}

impl Default for History {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            joiner: Joiner::default(),
            times: Vec::new(),
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
        }
    }
}

impl History {
    fn add(&mut self, entry: Entry) {
        if self.times.is_empty() {
            self.first = entry.at;
        }
        self.times.push(entry.at);
        self.last = self.last.max(entry.at);
        self.lines.extend(self.joiner.join(entry));
    }
}

/// Reads lines as they come.
struct Reader {
    driver: Arc<Driver>,
    body: Incoming,
    entries: Entries,
    joiner: Joiner,
    shape: Shape,
    /// Entries from `skip_before` on that were read already.
    skip: usize,
    skip_before: Option<Timestamp>,
    ready: VecDeque<LogChunk>,
    ended: bool,
}

impl Reader {
    fn new(
        driver: Arc<Driver>,
        body: Incoming,
        tty: bool,
        shape: Shape,
        joiner: Joiner,
        skip: usize,
    ) -> Self {
        Self {
            driver,
            body,
            entries: Entries::new(tty),
            joiner,
            shape,
            skip,
            skip_before: None,
            ready: VecDeque::new(),
            ended: false,
        }
    }

    fn stream(self) -> Logs {
        futures::stream::unfold(self, async |mut reader| Some((reader.next().await?, reader))).boxed()
    }

    async fn next(&mut self) -> Option<Result<LogChunk, RuntimeError>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            if self.ended {
                return None;
            }
            match self.driver.engine.next_bytes(&mut self.body).await {
                Ok(Some(bytes)) => {
                    self.entries.push(&bytes);
                    while let Some(entry) = self.entries.next() {
                        self.take(entry);
                    }
                }
                Ok(None) => {
                    self.ended = true;
                    if let Some(entry) = self.entries.rest() {
                        self.take(entry);
                    }
                    let shape = &self.shape;
                    let rest = self.joiner.rest().filter(|line| shape.lets(line));
                    self.ready.extend(rest.map(|line| shape.show(line)));
                }
                Err(fault) => {
                    self.ended = true;
                    tracing::debug!(%fault, runtime = NAME, "following logs ended early");
                    return Some(Err(fault.during("reading logs")));
                }
            }
        }
    }

    fn take(&mut self, entry: Entry) {
        // An engine that counts whole seconds sends more than it was asked for.
        if self.skip_before.is_some_and(|moment| entry.at < moment) {
            return;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        if let Some(line) = self.joiner.join(entry)
            && self.shape.lets(&line)
        {
            self.ready.push_back(self.shape.show(line));
        }
    }
}

impl crate::engine::Engine {
    /// The next bytes of a body; none at its end.
    pub(crate) async fn next_bytes(
        &self,
        body: &mut Incoming,
    ) -> Result<Option<bytes::Bytes>, crate::engine::fault::Fault> {
        loop {
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(crate::engine::fault::Fault::away(self.address(), &error)),
                None => return Ok(None),
            }
        }
    }
}

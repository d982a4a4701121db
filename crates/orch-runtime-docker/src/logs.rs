//! What containers wrote.
//!
//! The engine keeps entries: a line, or a piece of a line longer than 16 KiB, each with a time that all
//! pieces of a line share. Its `tail` counts entries of both streams, its `since` may count whole seconds, and
//! what it sends to a follower may lack the last entry. So lines are put together, counted and filtered here,
//! and a followed log is read once more from where it stopped.

mod lines;
mod seen;

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use jiff::Timestamp;
use orch_core::runtime::{ContainerId, LogChunk, LogOptions, LogStream, RuntimeError};

use crate::driver::Driver;
use crate::engine::fault::Fault;
use crate::engine::{Engine, path, within};
use crate::known::KnownContainer;
use lines::{Entries, Entry, Joiner, Line};
use seen::{DISORDER, Seen};

type Logs = BoxStream<'static, Result<LogChunk, RuntimeError>>;

impl Driver {
    pub(crate) async fn logs(
        self: &Arc<Self>,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<Logs, RuntimeError> {
        let known = self.known_container(id).await?;
        let shape = Shape {
            since: options.since,
            stream: options.stream,
            timestamps: options.timestamps,
        };
        let reader = |body| Reader::new(Arc::clone(self), id.clone(), body, &known, shape.clone());
        let Some(tail) = options.tail else {
            let since = options.since.map(|since| since.as_second().to_string());
            let query = [("tail", "all"), ("since", since.as_deref().unwrap_or("0"))];
            let body = self.log_body(id, options.follow, &query).await?;
            return Ok(reader(body).followed(options.follow).stream());
        };
        if tail == 0 && !options.follow {
            return Ok(futures::stream::empty().boxed());
        }
        let mut history = self.history(&known, id, tail.max(1), &shape).await?;
        let lines = std::mem::take(&mut history.lines)
            .into_iter()
            .filter(|line| shape.lets(line));
        if !options.follow {
            let rest = history.joiner.rest().filter(|line| shape.lets(line));
            let chunks: Vec<_> = last(lines.chain(rest).collect(), tail)
                .map(|line| Ok(shape.show(line)))
                .collect();
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
        if tail == 0 {
            history.joiner.rest().for_each(drop);
        }
        let (since, skip) = history.seen.resume(history.began);
        let body = self
            .log_body(id, true, &[("tail", "all"), ("since", &moment(since))])
            .await?;
        let mut reader = reader(body).followed(true);
        (reader.skip_before, reader.skip) = (since, skip);
        (reader.joiner, reader.seen, reader.ready) = (history.joiner, history.seen, ready);
        reader.began = history.began;
        Ok(reader.stream())
    }

    async fn log_body(
        &self,
        id: &ContainerId,
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
        let logs = path(&format!("/containers/{id}/logs"), &all);
        let response = self.engine.open(Method::GET, &logs).await;
        match response {
            Ok(response) => Ok(response.into_body()),
            Err(fault) if fault.is_missing() => Err(self.gone(id)),
            Err(fault) => Err(fault.during(format!("reading logs of container {id}"))),
        }
    }

    /// At least the last `tail` of the lines that `shape` lets through, or all there are.
    async fn history(
        self: &Arc<Self>,
        known: &KnownContainer,
        id: &ContainerId,
        tail: usize,
        shape: &Shape,
    ) -> Result<History, RuntimeError> {
        let mut ask = tail.saturating_add(8);
        loop {
            let count = ask.to_string();
            let body = self.log_body(id, false, &[("tail", &count)]).await?;
            let history = self.read_history(body, known.tty).await?;
            let began = history.began.unwrap_or_default();
            let complete = history.entries < ask
                || shape
                    .since
                    .is_some_and(|since| began.checked_add(DISORDER).is_ok_and(|at| at < since));
            let unfinished = history.joiner.unfinished();
            let passing: Vec<&Line> = history
                .lines
                .iter()
                .chain(unfinished)
                .filter(|line| shape.lets(line))
                .collect();
            // The first line of a stream may have begun before what was read.
            let whole = passing.len() >= tail && !passing.iter().rev().take(tail).any(|line| line.first);
            if complete || whole {
                return Ok(history);
            }
            ask = ask.saturating_mul(4);
        }
    }

    async fn read_history(self: &Arc<Self>, mut body: Incoming, tty: bool) -> Result<History, RuntimeError> {
        let mut entries = Entries::new(tty);
        let mut history = History::new(Joiner::new(self.engine.is_docker() && !tty));
        while let Some(bytes) = self
            .engine
            .soon_bytes(&mut body)
            .await
            .map_err(|fault| fault.during("reading logs"))?
        {
            entries.push(&bytes);
            while let Some(entry) = entries.next() {
                history.add(entry);
            }
        }
        if let Some(entry) = entries.rest() {
            history.add(entry);
        }
        Ok(history)
    }
}

/// A moment in the engine's words.
fn moment(at: Timestamp) -> String {
    format!("{}.{:09}", at.as_second(), at.subsec_nanosecond())
}

fn last(lines: Vec<Line>, count: usize) -> impl Iterator<Item = Line> {
    let from = lines.len().saturating_sub(count);
    lines.into_iter().skip(from)
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
    seen: Seen,
    entries: usize,
    /// When the first entry read was written; none while there is none.
    began: Option<Timestamp>,
}

impl History {
    fn new(joiner: Joiner) -> Self {
        Self {
            lines: Vec::new(),
            joiner,
            seen: Seen::default(),
            entries: 0,
            began: None,
        }
    }

    fn add(&mut self, entry: Entry) {
        self.began.get_or_insert(entry.at);
        self.entries += 1;
        self.seen.add(entry.at);
        self.lines.extend(self.joiner.join(entry));
    }
}

/// Reads lines as they come.
struct Reader {
    driver: Arc<Driver>,
    id: ContainerId,
    tty: bool,
    body: Incoming,
    entries: Entries,
    joiner: Joiner,
    shape: Shape,
    seen: Seen,
    /// When the first entry read was written, if reading began amid the log.
    began: Option<Timestamp>,
    /// Entries from `skip_before` on that were read already.
    skip: usize,
    skip_before: Timestamp,
    ready: VecDeque<LogChunk>,
    /// Whether to look once more when the body ends.
    again: bool,
    ended: bool,
}

impl Reader {
    fn new(
        driver: Arc<Driver>,
        id: ContainerId,
        body: Incoming,
        known: &KnownContainer,
        shape: Shape,
    ) -> Self {
        let joiner = Joiner::new(driver.engine.is_docker() && !known.tty);
        Self {
            driver,
            id,
            tty: known.tty,
            body,
            entries: Entries::new(known.tty),
            joiner,
            shape,
            seen: Seen::default(),
            began: None,
            skip: 0,
            skip_before: Timestamp::UNIX_EPOCH,
            ready: VecDeque::new(),
            again: false,
            ended: false,
        }
    }

    fn followed(mut self, follow: bool) -> Self {
        self.again = follow;
        self
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
            let engine = &self.driver.engine;
            let read = if self.again {
                // It follows, and nothing may be written for days.
                engine.next_bytes(&mut self.body).await
            } else {
                engine.soon_bytes(&mut self.body).await
            };
            match read {
                Ok(Some(bytes)) => {
                    self.entries.push(&bytes);
                    while let Some(entry) = self.entries.next() {
                        self.take(entry);
                    }
                }
                Ok(None) => {
                    if let Some(entry) = self.entries.rest() {
                        self.take(entry);
                    }
                    if let Err(error) = self.look_again().await {
                        self.ended = true;
                        return Some(Err(error));
                    }
                }
                Err(fault) => {
                    self.ended = true;
                    return Some(Err(fault.during("reading logs")));
                }
            }
        }
    }

    /// At the end of a body: goes on with what a follower was not sent, or ends.
    async fn look_again(&mut self) -> Result<(), RuntimeError> {
        if std::mem::take(&mut self.again) {
            let (since, skip) = self.seen.resume(self.began);
            let query = [("tail", "all"), ("since", &moment(since))];
            match self.driver.log_body(&self.id, false, &query).await {
                Ok(body) => {
                    (self.body, self.entries) = (body, Entries::new(self.tty));
                    (self.skip_before, self.skip) = (since, skip);
                    return Ok(());
                }
                // It was removed with its log.
                Err(RuntimeError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.ended = true;
        let shape = &self.shape;
        let rest = self.joiner.rest().filter(|line| shape.lets(line));
        self.ready.extend(rest.map(|line| shape.show(line)));
        Ok(())
    }

    fn take(&mut self, entry: Entry) {
        // An engine that counts whole seconds sends more than it was asked for.
        if entry.at < self.skip_before {
            return;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.seen.add(entry.at);
        for line in self.joiner.join(entry) {
            if self.shape.lets(&line) {
                self.ready.push_back(self.shape.show(line));
            }
        }
    }
}

impl Engine {
    /// The next bytes of a body of which all is there already.
    async fn soon_bytes(&self, body: &mut Incoming) -> Result<Option<bytes::Bytes>, Fault> {
        within(self.bound(), self.next_bytes(body)).await
    }

    /// The next bytes of a body; none at its end.
    pub(crate) async fn next_bytes(&self, body: &mut Incoming) -> Result<Option<bytes::Bytes>, Fault> {
        loop {
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(Fault::away(self.address(), &error)),
                None => return Ok(None),
            }
        }
    }
}

//! Reads a container's log back, as lines.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use tokio::sync::watch;

use super::lines::parse_line;
use super::{Progress, files};
use crate::runtime::line::LogLine;
use crate::runtime::{LogChunk, LogOptions, LogStream, RuntimeError};

/// A line longer than this is handed out in parts, for the reader's memory.
const LONGEST: usize = 1 << 20;

/// How many lines, and about how many bytes, are read at once.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// The lines of a log from its beginning, across its files.
struct Reader {
    dir: PathBuf,
    file: Option<(u64, BufReader<File>)>,
    /// A line of the file of which the writer has written only a part.
    cut: Vec<u8>,
    /// Lines of which only pieces came so far.
    pieces: [Option<(Timestamp, Vec<u8>)>; 2],
}

impl Reader {
    fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            file: None,
            cut: Vec::new(),
            pieces: [None, None],
        }
    }

    /// The next line, none if there is none yet.
    fn next(&mut self) -> io::Result<Option<LogLine>> {
        loop {
            let Some(text) = self.next_text()? else {
                return Ok(None);
            };
            let Some((at, stream, ends, data)) = parse_line(&text) else {
                continue;
            };
            let (at, mut line) = self.pieces[stream as usize].take().unwrap_or((at, Vec::new()));
            line.extend_from_slice(data);
            if ends {
                line.push(b'\n');
            } else if line.len() < LONGEST {
                self.pieces[stream as usize] = Some((at, line));
                continue;
            }
            return Ok(Some(LogLine {
                at,
                stream,
                data: line.into(),
            }));
        }
    }

    /// The next line of the files, without its end.
    fn next_text(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.read_to_end_of_line()? {
                return Ok(Some(std::mem::take(&mut self.cut)));
            }
            let number = self.file.as_ref().map(|(number, _)| *number);
            let next = files(&self.dir)?
                .into_iter()
                .find(|(next, _)| Some(*next) > number);
            let Some((next, path)) = next else {
                return Ok(None);
            };
            // Once there is a next file, nothing is written to this one: what was written before is all.
            if self.read_to_end_of_line()? {
                return Ok(Some(std::mem::take(&mut self.cut)));
            }
            match File::open(path) {
                Ok(file) => self.file = Some((next, BufReader::new(file))),
                // Rotated away meanwhile: so is all that is older.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            self.cut.clear();
        }
    }

    fn read_to_end_of_line(&mut self) -> io::Result<bool> {
        let Some((_, file)) = &mut self.file else {
            return Ok(false);
        };
        file.read_until(b'\n', &mut self.cut)?;
        if self.cut.last() == Some(&b'\n') {
            self.cut.pop();
            return Ok(true);
        }
        Ok(false)
    }

    /// Lines that have no end, once nothing more comes.
    fn rest(&mut self) -> impl Iterator<Item = LogLine> {
        let line = |stream: LogStream, piece: Option<(Timestamp, Vec<u8>)>| {
            let (at, data) = piece?;
            Some(LogLine {
                at,
                stream,
                data: Bytes::from(data),
            })
        };
        let pieces = std::mem::take(&mut self.pieces);
        [LogStream::Stdout, LogStream::Stderr]
            .into_iter()
            .zip(pieces)
            .filter_map(move |(stream, piece)| line(stream, piece))
    }
}

/// A reader with what its caller asked for.
struct Lines {
    reader: Reader,
    options: LogOptions,
    progress: watch::Receiver<Progress>,
    ready: VecDeque<LogLine>,
    done: bool,
}

impl Lines {
    /// Reads a batch of wanted lines, at the end of the log also what has no line end. Says whether there may
    /// be more by now.
    fn read(&mut self) -> io::Result<bool> {
        // Looked at first: what is written before the log is complete is found afterwards.
        let complete = self.progress.borrow_and_update().complete;
        let (mut lines, mut bytes) = (0, 0);
        while lines < BATCH && bytes < BATCH_BYTES {
            match self.reader.next()? {
                Some(line) if line.wanted(&self.options) => {
                    lines += 1;
                    bytes += line.data.len();
                    self.ready.push_back(line);
                }
                Some(_) => {}
                None => {
                    if complete || !self.options.follow {
                        let rest = self.reader.rest().filter(|line| line.wanted(&self.options));
                        self.ready.extend(rest);
                        self.done = true;
                    }
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Skips all but the last lines of what is there now.
    fn skip_to_tail(&mut self, tail: usize) -> io::Result<()> {
        loop {
            let has_more = self.read()?;
            self.ready.drain(..self.ready.len().saturating_sub(tail));
            if !has_more {
                return Ok(());
            }
        }
    }

    async fn next(mut self) -> Option<(Result<LogChunk, RuntimeError>, Self)> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some((Ok(line.render(&self.options)), self));
            }
            if self.done {
                return None;
            }
            let reading = tokio::task::spawn_blocking(move || {
                let read = self.read();
                (self, read)
            });
            let (lines, read) = match reading.await {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The program is ending, and its streams with it.
                    Err(_) => return None,
                },
            };
            self = lines;
            match read {
                Err(error) => {
                    self.done = true;
                    // A container that was removed has no more log.
                    let gone = error.kind() == io::ErrorKind::NotFound;
                    return (!gone).then(|| (Err(RuntimeError::failed("reading a log", error)), self));
                }
                Ok(_) if self.ready.is_empty() && !self.done => {
                    // The runtime was dropped: nobody would tell of more.
                    self.done = self.progress.changed().await.is_err();
                }
                Ok(_) => {}
            }
        }
    }
}

/// The log in a directory, as its caller asked for. Reads files before it returns, so not for an async task.
///
/// With [`LogOptions::follow`], more is looked for at each change of `progress`, until that says that the log is
/// complete or its sender is gone.
pub fn read(
    dir: PathBuf,
    options: LogOptions,
    progress: watch::Receiver<Progress>,
) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
    let tail = options.tail;
    let mut lines = Lines {
        reader: Reader::new(dir),
        options,
        progress,
        ready: VecDeque::new(),
        done: false,
    };
    if let Some(tail) = tail {
        let skipped = lines.skip_to_tail(tail);
        skipped.map_err(|error| RuntimeError::failed("reading a log", error))?;
    }
    Ok(stream::unfold(lines, Lines::next).boxed())
}

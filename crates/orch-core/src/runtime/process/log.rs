//! Turns a container's raw output into its log: lines with their time, in files of bounded size.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::{dir, os};
use crate::runtime::cri::{PIECE, Progress, format_lines, parse_line, write_line};
use crate::runtime::{LogChunk, LogStream};
use crate::time;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// How much one call to [`Log::pump`] moves, so that one container's flood leaves others their turn.
const TURN: u64 = 1 << 20;

/// How much is logged before its raw space is given back.
const PUNCH: u64 = 1 << 20;

#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    pub(super) file_bytes: u64,
    pub(super) files: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            file_bytes: 10 << 20,
            files: 5,
        }
    }
}

const STREAMS: [LogStream; 2] = [LogStream::Stdout, LogStream::Stderr];

/// The log of one container.
pub(super) struct Log {
    dir: PathBuf,
    limits: LogLimits,
    tail: Mutex<Option<Tail>>,
    /// Who gets the raw output as it is read. Locked for moments only, so that a reader can leave at any time.
    attached: Mutex<Vec<mpsc::Sender<LogChunk>>>,
    progress: watch::Sender<Progress>,
}

struct Tail {
    raw: [Raw; 2],
    file: File,
    name: LogName,
    length: u64,
}

struct Raw {
    file: File,
    /// How far it was read; all but `pending` is in the log.
    read: u64,
    pending: Vec<u8>,
    punched: u64,
}

/// A log file's name: its number, and how many bytes of each stream are in the files before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogName {
    pub(super) number: u64,
    before: [u64; 2],
}

impl LogName {
    fn path(&self, dir: &Path) -> PathBuf {
        let [stdout, stderr] = self.before;
        dir.join(format!("log.{}.{stdout}.{stderr}", self.number))
    }

    fn parse(name: &str) -> Option<Self> {
        let mut numbers = name
            .strip_prefix("log.")?
            .split('.')
            .map(|number| number.parse().ok());
        let (number, before) = (numbers.next()??, [numbers.next()??, numbers.next()??]);
        numbers.next().is_none().then_some(Self { number, before })
    }
}

/// A container's log files, oldest first.
pub(super) fn files(dir: &Path) -> io::Result<Vec<(LogName, PathBuf)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().and_then(LogName::parse) {
            names.push((name, entry.path()));
        }
    }
    names.sort();
    Ok(names)
}

fn raw_path(dir: &Path, stream: LogStream) -> PathBuf {
    dir.join(match stream {
        LogStream::Stdout => "out.raw",
        LogStream::Stderr => "err.raw",
    })
}

impl Log {
    pub(super) fn new(dir: PathBuf, limits: LogLimits) -> Self {
        Self {
            dir,
            limits,
            tail: Mutex::new(None),
            attached: Mutex::default(),
            progress: watch::Sender::default(),
        }
    }

    /// The raw files, to be watched for writes.
    pub(super) fn raw_paths(&self) -> [PathBuf; 2] {
        STREAMS.map(|stream| raw_path(&self.dir, stream))
    }

    /// Follows the raw output from where the log ends, and returns files for a program to write it.
    pub(super) fn begin(&self) -> io::Result<[File; 2]> {
        let mut open = File::options();
        open.append(true).create(true);
        let [stdout, stderr] = self.raw_paths();
        let files = [open.open(stdout)?, open.open(stderr)?];
        *self.tail.lock() = Some(Tail::resume(&self.dir)?);
        Ok(files)
    }

    /// Moves some of what the program has written since the last time. Says whether there is more.
    pub(super) fn pump(&self) -> io::Result<bool> {
        match &mut *self.tail.lock() {
            Some(tail) => self.pump_tail(tail),
            None => Ok(false),
        }
    }

    fn pump_tail(&self, tail: &mut Tail) -> io::Result<bool> {
        let before = (tail.name, tail.length);
        let mut more = false;
        for stream in STREAMS {
            more |= tail.pump(stream, self)?;
        }
        if (tail.name, tail.length) != before {
            self.progress.send_modify(|progress| progress.version += 1);
        }
        Ok(more)
    }

    /// Moves all that the program had written when this was called.
    pub(super) fn catch_up(&self) -> io::Result<()> {
        let mut guard = self.tail.lock();
        let Some(tail) = &mut *guard else { return Ok(()) };
        let mut written = [0; 2];
        for (raw, written) in tail.raw.iter().zip(&mut written) {
            *written = raw.file.metadata()?.len();
        }
        while self.pump_tail(tail)?
            && tail
                .raw
                .iter()
                .zip(written)
                .any(|(raw, written)| raw.read < written)
        {}
        Ok(())
    }

    /// Moves all that is left, and ends the log.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut guard = self.tail.lock();
        let mut result = Ok(());
        if let Some(mut tail) = guard.take() {
            result = loop {
                match self.pump_tail(&mut tail) {
                    Ok(true) => {}
                    Ok(false) => break tail.flush(),
                    Err(error) => break Err(error),
                }
            };
        }
        self.attached.lock().clear();
        self.complete();
        result
    }

    /// Says that nothing more will come.
    pub(super) fn complete(&self) {
        self.progress.send_modify(|progress| {
            progress.version += 1;
            progress.complete = true;
        });
    }

    /// Removes the raw output; the log has it all.
    pub(super) fn discard_raw(&self) -> io::Result<()> {
        for path in self.raw_paths() {
            dir::gone(fs::remove_file(path))?;
        }
        Ok(())
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Sends what the program writes from now on. A reader that does not keep up misses some.
    pub(super) fn attach(&self, reader: mpsc::Sender<LogChunk>) -> io::Result<()> {
        self.catch_up()?;
        // Nobody ends the log meanwhile.
        let tail = self.tail.lock();
        if tail.is_some() {
            self.attached.lock().push(reader);
        }
        Ok(())
    }

    /// Keeps everybody from it, as moving much does.
    #[cfg(test)]
    pub(super) fn busy(&self) -> impl Drop + '_ {
        self.tail.lock()
    }

    #[cfg(test)]
    pub(super) fn attached(&self) -> usize {
        self.attached.lock().len()
    }

    /// Forgets the readers that have gone.
    pub(super) fn detach(&self) {
        self.attached.lock().retain(|reader| !reader.is_closed());
    }

    fn tell(&self, stream: LogStream, data: &[u8]) {
        let mut attached = self.attached.lock();
        if attached.is_empty() {
            return;
        }
        let data = Bytes::copy_from_slice(data);
        attached.retain(|reader| {
            let data = data.clone();
            let sent = reader.try_send(LogChunk { stream, data });
            !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
        });
    }
}

impl Tail {
    /// Opens raw output and log where an earlier tail left them.
    fn resume(dir: &Path) -> io::Result<Self> {
        let name = files(dir)?.last().map_or(
            LogName {
                number: 0,
                before: [0, 0],
            },
            |(name, _)| *name,
        );
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(name.path(dir))?;
        let (length, logged) = measure(&file)?;
        // A line cut off by the holder's death comes again from the raw output.
        file.set_len(length)?;
        let open = |stream: LogStream| {
            let read = name.before[stream as usize] + logged[stream as usize];
            let file = File::options()
                .read(true)
                .write(true)
                .open(raw_path(dir, stream))?;
            Ok::<_, io::Error>(Raw {
                file,
                read,
                pending: Vec::new(),
                punched: 0,
            })
        };
        Ok(Self {
            raw: [open(LogStream::Stdout)?, open(LogStream::Stderr)?],
            file,
            name,
            length,
        })
    }

    /// Moves up to a turn's worth of one stream; says whether there is more.
    fn pump(&mut self, stream: LogStream, log: &Log) -> io::Result<bool> {
        let (dir, limits) = (log.dir.as_path(), log.limits);
        // Small enough that a file does not outgrow its limit by much.
        let size = usize::try_from(limits.file_bytes / 8).unwrap_or(CHUNK);
        let mut chunk = vec![0; size.clamp(512, CHUNK)];
        self.skip(stream, dir, limits)?;
        let mut moved = 0;
        while moved < TURN {
            let raw = &self.raw[stream as usize];
            let count = raw.file.read_at(&mut chunk, raw.read)?;
            if count == 0 {
                return Ok(false);
            }
            // What was written while no one read is at most as old as the last write.
            let at = match raw.file.metadata()?.modified().map(Timestamp::try_from) {
                Ok(Ok(written)) => written.min(time::now()),
                _ => time::now(),
            };
            let mut data = raw.pending.clone();
            data.extend_from_slice(&chunk[..count]);
            let (lines, pending) = format_lines(&data, stream, at);
            self.append(&lines)?;
            let raw = &mut self.raw[stream as usize];
            raw.pending = pending.to_vec();
            raw.read += count as u64;
            moved += count as u64;
            log.tell(stream, &chunk[..count]);
            let logged = self.logged();
            let raw = &mut self.raw[stream as usize];
            if logged[stream as usize] - raw.punched >= PUNCH {
                os::punch(&raw.file, raw.punched, logged[stream as usize])?;
                raw.punched = logged[stream as usize];
            }
            if self.length >= limits.file_bytes {
                self.rotate(dir, limits)?;
            }
        }
        Ok(true)
    }

    /// Leaves out what rotation would remove anyway, where a program writes faster than its output can be moved.
    fn skip(&mut self, stream: LogStream, dir: &Path, limits: LogLimits) -> io::Result<()> {
        let kept = limits.file_bytes.saturating_mul(limits.files as u64);
        let raw = &mut self.raw[stream as usize];
        let written = raw.file.metadata()?.len();
        if written.saturating_sub(raw.read) <= kept.saturating_add(TURN) {
            return Ok(());
        }
        let mut start = vec![0; PIECE];
        let count = raw.file.read_at(&mut start, written - kept)?;
        let line = start[..count].iter().position(|byte| *byte == b'\n');
        raw.read = written - kept + line.map_or(0, |end| end as u64 + 1);
        raw.pending.clear();
        os::punch(&raw.file, raw.punched, raw.read)?;
        raw.punched = raw.read;
        // A file's name says where in the raw output it begins.
        self.rotate(dir, limits)
    }

    /// How many bytes of each stream the log has.
    fn logged(&self) -> [u64; 2] {
        [0, 1].map(|stream: usize| self.raw[stream].read - self.raw[stream].pending.len() as u64)
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        if written.is_err() {
            self.file.set_len(self.length)?;
        }
        self.length += if written.is_ok() { lines.len() as u64 } else { 0 };
        written
    }

    /// Writes what has no line end, after which nothing may come.
    fn flush(&mut self) -> io::Result<()> {
        for stream in STREAMS {
            let pending = std::mem::take(&mut self.raw[stream as usize].pending);
            if !pending.is_empty() {
                let mut line = Vec::new();
                write_line(&mut line, time::now(), stream, b'P', &pending);
                self.append(&line)?;
            }
        }
        Ok(())
    }

    fn rotate(&mut self, dir: &Path, limits: LogLimits) -> io::Result<()> {
        let name = LogName {
            number: self.name.number + 1,
            before: self.logged(),
        };
        self.file = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .open(name.path(dir))?;
        (self.name, self.length) = (name, 0);
        let files = files(dir)?;
        for (_, path) in &files[..files.len().saturating_sub(limits.files)] {
            dir::gone(fs::remove_file(path))?;
        }
        Ok(())
    }
}

/// How long a log file is up to its last whole line, and how many raw bytes of each stream it holds.
fn measure(file: &File) -> io::Result<(u64, [u64; 2])> {
    let (mut length, mut logged) = (0, [0; 2]);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = reader.read_until(b'\n', &mut line)?;
        let Some((b'\n', text)) = line.split_last() else {
            return Ok((length, logged));
        };
        length += count as u64;
        if let Some((_, stream, ends, data)) = parse_line(text) {
            logged[stream as usize] += data.len() as u64 + u64::from(ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_goes_on_where_a_dead_one_stopped_even_within_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let limits = LogLimits {
            file_bytes: 200,
            files: 1000,
        };
        let expected: String = (0..500).map(|number| format!("line {number}\n")).collect();
        Log::new(path.into(), limits).begin().unwrap();
        let (mut written, mut random) = (0, fastrand::Rng::with_seed(7));
        while written < expected.len() {
            // The program writes any number of bytes, and the holder dies within writing the log.
            let next = (written + random.usize(..400)).min(expected.len());
            let mut raw = File::options().append(true).open(path.join("out.raw")).unwrap();
            raw.write_all(&expected.as_bytes()[written..next]).unwrap();
            written = next;
            let log = Log::new(path.into(), limits);
            log.begin().unwrap();
            log.pump().unwrap();
            let (_, last) = files(path).unwrap().pop().unwrap();
            let last = File::options().write(true).open(last).unwrap();
            let length = last.metadata().unwrap().len();
            last.set_len(length - random.u64(..=length.min(20))).unwrap();
        }
        let log = Log::new(path.into(), limits);
        log.begin().unwrap();
        log.finish().unwrap();
        let mut text = String::new();
        for (_, path) in files(path).unwrap() {
            for line in fs::read_to_string(path).unwrap().lines() {
                text += line.rsplit(" F ").next().unwrap();
                text += "\n";
            }
        }
        assert_eq!(text, expected);
    }
}

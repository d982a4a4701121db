//! Log entries, as the engine sends them with times, and the lines they make up.

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use orch_core::runtime::LogStream;

use crate::frames::Demux;

/// A longer line is passed on in pieces.
const LINE_LIMIT: usize = 1 << 20;

/// What the engine logged at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stream: LogStream,
    pub(super) at: Timestamp,
    /// The same as text, as the engine wrote it.
    pub(super) stamp: Bytes,
    pub(super) data: Bytes,
}

/// Takes a log's bytes apart into entries.
#[derive(Debug)]
pub(super) struct Entries {
    demux: Demux,
    /// With a terminal there are no frames, and an entry ends with its line.
    tty: bool,
    buffer: BytesMut,
    stream: LogStream,
}

impl Entries {
    pub(super) fn new(tty: bool) -> Self {
        Self {
            demux: Demux::new(tty),
            tty,
            buffer: BytesMut::new(),
            stream: LogStream::Stdout,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.demux.push(bytes);
    }

    pub(super) fn next(&mut self) -> Option<Entry> {
        loop {
            if self.tty
                && let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n')
            {
                let line = self.buffer.split_to(end + 1).freeze();
                return Some(entry(self.stream, line));
            }
            let piece = self.demux.next()?;
            self.stream = piece.stream;
            self.buffer.extend_from_slice(&piece.data);
            if !self.tty && piece.ends {
                return Some(entry(self.stream, self.buffer.split().freeze()));
            }
        }
    }

    /// What came last, without an end.
    pub(super) fn rest(&mut self) -> Option<Entry> {
        let rest = self.buffer.split().freeze();
        (!rest.is_empty()).then(|| entry(self.stream, rest))
    }
}

/// `2030-01-02T03:04:05.678900000Z text`; without a time it is all text, of no certain age.
fn entry(stream: LogStream, bytes: Bytes) -> Entry {
    let end = bytes.iter().take(64).position(|byte| *byte == b' ').unwrap_or(0);
    let stamp = bytes.slice(..end);
    match std::str::from_utf8(&stamp)
        .ok()
        .and_then(|text| text.parse().ok())
    {
        Some(at) => Entry {
            stream,
            at,
            stamp,
            data: bytes.slice(end + 1..),
        },
        None => Entry {
            stream,
            at: Timestamp::UNIX_EPOCH,
            stamp: Bytes::from_static(b"1970-01-01T00:00:00.000000000Z"),
            data: bytes,
        },
    }
}

/// A line, or what there is of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) stream: LogStream,
    pub(super) at: Timestamp,
    pub(super) stamp: Bytes,
    pub(super) data: BytesMut,
    /// The first of its stream that was read: its beginning may be missing.
    pub(super) first: bool,
}

/// Puts lines together from entries, each stream for itself.
#[derive(Debug)]
pub(super) struct Joiner {
    open: [Option<Line>; 2],
    begun: [bool; 2],
    /// Pieces of one line have one time. Docker's binary-safe driver loses the end of a line that came in
    /// pieces (20.10), which shows only by the next having another time.
    pieces_share_time: bool,
}

impl Joiner {
    pub(super) fn new(pieces_share_time: bool) -> Self {
        Self {
            open: [None, None],
            begun: [false; 2],
            pieces_share_time,
        }
    }

    /// The lines that the entry completes: none, the one it belongs to, or also the one before.
    pub(super) fn join(&mut self, entry: Entry) -> impl Iterator<Item = Line> + use<> {
        let place = match entry.stream {
            LogStream::Stdout => 0,
            LogStream::Stderr => 1,
        };
        let another = |line: &mut Line| self.pieces_share_time && line.at != entry.at;
        let before = self.open[place].take_if(another).map(|mut line| {
            line.data.extend_from_slice(b"\n");
            line
        });
        let first = !std::mem::replace(&mut self.begun[place], true);
        let line = self.open[place].get_or_insert_with(|| Line {
            stream: entry.stream,
            at: entry.at,
            stamp: entry.stamp,
            data: BytesMut::new(),
            first,
        });
        line.data.extend_from_slice(&entry.data);
        let ended = line.data.ends_with(b"\n") || line.data.len() >= LINE_LIMIT;
        let own = if ended { self.open[place].take() } else { None };
        before.into_iter().chain(own)
    }

    /// Lines that have not ended.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &Line> {
        self.open.iter().flatten().filter(|line| !line.data.is_empty())
    }

    /// The same, taken out.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Line> + use<> {
        std::mem::take(&mut self.open)
            .into_iter()
            .flatten()
            .filter(|line| !line.data.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    fn lines(tty: bool, bytes: &[u8]) -> Vec<(LogStream, String, String, bool)> {
        let (mut entries, mut joiner, mut lines) = (Entries::new(tty), Joiner::new(!tty), Vec::new());
        for bytes in bytes.chunks(5) {
            entries.push(bytes);
            while let Some(entry) = entries.next() {
                lines.extend(joiner.join(entry));
            }
        }
        if let Some(entry) = entries.rest() {
            lines.extend(joiner.join(entry));
        }
        lines.extend(joiner.rest());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        lines
            .iter()
            .map(|l| (l.stream, l.at.to_string(), text(&l.data), l.first))
            .collect()
    }

    #[test]
    fn pieces_of_a_line_are_joined_within_their_stream() {
        let bytes = [
            frame(1, "2030-01-01T00:00:00.500000000Z long "),
            frame(2, "2030-01-01T00:00:00.600000000Z error\n"),
            frame(1, "2030-01-01T00:00:00.500000000Z line\n"),
            frame(1, "2030-01-01T00:00:00.700000000Z \n"),
            frame(1, "2030-01-01T00:00:00.750000000Z piece,"),
            frame(1, "2030-01-01T00:00:00.750000000Z end lost"),
            frame(1, "2030-01-01T00:00:00.800000000Z end"),
        ]
        .concat();
        let out = |at: &str, text: &str, first| {
            (
                LogStream::Stdout,
                format!("2030-01-01T00:00:00.{at}Z"),
                text.to_owned(),
                first,
            )
        };
        assert_eq!(
            lines(false, &bytes),
            [
                (
                    LogStream::Stderr,
                    "2030-01-01T00:00:00.6Z".into(),
                    "error\n".into(),
                    true
                ),
                out("5", "long line\n", true),
                out("7", "\n", false),
                out("75", "piece,end lost\n", false),
                out("8", "end", false),
            ]
        );
    }

    #[test]
    fn a_terminals_log_is_lines_without_frames() {
        let bytes = b"2030-01-01T00:00:00.500000000Z \x01one\r\n2030-01-01T00:00:01.500000000Z two";
        let texts: Vec<String> = lines(true, bytes).into_iter().map(|line| line.2).collect();
        assert_eq!(texts, ["\u{1}one\r\n", "two"]);
    }

    #[test]
    fn an_entry_without_a_time_is_kept() {
        assert_eq!(lines(false, &frame(1, "no time\n"))[0].2, "no time\n");
        assert_eq!(lines(false, &frame(1, "\n"))[0].2, "\n");
    }
}

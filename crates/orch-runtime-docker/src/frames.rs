//! The engine's framing of two outputs on one connection.
//!
//! Each frame has 8 bytes in front: the stream (0 and 1 output, 2 errors, 3 the engine's own errors), three
//! zeros, the length in big-endian. With a terminal there is one stream and no frames. Which it is must be known: guessing from
//! the bytes goes wrong when a terminal program writes a control character first.

use bytes::{Buf, Bytes, BytesMut};
use orch_core::runtime::LogStream;

/// A part of a frame; of frames that come in parts, `ends` says which is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) stream: LogStream,
    pub(crate) data: Bytes,
    pub(crate) ends: bool,
}

/// Takes frames apart, from bytes as they come.
#[derive(Debug)]
pub(crate) struct Demux {
    raw: bool,
    /// Whether a header was read: then there are frames, to the end.
    framed: bool,
    frame: Option<(LogStream, usize)>,
    buffer: BytesMut,
}

const HEADER: usize = 8;

impl Demux {
    pub(crate) fn new(tty: bool) -> Self {
        Self {
            raw: tty,
            framed: false,
            frame: None,
            buffer: BytesMut::new(),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(crate) fn next(&mut self) -> Option<Piece> {
        loop {
            if self.raw {
                let data = self.buffer.split().freeze();
                return (!data.is_empty()).then_some(Piece {
                    stream: LogStream::Stdout,
                    data,
                    ends: true,
                });
            }
            if let Some((stream, left)) = self.frame {
                if self.buffer.is_empty() && left > 0 {
                    return None;
                }
                let data = self.buffer.split_to(left.min(self.buffer.len())).freeze();
                let left = left - data.len();
                self.frame = (left > 0).then_some((stream, left));
                return Some(Piece {
                    stream,
                    data,
                    ends: left == 0,
                });
            }
            if self.buffer.len() < HEADER {
                return None;
            }
            if !self.framed && !matches!(self.buffer[..4], [0..=3, 0, 0, 0]) {
                // An engine that does not frame; what it says is better passed on than lost.
                self.raw = true;
                continue;
            }
            self.framed = true;
            let stream = match self.buffer[0] {
                0 | 1 => LogStream::Stdout,
                _ => LogStream::Stderr,
            };
            self.buffer.advance(4);
            self.frame = Some((stream, self.buffer.get_u32() as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], data].concat()
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let wire = [
            frame(1, b"out\n"),
            frame(2, b""),
            frame(2, b"err"),
            frame(1, &[b'x'; 300]),
        ]
        .concat();
        for size in [1, 2, 7, 9, 64, wire.len()] {
            let mut demux = Demux::new(false);
            let (mut out, mut err, mut ends) = (Vec::new(), Vec::new(), 0);
            for bytes in wire.chunks(size) {
                demux.push(bytes);
                while let Some(piece) = demux.next() {
                    ends += usize::from(piece.ends);
                    match piece.stream {
                        LogStream::Stdout => out.extend_from_slice(&piece.data),
                        LogStream::Stderr => err.extend_from_slice(&piece.data),
                    }
                }
            }
            assert_eq!(
                (out.len(), &err[..], ends),
                (304, &b"err"[..], 4),
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn a_terminals_bytes_pass_unread() {
        let mut demux = Demux::new(true);
        demux.push(b"\x01\x00\x00\x00\x00\x00\x00\x01abc");
        assert_eq!(demux.next().unwrap().data.len(), 11);
        assert_eq!(demux.next(), None);
    }

    #[test]
    fn the_engines_own_errors_come_between_frames() {
        for number in [3, 4, 255] {
            let mut demux = Demux::new(false);
            demux.push(&[frame(1, b"before"), frame(number, b"why"), frame(1, b"after")].concat());
            let pieces: Vec<_> = std::iter::from_fn(|| demux.next())
                .map(|piece| (piece.stream, piece.data))
                .collect();
            let want = [
                (LogStream::Stdout, "before".into()),
                (LogStream::Stderr, "why".into()),
                (LogStream::Stdout, "after".into()),
            ];
            assert_eq!(pieces, want, "stream {number}");
        }
        let mut first = Demux::new(false);
        first.push(&frame(3, b"why"));
        let piece = first.next().unwrap();
        assert_eq!((piece.stream, &piece.data[..]), (LogStream::Stderr, &b"why"[..]));
    }

    #[test]
    fn what_is_no_frame_is_passed_on() {
        let mut demux = Demux::new(false);
        demux.push(b"cannot exec in a stopped state");
        assert_eq!(&demux.next().unwrap().data[..], b"cannot exec in a stopped state");
    }
}

//! What a shim and those who talk with it say to each other, over a stream socket.
//!
//! Each message is a length (of the body, four bytes, little-endian), a kind (one byte) and a body; file descriptors
//! come along with a message's first byte. Kinds are only ever added, and unknown ones are ignored: an application
//! talks with shims that an older version of it has started.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use orch_core::runtime::{LogStream, TerminalSize};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The longest body.
pub(crate) const MAX: usize = 64 << 10;

/// How many descriptors a message may bring.
const FDS: usize = 4;

/// The length and the kind.
const HEAD: usize = 5;

/// To a shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Show me what is written from now on, and take input from me, or not. Answered with [`Reply::Hello`].
    Attach { stdin: bool },
    /// For the program's standard input.
    Stdin(Vec<u8>),
    /// There is no more of that.
    CloseStdin,
    /// The terminal has a new size.
    Resize(TerminalSize),
    /// Run the command that is described in the exec's directory, with these descriptors (or a terminal, with none)
    /// as its standard streams. It is killed when the connection ends.
    Run,
    /// Bear a process: of a nursery. The words, with zeros between, say what it is to be; brings its standard streams.
    Bear(Vec<u8>),
}

/// From a shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// You are attached.
    Hello,
    /// What the program wrote.
    Out(LogStream, Vec<u8>),
    /// The command, or the container, has ended with this code, and this is all.
    Exited(i32),
    /// The command runs. Brings its terminal, if it has one.
    Started,
    /// It was born. Brings what it can be held fast by.
    Born,
    /// It could not be done.
    Failed(Stage, String),
}

/// At what it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is no such program.
    NotFound,
    /// The program cannot be executed.
    NotExecutable,
    /// Anything before that.
    Other,
    /// The container has ended, or is about to.
    Ended,
}

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Attach { stdin } => message(3, &[&[u8::from(*stdin)]]),
            Self::Stdin(bytes) => message(4, &[bytes]),
            Self::CloseStdin => message(5, &[]),
            Self::Resize(size) => message(6, &[&size.width.to_le_bytes(), &size.height.to_le_bytes()]),
            Self::Run => message(9, &[]),
            Self::Bear(words) => message(10, &[words]),
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Option<Self> {
        Some(match (kind, body) {
            (3, [stdin, ..]) => Self::Attach { stdin: *stdin != 0 },
            (4, bytes) => Self::Stdin(bytes.to_vec()),
            (5, _) => Self::CloseStdin,
            (6, [w0, w1, h0, h1, ..]) => Self::Resize(TerminalSize {
                width: u16::from_le_bytes([*w0, *w1]),
                height: u16::from_le_bytes([*h0, *h1]),
            }),
            (9, _) => Self::Run,
            (10, words) => Self::Bear(words.to_vec()),
            _ => return None,
        })
    }
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello => message(1, &[]),
            Self::Out(stream, bytes) => Self::out(*stream, bytes),
            Self::Exited(code) => message(4, &[&code.to_le_bytes()]),
            Self::Started => message(5, &[]),
            Self::Born => message(7, &[]),
            Self::Failed(stage, text) => {
                let mut end = text.len().min(MAX - 1);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                message(6, &[&[*stage as u8], &text.as_bytes()[..end]])
            }
        }
    }

    /// As [`Out`](Self::Out) of bytes that need not be copied for it.
    pub(crate) fn out(stream: LogStream, bytes: &[u8]) -> Vec<u8> {
        message(3, &[&[stream as u8], bytes])
    }

    fn decode(kind: u8, body: &[u8]) -> Option<Self> {
        Some(match (kind, body) {
            (1, _) => Self::Hello,
            (3, [stream, bytes @ ..]) => {
                let stream = if *stream == LogStream::Stderr as u8 {
                    LogStream::Stderr
                } else {
                    LogStream::Stdout
                };
                Self::Out(stream, bytes.to_vec())
            }
            (4, [a, b, c, d, ..]) => Self::Exited(i32::from_le_bytes([*a, *b, *c, *d])),
            (5, _) => Self::Started,
            (7, _) => Self::Born,
            (6, [stage, text @ ..]) => {
                let stage = match stage {
                    0 => Stage::NotFound,
                    1 => Stage::NotExecutable,
                    3 => Stage::Ended,
                    _ => Stage::Other,
                };
                Self::Failed(stage, String::from_utf8_lossy(text).into_owned())
            }
            _ => return None,
        })
    }
}

fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    assert!(length <= MAX, "what is longer is cut before");
    let mut bytes = Vec::with_capacity(HEAD + length);
    bytes.extend_from_slice(&u32::try_from(length).expect("it is at most MAX").to_le_bytes());
    bytes.push(kind);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Sends a whole message with descriptors. The socket must have room for it, as a new one has, or block.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors for a message"));
    }
    let sent = loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            sent => break sent?,
        }
    };
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(io::Error::other("a message went out in part"))
    }
}

/// What has come and was not looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Inbox {
    /// Takes in some of what has come, without waiting for it; false once the other side has ended.
    pub(crate) fn fill(&mut self, socket: impl AsFd) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut chunk = vec![0; 16 << 10];
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&socket, &mut [IoSliceMut::new(&mut chunk)], &mut control, flags)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other("a message with too many descriptors"));
        }
        self.bytes.extend_from_slice(&chunk[..received.bytes]);
        Ok(received.bytes > 0)
    }

    /// The descriptors that have come.
    pub(crate) fn fds(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.fds)
    }

    pub(crate) fn request(&mut self) -> io::Result<Option<Request>> {
        self.next(Request::decode)
    }

    pub(crate) fn reply(&mut self) -> io::Result<Option<Reply>> {
        self.next(Reply::decode)
    }

    /// The next message that is whole and known.
    fn next<T>(&mut self, decode: impl Fn(u8, &[u8]) -> Option<T>) -> io::Result<Option<T>> {
        while let Some((head, rest)) = self.bytes.split_first_chunk::<HEAD>() {
            let [a, b, c, d, kind] = *head;
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            if length > MAX {
                return Err(io::Error::other(format!(
                    "a message of {length} bytes, more than {MAX}"
                )));
            }
            let Some(body) = rest.get(..length) else { break };
            let message = decode(kind, body);
            self.bytes.drain(..HEAD + length);
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn messages_come_through_whole_however_they_are_cut() {
        let size = TerminalSize {
            width: 300,
            height: 50,
        };
        let requests = [
            Request::Attach { stdin: true },
            Request::Attach { stdin: false },
            Request::Stdin(b"in".to_vec()),
            Request::CloseStdin,
            Request::Resize(size),
            Request::Run,
            Request::Bear(b"dir\0id".to_vec()),
        ];
        let replies = [
            Reply::Hello,
            Reply::Out(LogStream::Stdout, b"out".to_vec()),
            Reply::Out(LogStream::Stderr, Vec::new()),
            Reply::Exited(-3),
            Reply::Started,
            Reply::Born,
            Reply::Failed(Stage::NotFound, "none".into()),
            Reply::Failed(Stage::NotExecutable, "no".into()),
            Reply::Failed(Stage::Other, "ü".into()),
            Reply::Failed(Stage::Ended, String::new()),
        ];
        // Of a kind that a later version may know.
        let unknown = message(200, &[b"later"]);
        let sent = requests
            .iter()
            .flat_map(|message| [message.encode(), unknown.clone()].concat());
        let mut inbox = Inbox::default();
        let mut got = Vec::new();
        for byte in sent {
            inbox.bytes.push(byte);
            got.extend(inbox.request().unwrap());
        }
        assert_eq!(got, requests);
        let sent = replies
            .iter()
            .flat_map(|message| [message.encode(), unknown.clone()].concat());
        inbox.bytes.extend(sent);
        let got: Vec<_> = std::iter::from_fn(|| inbox.reply().unwrap()).collect();
        assert_eq!(got, replies);
    }

    #[test]
    fn too_much_is_refused_and_too_long_an_error_is_cut() {
        let mut inbox = Inbox::default();
        inbox.bytes.extend([0, 0, 1, 1, 3]);
        assert!(inbox.request().is_err());
        let mut inbox = Inbox {
            bytes: Reply::Failed(Stage::Other, "ü".repeat(MAX)).encode(),
            ..Inbox::default()
        };
        assert!(matches!(inbox.reply().unwrap(), Some(Reply::Failed(_, text)) if text.len() == MAX - 2));
    }

    #[test]
    fn descriptors_come_along() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut read, write) = io::pipe().unwrap();
        send(&here, &Request::Run.encode(), &[write.as_fd()]).unwrap();
        drop(write);
        let mut inbox = Inbox::default();
        assert!(inbox.fill(&there).unwrap());
        assert_eq!(inbox.request().unwrap(), Some(Request::Run));
        let fds = inbox.fds();
        assert_eq!(fds.len(), 1);
        for fd in fds {
            File::from(fd).write_all(b"through").unwrap();
        }
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert_eq!(inbox.fill(&there).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(here);
        assert!(!inbox.fill(&there).unwrap());
    }
}

//! Reads tar archives that may be hostile: every part is bounded before it is held.
//!
//! The formats are POSIX.1-1988 (ustar), POSIX.1-2001 (pax) and GNU's long names. A size given by a pax record counts
//! for the body too, so that no two readers can see different entries (as in CVE-2025-62518).

use std::io::{self, Read};

use super::fault::{Doing, Fault};

const BLOCK: usize = 512;
/// Of a pax header or a long name; PATH_MAX is 4,096 and an extended attribute at most 64 KiB.
const LONGEST_HEADER: u64 = 1 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// What a header says of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub(crate) modified: (i64, u32),
    pub(crate) size: u64,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a device: major and minor.
    pub(crate) device: (u64, u64),
}

/// What pax records and long names say of the entry that follows them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An archive being read.
pub(crate) struct Tarball<R> {
    reader: R,
    /// Of the present entry's body, and of the padding after it.
    left: u64,
    padding: u64,
    first: bool,
    position: u64,
}

impl<R: Read> Tarball<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            left: 0,
            padding: 0,
            first: true,
            position: 0,
        }
    }

    /// Where in the archive reading has got to: after `next_entry`, where the entry's body begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What is left to read, also behind the archive's end.
    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    /// The next entry; its body is read from `self` until the next call.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, Fault> {
        let mut extension = Extension::default();
        let mut extensions = 0;
        loop {
            let Some(header) = self.next_header()? else {
                if extensions > 0 {
                    return Err(Fault::refused("the archive ends after an extended header"));
                }
                return Ok(None);
            };
            let name = header.name();
            let size = header.number(124, 12, &name, "size")?;
            match header.0[156] {
                b'x' | b'L' | b'K' => {
                    extensions += 1;
                    if extensions > 8 {
                        return Err(Fault::entry(&name, "it has more than 8 extended headers"));
                    }
                    let body = self.whole(size, &name)?;
                    match header.0[156] {
                        b'L' => extension.path = Some(without_end(body)),
                        b'K' => extension.link = Some(without_end(body)),
                        _ => extension.read(&body, &name)?,
                    }
                }
                // For all entries that follow: a commit's id, as git writes it, or nothing that we use.
                b'g' => {
                    self.whole(size, &name)?;
                }
                _ => return self.entry(&header, size, extension).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, size: u64, extension: Extension) -> Result<Entry, Fault> {
        let path = extension.path.unwrap_or_else(|| header.name());
        let kind = match header.0[156] {
            // Before POSIX a directory was a file whose name ends so.
            b'0' | 0 if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharacterDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => return Err(Fault::entry(&path, "sparse files are not supported")),
            other => {
                let why = format!("its type {:?} is unknown", char::from(other));
                return Err(Fault::entry(&path, why));
            }
        };
        let link = extension.link.unwrap_or_else(|| cut(&header.0[157..257]));
        let small = |value: u64, what: &str| {
            u32::try_from(value)
                .ok()
                // The last one means "unchanged" to the kernel.
                .filter(|value| *value != u32::MAX)
                .ok_or_else(|| Fault::entry(&path, format!("its {what} {value} is too big")))
        };
        let id = |given: Option<u64>, at: usize, what: &str| {
            let value = match given {
                Some(value) => value,
                None => header.number(at, 8, &path, what)?,
            };
            small(value, what)
        };
        let seconds = |given: Option<(i64, u32)>| match given {
            Some(given) => Ok(given),
            None => header
                .number(136, 12, &path, "time")
                .map(|seconds| (i64::try_from(seconds).unwrap_or(i64::MAX), 0)),
        };
        let is_device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice);
        let device = |at| {
            if is_device {
                header.number(at, 8, &path, "device number")
            } else {
                Ok(0)
            }
        };
        let size = match kind {
            Kind::File => extension.size.unwrap_or(size),
            // A link's size is the target's in some writers, and no body follows.
            _ => 0,
        };
        // No file is bigger, and with its padding it must still be a number.
        if i64::try_from(size).is_err() {
            return Err(Fault::entry(&path, format!("its size {size} is too big")));
        }
        let entry = Entry {
            mode: small(header.number(100, 8, &path, "mode")?, "mode")? & 0o7777,
            uid: id(extension.uid, 108, "owner")?,
            gid: id(extension.gid, 116, "group")?,
            modified: seconds(extension.modified)?,
            device: (device(329)?, device(337)?),
            xattrs: extension.xattrs,
            path,
            kind,
            link,
            size,
        };
        self.expect(size);
        Ok(entry)
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// A small body as a whole.
    fn whole(&mut self, size: u64, name: &[u8]) -> Result<Vec<u8>, Fault> {
        if size > LONGEST_HEADER {
            let why = format!("its extended header has {size} bytes; at most {LONGEST_HEADER} are allowed");
            return Err(Fault::entry(name, why));
        }
        self.expect(size);
        let mut body = Vec::new();
        self.read_to_end(&mut body).map_err(broken)?;
        Ok(body)
    }

    /// The next header, none at the archive's end.
    fn next_header(&mut self) -> Result<Option<Header>, Fault> {
        let rest = self.left + self.padding;
        self.left = 0;
        self.padding = 0;
        let skipped = io::copy(&mut (&mut self.reader).take(rest), &mut io::sink()).map_err(broken)?;
        self.position += skipped;
        if skipped < rest {
            return Err(Fault::refused("the archive ends within an entry"));
        }
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(Fault::refused("the archive ends within a header")),
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header(block);
        if !header.is_sound() {
            return Err(Fault::refused(if self.first {
                "it is no tar archive, nor one compressed with gzip or zstd"
            } else {
                "the archive is broken: a header's checksum is wrong"
            }));
        }
        self.first = false;
        Ok(Some(header))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let mut count = 0;
        while count < buffer.len() {
            match self.reader.read(&mut buffer[count..]) {
                Ok(0) => break,
                Ok(more) => {
                    count += more;
                    self.position += more as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(count)
    }
}

/// Reads the present entry's body.
impl<R: Read> Read for Tarball<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                Fault::refused("the archive ends within an entry"),
            ));
        }
        self.left -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

/// What a reader below says: a decoder's complaint is a refusal, the disk's is not.
pub(crate) fn broken(error: io::Error) -> Fault {
    let kind = error.kind();
    match error.downcast::<Fault>() {
        Ok(fault) => fault,
        Err(error) => match kind {
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Other => Fault::refused(format!("its data are broken: {error}")),
            _ => Err::<(), _>(error)
                .doing(|| "reading an archive".into())
                .expect_err("it is an error"),
        },
    }
}

struct Header([u8; BLOCK]);

impl Header {
    fn is_sound(&self) -> bool {
        let sum: u64 = (0..BLOCK)
            .map(|at| {
                let blank = (148..156).contains(&at);
                u64::from(if blank { b' ' } else { self.0[at] })
            })
            .sum();
        octal(&self.0[148..156]) == Some(sum)
    }

    fn name(&self) -> Vec<u8> {
        let name = cut(&self.0[..100]);
        let prefix = cut(&self.0[345..500]);
        // GNU has other things there, and another magic.
        if &self.0[257..263] == b"ustar\0" && !prefix.is_empty() {
            [&prefix, b"/".as_slice(), &name].concat()
        } else {
            name
        }
    }

    /// Octal digits, or GNU's binary form for what they cannot hold.
    fn number(&self, at: usize, length: usize, path: &[u8], what: &str) -> Result<u64, Fault> {
        let field = &self.0[at..at + length];
        let value = if field[0] & 0x80 == 0 {
            octal(field)
        } else if field[0] == 0x80 {
            let (high, low) = field[1..].split_at((length - 1).saturating_sub(8));
            high.iter()
                .all(|byte| *byte == 0)
                .then(|| low.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        } else {
            // A negative one: a time before 1970 is as good as 1970.
            (at == 136).then_some(0)
        };
        value.ok_or_else(|| Fault::entry(path, format!("its {what} cannot be read")))
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = field.trim_ascii_start();
    let end = text
        .iter()
        .position(|byte| matches!(byte, 0 | b' '))
        .unwrap_or(text.len());
    text[..end].iter().try_fold(0_u64, |value, byte| match byte {
        b'0'..=b'7' => value.checked_mul(8).map(|value| value + u64::from(byte - b'0')),
        _ => None,
    })
}

fn cut(field: &[u8]) -> Vec<u8> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    field[..end].to_vec()
}

fn without_end(mut name: Vec<u8>) -> Vec<u8> {
    while name.last() == Some(&0) {
        name.pop();
    }
    name
}

impl Extension {
    /// Records `LENGTH KEY=VALUE\n`, the length being that of the whole record.
    fn read(&mut self, mut body: &[u8], name: &[u8]) -> Result<(), Fault> {
        let bad = |what: &str| Fault::entry(name, format!("its extended header {what}"));
        while !body.is_empty() {
            let space = body
                .iter()
                .position(|byte| *byte == b' ')
                .ok_or_else(|| bad("has a record without a length"))?;
            let length = decimal(&body[..space]).ok_or_else(|| bad("has a record without a length"))?;
            let length = usize::try_from(length)
                .ok()
                .filter(|length| (space + 3..=body.len()).contains(length))
                .ok_or_else(|| bad("has a record of a wrong length"))?;
            let (record, rest) = body.split_at(length);
            body = rest;
            let record = record[space + 1..]
                .strip_suffix(b"\n")
                .ok_or_else(|| bad("has a record without an end"))?;
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or_else(|| bad("has a record without a value"))?;
            self.set(&record[..equals], &record[equals + 1..])
                .ok_or_else(|| bad(&format!("has a bad {}", record[..equals].escape_ascii())))?;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.modified = Some(time(value)?),
            _ if key.starts_with(b"GNU.sparse.") => return None,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Seconds with as many decimals as the writer liked.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    if text.starts_with(b"-") {
        return Some((0, 0));
    }
    let (seconds, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    let mut nanoseconds = 0;
    for at in 0..9 {
        let digit = fraction.get(at).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        nanoseconds = nanoseconds * 10 + u32::from(digit - b'0');
    }
    Some((i64::try_from(decimal(seconds)?).ok()?, nanoseconds))
}

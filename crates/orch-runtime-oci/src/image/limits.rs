//! How much an archive may unpack to, and the readers that watch over it.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::fault::Fault;
use super::tarball::broken;

/// How much an image may be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of all layers unpacked; 20 GiB.
    pub max_unpacked: u64,
    /// Files, directories and links of all layers; a million.
    pub max_entries: u64,
    /// How many times as big as its compressed form a layer may be, once it is bigger than
    /// [`ratio_from`](Self::ratio_from); 200.
    pub max_ratio: u64,
    /// Up to here any ratio is allowed, for small files of zeros are common; 1 GiB.
    pub ratio_from: u64,
    /// Layers; 120, for overlayfs' options must fit into a page.
    pub max_layers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_unpacked: 20 << 30,
            max_entries: 1_000_000,
            max_ratio: 200,
            ratio_from: 1 << 30,
            max_layers: 120,
        }
    }
}

/// What is left of the limits of one image, shared by its layers.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    bytes: AtomicU64,
    entries: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            limits: limits.clone(),
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        })
    }

    fn take_bytes(&self, count: u64) -> Result<(), Fault> {
        let most = self.limits.max_unpacked;
        if self.bytes.fetch_add(count, Ordering::Relaxed) + count > most {
            let why = format!("it unpacks to more than {most} bytes, which is the limit");
            return Err(Fault::Refused(why));
        }
        Ok(())
    }

    pub(crate) fn take_entry(&self) -> Result<(), Fault> {
        let most = self.limits.max_entries;
        if self.entries.fetch_add(1, Ordering::Relaxed) >= most {
            let why = format!("it has more than {most} entries, which is the limit");
            return Err(Fault::Refused(why));
        }
        Ok(())
    }
}

/// Tells work on other threads that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Fault::GivenUp);
        }
        Ok(())
    }
}

/// Stops the work when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct StopOnDrop(pub(crate) Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// What comes out of an archive, decompressed; refuses what grows too much.
pub(crate) struct Guarded<'a> {
    inner: Box<dyn Read + 'a>,
    compressed: Rc<Cell<u64>>,
    is_compressed: bool,
    count: u64,
    budget: &'a Budget,
    stop: &'a Stop,
}

impl<'a> Guarded<'a> {
    /// Looks at the first bytes to learn how it is compressed: media types are often wrong.
    pub(crate) fn new(reader: impl Read + 'a, budget: &'a Budget, stop: &'a Stop) -> Result<Self, Fault> {
        let compressed = Rc::new(Cell::new(0));
        let mut reader = BufReader::with_capacity(
            1 << 17,
            Counted {
                inner: reader,
                count: compressed.clone(),
            },
        );
        let form = Form::of(reader.fill_buf().map_err(broken)?)?;
        let inner: Box<dyn Read + 'a> = match form {
            Form::Plain => Box::new(reader),
            Form::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
            Form::Zstd => Box::new(zstd::Decoder::with_buffer(reader).map_err(broken)?),
        };
        Ok(Self {
            inner,
            compressed,
            is_compressed: form != Form::Plain,
            count: 0,
            budget,
            stop,
        })
    }
}

impl Read for Guarded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let check = |result: Result<(), Fault>| result.map_err(io::Error::other);
        check(self.stop.check())?;
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        check(self.budget.take_bytes(count as u64))?;
        let Limits {
            max_ratio,
            ratio_from,
            ..
        } = self.budget.limits;
        if self.is_compressed && self.count > ratio_from && self.count / max_ratio > self.compressed.get() {
            return check(Err(Fault::Refused(format!(
                "it unpacks to more than {max_ratio} times its size, as only archives made to do harm do"
            ))))
            .map(|()| 0);
        }
        Ok(count)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Gzip,
    Zstd,
}

impl Form {
    pub(crate) fn of(begin: &[u8]) -> Result<Self, Fault> {
        let unknown = |name: &str| {
            Err(Fault::Refused(format!(
                "it is compressed with {name}; gzip and zstd are supported"
            )))
        };
        match begin {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            // A frame, or one to be skipped, as zstd:chunked begins.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => unknown("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => unknown("xz"),
            [0x04, 0x22, 0x4d, 0x18, ..] => unknown("lz4"),
            _ => Ok(Self::Plain),
        }
    }
}

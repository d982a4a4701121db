//! Downloads a blob into a file, and goes on where it broke off: after an error, a dropped pull, a restart.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use oci_client::client::BlobResponse;
use tokio::sync::OwnedMutexGuard;

use super::assemble::blocking;
use super::digest::{Digest, Digester};
use super::fault::{Doing, Fault};
use super::manifest::{Descriptor, LARGEST_DOCUMENT};
use super::registry::{PullFault, Registry};
use super::store::Store;

/// What is gathered before a thread digests and writes it.
const PIECE: usize = 1 << 20;
/// Attempts in a row that bring not a byte.
const ATTEMPTS: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// Says that nobody else downloads the same, in this store or in one opened after it. Held by whatever still writes
/// when a pull is dropped.
pub(crate) type Flight = Arc<(OwnedMutexGuard<()>, Arc<Store>)>;

/// A file and the digest of what is in it.
struct Partial {
    _flight: Flight,
    path: PathBuf,
    file: File,
    digester: Digester,
    length: u64,
}

impl Partial {
    fn open(path: &Path, flight: Flight) -> Result<Self, Fault> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut partial = Self {
            _flight: flight,
            path: path.to_owned(),
            file: options.open(path).at("opening", path)?,
            digester: Digester::default(),
            length: 0,
        };
        let mut buffer = vec![0; PIECE];
        loop {
            let count = partial.file.read(&mut buffer).at("reading", path)?;
            if count == 0 {
                return Ok(partial);
            }
            partial.digester.update(&buffer[..count]);
            partial.length += count as u64;
        }
    }

    fn write(mut self, piece: &[u8]) -> Result<Self, Fault> {
        self.file.write_all(piece).at("writing", &self.path)?;
        self.digester.update(piece);
        self.length += piece.len() as u64;
        Ok(self)
    }

    fn empty(mut self) -> Result<Self, Fault> {
        self.file.set_len(0).at("emptying", &self.path)?;
        self.file.rewind().at("emptying", &self.path)?;
        self.digester = Digester::default();
        self.length = 0;
        Ok(self)
    }
}

/// Downloads a blob to `path` and checks its digest; `report` is told how many bytes are there.
pub(crate) async fn download(
    registry: &Registry,
    blob: &Descriptor,
    path: &Path,
    flight: &Flight,
    report: impl Fn(u64),
) -> Result<(), PullFault> {
    let mut attempts = 0;
    let mut anew = false;
    loop {
        let (file, held) = (path.to_owned(), flight.clone());
        let mut partial = blocking(move || Partial::open(&file, held)).await?;
        if partial.length > blob.size {
            partial = blocking(move || partial.empty()).await?;
        }
        let begun = partial.length;
        let fault = match attempt(registry, blob, partial, &report).await {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        let reached = tokio::fs::metadata(path).await.map_or(0, |found| found.len());
        if fault.is_wrong {
            remove(path).await?;
            // What was there before may be at fault: once it is tried without.
            if begun > 0 && !anew {
                anew = true;
                continue;
            }
        }
        if !fault.retryable {
            return Err(fault);
        }
        attempts = if reached > begun { 1 } else { attempts + 1 };
        if attempts >= ATTEMPTS {
            return Err(fault);
        }
        tracing::debug!(digest = %blob.digest, reached, reason = fault.reason, "a download broke off and goes on");
        tokio::time::sleep(FIRST_DELAY * 2_u32.pow(attempts - 1)).await;
    }
}

async fn remove(path: &Path) -> Result<(), PullFault> {
    let gone = path.to_owned();
    blocking(move || std::fs::remove_file(&gone).at("removing", &gone)).await?;
    Ok(())
}

async fn attempt(
    registry: &Registry,
    blob: &Descriptor,
    mut partial: Partial,
    report: &impl Fn(u64),
) -> Result<(), PullFault> {
    if partial.length < blob.size {
        let digest = blob.digest.to_string();
        let answer = registry
            .client
            .pull_blob_stream_partial(&registry.reference, digest.as_str(), partial.length, None)
            .await?;
        let mut stream = match answer {
            BlobResponse::Partial(stream) => stream,
            // It does not know ranges: from the beginning.
            BlobResponse::Full(stream) => {
                partial = blocking(move || partial.empty()).await?;
                stream
            }
        };
        let mut piece: Vec<u8> = Vec::with_capacity(PIECE);
        let mut broken = None;
        loop {
            let more = stream.next().await;
            let ended = !matches!(more, Some(Ok(_)));
            match more {
                Some(Ok(bytes)) => piece.extend_from_slice(&bytes),
                Some(Err(error)) => broken = Some(error),
                None => {}
            }
            if partial.length + piece.len() as u64 > blob.size {
                return Err(PullFault::wrong(format!(
                    "the blob {digest} is longer than its manifest says: {}",
                    blob.size
                )));
            }
            if ended || piece.len() >= PIECE {
                let full = std::mem::take(&mut piece);
                partial = blocking(move || partial.write(&full)).await?;
                report(partial.length);
            }
            if ended {
                break;
            }
        }
        if let Some(error) = broken {
            return Err(error.into());
        }
        if partial.length < blob.size {
            return Err(PullFault {
                reason: format!(
                    "the blob {digest} ended after {} of {} bytes",
                    partial.length, blob.size
                ),
                retryable: true,
                is_wrong: false,
            });
        }
    }
    let actual = partial.digester.finish();
    if actual != blob.digest {
        return Err(PullFault::wrong(format!(
            "its manifest promises the blob {}, and the blob is {actual}",
            blob.digest
        )));
    }
    Ok(())
}

/// A small blob as a whole.
pub(crate) async fn small(registry: &Registry, blob: &Descriptor) -> Result<Vec<u8>, PullFault> {
    let (digest, size) = (blob.digest.to_string(), blob.size);
    if size > LARGEST_DOCUMENT {
        return Err(PullFault::refused(format!(
            "its configuration has {size} bytes; at most {LARGEST_DOCUMENT} are allowed"
        )));
    }
    let answer = registry
        .client
        .pull_blob_stream(&registry.reference, digest.as_str());
    let mut stream = answer.await?;
    let mut bytes = Vec::new();
    while let Some(more) = stream.next().await {
        bytes.extend_from_slice(&more?);
        if bytes.len() as u64 > size {
            return Err(PullFault::refused(format!(
                "the blob {digest} is longer than its manifest says: {size}"
            )));
        }
    }
    if Digest::of(&bytes) != blob.digest {
        return Err(PullFault::refused(format!(
            "the blob {digest} has another digest"
        )));
    }
    Ok(bytes)
}

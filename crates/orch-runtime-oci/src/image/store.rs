//! What the store has on the disk, and how it changes without ever being half changed.
//!
//! ```text
//! format, lock            the layout's version; locked by the one process that has the store open
//! blobs/sha256/HEX        manifests and configurations
//! partial/HEX             layers being downloaded, as far as they got
//! layers/N/fs             a layer unpacked; N is short, for overlayfs takes all of a container's in one page
//! layers/N/layer.json     which layer it is
//! refs/HEX                a name of an image (the digest of the name is the file's)
//! leases/HEX              who uses an image (likewise)
//! holders                 where the containers are whose records say the same; none: there are none
//! trash/N                 what is being made or removed; all of it goes when the store is opened
//! ```
//!
//! Whatever appears is made in `trash` and renamed into its place; whatever goes is renamed into `trash` first. A name
//! is written after the layers it needs are known to be on the disk, so what a name leads to is always whole. The
//! directories are the record: what is held in memory is read from them when the store is opened.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::fault::{Doing, Fault};
use super::manifest::ImageDefaults;
use super::tree;

const FORMAT: &str = "1\n";

/// The store. Its methods block; none holds the index while it unpacks, downloads or deletes.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) dir: PathBuf,
    pub(super) index: Mutex<Index>,
    boot: String,
    scratches: AtomicU64,
    _lock: Lock,
    /// After the lock, for it goes after it.
    _ours: Ours,
}

/// What keeps others from opening it.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it may not be enough: what another thread has just started has it too, until it begins its program.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// The stores that this process has open, and how often: of one being closed and opened again it may be twice.
static OURS: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// Says that a store is this process's.
#[derive(Debug)]
struct Ours(PathBuf);

impl Ours {
    fn new(dir: PathBuf) -> Self {
        *OURS.lock().entry(dir.clone()).or_default() += 1;
        Self(dir)
    }

    fn has(dir: &Path) -> bool {
        OURS.lock().contains_key(dir)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let mut ours = OURS.lock();
        if let Some(count) = ours.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                ours.remove(&self.0);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Index {
    /// By chain id: a layer unpacked depends on those below it.
    pub(super) layers: BTreeMap<Digest, Layer>,
    pub(super) next: u64,
    pub(super) names: BTreeMap<String, Named>,
    pub(super) leases: BTreeMap<String, Lease>,
    /// What the configurations of images say that containers were made of: they never say anything else. Not all that are
    /// there, and some may be there no more.
    pub(super) told: BTreeMap<Digest, Arc<(ImageDefaults, Vec<Digest>)>>,
    /// Layers and blobs of pulls under way, and how many of these each has.
    pub(super) pins: BTreeMap<Digest, usize>,
}

/// A layer that is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Layer {
    chain: Digest,
    diff: Digest,
    pub(super) size: u64,
    /// The boot it was written in. One of another boot that no name leads to may not have reached the disk.
    boot: String,
    #[serde(skip)]
    pub(super) number: u64,
}

/// A name of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) reference: String,
    /// The digest of its configuration.
    pub(crate) image: Digest,
    /// Known by these digests in its registry: of the index and of the manifest.
    pub(crate) manifests: Vec<Digest>,
    pub(crate) at: Timestamp,
}

/// Who uses an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) holder: String,
    pub(crate) image: Digest,
}

impl Store {
    /// Opens the store, or makes it; what a crash left half done is removed.
    pub(crate) fn open(dir: &Path) -> Result<Arc<Self>, OpenFault> {
        for part in ["blobs/sha256", "partial", "layers", "refs", "leases", "trash"] {
            let path = dir.join(part);
            fs::create_dir_all(&path).at("making", &path)?;
        }
        let real = dir.canonicalize().at("looking for", dir)?;
        let lock = File::create(dir.join("lock")).at("making the lock in", dir)?;
        // Asked before: it may be let go of in between.
        let by_us = Ours::has(&real);
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenFault::Taken { by_us }),
            done => done.at("locking", dir)?,
        }
        let ours = Ours::new(real);
        let format = dir.join("format");
        match fs::read_to_string(&format) {
            Ok(text) if text == FORMAT => {}
            Ok(text) => {
                let why = format!(
                    "{} has format {:?}, and this version reads 1 alone; open it with the version that made it, or name another \
                     directory",
                    dir.display(),
                    text.trim()
                );
                return Err(Fault::Refused(why).into());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::write(&format, FORMAT).at("writing", &format)?;
            }
            Err(error) => return Err(Err::<(), _>(error).at("reading", &format).unwrap_err().into()),
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .doing(|| "reading this boot's id".into())?
            .trim()
            .to_owned();
        let store = Self {
            dir: dir.to_owned(),
            index: Mutex::default(),
            boot,
            scratches: AtomicU64::new(0),
            _lock: Lock(lock),
            _ours: ours,
        };
        store.sweep_trash()?;
        store.read()?;
        store.drop_unsure()?;
        Ok(Arc::new(store))
    }

    fn sweep_trash(&self) -> Result<(), Fault> {
        let path = self.dir.join("trash");
        let trash = tree::Tree::open(&path)?;
        tree::clear(trash.root()).at("emptying", &path)
    }

    fn read(&self) -> Result<(), Fault> {
        let mut index = self.index.lock();
        for (path, name) in entries(&self.dir.join("layers"))? {
            let number: Option<u64> = name.parse().ok();
            let layer = read_json::<Layer>(&path.join("layer.json"))?;
            match (number, layer) {
                (Some(number), Some(layer)) => {
                    index.next = index.next.max(number + 1);
                    index.layers.insert(layer.chain, Layer { number, ..layer });
                }
                _ => self.discard(&path)?,
            }
        }
        for (path, _) in entries(&self.dir.join("leases"))? {
            match read_json::<Lease>(&path)? {
                Some(lease) => {
                    index.leases.insert(lease.holder.clone(), lease);
                }
                None => self.discard(&path)?,
            }
        }
        self.read_holders(&mut index)?;
        for (path, _) in entries(&self.dir.join("refs"))? {
            match read_json::<Named>(&path)? {
                Some(named) => {
                    index.names.insert(named.reference.clone(), named);
                }
                None => self.discard(&path)?,
            }
        }
        Ok(())
    }

    /// Removes layers of an earlier boot that no name and no lease leads to: after a loss of power their files may
    /// be empty, and the next pull would take them for whole.
    fn drop_unsure(&self) -> Result<(), Fault> {
        let mut index = self.index.lock();
        let reached = self.reached(&index)?;
        let unsure: Vec<Digest> = index
            .layers
            .iter()
            .filter(|(chain, layer)| layer.boot != self.boot && !reached.contains(chain))
            .map(|(chain, _)| *chain)
            .collect();
        for chain in unsure {
            if let Some(layer) = index.layers.remove(&chain) {
                self.discard(&self.layer_dir(layer.number))?;
            }
        }
        Ok(())
    }

    /// A place in which to make something.
    pub(crate) fn scratch(self: &Arc<Self>) -> Result<Scratch, Fault> {
        let path = self.trash_place();
        fs::create_dir(&path).at("making", &path)?;
        Ok(Scratch {
            path,
            store: self.clone(),
        })
    }

    pub(super) fn trash_place(&self) -> PathBuf {
        let number = self.scratches.fetch_add(1, Ordering::Relaxed);
        self.dir.join("trash").join(number.to_string())
    }

    /// Removes something from its place at once, and from the disk.
    pub(super) fn discard(&self, path: &Path) -> Result<(), Fault> {
        let place = self.trash_place();
        fs::rename(path, &place).at("removing", path)?;
        remove_tree(&place).at("removing", &place)
    }

    /// Writes a file so that it is there whole or not at all.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
        let made = self.trash_place();
        let write = || {
            let mut file = File::create(&made)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&made, path)?;
            path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        };
        write().at("writing", path)
    }

    pub(super) fn blob_path(&self, digest: Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    #[cfg(feature = "pull")]
    pub(crate) fn partial_path(&self, digest: Digest) -> PathBuf {
        self.dir.join("partial").join(digest.hex())
    }

    /// Keeps a small blob, under its own digest.
    pub(crate) fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Fault> {
        let digest = Digest::of(bytes);
        self.write(&self.blob_path(digest), bytes)?;
        Ok(digest)
    }

    /// A small blob; none if it is not there, or is no longer what it was.
    pub(crate) fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.blob_path(digest);
        match fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == digest => Ok(Some(bytes)),
            Ok(_) => {
                tracing::warn!(path = %path.display(), "a blob is damaged");
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("reading", &path),
        }
    }

    pub(super) fn layer_dir(&self, number: u64) -> PathBuf {
        self.dir.join("layers").join(number.to_string())
    }

    pub(crate) fn has_layer(&self, chain: Digest) -> bool {
        self.index.lock().layers.contains_key(&chain)
    }

    /// Where these layers are, in the order asked for; none if one is missing.
    pub(crate) fn layers(&self, chains: &[Digest]) -> Option<Vec<PathBuf>> {
        let index = self.index.lock();
        chains
            .iter()
            .map(|chain| {
                let layer = index.layers.get(chain)?;
                Some(self.layer_dir(layer.number).join("fs"))
            })
            .collect()
    }

    /// Adds a layer that was unpacked into `fs` of a scratch. If it is there already, the scratch goes.
    pub(crate) fn add_layer(
        &self,
        scratch: Scratch,
        chain: Digest,
        diff: Digest,
        size: u64,
    ) -> Result<(), Fault> {
        let mut layer = Layer {
            chain,
            diff,
            size,
            boot: self.boot.clone(),
            number: 0,
        };
        let record = scratch.path.join("layer.json");
        let text = serde_json::to_vec(&layer).map_err(io::Error::from);
        text.and_then(|text| fs::write(&record, text))
            .at("writing", &record)?;
        let mut index = self.index.lock();
        if index.layers.contains_key(&chain) {
            return Ok(());
        }
        let place = self.layer_dir(index.next);
        fs::rename(&scratch.path, &place).at("adding the layer", &place)?;
        layer.number = index.next;
        index.next += 1;
        index.layers.insert(chain, layer);
        Ok(())
    }

    /// Keeps layers and blobs, present or to come, from being collected.
    pub(crate) fn pin(self: &Arc<Self>, digests: Vec<Digest>) -> Pins {
        let mut index = self.index.lock();
        for digest in &digests {
            *index.pins.entry(*digest).or_default() += 1;
        }
        Pins {
            store: self.clone(),
            digests,
        }
    }
}

/// Keeps things from being collected while it lives.
#[derive(Debug)]
pub(crate) struct Pins {
    store: Arc<Store>,
    digests: Vec<Digest>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut index = self.store.index.lock();
        for digest in &self.digests {
            if let Some(count) = index.pins.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    index.pins.remove(digest);
                }
            }
        }
    }
}

/// A directory in which something is made; goes with all in it unless it was renamed away.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    /// Until it is gone: the next one to open the store uses the same names.
    store: Arc<Store>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        if !path.exists() {
            return;
        }
        let store = self.store.clone();
        let remove = move || {
            let _held = store;
            if let Err(error) = remove_tree(&path) {
                // The next time the store is opened it goes.
                tracing::warn!(path = %path.display(), %error, "a directory could not be removed");
            }
        };
        // A dropped future drops this on a thread that must not block.
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug)]
pub(crate) enum OpenFault {
    /// This process has it, or another.
    Taken {
        by_us: bool,
    },
    Fault(Fault),
}

impl From<Fault> for OpenFault {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Removes whatever is there, however deep.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = rustix::fs::open(parent, tree::READ_DIRECTORY, rustix::fs::Mode::empty())?;
    tree::remove(parent.as_fd(), name.as_bytes())
}

pub(super) fn entries(dir: &Path) -> Result<Vec<(PathBuf, String)>, Fault> {
    let read = || {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            found.push((entry.path(), entry.file_name().to_string_lossy().into_owned()));
        }
        found.sort();
        io::Result::Ok(found)
    };
    read().at("reading", dir)
}

/// None if it is not there or says something else: then it is none of ours.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Fault> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).at("reading", path),
    };
    let parsed = serde_json::from_slice(&text);
    if let Err(error) = &parsed {
        tracing::warn!(path = %path.display(), %error, "a record of the image store is damaged and is removed");
    }
    Ok(parsed.ok())
}

//! Names of images, who uses which, and what is told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use orch_core::runtime::{Image, RuntimeError};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::fault::{Doing, Fault};
use super::manifest::{Config, ImageDefaults};
use super::reference::{Asked, HOST, Name};
use super::store::{Index, Lease, Named, Store};

/// Of how many images it is kept in memory what they say.
const MOST_TOLD: usize = 256;

/// What a container's root is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rootfs {
    /// The image's id.
    pub id: String,
    /// What lies below the container's own changes.
    pub base: Base,
    /// What the image runs unless told otherwise.
    pub defaults: ImageDefaults,
}

/// What lies below a container's own changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Base {
    /// The machine's own root.
    Host,
    /// Directories for overlayfs, the lowest first.
    Layers(Vec<PathBuf>),
}

/// For how long a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    OnDisk,
    /// Until the store is closed: whoever has it knows of it from elsewhere.
    ForNow,
}

/// Why an image cannot be used or removed.
#[derive(Debug)]
pub(crate) enum NameFault {
    Absent,
    InUse { by: String },
    Fault(Fault),
}

impl From<Fault> for NameFault {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl NameFault {
    pub(crate) fn told(self, what: &str, image: &str) -> RuntimeError {
        match self {
            Self::Absent => RuntimeError::ImageNotFound {
                image: image.to_owned(),
            },
            Self::InUse { by } => RuntimeError::InUse {
                what: format!("image {image}"),
                by,
            },
            Self::Fault(fault) => RuntimeError::failed(format!("{what} image {image}"), fault),
        }
    }
}

impl Store {
    fn ref_path(&self, reference: &str) -> PathBuf {
        self.dir.join("refs").join(Digest::of(reference.as_bytes()).hex())
    }

    fn lease_path(&self, holder: &str) -> PathBuf {
        self.dir.join("leases").join(Digest::of(holder.as_bytes()).hex())
    }

    /// Gives an image a name, or a name another image. All that it needs must be there; it is on the disk before
    /// the name is. Says whether what it
    /// led to before is needed by nothing now.
    pub(crate) fn set_name(&self, named: Named) -> Result<bool, Fault> {
        let dir = fs::File::open(&self.dir).at("opening", &self.dir)?;
        rustix::fs::syncfs(&dir).at("writing to the disk of", &self.dir)?;
        let text = serde_json::to_vec(&named).map_err(std::io::Error::from);
        let text = text.doing(|| format!("describing {}", named.reference))?;
        let mut index = self.index.lock();
        self.write(&self.ref_path(&named.reference), &text)?;
        let before = index.names.insert(named.reference.clone(), named);
        Ok(before.is_some_and(|before| !is_needed(&index, before.image)))
    }

    fn find(&self, index: &Index, asked: &Asked) -> Option<Digest> {
        match asked {
            Asked::Host => None,
            Asked::Id(id) => index
                .names
                .values()
                .map(|named| named.image)
                .find(|image| image == id),
            Asked::Name(name) => {
                let exact = index.names.get(&name.to_string());
                // A pull by tag tells of a digest, by which the image can be asked for too.
                let by_digest = || {
                    let digest = name.digest?;
                    index.names.values().find(|named| {
                        named.manifests.contains(&digest)
                            && Name::parse(&named.reference).is_ok_and(|other| {
                                (other.registry, other.path) == (name.registry.clone(), name.path.clone())
                            })
                    })
                };
                exact.or_else(by_digest).map(|named| named.image)
            }
        }
    }

    fn config(&self, image: Digest) -> Result<Option<Config>, Fault> {
        self.blob(image)?.map(|bytes| Config::parse(&bytes)).transpose()
    }

    /// What is told of an image; none if a part of it is missing.
    fn describe(&self, index: &Index, image: Digest) -> Result<Option<Image>, Fault> {
        let Some(config) = self.config(image)? else {
            return Ok(None);
        };
        let mut size_bytes = 0;
        for chain in config.chains() {
            let Some(layer) = index.layers.get(&chain) else {
                return Ok(None);
            };
            size_bytes += layer.size;
        }
        let mut tags = Vec::new();
        let mut digests = BTreeSet::new();
        for named in index.names.values().filter(|named| named.image == image) {
            let Ok(name) = Name::parse(&named.reference) else {
                continue;
            };
            digests.extend(named.manifests.iter().map(|digest| name.with_digest(*digest)));
            if name.digest.is_none() {
                tags.push(named.reference.clone());
            } else {
                digests.insert(named.reference.clone());
            }
        }
        Ok(Some(Image {
            id: image.to_string(),
            tags,
            digests: digests.into_iter().collect(),
            size_bytes,
            user: config.defaults.user,
        }))
    }

    pub(crate) fn get(&self, asked: &Asked) -> Result<Option<Image>, Fault> {
        if *asked == Asked::Host {
            return Ok(Some(host()));
        }
        let index = self.index.lock();
        match self.find(&index, asked) {
            Some(image) => self.describe(&index, image),
            None => Ok(None),
        }
    }

    /// The host image, and all others that have a name or a user.
    pub(crate) fn list(&self) -> Result<Vec<Image>, Fault> {
        let index = self.index.lock();
        let named = index.names.values().map(|named| named.image);
        let leased = index.leases.values().map(|lease| lease.image);
        let images: BTreeSet<Digest> = named.chain(leased).collect();
        let mut listed = vec![host()];
        for image in images {
            listed.extend(self.describe(&index, image)?);
        }
        Ok(listed)
    }

    /// Takes an image's name away; by its id, or by digest, all its names.
    pub(crate) fn remove_name(&self, asked: &Asked) -> Result<(), NameFault> {
        if *asked == Asked::Host {
            return Err(NameFault::InUse {
                by: "this machine, whose root it is".into(),
            });
        }
        let mut index = self.index.lock();
        let Some(image) = self.find(&index, asked) else {
            return Ok(());
        };
        let all = index
            .names
            .values()
            .filter(|named| named.image == image)
            .map(|named| named.reference.clone());
        let (gone, kept): (Vec<String>, Vec<String>) = match asked {
            Asked::Name(name) if index.names.contains_key(&name.to_string()) => {
                all.partition(|reference| *reference == name.to_string())
            }
            _ => (all.collect(), Vec::new()),
        };
        if kept.is_empty()
            && let Some(lease) = index.leases.values().find(|lease| lease.image == image)
        {
            return Err(NameFault::InUse {
                by: format!("container {}", lease.holder),
            });
        }
        for reference in gone {
            remove_file(&self.ref_path(&reference))?;
            index.names.remove(&reference);
        }
        Ok(())
    }

    /// Keeps an image for a container. Asked again for the same one: the image that it has.
    pub(crate) fn lease(&self, asked: &Asked, holder: &str, keep: Keep) -> Result<Rootfs, NameFault> {
        if *asked == Asked::Host {
            return Ok(Rootfs {
                id: HOST.into(),
                base: Base::Host,
                defaults: ImageDefaults::default(),
            });
        }
        let mut index = self.index.lock();
        let held = index.leases.get(holder).map(|lease| lease.image);
        let image = held
            .or_else(|| self.find(&index, asked))
            .ok_or(NameFault::Absent)?;
        if !index.told.contains_key(&image) {
            let config = self.config(image)?.ok_or(NameFault::Absent)?;
            if index.told.len() >= MOST_TOLD {
                index.told.pop_last();
            }
            let chains = config.chains();
            let told = Arc::new((config.defaults, chains));
            index.told.insert(image, told);
        }
        let told = index.told.get(&image).ok_or(NameFault::Absent)?.clone();
        let (defaults, chains) = &*told;
        let layers: Option<Vec<PathBuf>> = chains
            .iter()
            .map(|chain| Some(self.layer_dir(index.layers.get(chain)?.number).join("fs")))
            .collect();
        let layers = layers.ok_or(NameFault::Absent)?;
        if held.is_none() {
            let lease = Lease {
                holder: holder.to_owned(),
                image,
            };
            if keep == Keep::OnDisk {
                let text = serde_json::to_vec(&lease).map_err(std::io::Error::from);
                let text = text.doing(|| format!("describing the lease of {holder}"))?;
                self.write(&self.lease_path(holder), &text)?;
            }
            index.leases.insert(holder.to_owned(), lease);
        }
        Ok(Rootfs {
            id: image.to_string(),
            base: Base::Layers(layers),
            defaults: defaults.clone(),
        })
    }

    /// Ends a lease. Says whether its image is needed by nothing now.
    pub(crate) fn release(&self, holder: &str) -> Result<bool, Fault> {
        let mut index = self.index.lock();
        remove_file(&self.lease_path(holder))?;
        let lease = index.leases.remove(holder);
        Ok(lease.is_some_and(|lease| !is_needed(&index, lease.image)))
    }

    /// Ends all leases but those of these holders.
    pub(crate) fn retain(&self, holders: &BTreeMap<String, String>) -> Result<(), Fault> {
        let held: Vec<String> = self.index.lock().leases.keys().cloned().collect();
        for holder in held.iter().filter(|holder| !holders.contains_key(*holder)) {
            self.release(holder)?;
        }
        Ok(())
    }
}

fn is_needed(index: &Index, image: Digest) -> bool {
    index.names.values().any(|named| named.image == image)
        || index.leases.values().any(|lease| lease.image == image)
}

/// The machine's own root, as an image.
fn host() -> Image {
    Image {
        id: HOST.into(),
        tags: vec![HOST.into()],
        digests: Vec::new(),
        size_bytes: 0,
        user: String::new(),
    }
}

fn remove_file(path: &std::path::Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("removing", path),
        _ => Ok(()),
    }
}

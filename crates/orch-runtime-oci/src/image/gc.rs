//! Removes what nothing leads to. References are not counted: what is reachable is found anew each time, so that no
//! crash can make a count wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::digest::Digest;
use super::fault::{Doing, Fault};
use super::manifest::Config;
use super::store::{Index, Store, entries, remove_tree};

/// How long a download that broke off is kept to be gone on with.
const PARTIAL_KEPT: Duration = Duration::from_secs(24 * 3600);

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Unpacked layers.
    pub layers: usize,
    /// Manifests, configurations and downloads that broke off.
    pub blobs: usize,
    /// How many bytes the layers had.
    pub bytes: u64,
}

impl Store {
    /// All layers (by chain id) and blobs that names, leases and pulls under way lead to.
    pub(super) fn reached(&self, index: &Index) -> Result<BTreeSet<Digest>, Fault> {
        let mut reached: BTreeSet<Digest> = index.pins.keys().copied().collect();
        let named = index.names.values().map(|named| named.image);
        let leased = index.leases.values().map(|lease| lease.image);
        let images: BTreeSet<Digest> = named.chain(leased).collect();
        for image in images {
            reached.insert(image);
            let Some(bytes) = self.blob(image)? else {
                continue;
            };
            reached.extend(Config::parse(&bytes)?.chains());
        }
        for named in index.names.values() {
            reached.extend(&named.manifests);
        }
        Ok(reached)
    }

    /// The same, for those whose work is done by then: what cannot be removed now is so the next time.
    pub(super) fn tidy(&self) {
        if let Err(fault) = self.collect() {
            tracing::warn!(error = %fault, "images that nothing needs could not be removed");
        }
    }

    /// Removes all that is not reached.
    pub(crate) fn collect(&self) -> Result<Collected, Fault> {
        let mut collected = Collected::default();
        let mut trash: Vec<PathBuf> = Vec::new();
        {
            let mut index = self.index.lock();
            let reached = self.reached(&index)?;
            let gone: Vec<Digest> = index
                .layers
                .keys()
                .filter(|chain| !reached.contains(chain))
                .copied()
                .collect();
            for chain in gone {
                if let Some(layer) = index.layers.remove(&chain) {
                    let (path, place) = (self.layer_dir(layer.number), self.trash_place());
                    if let Err(error) = fs::rename(&path, &place) {
                        index.layers.insert(chain, layer);
                        return Err(error).at("removing", &path);
                    }
                    trash.push(place);
                    collected.layers += 1;
                    collected.bytes += layer.size;
                }
            }
            for (path, name) in entries(&self.dir.join("blobs/sha256"))? {
                if Digest::from_hex(&name).is_none_or(|digest| !reached.contains(&digest)) {
                    fs::remove_file(&path).at("removing", &path)?;
                    collected.blobs += 1;
                }
            }
            for (path, name) in entries(&self.dir.join("partial"))? {
                let age = fs::metadata(&path).and_then(|found| found.modified());
                let is_old = age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > PARTIAL_KEPT));
                if is_old && Digest::from_hex(&name).is_none_or(|digest| !reached.contains(&digest)) {
                    fs::remove_file(&path).at("removing", &path)?;
                    collected.blobs += 1;
                }
            }
        }
        for path in trash {
            remove_tree(&path).at("removing", &path)?;
        }
        Ok(collected)
    }
}

//! Leases as the runtime takes them, on threads that may block.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use orch_core::runtime::RuntimeError;
use serde::Deserialize;

use super::Images;
use super::digest::Digest;
use super::fault::{Doing, Fault};
use super::names::{Keep, Rootfs};
use super::reference::Asked;
use super::store::{Index, Lease, Store, entries};
use crate::record::{self, ContainerDir};

impl Images {
    /// As [`lease`](Self::lease); blocks.
    pub(crate) fn hold(&self, reference: &str, holder: &str) -> Result<Rootfs, RuntimeError> {
        let held = self.store.lease(&Asked::parse(reference)?, holder, Keep::ForNow);
        held.map_err(|fault| fault.told("leasing", reference))
    }

    /// As [`release`](Self::release); blocks. An image that nothing needs any more is removed in the background.
    pub(crate) fn let_go(&self, holder: &str) -> Result<(), RuntimeError> {
        let released = self.store.release(holder);
        let is_left = released
            .map_err(|fault| RuntimeError::failed(format!("releasing the image of {holder}"), fault))?;
        if is_left {
            let store = self.store.clone();
            tokio::task::spawn_blocking(move || store.tidy());
        }
        Ok(())
    }

    /// Ends all leases but those of these holders, has each of them hold its image (by id), and removes what nothing
    /// needs; blocks. The records of holders, also of those to come, are in `containers`.
    pub(crate) fn hold_only(
        &self,
        holders: &BTreeMap<String, String>,
        containers: &Path,
    ) -> Result<(), RuntimeError> {
        let kept = self.store.set_holders(containers);
        kept.map_err(|fault| RuntimeError::failed("telling images where containers are", fault))?;
        for (holder, image) in holders {
            if let Err(error) = self.hold(image, holder) {
                tracing::warn!(container = holder, image, %error, "a container's image is gone");
            }
        }
        let retained = self.store.retain(holders);
        retained.map_err(|fault| {
            RuntimeError::failed("releasing the images of containers that are gone", fault)
        })?;
        self.store.tidy();
        Ok(())
    }
}

/// What a container's record says of its image.
#[derive(Deserialize)]
struct Holder {
    image_id: String,
}

impl Store {
    fn holders(&self) -> PathBuf {
        self.dir.join("holders")
    }

    /// Writes down where the records of containers are. Their leases are in memory alone, for a start must not wait for a
    /// disk: whoever opens the store while their runtime is not there finds them so.
    fn set_holders(&self, containers: &Path) -> Result<(), Fault> {
        let containers = containers.canonicalize().at("looking for", containers)?;
        let own = self.dir.canonicalize().at("looking for", &self.dir)?;
        // Both may be moved together.
        let containers = match containers.file_name() {
            Some(name) if containers.parent() == own.parent() => Path::new("..").join(name),
            _ => containers,
        };
        let (path, bytes) = (self.holders(), containers.as_os_str().as_bytes());
        match fs::read(&path) {
            Ok(before) if before == bytes => Ok(()),
            _ => self.write(&path, bytes),
        }
    }

    /// Leases of the containers that have records, for as long as the store is open: no others are made meanwhile, as their
    /// runtime would need the store.
    pub(super) fn read_holders(&self, index: &mut Index) -> Result<(), Fault> {
        let path = self.holders();
        let containers = match fs::read(&path) {
            Ok(bytes) => self.dir.join(OsStr::from_bytes(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).at("reading", &path),
        };
        // Where the runtime's directory has gone, so have its containers.
        if !containers.try_exists().at("looking for", &containers)? {
            return Ok(());
        }
        for (path, holder) in entries(&containers)? {
            let record = ContainerDir::new(path).record();
            match record::read::<Holder>(&record) {
                Ok(Some(Holder { image_id })) => {
                    if let Ok(image) = Digest::parse(&image_id) {
                        let lease = Lease {
                            holder: holder.clone(),
                            image,
                        };
                        index.leases.insert(holder, lease);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(container = holder, %error, "nobody knows which image a container uses");
                }
            }
        }
        Ok(())
    }
}

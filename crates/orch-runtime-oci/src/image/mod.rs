//! The images on this machine: brought from a file or a registry, unpacked into layers that overlayfs can use, kept
//! while a name or a container needs them.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), orch_core::runtime::RuntimeError> {
//! use orch_runtime_oci::image::{Base, ImageOptions, Images};
//!
//! let directory = std::env::temp_dir().join(format!("orch-images-{}", std::process::id()));
//! let images = Images::open(&directory, ImageOptions::default()).await?;
//!
//! // The machine's own root is an image too, so a machine without a registry can run something.
//! let root = images.lease("host", "a-container").await?;
//! assert_eq!(root.base, Base::Host);
//!
//! // Anything else comes from an archive (`images.import`) or a registry (`images.pull`).
//! assert!(images.get("busybox:1.36").await?.is_none());
//! # drop(images);
//! # std::fs::remove_dir_all(directory).unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! Unpacking needs root: layers have owners, and what a layer removes is written as overlayfs wants it. Archives are
//! not trusted: what would leave the image, make a device or fill the disk is refused, with the entry's name.

mod assemble;
mod copy;
pub(crate) mod digest;
#[cfg(feature = "pull")]
mod download;
mod fault;
mod gc;
mod held;
mod import;
mod limits;
mod manifest;
mod names;
#[cfg(feature = "pull")]
mod pull;
mod reference;
#[cfg(feature = "pull")]
mod registry;
pub(crate) mod root;
mod store;
mod tarball;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
#[cfg(not(feature = "pull"))]
use orch_core::runtime::PullRequest;
use orch_core::runtime::{Image, RuntimeError};

use assemble::{Flights, assemble, blocking, ready};
use fault::Fault;
pub use gc::Collected;
use import::{Archive, Found};
pub use limits::Limits;
use limits::{Budget, StopOnDrop};
use manifest::Config;
pub use manifest::{ImageDefaults, Platform};
use names::NameFault;
pub use names::{Base, Rootfs};
#[cfg(feature = "pull")]
pub use pull::PullEvent;
use reference::{Asked, Name};
use store::{Named, OpenFault, Store};
pub(crate) use tree::Tree;

/// How long what an earlier store of this process still does may take, and how often it is looked at.
const CLOSING: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// Settings of the image store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ImageOptions {
    /// For which machines images are taken; by default this one.
    pub platform: Platform,
    /// How much an image may be.
    pub limits: Limits,
    /// Registries, and hosts that are asked before them.
    #[cfg(feature = "pull")]
    mirrors: Vec<(String, String)>,
    #[cfg(feature = "pull")]
    plain_http: Vec<String>,
    #[cfg(feature = "pull")]
    docker_config: Option<PathBuf>,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            platform: Platform::host(),
            limits: Limits::default(),
            #[cfg(feature = "pull")]
            mirrors: Vec::new(),
            #[cfg(feature = "pull")]
            plain_http: Vec::new(),
            #[cfg(feature = "pull")]
            docker_config: None,
        }
    }
}

impl ImageOptions {
    /// Takes images for another platform.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// Sets how much an image may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// The images on this machine. Clones share one store.
///
/// Every call may be dropped half way, and the process killed: what was there before is whole, what was under way is
/// removed, and calling again sets it right.
#[derive(Clone, Debug)]
pub struct Images {
    store: Arc<Store>,
    flights: Arc<Flights>,
    #[cfg(feature = "pull")]
    downloads: Arc<Flights>,
    options: Arc<ImageOptions>,
}

impl Images {
    /// Opens the store in a directory, or makes it. One at a time can have it: [`RuntimeError::Unavailable`] if
    /// another process has. Of this process, whatever was under way when an earlier one was dropped is waited for.
    pub async fn open(directory: impl Into<PathBuf>, options: ImageOptions) -> Result<Self, RuntimeError> {
        let directory = directory.into();
        let shown = directory.display().to_string();
        let failed = || format!("opening the image store {shown}");
        let begun = tokio::time::Instant::now();
        let store = loop {
            let place = directory.clone();
            let opened = tokio::task::spawn_blocking(move || Store::open(&place)).await;
            let by_us = match opened.map_err(|error| RuntimeError::failed(failed(), error))? {
                Ok(store) => break store,
                Err(OpenFault::Taken { by_us }) => by_us,
                Err(OpenFault::Fault(fault)) => return Err(RuntimeError::failed(failed(), fault)),
            };
            if !by_us || begun.elapsed() > CLOSING {
                let who = if by_us { "this" } else { "another" };
                return Err(RuntimeError::Unavailable {
                    runtime: crate::NAME,
                    reason: format!(
                        "{who} process has the image store {shown} open; close it there, or name another directory"
                    ),
                });
            }
            tokio::time::sleep(LOOK).await;
        };
        Ok(Self {
            store,
            flights: Arc::default(),
            #[cfg(feature = "pull")]
            downloads: Arc::default(),
            options: Arc::new(options),
        })
    }

    /// The image as present, none if it is not. Images are asked for by name, by name and digest, or by id.
    pub async fn get(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        let asked = Asked::parse(reference)?;
        let store = self.store.clone();
        blocking(move || store.get(&asked))
            .await
            .map_err(|fault| RuntimeError::failed(format!("looking for image {reference}"), fault))
    }

    /// All images present, the `host` image among them.
    pub async fn list(&self) -> Result<Vec<Image>, RuntimeError> {
        let store = self.store.clone();
        blocking(move || store.list())
            .await
            .map_err(|fault| RuntimeError::failed("listing images", fault))
    }

    /// Fetches nothing: this is built without the feature `pull`. [`RuntimeError::PullFailed`] for all but `host`.
    #[cfg(not(feature = "pull"))]
    pub async fn pull(&self, request: &PullRequest) -> Result<Image, RuntimeError> {
        if let (Asked::Host, Some(host)) = (Asked::parse(&request.image)?, self.get(&request.image).await?) {
            return Ok(host);
        }
        let reason = "orch-runtime-oci is built without its feature `pull`; build it with that, or import the image from an archive \
                      (Images::import)";
        Err(RuntimeError::PullFailed {
            image: request.image.clone(),
            reason: reason.into(),
            retryable: false,
        })
    }

    /// Takes an image's name away and removes what nothing needs any more. By its id or digest: all its names.
    /// Succeeds if it is not present; [`RuntimeError::InUse`] if it is the last name and a container needs it.
    pub async fn remove(&self, reference: &str) -> Result<(), RuntimeError> {
        let asked = Asked::parse(reference)?;
        let store = self.store.clone();
        blocking_named(move || {
            store.remove_name(&asked)?;
            store.collect()?;
            Ok(())
        })
        .await
        .map_err(|fault| fault.told("removing", reference))
    }

    /// Keeps an image for a container, until [`release`](Self::release). For the same holder again: the same answer,
    /// whatever the reference names by then.
    pub async fn lease(&self, reference: &str, holder: &str) -> Result<Rootfs, RuntimeError> {
        let asked = Asked::parse(reference)?;
        let (store, holder) = (self.store.clone(), holder.to_owned());
        blocking_named(move || store.lease(&asked, &holder, names::Keep::OnDisk))
            .await
            .map_err(|fault| fault.told("leasing", reference))
    }

    /// Ends a lease. The image goes with the next collection, if nothing else needs it.
    pub async fn release(&self, holder: &str) -> Result<(), RuntimeError> {
        let (store, held) = (self.store.clone(), holder.to_owned());
        blocking(move || store.release(&held))
            .await
            .map(drop)
            .map_err(|fault| RuntimeError::failed(format!("releasing the image of {holder}"), fault))
    }

    /// Removes layers and blobs that no name, no lease and no pull under way leads to.
    pub async fn collect(&self) -> Result<Collected, RuntimeError> {
        let store = self.store.clone();
        blocking(move || store.collect())
            .await
            .map_err(|fault| RuntimeError::failed("collecting images", fault))
    }

    /// Copies an image's layers into an empty directory, where there is no overlayfs. Killed half way it leaves a
    /// part; empty the directory and call again.
    pub async fn copy(&self, layers: &[PathBuf], to: &Path) -> Result<(), RuntimeError> {
        let what = format!("copying an image to {}", to.display());
        let (layers, to) = (layers.to_vec(), to.to_owned());
        let given_up = StopOnDrop::default();
        let stop = given_up.0.clone();
        blocking(move || copy::copy(&layers, &to, &stop))
            .await
            .map_err(|fault| RuntimeError::failed(what, fault))
    }

    /// Imports the images of an archive: an `oci-archive`, or what `docker save` writes, plain or compressed with
    /// gzip or zstd. `name` is for an archive of one image, in place of the names it has.
    ///
    /// What is wrong with the archive is [`RuntimeError::InvalidImage`].
    pub async fn import(&self, archive: &Path, name: Option<&str>) -> Result<Vec<Image>, RuntimeError> {
        let shown = archive.display().to_string();
        let told = |fault: Fault| fault.during(|| format!("importing {shown}"), &shown);
        let given_up = StopOnDrop::default();
        let stop = &given_up.0;
        let budget = Budget::new(&self.options.limits);
        let (archive, found) = {
            let (store, path, stop) = (self.store.clone(), archive.to_owned(), stop.clone());
            let (budget, platform) = (budget.clone(), self.options.platform.clone());
            blocking(move || {
                let archive = Archive::open(&path, &store, &budget, &stop)?;
                let found = archive.images(&platform)?;
                Ok::<_, Fault>((Arc::new(archive), found))
            })
            .await
            .map_err(told)?
        };
        if name.is_some() && found.len() != 1 {
            let why = format!("it has {} images, and one name was given", found.len());
            return Err(told(Fault::Refused(why)));
        }
        let mut imported = Vec::new();
        for image in found {
            let names = names_of(&image, name).map_err(told)?;
            let id = self
                .import_one(&archive, Arc::new(image), names, &budget, &given_up)
                .await
                .map_err(told)?;
            imported.extend(self.get(&id).await?);
        }
        Ok(imported)
    }

    async fn import_one(
        &self,
        archive: &Arc<Archive>,
        image: Arc<Found>,
        names: Vec<Name>,
        budget: &Arc<Budget>,
        given_up: &StopOnDrop,
    ) -> Result<String, Fault> {
        let config = Config::parse(&image.config)?;
        config.check(&self.options.platform, &self.options.limits)?;
        if config.diffs.len() != image.layer_count() {
            return Err(Fault::Refused(format!(
                "its configuration has {} layers, and its manifest {}",
                config.diffs.len(),
                image.layer_count()
            )));
        }
        let id = digest::Digest::of(&image.config);
        let manifests: Vec<_> = image
            .manifest
            .iter()
            .map(|bytes| digest::Digest::of(bytes))
            .collect();
        let pinned = [config.chains(), manifests.clone(), vec![id]].concat();
        let _pins = self.store.pin(pinned);
        assemble(&self.store, &self.flights, &config, |index| {
            let (store, archive, image) = (self.store.clone(), archive.clone(), image.clone());
            let (budget, stop, diff) = (budget.clone(), given_up.0.clone(), config.diffs[index]);
            blocking(move || {
                let mut layer = archive.layer(&image, index)?;
                let unpacked = ready(&store, &mut layer.reader, diff, &budget, &stop)?;
                layer.check()?;
                Ok::<_, Fault>(unpacked)
            })
        })
        .await?;
        let (store, image) = (self.store.clone(), image.clone());
        blocking(move || {
            store.put_blob(&image.config)?;
            if let Some(manifest) = &image.manifest {
                store.put_blob(manifest)?;
            }
            let mut is_left = false;
            for name in names {
                is_left |= store.set_name(Named {
                    reference: name.to_string(),
                    image: id,
                    manifests: manifests.clone(),
                    at: Timestamp::now(),
                })?;
            }
            if is_left {
                store.tidy();
            }
            Ok::<_, Fault>(())
        })
        .await?;
        Ok(id.to_string())
    }
}

/// The names that an imported image gets.
fn names_of(image: &Found, given: Option<&str>) -> Result<Vec<Name>, Fault> {
    let parse = |text: &str| {
        Name::parse(text).map_err(|why| Fault::Refused(format!("its name {text:?} cannot be used: {why}")))
    };
    let names: Vec<Name> = match given {
        Some(name) => vec![parse(name)?],
        None => image
            .names
            .iter()
            .map(|name| parse(name))
            .collect::<Result<_, _>>()?,
    };
    if names.is_empty() {
        return Err(Fault::refused("it names no image: give it a name in `import`"));
    }
    Ok(names)
}

async fn blocking_named<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NameFault> + Send + 'static,
) -> Result<T, NameFault> {
    blocking(work).await
}

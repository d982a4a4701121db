//! Images from a registry.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use oci_client::secrets::RegistryAuth;
use orch_core::runtime::{Image, PullRequest, RuntimeError};

use super::assemble::{assemble, blocking, ready};
use super::digest::Digest;
use super::download::{Flight, download, small};
use super::fault::{Doing, Fault};
use super::limits::{Budget, StopOnDrop};
use super::manifest::{Config, Descriptor, Document, LARGEST_DOCUMENT, Manifest, choose};
use super::reference::{Asked, HOST, Name};
use super::registry::{PullFault, Registry, auth, docker_auth};
use super::store::Named;
use super::{ImageOptions, Images};

const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// How a pull gets on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PullEvent {
    /// The registry has the image, and it is for this platform.
    Resolved {
        /// Layers it has, those present among them.
        layers: usize,
        /// Bytes of all its layers, compressed.
        bytes: u64,
    },
    /// A layer has got this far. One that was begun earlier does not begin at 0.
    Downloading {
        /// The layer's digest.
        digest: String,
        /// Bytes that are here.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A layer is being unpacked.
    Unpacking {
        /// The layer's digest.
        digest: String,
    },
    /// The image is present under the name asked for.
    Done,
}

impl ImageOptions {
    /// Asks another host for what a registry has, before the registry itself; several are asked in the order given.
    /// It gets no credentials but those that Docker's configuration has for it. On this machine it is spoken to
    /// without TLS, as registries are.
    #[must_use]
    pub fn mirror(mut self, registry: impl Into<String>, host: impl Into<String>) -> Self {
        self.mirrors.push((registry.into(), host.into()));
        self
    }

    /// Speaks to a registry, or a mirror, without TLS, as with those on this machine (`registry.example:5000`).
    #[must_use]
    pub fn plain_http(mut self, host: impl Into<String>) -> Self {
        self.plain_http.push(host.into());
        self
    }

    /// Where no credentials come with a request, takes them from this file, of the form of Docker's `config.json`.
    /// Credential helpers are not run.
    #[must_use]
    pub fn docker_config(mut self, path: impl Into<PathBuf>) -> Self {
        self.docker_config = Some(path.into());
        self
    }
}

impl Images {
    /// Fetches an image, also if an older one of that name is present, which stays if this fails. Layers that are
    /// present are not fetched, those that broke off are gone on with, and none is fetched twice at once.
    ///
    /// [`RuntimeError::PullFailed`] says whether trying again may help.
    pub async fn pull(&self, request: &PullRequest) -> Result<Image, RuntimeError> {
        self.pull_reporting(request, |_| {}).await
    }

    /// As [`pull`](Self::pull), and tells how it gets on. `report` is called often, and must not block.
    pub async fn pull_reporting(
        &self,
        request: &PullRequest,
        report: impl Fn(&PullEvent) + Send + Sync,
    ) -> Result<Image, RuntimeError> {
        let image = &request.image;
        let name = match Asked::parse(image)? {
            Asked::Name(name) => Some(name),
            Asked::Host => None,
            Asked::Id(_) => {
                return Err(RuntimeError::InvalidImage {
                    image: image.clone(),
                    reason: "an image is not pulled by its id, but by its name".into(),
                });
            }
        };
        let mut asked = HOST.to_owned();
        if let Some(name) = name {
            let mirrors = self.options.mirrors.iter();
            let mirrors = mirrors.filter(|(registry, _)| *registry == name.registry);
            for (_, host) in mirrors {
                match self.pull_from(&name, host, request, &report).await {
                    Ok(()) => return self.pulled(&name.to_string(), &report).await,
                    Err(fault) => {
                        tracing::info!(
                            image,
                            mirror = host,
                            reason = fault.reason,
                            "a mirror did not give an image"
                        );
                    }
                }
            }
            self.pull_from(&name, &name.registry, request, &report)
                .await
                .map_err(|fault| fault.told(image))?;
            asked = name.to_string();
        }
        self.pulled(&asked, &report).await
    }

    async fn pulled(
        &self,
        name: &str,
        report: &(impl Fn(&PullEvent) + Send + Sync),
    ) -> Result<Image, RuntimeError> {
        let image = self.get(name).await?;
        report(&PullEvent::Done);
        image.ok_or_else(|| RuntimeError::ImageNotFound { image: name.into() })
    }

    async fn pull_from(
        &self,
        name: &Name,
        host: &str,
        request: &PullRequest,
        report: &(impl Fn(&PullEvent) + Send + Sync),
    ) -> Result<(), PullFault> {
        let given = match &request.credentials {
            // They are for the registry, and nobody else's business.
            Some(credentials) if host == name.registry => Some(auth(credentials)),
            _ => None,
        };
        let auth = match (given, &self.options.docker_config) {
            (Some(auth), _) => auth,
            (None, Some(config)) => docker_auth(config, host)?,
            (None, None) => RegistryAuth::Anonymous,
        };
        let registry = Registry::connect(name, host, auth, &self.options.plain_http).await?;
        let (documents, manifest) = self.resolve(&registry, name).await?;
        let bytes = small(&registry, &manifest.config).await?;
        let config = Config::parse(&bytes)?;
        config.check(&self.options.platform, &self.options.limits)?;
        if config.diffs.len() != manifest.layers.len() {
            return Err(PullFault::refused(format!(
                "its configuration has {} layers, and its manifest {}",
                config.diffs.len(),
                manifest.layers.len()
            )));
        }
        let total = manifest
            .layers
            .iter()
            .fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        let most = self.options.limits.max_unpacked;
        if total > most {
            return Err(PullFault::refused(format!(
                "its layers have {total} bytes; at most {most} are allowed"
            )));
        }
        report(&PullEvent::Resolved {
            layers: manifest.layers.len(),
            bytes: total,
        });
        let id = manifest.config.digest;
        let manifests: Vec<Digest> = documents.iter().map(|bytes| Digest::of(bytes)).collect();
        let blobs = manifest.layers.iter().map(|layer| layer.digest).collect();
        let pinned = [config.chains(), manifests.clone(), blobs, vec![id]].concat();
        let _pins = self.store.pin(pinned);
        let (given_up, budget) = (StopOnDrop::default(), Budget::new(&self.options.limits));
        assemble(&self.store, &self.flights, &config, |index| {
            let (registry, layer, diff) = (&registry, &manifest.layers[index], config.diffs[index]);
            let (given_up, budget) = (&given_up, &budget);
            async move {
                // Two images may have one blob over different layers.
                let flight = self.downloads.take(layer.digest).await;
                let flight: Flight = Arc::new((flight, self.store.clone()));
                let path = self.fetch(registry, layer, &flight, report).await?;
                report(&PullEvent::Unpacking {
                    digest: layer.digest.to_string(),
                });
                let (store, budget, stop) = (self.store.clone(), budget.clone(), given_up.0.clone());
                blocking(move || {
                    let _held = flight;
                    let archive = File::open(&path).at("opening", &path)?;
                    let unpacked = ready(&store, archive, diff, &budget, &stop);
                    // A layer that is refused would be refused again.
                    if !matches!(unpacked, Err(Fault::GivenUp | Fault::Io { .. })) {
                        std::fs::remove_file(&path).at("removing", &path)?;
                    }
                    Ok::<_, PullFault>(unpacked?)
                })
                .await
            }
        })
        .await?;
        let (store, reference) = (self.store.clone(), name.to_string());
        blocking(move || {
            store.put_blob(&bytes)?;
            for document in &documents {
                store.put_blob(document)?;
            }
            let is_left = store.set_name(Named {
                reference,
                image: id,
                manifests,
                at: Timestamp::now(),
            })?;
            if is_left {
                store.tidy();
            }
            Ok::<_, Fault>(())
        })
        .await?;
        Ok(())
    }

    /// The manifest for this platform, and the documents that led to it, itself the last.
    async fn resolve(&self, registry: &Registry, name: &Name) -> Result<(Vec<Vec<u8>>, Manifest), PullFault> {
        let mut documents = Vec::new();
        let mut reference = registry.reference.clone();
        let mut expected = name.digest;
        // An index may hold indexes.
        for _ in 0..4 {
            let answer = registry
                .client
                .pull_manifest_raw(&reference, &registry.auth, &ACCEPTED);
            let (bytes, _) = answer.await?;
            if bytes.len() as u64 > LARGEST_DOCUMENT {
                return Err(PullFault::refused(format!(
                    "its manifest has {} bytes; at most {LARGEST_DOCUMENT} are allowed",
                    bytes.len()
                )));
            }
            let actual = Digest::of(&bytes);
            if let Some(expected) = expected.filter(|expected| *expected != actual) {
                return Err(PullFault::refused(format!(
                    "asked for {expected}, the registry gave {actual}"
                )));
            }
            documents.push(bytes.to_vec());
            match Document::parse(&bytes)? {
                Document::Manifest(manifest) => return Ok((documents, manifest)),
                Document::Index(index) => {
                    let chosen = choose(&index, &self.options.platform)?.digest;
                    reference = reference.clone_with_digest(chosen.to_string());
                    expected = Some(chosen);
                }
            }
        }
        Err(PullFault::refused("its indexes lead to indexes without end"))
    }

    async fn fetch(
        &self,
        registry: &Registry,
        layer: &Descriptor,
        flight: &Flight,
        report: &(impl Fn(&PullEvent) + Send + Sync),
    ) -> Result<PathBuf, PullFault> {
        let path = self.store.partial_path(layer.digest);
        download(registry, layer, &path, flight, |done| {
            report(&PullEvent::Downloading {
                digest: layer.digest.to_string(),
                done,
                total: layer.size,
            });
        })
        .await?;
        Ok(path)
    }
}

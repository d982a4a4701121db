//! Tests of the store as a whole, and what they make images with.

mod hostile;
mod importing;
mod layers;
#[cfg(feature = "pull")]
mod pulling;
#[cfg(feature = "pull")]
mod registry;
mod surviving;
mod tar;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::{ImageOptions, Images, Platform};
pub(super) use tar::{Item, tar};

/// Whether layers can be unpacked here; says so if not. As root, as in `.ci/run`, they can.
pub(super) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // Not by a macro, whose output the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "skipped: needs root");
    }
    root
}

/// An image to be put into archives.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) config: Vec<u8>,
    /// Compressed or not.
    pub(super) layers: Vec<Vec<u8>>,
}

impl Made {
    /// An image of these layers' archives.
    pub(super) fn new(layers: Vec<Vec<u8>>) -> Self {
        let diffs: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let config = serde_json::json!({
            "architecture": Platform::host().architecture, "os": "linux",
            "config": {
                "Entrypoint": ["/bin/app"], "Cmd": ["--serve"], "Env": ["PATH=/bin", "EMPTY="], "User": "7:8",
                "WorkingDir": "/srv", "StopSignal": "SIGINT",
            },
            "rootfs": { "type": "layers", "diff_ids": diffs },
        });
        Self {
            config: config.to_string().into_bytes(),
            layers,
        }
    }

    pub(super) fn id(&self) -> String {
        Digest::of(&self.config).to_string()
    }

    pub(super) fn manifest(&self) -> Vec<u8> {
        let descriptor = |bytes: &[u8], kind: &str| {
            serde_json::json!({
                "mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": Digest::of(bytes).to_string(), "size": bytes.len(),
            })
        };
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|layer| descriptor(layer, "layer.v1.tar"))
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(&self.config, "config.v1+json"), "layers": layers,
        });
        manifest.to_string().into_bytes()
    }

    pub(super) fn oci_archive(&self, name: &str) -> Vec<u8> {
        let manifest = self.manifest();
        let index = serde_json::json!({
            "schemaVersion": 2,
            "manifests": [{
                "digest": Digest::of(&manifest).to_string(), "size": manifest.len(),
                "annotations": { "org.opencontainers.image.ref.name": name },
            }],
        });
        let blob = |bytes: &[u8]| Item::file(&format!("blobs/sha256/{}", Digest::of(bytes).hex()), bytes);
        let mut items = vec![
            Item::file("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}"),
            Item::file("index.json", index.to_string().as_bytes()),
            blob(&manifest),
            blob(&self.config),
        ];
        let mut layers: Vec<_> = self.layers.iter().collect();
        layers.sort();
        layers.dedup();
        items.extend(layers.into_iter().map(|layer| blob(layer)));
        tar(&items)
    }
}

/// A layer with one file.
pub(super) fn layer(path: &str, body: &[u8]) -> Vec<u8> {
    tar(&[Item::file(path, body)])
}

/// A store in a directory of its own, with a place for archives beside it.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(super) fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    pub(super) async fn open(&self) -> Images {
        Images::open(self.store(), ImageOptions::default())
            .await
            .expect("opening")
    }

    pub(super) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("writing");
        path
    }

    /// What was made on the way goes, on a thread of its own.
    pub(super) async fn is_swept(&self) {
        let begun = std::time::Instant::now();
        while !self.names("trash").is_empty() {
            assert!(begun.elapsed().as_secs() < 60, "{:?}", self.names("trash"));
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The names in a directory of the store.
    pub(super) fn names(&self, directory: &str) -> Vec<String> {
        names(&self.store().join(directory))
    }
}

pub(super) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .expect("listing")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressing");
    encoder.finish().expect("compressing")
}

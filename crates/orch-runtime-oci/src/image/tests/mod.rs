//! Tests of the store as a whole, and what they make images with.

mod hostile;
mod importing;
#[cfg(feature = "pull")]
mod killed;
mod layers;
mod made;
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
pub(super) use made::Made;
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

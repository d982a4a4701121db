//! The CNI network, with real plugins where there are any, and with plugins of the test's own for what those of today's
//! distributions do not speak yet.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod protocol;
mod real;

use std::path::{Path, PathBuf};

use orch_podnet::CniOptions;

/// Files of a test: its configuration, its state and what plugins keep.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        for dir in ["net.d", "state", "ipam", "bin"] {
            std::fs::create_dir(place.path().join(dir)).unwrap();
        }
        Self(place)
    }

    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn configure(&self, file: &str, text: &str) {
        std::fs::write(self.dir("net.d").join(file), text).unwrap();
    }

    pub(crate) fn options(&self) -> CniOptions {
        CniOptions::new(self.dir("state")).config_dir(self.dir("net.d"))
    }

    pub(crate) fn kept(&self) -> usize {
        count(&self.dir("state/sandboxes"))
    }
}

pub(crate) fn count(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

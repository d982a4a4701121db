//! How what a pod's containers share is known again, where no file holds it any more: by the numbers that the kernel has given
//! it, which nothing else gets while a process of the pod has it.
//!
//! A process can leave its pod's namespaces, and what it is in then is of its own choice.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

use crate::namespaces::{Kind, Shared};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    namespaces: Vec<(Kind, u64)>,
    /// The file system of its `/dev/shm`.
    shm: Option<u64>,
}

impl Marks {
    /// Of what the files of a pod hold.
    pub(crate) fn of(shared: &Shared) -> io::Result<Self> {
        let number = |kind: &Kind| Ok((*kind, fs::metadata(shared.file(*kind))?.ino()));
        Ok(Self {
            namespaces: shared.kinds().iter().map(number).collect::<io::Result<_>>()?,
            shm: Some(fs::metadata(shared.shm())?.dev()),
        })
    }

    /// An error unless the files of a pod hold what they did. What an earlier version has written down nothing of may be anything.
    pub(crate) fn check_namespaces(&self, shared: &Shared) -> io::Result<()> {
        for (kind, number) in &self.namespaces {
            if fs::metadata(shared.file(*kind))?.ino() != *number {
                return Err(io::Error::other(format!(
                    "a first process is no longer in the {} namespace of its pod",
                    kind.word()
                )));
            }
        }
        Ok(())
    }

    /// The same of what is in memory.
    pub(crate) fn check_shm(&self, shared: &Shared) -> io::Result<()> {
        match self.shm {
            Some(shm) if fs::metadata(shared.shm())?.dev() != shm => Err(io::Error::other(
                "the first process of a container has something else than its pod has at /dev/shm",
            )),
            _ => Ok(()),
        }
    }
}

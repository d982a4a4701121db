//! A group's limits, written to its files: all of what is asked for or nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use orch_core::runtime::Resources;
use rustix::io::Errno;

use super::group::{Group, number};
use super::put;

/// The period that limits of processor time are counted in, in microseconds: the kernel's own and Docker's.
const PERIOD: u64 = 100_000;

/// Why limits cannot be set. None of them is.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The memory that is in use and cannot be taken back, in bytes, is more than the limit.
    InUse(u64),
    Failed(PathBuf, io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(used) => write!(f, "{used} bytes of memory are in use, more than the limit"),
            Self::Failed(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Refused {}

/// What is to be written to a file.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    file: PathBuf,
    value: String,
    /// The kernel may be built, or started, without it.
    optional: bool,
}

impl Group {
    /// Sets the limits that are given, those of them that this machine has. What is given and means no limit takes away one
    /// that there is.
    pub(crate) fn limit(&self, wanted: &Resources) -> Result<(), Refused> {
        let mut limit = None;
        if let (Some(dir), Some(_)) = (&self.memory, wanted.memory_limit_bytes) {
            if self.unified {
                let bytes = wanted.in_force().memory_limit_bytes.unwrap_or(u64::MAX);
                // The kernel would not refuse it: it would kill.
                let used = self.memory_kept(dir);
                let used = used.map_err(|error| Refused::Failed(dir.clone(), error))?;
                if used > bytes {
                    return Err(Refused::InUse(used));
                }
            } else {
                let file = dir.join("memory.limit_in_bytes");
                limit = Some(number(&file).map_err(|error| Refused::Failed(file, error))?);
            }
        }
        write(&self.changes(wanted, limit)).map_err(|(file, error)| {
            let busy = Errno::from_io_error(&error) == Some(Errno::BUSY);
            let is_memory = file
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"memory."));
            match self.memory.as_ref().filter(|_| busy && is_memory) {
                Some(dir) => Refused::InUse(self.memory_kept(dir).unwrap_or(0)),
                None => Refused::Failed(file, error),
            }
        })
    }

    /// Has the kernel kill all that is in the group once it kills anything of it over memory, as kubelet has it of containers
    /// since Kubernetes 1.28. Version 1 knows no such thing.
    pub(crate) fn end_together(&self) -> io::Result<()> {
        let Some(dir) = self.memory.as_ref().filter(|_| self.unified) else {
            return Ok(());
        };
        let file = dir.join("memory.oom.group");
        match put(&file, "1") {
            // Of kernels before 4.19.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", file.display()),
            )),
            Ok(()) => Ok(()),
        }
    }

    /// What to write where, in this order: what the kernel may refuse comes first. `now` is the limit of memory as it is, of
    /// version 1.
    fn changes(&self, wanted: &Resources, now: Option<u64>) -> Vec<Change> {
        let (mut changes, limits) = (Vec::new(), wanted.in_force());
        if let (Some(dir), Some(_)) = (&self.memory, wanted.memory_limit_bytes) {
            changes.extend(self.memory(dir, limits.memory_limit_bytes, now));
        }
        if let Some(dir) = &self.cpu {
            let none = if self.unified { "max" } else { "-1" };
            let quota = |millis: u64| (millis * (PERIOD / 1000)).to_string();
            let limit = || limits.cpu_limit_millis.map_or_else(|| none.to_owned(), quota);
            let (shares, quota) = (limits.cpu_shares, wanted.cpu_limit_millis.map(|_| limit()));
            if self.unified {
                changes.extend(shares.map(|shares| change(dir, "cpu.weight", weight(shares))));
                changes.extend(quota.map(|quota| change(dir, "cpu.max", format!("{quota} {PERIOD}"))));
            } else {
                changes.extend(shares.map(|shares| change(dir, "cpu.shares", shares)));
                changes.extend(quota.iter().map(|_| change(dir, "cpu.cfs_period_us", PERIOD)));
                changes.extend(quota.map(|quota| change(dir, "cpu.cfs_quota_us", quota)));
            }
        }
        if let (Some(dir), Some(_)) = (&self.pids, wanted.pids_limit) {
            let most = limits.pids_limit.map(|most| most.to_string());
            changes.push(change(dir, "pids.max", most.unwrap_or_else(|| "max".into())));
        }
        if let Some(dir) = &self.hugetlb {
            let pages = wanted.hugepages.iter();
            changes.extend(pages.flat_map(|(size, bytes)| self.pages(dir, *size, *bytes)));
        }
        changes
    }

    /// What a program reserves counts as well, where the kernel has it: it then learns at once that there is no more, and not
    /// by a signal when it first uses a page. As runc has it.
    fn pages(&self, dir: &Path, size: u64, bytes: u64) -> [Change; 2] {
        let (size, bytes) = (page_size(size), bytes.min(i64::MAX.unsigned_abs()));
        let file = if self.unified { "max" } else { "limit_in_bytes" };
        let reserved = Change {
            optional: true,
            ..change(dir, &format!("hugetlb.{size}.rsvd.{file}"), bytes)
        };
        [change(dir, &format!("hugetlb.{size}.{file}"), bytes), reserved]
    }

    /// Memory and swap together get the same limit, which means no swap, as Kubernetes has it.
    fn memory(&self, dir: &Path, bytes: Option<u64>, now: Option<u64>) -> [Change; 2] {
        let none = if self.unified { "max" } else { "-1" };
        let value = bytes.map_or_else(|| none.to_owned(), |bytes| bytes.to_string());
        let optional = |change| Change {
            optional: true,
            ..change
        };
        if self.unified {
            return [
                optional(change(
                    dir,
                    "memory.swap.max",
                    if bytes.is_some() { "0" } else { none },
                )),
                change(dir, "memory.max", value),
            ];
        }
        let alone = change(dir, "memory.limit_in_bytes", &value);
        let with_swap = optional(change(dir, "memory.memsw.limit_in_bytes", value));
        // At no time may the first be more than the second.
        if now.is_some_and(|now| bytes.is_none_or(|bytes| bytes > now)) {
            [with_swap, alone]
        } else {
            [alone, with_swap]
        }
    }
}

/// As the kernel names its files after it (`mem_fmt`).
fn page_size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 30 => format!("{}GB", bytes >> 30),
        bytes if bytes >= 1 << 20 => format!("{}MB", bytes >> 20),
        bytes => format!("{}KB", bytes >> 10),
    }
}

fn change(dir: &Path, name: &str, value: impl ToString) -> Change {
    Change {
        file: dir.join(name),
        value: value.to_string(),
        optional: false,
    }
}

/// Writes all of it. If something is refused, what was written before is set back, last first.
fn write(changes: &[Change]) -> Result<(), (PathBuf, io::Error)> {
    let mut before = Vec::new();
    for Change {
        file,
        value,
        optional,
    } in changes
    {
        let written = fs::read_to_string(file).and_then(|old| put(file, value).map(|()| old));
        match written {
            Ok(old) => before.push((file, old)),
            Err(error) if *optional && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                for (file, old) in before.into_iter().rev() {
                    // It was so a moment ago.
                    let _ = put(file, old.trim());
                }
                return Err((file.clone(), error));
            }
        }
    }
    Ok(())
}

/// Version 2's word for shares, as runc has it since 1.3.2: a curve through the least, the most and what is usual
/// (<https://github.com/opencontainers/cgroups/pull/20>).
fn weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            let weight = 10_f64.powf(exponent).ceil() as u64;
            weight.clamp(1, 10_000)
        }
    }
}

#[cfg(test)]
mod tests;

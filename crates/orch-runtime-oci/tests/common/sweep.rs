//! Clears up after a test that has failed: what it was testing did not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::PATIENCE;

/// Ends all that is in these control groups, and removes them.
pub(super) fn groups(places: &[PathBuf]) {
    let begin = Instant::now();
    while places.iter().any(|place| place.exists()) && begin.elapsed() < PATIENCE {
        for place in places {
            remove(place);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn remove(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // What stands still does not end; each version has a file for that.
    for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        if place.join(file).exists() {
            let _ = fs::write(place.join(file), word);
        }
    }
    let list = || fs::read_to_string(place.join("cgroup.procs")).unwrap_or_default();
    for line in list().lines() {
        let held = line.parse().ok().and_then(Pid::from_raw);
        let held = held.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // Looked at again once it is held fast: the number may have become another's.
        if let Some(held) = held.filter(|_| list().lines().any(|again| again == line)) {
            let _ = pidfd_send_signal(held, Signal::KILL);
        }
    }
    // Until its last process has gone it stays, and is looked at again.
    let _ = fs::remove_dir(place);
}

/// Unmounts all that is mounted below a directory.
pub(super) fn mounts(dir: &Path) {
    let below = format!("{}/", dir.display());
    let list = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let targets = list.lines().filter_map(|line| line.split(' ').nth(4));
    // The last first, which may lie in another.
    for target in targets
        .filter(|target| target.starts_with(&below))
        .collect::<Vec<_>>()
        .iter()
        .rev()
    {
        let _ = unmount(*target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
}

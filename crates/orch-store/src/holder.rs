//! Who has a file locked, where the system tells.

use std::path::Path;

/// The process that holds a lock of the whole file at `path`, which redb takes beside its own on Linux.
///
/// None where that cannot be told: elsewhere, without `/proc`, or if the process is in another namespace.
pub(crate) fn holder(path: &Path) -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::metadata(path).ok()?;
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        lockers(&locks, file.ino()).find(|pid| has_open(*pid, &file))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        None
    }
}

/// The processes that have flock(2)ed a file with this inode number, on whichever device.
///
/// A line is `1: FLOCK  ADVISORY  WRITE 708 00:13:14 0 EOF`; one with `->` waits for the lock.
#[cfg(target_os = "linux")]
fn lockers(locks: &str, inode: u64) -> impl Iterator<Item = u32> {
    locks.lines().filter_map(move |line| {
        let mut words = line.split_whitespace().skip(1);
        (words.next()? == "FLOCK").then_some(())?;
        let pid = words.nth(2)?.parse().ok()?;
        let (_, of) = words.next()?.rsplit_once(':')?;
        (of.parse() == Ok(inode)).then_some(pid)
    })
}

/// Whether it is this very file: the device that `/proc/locks` names is another than `stat` gives on overlays.
#[cfg(target_os = "linux")]
fn has_open(pid: u32, file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    open.flatten()
        .filter_map(|entry| std::fs::metadata(entry.path()).ok())
        .any(|other| (other.dev(), other.ino()) == (file.dev(), file.ino()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn of_all_locks_those_of_the_whole_file_tell_who_holds_it() {
        let locks = "1: POSIX  ADVISORY  WRITE 10 00:13:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 11 00:13:770 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 12 fd:01:77 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 13 fd:01:77 0 EOF\n\
                     4: OFDLCK ADVISORY  WRITE -1 fd:01:77 0 EOF\n\
                     5: FLOCK\n";
        assert_eq!(lockers(locks, 77).collect::<Vec<_>>(), [12]);
    }
}

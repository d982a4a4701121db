//! Has the processes of a group, and of the groups in it, stand still.

use std::path::Path;
use std::{fs, io, thread};

use super::group::{Group, is_gone, keyed, number};
use super::{PATIENCE, PAUSE, put};

impl Group {
    /// Returns once all stand still. If some cannot, as those in the midst of a call to a dead disk, none does.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        let Some(dir) = &self.freezer else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        for _ in 0..PATIENCE {
            if self.unified {
                put(dir.join("cgroup.freeze"), "1")?;
            } else {
                // Again each time: of version 1 some are only noticed by that.
                put(dir.join("freezer.state"), "FROZEN")?;
            }
            if self.stands_still(dir)? {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        self.thaw()?;
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "some of its processes do not come to a stand",
        ))
    }

    fn stands_still(&self, dir: &Path) -> io::Result<bool> {
        if self.unified {
            return Ok(keyed(&dir.join("cgroup.events"), "frozen")? == Some(1));
        }
        Ok(fs::read_to_string(dir.join("freezer.state"))?.trim() == "FROZEN")
    }

    /// Has them go on, if they stand still because this group was made to. One that is gone is as good.
    pub(crate) fn thaw(&self) -> io::Result<()> {
        let Some(dir) = &self.freezer else {
            return Ok(());
        };
        let (file, word) = if self.unified {
            ("cgroup.freeze", "0")
        } else {
            ("freezer.state", "THAWED")
        };
        let thawed = self.is_frozen().and_then(|frozen| match frozen {
            true => put(dir.join(file), word),
            false => Ok(()),
        });
        match thawed {
            Err(error) if is_gone(&error) => Ok(()),
            thawed => thawed,
        }
    }

    /// Whether this group was made to stand still.
    pub(crate) fn is_frozen(&self) -> io::Result<bool> {
        let file = if self.unified {
            "cgroup.freeze"
        } else {
            "freezer.self_freezing"
        };
        match &self.freezer {
            Some(dir) => Ok(number(&dir.join(file))? == 1),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(unified: bool, files: &[(&str, &str)]) -> (tempfile::TempDir, Group) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let group = Group {
            unified,
            cpu: None,
            cpuacct: None,
            memory: None,
            pids: None,
            hugetlb: None,
            freezer: Some(dir.path().to_owned()),
        };
        (dir, group)
    }

    #[test]
    fn each_version_is_told_in_its_own_words() {
        for (unified, files, file, words) in [
            (
                false,
                [("freezer.self_freezing", "0\n"), ("freezer.state", "THAWED\n")],
                "freezer.state",
                ["FROZEN", "THAWED"],
            ),
            (
                true,
                [
                    ("cgroup.freeze", "0\n"),
                    ("cgroup.events", "populated 1\nfrozen 1\n"),
                ],
                "cgroup.freeze",
                ["1", "0"],
            ),
        ] {
            let (dir, mut group) = group(unified, &files);
            let said = || fs::read_to_string(dir.path().join(file)).unwrap();
            group.freeze().unwrap();
            assert_eq!(said(), words[0]);
            if !unified {
                fs::write(dir.path().join("freezer.self_freezing"), "1\n").unwrap();
            }
            assert!(group.is_frozen().unwrap());
            group.thaw().unwrap();
            assert_eq!(said(), words[1]);
            fs::remove_dir_all(dir.path()).unwrap();
            group.thaw().unwrap();
            assert!(is_gone(&group.freeze().unwrap_err()));
            group.freezer = None;
            assert!(!group.is_frozen().unwrap() && group.freeze().is_err());
            group.thaw().unwrap();
        }
    }

    #[test]
    fn what_does_not_stand_still_in_time_goes_on() {
        let (dir, group) = group(
            true,
            &[
                ("cgroup.freeze", "0"),
                ("cgroup.events", "populated 1\nfrozen 0\n"),
            ],
        );
        let error = group.freeze().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(fs::read_to_string(dir.path().join("cgroup.freeze")).unwrap(), "0");
    }
}

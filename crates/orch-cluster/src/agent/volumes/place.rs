//! Where an agent's volumes lie: a directory of its own, which nobody else may enter.
//!
//! Below the configured directory, or one for the user it runs as, each cluster has a directory and in it each node.
//! So neither another node of the same name nor another program clears away what is in use. Nothing is written or
//! removed through a directory that somebody else could have put there.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::remove;
use crate::agent::owner::Owner;

/// The directory of one agent's volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where it begins; what leads there is the machine's or the embedder's.
    outside: PathBuf,
    /// The directories below that, outermost first, each of which must be ours.
    own: Vec<PathBuf>,
}

impl Place {
    /// The place below `given`, or by default: `/var/lib/orch/volumes` for root, the user's state directory (XDG) for
    /// others, and without a home the directory for temporary files.
    pub(crate) fn new(given: Option<&Path>, owner: &Owner) -> Self {
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let user = rustix::process::geteuid();
        let (outside, mut inside) = match given {
            Some(given) => (given.to_owned(), Vec::new()),
            None => {
                let (outside, name) = if user.is_root() {
                    ("/var/lib".into(), "orch".to_owned())
                } else if let Some(state) = absolute("XDG_STATE_HOME") {
                    (state, "orch".to_owned())
                } else if let Some(home) = absolute("HOME") {
                    (home.join(".local/state"), "orch".to_owned())
                } else {
                    (std::env::temp_dir(), format!("orch-{}", user.as_raw()))
                };
                (outside, vec![name, "volumes".to_owned()])
            }
        };
        inside.extend([
            file_name("cluster", &owner.cluster),
            file_name("node", &owner.node),
        ]);
        let own = inside.iter().scan(outside.clone(), |path, name| {
            path.push(name);
            Some(path.clone())
        });
        Self {
            own: own.collect(),
            outside,
        }
    }

    /// The directory of a pod's volumes.
    pub(crate) fn of(&self, uid: &str) -> PathBuf {
        self.directory().join(file_name("pod", uid))
    }

    /// The directory in which each pod has its own.
    pub(crate) fn directory(&self) -> &Path {
        self.own.last().unwrap_or(&self.outside)
    }

    /// Makes the directory; one that is there already must be ours. Blocks.
    pub(crate) fn make(&self) -> io::Result<()> {
        let private = |recursive| {
            let mut builder = std::fs::DirBuilder::new();
            builder.mode(0o700).recursive(recursive);
            builder
        };
        private(true).create(&self.outside)?;
        for directory in &self.own {
            match private(false).create(directory) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
        }
        self.is_there().map(drop)
    }

    /// Whether the directory is there. An error if part of the way to it is not ours.
    fn is_there(&self) -> io::Result<bool> {
        for directory in &self.own {
            match std::fs::symlink_metadata(directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                found => check(directory, &found?)?,
            }
        }
        Ok(true)
    }

    /// Of which pods there are volumes, by the names of their directories. Blocks.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        if !self.is_there()? {
            return Ok(Vec::new());
        }
        let entries = std::fs::read_dir(self.directory())?;
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(io::Result::transpose).collect()
    }

    /// Removes those of `names` that belong to none of the pods `known`. Blocks.
    pub(crate) fn sweep<'a>(&self, names: &[String], known: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let known: std::collections::HashSet<_> = known.map(|uid| file_name("pod", uid)).collect();
        for name in names.iter().filter(|name| !known.contains(*name)) {
            remove(&self.directory().join(name))?;
        }
        Ok(())
    }

    /// Removes all volumes of a pod. Blocks; done twice it does nothing.
    pub(crate) fn remove(&self, uid: &str) -> io::Result<()> {
        if self.is_there()? {
            remove(&self.of(uid))
        } else {
            Ok(())
        }
    }
}

/// A name that stays where it is put, whatever it holds, and differs where what it is made of does.
fn file_name(kind: &str, name: &str) -> String {
    let name = name.replace('%', "%25").replace('/', "%2f");
    format!("{kind}-{}", name.replace('\0', "%00"))
}

fn check(directory: &Path, found: &std::fs::Metadata) -> io::Result<()> {
    let others_write = 0o022;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && ours && found.permissions().mode() & others_write == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} must be a directory that belongs to the user who runs the agent and that no other may write to",
        directory.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(node: &str, cluster: &str) -> Owner {
        Owner {
            node: node.into(),
            cluster: cluster.into(),
        }
    }

    #[test]
    fn every_node_of_every_cluster_has_a_place_that_no_other_user_enters() {
        let given = tempfile::tempdir().unwrap();
        let base = given.path().join("made");
        let owners = [
            owner("n", "c"),
            owner("n", "d"),
            owner("m", "c"),
            owner("..", "c"),
            owner("a/../../b", "c"),
            owner("a.b", "c"),
            owner("a_b", "c"),
        ];
        let places: Vec<_> = owners
            .iter()
            .map(|owner| Place::new(Some(&base), owner))
            .collect();
        for (number, place) in places.iter().enumerate() {
            place.make().unwrap();
            std::fs::create_dir(place.of("u")).unwrap();
            assert!(place.of("../..").canonicalize().is_err(), "it is a plain name");
            assert_eq!(place.own.len(), 2);
            assert!(place.directory().starts_with(&base));
            assert_eq!(
                places.iter().filter(|other| *other == place).count(),
                1,
                "{number}"
            );
        }
        for directory in places[0].own.iter().chain([&base]) {
            let mode = std::fs::metadata(directory).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", directory.display());
        }
        let names = places[0].names().unwrap();
        places[0].sweep(&names, std::iter::once("u")).unwrap();
        assert!(places[0].of("u").exists());
        places[0].sweep(&names, std::iter::empty()).unwrap();
        assert!(!places[0].of("u").exists());
        assert!(places[1..].iter().all(|place| place.of("u").exists()));
    }

    #[test]
    fn without_a_word_it_is_one_of_the_users_own() {
        let place = Place::new(None, &owner("n", "c"));
        assert_eq!(place.own.len(), 4, "{place:?}");
        assert_ne!(place.outside, Path::new(""));
        assert!(place.directory().ends_with("volumes/cluster-c/node-n"));
        if rustix::process::geteuid().is_root() {
            assert_eq!(place.outside, Path::new("/var/lib"));
        }
    }

    #[test]
    fn nothing_is_made_or_removed_behind_a_directory_that_another_could_have_put_there() {
        let given = tempfile::tempdir().unwrap();
        let theirs = tempfile::tempdir().unwrap();
        let place = Place::new(Some(given.path()), &owner("n", "c"));
        std::fs::create_dir_all(theirs.path().join("node-n/pod-u")).unwrap();
        std::os::unix::fs::symlink(theirs.path(), &place.own[0]).unwrap();
        assert!(place.make().unwrap_err().to_string().contains("cluster-c"));
        assert!(place.names().is_err() && place.remove("u").is_err());
        assert!(theirs.path().join("node-n/pod-u").exists());

        std::fs::remove_file(&place.own[0]).unwrap();
        place.make().unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&place.own[1], open).unwrap();
        assert!(place.make().is_err() && place.names().is_err());
    }
}

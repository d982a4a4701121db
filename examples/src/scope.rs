//! Whose containers are a data directory's, among all of an engine's.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use orch_core::random::Random;

use crate::Error;
use crate::data;

/// In the data directory: its scope.
const SCOPE: &str = "scope";

/// How many others are named.
const NAMED: usize = 5;

/// A data directory's scope, which is chance's, so that no other has it; kept in the directory, so that it goes where
/// the directory goes. It begins with a word for the place where the directory was made.
pub struct Scope {
    pub name: String,
    /// What the names of all begin with that are made where the directory is now.
    place: String,
}

impl Scope {
    pub fn of(data: &Path) -> Result<Self, Error> {
        let file = data.join(SCOPE);
        // On another machine, or in a container, the same path is another place.
        let host = data::read(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
        let place = place(host.unwrap_or_default().trim(), data);
        let name = match data::read(&file)? {
            Some(name) => name.trim().to_owned(),
            None => {
                let name = format!("{place}{}", Random::from_os().name_suffix(16));
                data::write(&file, &name)?;
                name
            }
        };
        Ok(Self { name, place })
    }

    /// What its bridge is called, in up to nine letters: two directories on a machine have the same as good as never.
    #[cfg(feature = "oci")]
    pub fn bridge(&self) -> String {
        let chance = self.name.len().saturating_sub(5);
        format!("orch{}", self.name.get(chance..).unwrap_or_default())
    }

    /// Of these scopes, with how many containers each has, those that another data directory in this place has had.
    pub fn others(&self, scopes: BTreeMap<String, usize>) -> Others {
        let others = scopes
            .into_iter()
            .filter(|(name, _)| name.starts_with(&self.place) && *name != self.name);
        Others(others.collect())
    }
}

/// The host and the path as a short word that the engine takes (FNV-1a: the same with every compiler).
fn place(host: &str, data: &Path) -> String {
    let bytes = host
        .bytes()
        .chain([0])
        .chain(data.as_os_str().as_bytes().iter().copied());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("orch-{hash:016x}-")
}

/// Scopes of other data directories that were made where this one is. Whether those are lost or have moved, and are
/// looked after, cannot be known from here: so their containers are named, and never touched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Others(BTreeMap<String, usize>);

impl Others {
    /// What their owner should know.
    pub fn warnings(&self) -> Vec<String> {
        let named = self.0.iter().take(NAMED).map(|(name, containers)| {
            let containers = match containers {
                1 => "1 container".to_owned(),
                many => format!("{many} containers"),
            };
            format!(
                "the engine has {containers} of another data directory that was made in this place. If that is lost, \
                 and not only moved, they are removed by\n  \
                 docker rm -f $(docker ps -aq --filter label=orch.scope={name})"
            )
        });
        let more = match self.0.len().saturating_sub(NAMED) {
            0 => None,
            more => Some(format!("and of {more} more such directories")),
        };
        named.chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_scope_when_it_moves_and_shares_it_with_none() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, moved) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
        let made = |data: &Path| {
            std::fs::create_dir_all(data).unwrap();
            Scope::of(data).unwrap()
        };
        let first = made(&a);
        assert_eq!(made(&a).name, first.name);
        std::fs::rename(&a, &moved).unwrap();
        assert_eq!(made(&moved).name, first.name);
        let second = made(&a);
        assert_ne!(second.name, first.name);

        let all = [&first, &second, &made(&b)].map(|scope| (scope.name.clone(), 2));
        let others = |scope: &Scope| scope.others(all.clone().into());
        assert_eq!(others(&second), Others([(first.name.clone(), 2)].into()));
        assert_eq!(others(&made(&moved)), Others::default());
        assert_eq!(others(&made(&b)), Others::default());
    }

    #[test]
    fn a_place_is_a_path_on_a_host() {
        let one = place("a", Path::new("/data"));
        assert_eq!(one, place("a", Path::new("/data")));
        assert_ne!(one, place("b", Path::new("/data")));
        assert_ne!(one, place("a", Path::new("/data/2")));
        assert_eq!(one.len(), "orch-".len() + 17);
    }
}

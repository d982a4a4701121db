//! What lies below every image: empty, the places where each container has something mounted. An image need not have them,
//! and the kernel is quicker to find them there than to make them among a container's changes.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::image::Base;

const DIRECTORIES: [&str; 4] = ["dev", "etc", "proc", "sys"];
const FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// Made once for all containers.
pub(crate) struct Skeleton(PathBuf);

impl Skeleton {
    /// One that is there is as good, and made whole again.
    pub(crate) fn make(place: PathBuf) -> io::Result<Self> {
        // Whatever the mask of the program is.
        let give = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        for path in [""].into_iter().chain(DIRECTORIES) {
            let path = place.join(path);
            fs::create_dir_all(&path)?;
            give(&path, 0o755)?;
        }
        for path in FILES {
            let path = place.join(path);
            File::create(&path)?;
            give(&path, 0o644)?;
        }
        Ok(Self(place))
    }

    /// Below the layers of an image. The machine's own root has all of it.
    pub(crate) fn below(&self, base: Base) -> Base {
        match base {
            Base::Host => Base::Host,
            Base::Layers(layers) => Base::Layers([vec![self.0.clone()], layers].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_is_whole_again_whenever_it_is_made_and_lies_below_an_images_layers() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("skeleton");
        Skeleton::make(place.clone()).unwrap();
        fs::remove_file(place.join("etc/hosts")).unwrap();
        fs::write(place.join("etc/resolv.conf"), "somebody's").unwrap();
        fs::set_permissions(place.join("etc"), Permissions::from_mode(0o700)).unwrap();
        let skeleton = Skeleton::make(place.clone()).unwrap();
        assert_eq!(fs::read_to_string(place.join("etc/hosts")).unwrap(), "");
        assert_eq!(fs::read_to_string(place.join("etc/resolv.conf")).unwrap(), "");
        assert_eq!(fs::metadata(place.join("etc")).unwrap().mode() & 0o7777, 0o755);
        let layers = Base::Layers(vec!["/one".into(), "/two".into()]);
        let all = Base::Layers(vec![place, "/one".into(), "/two".into()]);
        assert_eq!(skeleton.below(layers), all);
        assert_eq!(skeleton.below(Base::Host), Base::Host);
    }
}

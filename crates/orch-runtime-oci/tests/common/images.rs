//! Images to run containers from, made of the machine's busybox.

use std::fmt;
use std::fs;
use std::path::Path;

pub(crate) use orch_runtime_oci::image::Platform;
use sha2::{Digest as _, Sha256};

pub(crate) use made::Made;
#[cfg(feature = "pull")]
pub(crate) use registry::Registry;
pub(crate) use tar::{Item, tar};

// What the tests of the image store make images with.
#[path = "../../src/image/tests/made.rs"]
mod made;
#[cfg(feature = "pull")]
#[path = "../../src/image/tests/registry.rs"]
mod registry;
#[path = "../../src/image/tests/tar.rs"]
mod tar;

/// A digest, as the fixtures want it.
pub(crate) struct Digest(String);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(crate) fn hex(&self) -> String {
        self.0.clone()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// The machine's busybox, which needs no library. None, with a word on why, where there is none.
pub(crate) fn busybox() -> Option<Vec<u8>> {
    let found = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .filter_map(|path| fs::read(path).ok())
        // Of one with libraries the image would lack them; such a one names the program that loads them.
        .find(|program| !program.windows(7).any(|part| part == b"/ld-lin"));
    let why = "there is no static busybox on this machine (Debian's busybox-static)";
    super::there(found.is_some(), why);
    found
}

/// A layer with a shell, its programs and two users.
pub(crate) fn base() -> Option<Vec<u8>> {
    let mut items = vec![
        Item::dir("bin"),
        Item::file("bin/busybox", &busybox()?).mode(0o755),
        Item::dir("etc"),
        Item::file(
            "etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/home/web:/bin/sh\n",
        ),
        Item::file("etc/group", b"root:x:0:\nweb:x:1001:\nstaff:x:50:web\n"),
        Item::file("etc/gone", b"of the lower layer"),
        Item::dir("tmp").mode(0o1777),
        Item::dir("sbin"),
        Item::dir("usr"),
        Item::dir("usr/bin"),
    ];
    for program in [
        "cat", "chmod", "dd", "echo", "env", "head", "id", "kill", "ls", "mkdir", "printf", "pwd",
        "readlink", "rm", "seq", "sh", "sleep", "stat", "tail", "test", "touch", "tr", "true", "tty", "wc",
        "yes",
    ] {
        items.push(Item::link(b'2', &format!("bin/{program}"), "busybox"));
    }
    Some(tar(&items))
}

/// Two layers: what the upper one hides of the lower does not show.
pub(crate) fn shell(config: &serde_json::Value) -> Option<Made> {
    let upper = tar(&[
        Item::dir("./").mode(0o751),
        Item::file("etc/.wh.gone", b""),
        Item::file("etc/upper", b"of the upper layer\n"),
    ]);
    Some(Made::saying(config, vec![base()?, upper]))
}

/// Writes an archive of an image, for import.
pub(crate) fn archive(path: &Path, image: &Made, name: &str) {
    fs::write(path, image.oci_archive(name)).expect("writing an archive");
}

//! The checks of `hostPath.type`, in the kubelet's words and with what to do about it.

use std::fs::{DirBuilder, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use k8s_openapi::api::core::v1::HostPathVolumeSource;

/// Makes the path if it is missing and its type asks for that, and sees that it is what the type says. Blocks.
pub(super) fn check(host: &HostPathVolumeSource) -> Result<(), String> {
    let path = Path::new(&host.path);
    if path.is_relative() {
        return Err(format!(
            "hostPath {:?}: must be an absolute path of the node",
            host.path
        ));
    }
    let type_ = host.type_.as_deref().unwrap_or_default();
    let found = match std::fs::metadata(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(format!(
                "hostPath {}: {error}; correct the path, or what leads to it on the node",
                host.path
            ));
        }
    };
    let (what, is): (&str, fn(&FileType) -> bool) = match type_ {
        // Kubernetes checks nothing of the type that is not named, and its runtimes make what is missing.
        "" => ("directory", |_| true),
        "Directory" | "DirectoryOrCreate" => ("directory", FileType::is_dir),
        "File" | "FileOrCreate" => ("file", FileType::is_file),
        "Socket" => ("socket file", FileTypeExt::is_socket),
        "CharDevice" => ("character device", FileTypeExt::is_char_device),
        "BlockDevice" => ("block device", FileTypeExt::is_block_device),
        other => {
            return Err(format!(
                "hostPath type {other:?} is not known; known are Directory, DirectoryOrCreate, File, FileOrCreate, \
                 Socket, CharDevice and BlockDevice"
            ));
        }
    };
    let made = match (&found, type_) {
        (Some(found), _) if is(&found.file_type()) => return Ok(()),
        // With the kubelet's modes, less what the embedding program's umask takes away.
        (None, "" | "DirectoryOrCreate") => DirBuilder::new().recursive(true).mode(0o755).create(path),
        (None, "FileOrCreate") => OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o644)
            .open(path)
            .map(drop),
        _ => {
            let why = why_not(path, what, found.as_ref());
            return Err(format!(
                "hostPath type check failed: {} is not a {what}: {why}",
                host.path
            ));
        }
    };
    made.map_err(|error| {
        let parent = path.parent().unwrap_or(path).display();
        let first = if type_ == "FileOrCreate" {
            format!("; its directory {parent} must be there first")
        } else {
            String::new()
        };
        format!(
            "hostPath {}: {}, and cannot be made as a {what}: {error}{first}",
            host.path,
            absence(path)
        )
    })
}

fn why_not(path: &Path, what: &str, found: Option<&Metadata>) -> String {
    let Some(found) = found else {
        let what_to_do = match what {
            "directory" => "create it, or set type: DirectoryOrCreate",
            "file" => "create it, or set type: FileOrCreate",
            _ => "start what makes it, or correct the path",
        };
        return format!("{}; {what_to_do}", absence(path));
    };
    let found = found.file_type();
    let is = if found.is_dir() {
        "a directory"
    } else if found.is_file() {
        "a file"
    } else if found.is_socket() {
        "a socket file"
    } else if found.is_char_device() {
        "a character device"
    } else if found.is_block_device() {
        "a block device"
    } else {
        "a named pipe"
    };
    format!("it is {is}; correct the path or the type")
}

fn absence(path: &Path) -> &'static str {
    if path.symlink_metadata().is_ok() {
        "it is a link to what does not exist"
    } else {
        "it does not exist on the node"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(path: &Path, type_: &str) -> Result<(), String> {
        check(&HostPathVolumeSource {
            path: path.to_str().unwrap().to_owned(),
            type_: Some(type_.to_owned()),
        })
    }

    #[test]
    fn what_is_not_as_its_type_says_is_refused_with_what_it_is_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        std::fs::create_dir(at("dir")).unwrap();
        std::os::unix::fs::symlink(at("gone"), at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (path, type_, said) in [
            (
                "none",
                "Directory",
                "a directory: it does not exist on the node; create it, or set type: DirectoryOrCreate",
            ),
            (
                "none",
                "File",
                "a file: it does not exist on the node; create it, or set type: FileOrCreate",
            ),
            (
                "none",
                "Socket",
                "a socket file: it does not exist on the node; start what makes it",
            ),
            (
                "link",
                "Directory",
                "a directory: it is a link to what does not exist; create it",
            ),
            (
                "file",
                "Directory",
                "a directory: it is a file; correct the path or the type",
            ),
            ("file", "DirectoryOrCreate", "a directory: it is a file"),
            ("dir", "File", "a file: it is a directory"),
            ("dir", "FileOrCreate", "a file: it is a directory"),
            ("file", "Socket", "a socket file: it is a file"),
            ("socket", "CharDevice", "a character device: it is a socket file"),
            ("socket", "BlockDevice", "a block device: it is a socket file"),
        ] {
            let error = checked(&at(path), type_).unwrap_err();
            let said = format!("hostPath type check failed: {} is not {said}", at(path).display());
            assert!(error.starts_with(&said), "{path} as {type_}: {error}");
        }
        assert!(!at("none").exists() && !at("gone").exists(), "nothing was made");
        for (path, type_) in [
            ("file", "File"),
            ("file", ""),
            ("dir", "Directory"),
            ("socket", "Socket"),
        ] {
            assert_eq!(checked(&at(path), type_), Ok(()), "{path} as {type_}");
        }
        assert_eq!(checked(Path::new("/dev/null"), "CharDevice"), Ok(()));
    }

    #[test]
    fn what_is_missing_is_made_if_its_type_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for _ in 0..2 {
            assert_eq!(checked(&at("a/b"), "DirectoryOrCreate"), Ok(()));
            assert_eq!(checked(&at("a/c"), "FileOrCreate"), Ok(()));
        }
        assert!(at("a/b").is_dir() && at("a/c").is_file());
        std::os::unix::fs::symlink(at("gone"), at("link")).unwrap();
        for (path, type_, said) in [
            ("x/y", "FileOrCreate", "/x must be there first"),
            (
                "link",
                "DirectoryOrCreate",
                "it is a link to what does not exist, and cannot be made",
            ),
        ] {
            let error = checked(&at(path), type_).unwrap_err();
            let path = at(path);
            assert!(
                error.starts_with(&format!("hostPath {}: ", path.display())),
                "{error}"
            );
            assert!(error.contains(said), "{error}");
        }
        assert!(!at("x").exists());
        let refused = checked(Path::new("re/lative"), "DirectoryOrCreate");
        let expected = "hostPath \"re/lative\": must be an absolute path of the node";
        assert_eq!(refused, Err(expected.to_owned()));
        assert!(!Path::new("re").exists());
    }
}

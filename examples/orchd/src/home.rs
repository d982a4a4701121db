//! What of the program itself is kept in its directory: what its node is called, and where it listened.

use std::net::SocketAddr;
use std::path::Path;

use orch_examples::{Error, data};

/// In the directory.
const NODE: &str = "node";
const LISTEN: &str = "listen";

/// The node's name: the machine's when the directory was made. Pods are bound to it, so it stays whatever the machine
/// is called later.
pub(crate) fn node(home: &Path) -> Result<String, Error> {
    let file = home.join(NODE);
    if let Some(name) = data::read(&file)? {
        return Ok(name.trim().to_owned());
    }
    let host = data::read(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    let name = name_of(host.unwrap_or_default().trim());
    data::write(&file, &name)?;
    Ok(name)
}

/// A name that a node may have, like this.
fn name_of(host: &str) -> String {
    let is_fine = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
    // The first word of a whole name is what people call it.
    let word = host.split('.').next().unwrap_or_default();
    let name: String = word.chars().filter(is_fine).take(63).collect();
    match name.trim_matches('-') {
        "" => "local".to_owned(),
        name => name.to_ascii_lowercase(),
    }
}

/// Where it listened the last time; what is no address is forgotten.
pub(crate) fn last_listen(home: &Path) -> Result<Option<SocketAddr>, Error> {
    let text = data::read(&home.join(LISTEN))?;
    Ok(text.and_then(|text| text.trim().parse().ok()))
}

/// Callers look for it there the next time.
pub(crate) fn note_listen(home: &Path, address: SocketAddr) -> Result<(), Error> {
    if last_listen(home)? == Some(address) {
        return Ok(());
    }
    data::write(&home.join(LISTEN), &address.to_string())
}

/// A path as a word of a shell's.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@:,".contains(letter);
    if path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_as_its_machine_is_as_far_as_it_may() {
        for (host, name) in [
            ("edge-7", "edge-7"),
            ("Edge_7.example.com", "edge7"),
            ("-", "local"),
            ("", "local"),
            ("日本", "local"),
        ] {
            assert_eq!(name_of(host), name, "{host:?}");
        }
    }

    #[test]
    fn a_node_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NODE), "older\n").unwrap();
        assert_eq!(node(dir.path()).unwrap(), "older");
        std::fs::remove_file(dir.path().join(NODE)).unwrap();
        let name = node(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join(NODE)).unwrap(), name);
    }

    #[test]
    fn where_it_listened_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_listen(dir.path()).unwrap(), None);
        let address = SocketAddr::from(([127, 0, 0, 1], 6443));
        note_listen(dir.path(), address).unwrap();
        assert_eq!(last_listen(dir.path()).unwrap(), Some(address));
        std::fs::write(dir.path().join(LISTEN), "somewhere").unwrap();
        assert_eq!(last_listen(dir.path()).unwrap(), None);
    }

    #[test]
    fn a_path_is_one_word() {
        for (path, word) in [
            ("/var/lib/orch", "/var/lib/orch"),
            ("/my data", "'/my data'"),
            ("/it's", r"'/it'\''s'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}

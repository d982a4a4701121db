//! Random layers, unpacked and laid over each other, show what a model of them says.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::super::copy::copy;
use super::super::limits::{Budget, Limits, Stop};
use super::super::unpack::{settle, unpack};
use super::is_root;
use super::tar::{Item, tar};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Dir {
        mode: u32,
    },
    /// Files with the same number are one file.
    File {
        mode: u32,
        body: u8,
        number: usize,
    },
    Link {
        to: String,
    },
}

/// Of an image; the keys are paths.
type Model = BTreeMap<String, Node>;

#[derive(Clone, Debug)]
enum Act {
    Dir(u32),
    File(u32, u8),
    Link(u8),
    Hard(String),
    Whiteout,
    Opaque,
}

fn ancestors(path: &str) -> Vec<String> {
    path.match_indices('/')
        .map(|(at, _)| path[..at].to_owned())
        .collect()
}

fn without(model: &mut Model, path: &str, itself: bool) {
    let below = format!("{path}/");
    model.retain(|other, _| !(other.starts_with(&below) || itself && other == path));
}

/// Makes a directory of what is not one.
fn ensure(model: &mut Model, path: &str) {
    if !matches!(model.get(path), Some(Node::Dir { .. })) {
        without(model, path, true);
        model.insert(path.to_owned(), Node::Dir { mode: 0o755 });
    }
}

/// The acts of a layer that an honest writer can have written, after those before them.
fn honest(acts: &[(String, Act)]) -> Vec<(String, Act)> {
    let mut own = Model::new();
    let mut kept = Vec::new();
    for (path, act) in acts {
        let mut above = ancestors(path);
        if matches!(act, Act::Opaque) {
            above.push(path.clone());
        }
        let blocked = above
            .iter()
            .any(|path| matches!(own.get(path), Some(Node::File { .. } | Node::Link { .. })));
        if blocked {
            continue;
        }
        if let Act::Hard(to) = act
            && (to == path
                || !matches!(own.get(to), Some(Node::File { .. }))
                || to.starts_with(&format!("{path}/")))
        {
            continue;
        }
        for path in above {
            ensure(&mut own, &path);
        }
        apply_one(&mut own, path, act, 0);
        kept.push((path.clone(), act.clone()));
    }
    kept
}

fn apply_one(model: &mut Model, path: &str, act: &Act, number: usize) {
    let node = match act {
        Act::Dir(mode) => {
            ensure(model, path);
            Node::Dir { mode: *mode }
        }
        Act::File(mode, body) => Node::File {
            mode: *mode,
            body: *body,
            number,
        },
        Act::Link(to) => Node::Link {
            to: format!("/to/{to}"),
        },
        Act::Hard(to) => model[to].clone(),
        Act::Whiteout | Act::Opaque => return,
    };
    if !matches!(node, Node::Dir { .. }) {
        without(model, path, true);
    }
    model.insert(path.to_owned(), node);
}

/// What whiteouts say is of the layers below, wherever in the archive they stand.
fn apply(model: &mut Model, acts: &[(String, Act)], numbers: &mut usize) {
    for (path, act) in acts {
        match act {
            Act::Whiteout => without(model, path, true),
            Act::Opaque => without(model, path, false),
            _ => {}
        }
    }
    for (path, act) in acts {
        for path in ancestors(path) {
            ensure(model, &path);
        }
        if matches!(act, Act::Opaque) {
            ensure(model, path);
        }
        *numbers += 1;
        apply_one(model, path, act, *numbers);
    }
}

fn archive(acts: &[(String, Act)]) -> Vec<u8> {
    let items: Vec<Item> = acts
        .iter()
        .map(|(path, act)| match act {
            Act::Dir(mode) => Item::dir(path).mode(*mode).owner(3, 4),
            Act::File(mode, body) => Item::file(path, &[*body]).mode(*mode).owner(5, 6),
            Act::Link(to) => Item::link(b'2', path, &format!("/to/{to}")),
            Act::Hard(to) => Item::link(b'1', path, to),
            Act::Whiteout => match path.rsplit_once('/') {
                Some((above, name)) => Item::file(&format!("{above}/.wh.{name}"), b""),
                None => Item::file(&format!(".wh.{path}"), b""),
            },
            Act::Opaque => Item::file(&format!("{path}/.wh..wh..opq"), b""),
        })
        .collect();
    tar(&items)
}

/// A tree on the disk in the model's words.
fn read(root: &Path) -> Model {
    let mut model = Model::new();
    let mut numbers = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        for name in super::names(&root.join(&directory)) {
            let path = directory.join(name);
            let found = fs::symlink_metadata(root.join(&path)).unwrap();
            let key = path.to_str().unwrap().to_owned();
            let mode = found.mode() & 0o7777;
            assert!(!found.file_type().is_char_device(), "{key}: a whiteout shows");
            let node = if found.is_dir() {
                open.push(path.clone());
                Node::Dir { mode }
            } else if found.is_symlink() {
                let to = fs::read_link(root.join(&path)).unwrap();
                Node::Link {
                    to: to.to_str().unwrap().to_owned(),
                }
            } else {
                assert_eq!(
                    (found.uid(), found.gid(), found.mtime()),
                    (5, 6, 1_000_000_000),
                    "{key}"
                );
                let next = numbers.len();
                Node::File {
                    mode,
                    body: fs::read(root.join(&path)).unwrap()[0],
                    number: *numbers.entry(found.ino()).or_insert(next),
                }
            };
            model.insert(key, node);
        }
    }
    model
}

/// Numbers files anew in the order of their paths, so that only who is one with whom counts.
fn numbered(mut model: Model) -> Model {
    let mut seen = BTreeMap::new();
    for node in model.values_mut() {
        if let Node::File { number, .. } = node {
            let next = seen.len();
            *number = *seen.entry(*number).or_insert(next);
        }
    }
    model
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|parts| parts.join("/"))
}

fn act() -> impl Strategy<Value = Act> {
    let mode = prop::sample::select(vec![0o700, 0o755, 0o1777, 0o2750]);
    let file_mode = prop::sample::select(vec![0o600, 0o4755, 0o644]);
    prop_oneof![
        3 => mode.prop_map(Act::Dir),
        4 => (file_mode, any::<u8>()).prop_map(|(mode, body)| Act::File(mode, body)),
        1 => any::<u8>().prop_map(Act::Link),
        2 => path().prop_map(Act::Hard),
        3 => Just(Act::Whiteout),
        1 => Just(Act::Opaque),
    ]
}

fn unpacked(place: &Path, layers: &[Vec<(String, Act)>]) -> Vec<PathBuf> {
    let mut below: Vec<PathBuf> = Vec::new();
    for (number, acts) in layers.iter().enumerate() {
        let into = place.join(number.to_string());
        fs::create_dir(&into).unwrap();
        let budget = Budget::new(&Limits::default());
        let unpacked = unpack(&archive(acts)[..], &into, &budget, &Stop::default())
            .unwrap_or_else(|fault| panic!("{fault} of {acts:?}"));
        let lower: Vec<PathBuf> = below.iter().rev().cloned().collect();
        settle(&into, &unpacked, &lower).unwrap();
        below.push(into);
    }
    below
}

#[test]
fn layers_show_what_the_model_says() {
    if !is_root() {
        return;
    }
    let config = ProptestConfig {
        cases: 192,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let layers = prop::collection::vec(prop::collection::vec((path(), act()), 0..12), 1..5);
    proptest!(config, |(layers in layers)| {
        let layers: Vec<_> = layers.iter().map(|acts| honest(acts)).collect();
        let place = tempfile::tempdir().unwrap();
        let directories = unpacked(place.path(), &layers);
        let to = place.path().join("copy");
        fs::create_dir(&to).unwrap();
        copy(&directories, &to, &Stop::default()).unwrap();
        let mut model = Model::new();
        let mut numbers = 0;
        for acts in &layers {
            apply(&mut model, acts, &mut numbers);
        }
        prop_assert_eq!(numbered(read(&to)), numbered(model), "layers: {:?}", layers);
    });
}

/// The kernel's own overlay of the layers shows what the plain copy has.
#[test]
fn overlayfs_shows_what_the_copy_has() {
    if !is_root() {
        return;
    }
    let act = |path: &str, act: Act| (path.to_owned(), act);
    let layers = vec![
        vec![
            act("a", Act::Dir(0o1777)),
            act("a/b", Act::Dir(0o700)),
            act("a/b/old", Act::File(0o644, 1)),
            act("b", Act::File(0o644, 2)),
            act("c", Act::Dir(0o755)),
            act("c/x", Act::File(0o600, 3)),
        ],
        vec![
            act("a/b/new", Act::File(0o4755, 4)),
            act("a/b", Act::Opaque),
            act("a/b/same", Act::Hard("a/b/new".into())),
            act("b", Act::Whiteout),
            act("c", Act::Whiteout),
            act("c/y", Act::File(0o600, 5)),
        ],
        vec![act("b/z", Act::File(0o600, 6)), act("c/y", Act::Whiteout)],
    ];
    let place = tempfile::tempdir().unwrap();
    let directories = unpacked(place.path(), &layers);
    for part in ["copy", "merged", "seen"] {
        fs::create_dir(place.path().join(part)).unwrap();
    }
    let to = place.path().join("copy");
    copy(&directories, &to, &Stop::default()).unwrap();
    // In a mount namespace of its own, which ends with the command; `cp -a` brings out what the kernel shows.
    let shown = std::process::Command::new("unshare")
        .args([
            "-m",
            "sh",
            "-c",
            "mount -t overlay overlay -o ro,lowerdir=2:1:0 merged && cp -a merged/. seen/",
        ])
        .current_dir(place.path())
        .output()
        .unwrap();
    if !shown.status.success() {
        use std::io::Write;
        let why = String::from_utf8_lossy(&shown.stderr).trim().to_owned();
        let _ = writeln!(std::io::stderr(), "skipped: needs overlayfs: {why}");
        return;
    }
    let copied = numbered(read(&to));
    assert_eq!(numbered(read(&place.path().join("seen"))), copied);
    assert_eq!(
        copied.keys().collect::<Vec<_>>(),
        ["a", "a/b", "a/b/new", "a/b/same", "b", "b/z", "c"]
    );
    assert_eq!(
        copied["a"],
        Node::Dir { mode: 0o1777 },
        "kept where no layer says otherwise"
    );
    assert_eq!(copied["a/b"], Node::Dir { mode: 0o700 });
    assert_eq!(copied["c"], Node::Dir { mode: 0o755 });
}

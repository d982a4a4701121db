//! Archives made to do harm, or broken: each is refused, with the entry's name and why, and nothing outside changes.

use std::fs;
use std::path::Path;

use super::super::fault::Fault;
use super::super::limits::{Budget, Limits, Stop};
use super::super::unpack::unpack;
use super::tar::{Item, open_tar, seal, tar};
use super::{gzip, is_root, names};

/// Small enough for small archives to be too big.
fn limits() -> Limits {
    Limits {
        max_unpacked: 4 << 20,
        max_entries: 400,
        max_ratio: 100,
        ratio_from: 1 << 16,
        ..Limits::default()
    }
}

fn refusal(archive: &[u8], into: &Path) -> Result<(), String> {
    match unpack(archive, into, &Budget::new(&limits()), &Stop::default()) {
        Ok(_) => Ok(()),
        Err(Fault::Refused(why)) => Err(why),
        Err(other) => panic!("not refused, but failed: {other}"),
    }
}

fn deep(count: usize) -> String {
    vec!["d"; count].join("/")
}

/// What it is, the archive, and words that the refusal must have.
fn table() -> Vec<(&'static str, Vec<u8>, Vec<&'static str>)> {
    let file = |path: &str| Item::file(path, b"x");
    let hard = |path: &str, to: &str| Item::link(b'1', path, to);
    let soft = |path: &str, to: &str| Item::link(b'2', path, to);
    let one = |item: Item| tar(&[item]);
    let mut broken = tar(&[file("a"), file("b")]);
    broken[1024] ^= 1;
    let mut bad_size = one(file("odd"));
    bad_size[124..135].copy_from_slice(b"0000000009x");
    seal(&mut bad_size[..512]);
    let whole = gzip(&tar(&[Item::file("a", &[7; 4096])]));
    let many: Vec<Item> = (0..500).map(|number| file(&format!("f{number}"))).collect();
    let zeros = Item::file("zeros", &vec![0; 2 << 20]);
    let noise: Vec<u8> = (0..5_u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    vec![
        (
            "up",
            one(file("../canary")),
            vec!["entry ../canary", "leave the image"],
        ),
        (
            "up later",
            one(file("a/../../canary")),
            vec!["entry a/../../canary", "leave the image"],
        ),
        (
            "up at the end",
            one(Item::dir("a/..")),
            vec!["entry a/..", "leave the image"],
        ),
        (
            "up by a long name",
            one(file(&format!("../{}", "n".repeat(150)))),
            vec!["leave the image"],
        ),
        (
            "link up",
            one(hard("h", "../canary")),
            vec!["entry h", "hard link to ../canary", "leaves the image"],
        ),
        (
            "link to the machine's",
            one(hard("h", "/etc/passwd")),
            vec!["entry h", "/etc/passwd", "nothing in this layer"],
        ),
        (
            "link to itself",
            one(hard("h", "h")),
            vec!["entry h", "nothing in this layer"],
        ),
        (
            "link to the root",
            one(hard("h", ".")),
            vec!["entry h", "the root"],
        ),
        (
            "link to a directory",
            tar(&[Item::dir("d"), hard("h", "d")]),
            vec!["entry h", "a directory"],
        ),
        (
            "link through a link",
            tar(&[soft("s", ".."), hard("h", "s/canary")]),
            vec!["entry h", "nothing in this layer"],
        ),
        (
            "link through a link to /",
            tar(&[soft("s", "/"), hard("h", "s/etc/passwd")]),
            vec!["entry h", "nothing in this layer"],
        ),
        (
            "through a link up",
            tar(&[soft("s", "../outside"), file("s/evil")]),
            vec!["entry s", "no directory"],
        ),
        (
            "through a link to /",
            tar(&[soft("s", "/etc"), file("s/evil")]),
            vec!["entry s", "no directory"],
        ),
        (
            "through a magic link",
            tar(&[soft("s", "/proc/self/cwd"), file("s/evil")]),
            vec!["entry s", "no directory"],
        ),
        (
            "in a circle",
            tar(&[soft("a", "b"), soft("b", "a"), file("a/x")]),
            vec!["entry a", "in a circle"],
        ),
        (
            "below a file",
            tar(&[file("a"), file("a/b")]),
            vec!["entry a", "no directory"],
        ),
        (
            "whiteout through a link",
            tar(&[soft("s", ".."), file("s/../.wh.canary")]),
            vec!["leave the image"],
        ),
        (
            "null device",
            one(Item::device(b'3', "null", (1, 3))),
            vec!["entry null", "device node (1:3)"],
        ),
        (
            "disk",
            one(Item::device(b'4', "sda", (8, 0))),
            vec!["entry sda", "device node (8:0)"],
        ),
        (
            "disk 0:0",
            one(Item::device(b'4', "disk", (0, 0))),
            vec!["entry disk", "device node"],
        ),
        (
            "NUL",
            one(file("a").pax("path", b"a\0b")),
            vec!["entry a\\x00b", "NUL"],
        ),
        (
            "NUL in a target",
            one(soft("s", "a").pax("linkpath", b"a\0b")),
            vec!["entry s", "NUL"],
        ),
        ("no target", one(soft("s", "")), vec!["entry s", "target"]),
        (
            "whiteout of nothing",
            one(file(".wh.")),
            vec!["entry .wh.", "reserved"],
        ),
        (
            "whiteout of .",
            one(file("a/.wh..")),
            vec!["entry a/.wh..", "reserved"],
        ),
        (
            "whiteout of ..",
            one(file("a/.wh...")),
            vec!["entry a/.wh...", "reserved"],
        ),
        (
            "aufs",
            one(file(".wh..wh.plnk")),
            vec!["entry .wh..wh.plnk", "reserved"],
        ),
        (
            "below a whiteout",
            one(file(".wh.a/b")),
            vec!["entry .wh.a/b", "reserved"],
        ),
        (
            "opaque root",
            one(file(".wh..wh..opq")),
            vec!["entry .wh..wh..opq", "root"],
        ),
        (
            "whiteout that is a link",
            one(soft(".wh.a", "b")),
            vec!["entry .wh.a", "empty file"],
        ),
        (
            "overlayfs' mark",
            one(Item::dir("d").pax("SCHILY.xattr.trusted.overlay.redirect", b"/")),
            vec!["entry d", "reserved to overlayfs"],
        ),
        ("too many", tar(&many), vec!["more than 400 entries"]),
        (
            "too big",
            one(Item::file("big", &noise)),
            vec!["more than 4194304 bytes"],
        ),
        (
            "too big, it says",
            open_tar(&[Item::file("big", b"x").size(1 << 60)]),
            vec!["ends within an entry"],
        ),
        (
            "bigger than any file",
            open_tar(&[Item::file("big", b"x").size(u64::MAX)]),
            vec!["entry big", "size 18446744073709551615 is too big"],
        ),
        (
            "bigger than any file, by a record",
            one(file("big").pax("size", u64::MAX.to_string().as_bytes())),
            vec!["entry big", "size 18446744073709551615 is too big"],
        ),
        ("a bomb", gzip(&one(zeros.clone())), vec!["more than 100 times"]),
        (
            "a zstd bomb",
            zstd::encode_all(&one(zeros)[..], 3).unwrap(),
            vec!["more than 100 times"],
        ),
        ("xz", b"\xfd7zXZ\0\0\0".to_vec(), vec!["xz", "gzip and zstd"]),
        ("bzip2", b"BZh91AY&SY".to_vec(), vec!["bzip2", "gzip and zstd"]),
        ("no archive", vec![b'z'; 2048], vec!["no tar archive"]),
        ("half a header", vec![b'z'; 100], vec!["within a header"]),
        ("broken in the middle", broken, vec!["checksum"]),
        ("cut off", whole[..whole.len() - 9].to_vec(), vec!["broken"]),
        (
            "more behind it",
            [whole, b"more".to_vec()].concat(),
            vec!["broken"],
        ),
        ("bad number", bad_size, vec!["entry odd", "size cannot be read"]),
        (
            "sparse",
            one(Item::new(b'S', "sparse")),
            vec!["entry sparse", "sparse"],
        ),
        (
            "sparse by pax",
            one(file("p").pax("GNU.sparse.major", b"1")),
            vec!["GNU.sparse"],
        ),
        (
            "unknown type",
            one(Item::new(b'Z', "odd")),
            vec!["entry odd", "type 'Z'"],
        ),
        ("deep", one(file(&deep(130))), vec!["130 directories deep"]),
        (
            "deep through a link",
            tar(&[
                Item::dir(&deep(100)),
                soft("s", &deep(100)),
                file(&format!("s/{}", deep(50))),
            ]),
            vec!["more than 128 directories deep"],
        ),
        ("long name", one(file(&"n".repeat(256))), vec!["256 bytes"]),
        ("long path", one(file(&"n/".repeat(3000))), vec!["6000 bytes"]),
        (
            "long header",
            open_tar(&[Item::new(b'L', "l").size(1 << 40)]),
            vec!["entry l", "extended header has"],
        ),
        (
            "headers without end",
            open_tar(
                &vec![Item::file("p", b"name"); 9]
                    .into_iter()
                    .map(|item| Item { kind: b'L', ..item })
                    .collect::<Vec<_>>(),
            ),
            vec!["more than 8"],
        ),
        (
            "ends after a header",
            tar(&[Item {
                kind: b'L',
                ..Item::file("p", b"name")
            }]),
            vec!["ends after an extended header"],
        ),
        (
            "bad record",
            one(Item {
                kind: b'x',
                ..Item::file("p", b"999 path=x\n")
            }),
            vec!["wrong length"],
        ),
        (
            "nobody's owner",
            one(file("a").owner(u32::MAX, 0)),
            vec!["entry a", "owner 4294967295"],
        ),
        ("root that is a file", one(file(".")), vec!["no directory"]),
        (
            "long attribute",
            one(file("a").pax(&format!("SCHILY.xattr.user.{}", "n".repeat(300)), b"")),
            vec!["entry a", "too long"],
        ),
    ]
}

#[test]
fn hostile_archives_are_refused_and_reach_nothing() {
    if !is_root() {
        return;
    }
    for (what, archive, words) in table() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(place.path().join("canary"), "alive").unwrap();
        fs::create_dir(place.path().join("outside")).unwrap();
        let passwd = fs::metadata("/etc/passwd").unwrap();
        let why = match refusal(&archive, &root) {
            Ok(()) => panic!("{what}: not refused"),
            Err(why) => why,
        };
        for word in words {
            assert!(why.contains(word), "{what}: {why:?} does not say {word:?}");
        }
        assert_eq!(fs::read(place.path().join("canary")).unwrap(), b"alive", "{what}");
        assert_eq!(names(place.path()), ["canary", "outside", "root"], "{what}");
        assert_eq!(names(&place.path().join("outside")), [""; 0], "{what}");
        let after = fs::metadata("/etc/passwd").unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!(
            (after.nlink(), after.mtime()),
            (passwd.nlink(), passwd.mtime()),
            "{what}"
        );
    }
}

#[test]
fn what_looks_hostile_and_is_not_stays_in_the_image() {
    if !is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir(&root).unwrap();
    let archive = tar(&[
        Item::dir("./"),
        // As some tools write them: from the image's root.
        Item::file("/absolute", b"1"),
        Item::link(b'1', "linked", "/absolute"),
        // Stored as it is, wherever it leads.
        Item::link(b'2', "out", "../../../etc/passwd"),
        Item::dir("d"),
        Item::link(b'2', "to-d", "/d"),
        Item::file("to-d/inside", b"2"),
        // The size that counts is the record's.
        Item::file("sized", b"four").size(0).pax("size", b"4"),
        Item::file(".white.", b"no whiteout"),
    ]);
    refusal(&archive, &root).unwrap();
    assert_eq!(fs::read(root.join("linked")).unwrap(), b"1");
    assert_eq!(
        fs::read_link(root.join("out")).unwrap(),
        Path::new("../../../etc/passwd")
    );
    assert_eq!(fs::read(root.join("d/inside")).unwrap(), b"2");
    assert_eq!(fs::read(root.join("sized")).unwrap(), b"four");
    assert_eq!(
        names(&root),
        [".white.", "absolute", "d", "linked", "out", "sized", "to-d"]
    );
}

#[test]
fn who_waits_no_more_ends_the_unpacking() {
    let place = tempfile::tempdir().unwrap();
    let given_up = super::super::limits::StopOnDrop::default();
    let stop = given_up.0.clone();
    drop(given_up);
    let archive = tar(&[Item::file("a", b"x")]);
    let unpacked = unpack(&archive[..], place.path(), &Budget::new(&limits()), &stop);
    assert!(matches!(unpacked, Err(Fault::GivenUp)), "{unpacked:?}");
    assert_eq!(names(place.path()), [""; 0]);
}

//! Archives of images, as skopeo and Docker write them, and such as are not what they say.

use std::fs;
use std::os::unix::fs::MetadataExt;

use orch_core::runtime::RuntimeError;

use super::super::{Base, ImageDefaults, ImageOptions, Images, Platform};
use super::{Digest, Item, Made, Place, gzip, is_root, layer, tar};

fn two_layers() -> Made {
    Made::new(vec![
        tar(&[
            Item::dir("etc").mode(0o750).owner(1, 2),
            Item::file("etc/one", b"1").pax("SCHILY.xattr.user.note", b"kept"),
            Item::file("etc/gone", b"x"),
            Item::link(b'2', "link", "/nowhere"),
            Item::new(b'6', "pipe"),
        ]),
        tar(&[Item::file("etc/two", b"2"), Item::file("etc/.wh.gone", b"")]),
    ])
}

/// As `docker save` wrote until version 25, a repeated layer as a link.
fn docker_archive(image: &Made, tags: &[&str]) -> Vec<u8> {
    let mut items = vec![Item::file("c.json", &image.config)];
    let mut paths: Vec<String> = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        let path = format!("{number}/layer.tar");
        match image.layers.iter().position(|other| other == layer) {
            Some(first) if first < number => {
                items.push(Item::link(b'2', &path, &format!("../{first}/layer.tar")));
            }
            _ => items.push(Item::file(&path, layer)),
        }
        paths.push(path);
    }
    let manifest = serde_json::json!([{ "Config": "c.json", "RepoTags": tags, "Layers": paths }]);
    items.push(Item::file("manifest.json", manifest.to_string().as_bytes()));
    tar(&items)
}

async fn refused(images: &Images, place: &Place, archive: &[u8], name: Option<&str>) -> String {
    match images.import(&place.file("bad.tar", archive), name).await {
        Err(RuntimeError::InvalidImage { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_oci_archive_becomes_an_image() {
    if !is_root() {
        return;
    }
    let (place, made) = (Place::new(), two_layers());
    let images = place.open().await;
    let archive = place.file("a.tar", &made.oci_archive("example.com/app:1"));
    let imported = images.import(&archive, None).await.unwrap();
    let [image] = &imported[..] else {
        panic!("{imported:?}")
    };
    assert_eq!(image.id, made.id());
    assert_eq!(image.tags, ["example.com/app:1"]);
    let by_digest = format!("example.com/app@{}", Digest::of(&made.manifest()));
    assert_eq!(image.digests, std::slice::from_ref(&by_digest));
    assert_eq!(image.user, "7:8");
    assert_eq!(
        image.size_bytes,
        made.layers.iter().map(|layer| layer.len() as u64).sum::<u64>()
    );
    for asked in ["example.com/app:1", &by_digest, &image.id] {
        assert_eq!(images.get(asked).await.unwrap().as_ref(), Some(image), "{asked}");
    }
    assert_eq!(images.get("example.com/app:2").await.unwrap(), None);

    let root = images.lease("example.com/app:1", "c").await.unwrap();
    let defaults = ImageDefaults {
        entrypoint: vec!["/bin/app".into()],
        cmd: vec!["--serve".into()],
        env: vec![("PATH".into(), "/bin".into()), ("EMPTY".into(), String::new())],
        user: "7:8".into(),
        working_dir: "/srv".into(),
        stop_signal: Some("SIGINT".into()),
    };
    assert_eq!(root.defaults, defaults);
    let Base::Layers(layers) = root.base else {
        panic!("{:?}", root.base)
    };
    // The upper layer does not describe its `etc`: it is as below.
    for layer in &layers {
        let etc = fs::metadata(layer.join("etc")).unwrap();
        assert_eq!(
            (etc.mode() & 0o7777, etc.uid(), etc.gid(), etc.mtime()),
            (0o750, 1, 2, 1_000_000_000)
        );
    }
    let gone = fs::symlink_metadata(layers[1].join("etc/gone")).unwrap();
    assert_eq!(
        (gone.mode() & 0o170_000, gone.rdev()),
        (0o020_000, 0),
        "a whiteout"
    );
    let copy = place.store().join("../copy");
    fs::create_dir(&copy).unwrap();
    images.copy(&layers, &copy).await.unwrap();
    assert_eq!(super::names(&copy), ["etc", "link", "pipe"]);
    assert_eq!(super::names(&copy.join("etc")), ["one", "two"]);
    let mut note = [0; 4];
    rustix::fs::getxattr(copy.join("etc/one"), "user.note", note.as_mut_slice()).unwrap();
    assert_eq!(&note, b"kept");
}

#[tokio::test]
async fn what_docker_saves_becomes_an_image() {
    if !is_root() {
        return;
    }
    let (place, base) = (Place::new(), layer("a", b"1"));
    let made = Made::new(vec![base.clone(), layer("b", b"2"), base]);
    let images = place.open().await;
    let plain = docker_archive(&made, &["app:1", "other/app:2"]);
    for (name, archive) in [
        ("plain", plain.clone()),
        ("gzip", gzip(&plain)),
        ("zstd", zstd::encode_all(&plain[..], 1).unwrap()),
    ] {
        let imported = images.import(&place.file(name, &archive), None).await.unwrap();
        assert_eq!(imported.len(), 1);
        assert_eq!(
            imported[0].tags,
            ["docker.io/library/app:1", "docker.io/other/app:2"]
        );
        assert_eq!(images.get("app:1").await.unwrap().unwrap().id, made.id());
        let root = images.lease("app:1", name).await.unwrap();
        assert!(matches!(root.base, Base::Layers(layers) if layers.len() == 3));
    }
    assert_eq!(place.names("layers"), ["0", "1", "2"], "unpacked once");
    place.is_swept().await;
}

#[tokio::test]
async fn compressed_layers_are_checked_against_both_digests() {
    if !is_root() {
        return;
    }
    let (place, mut made) = (Place::new(), two_layers());
    let images = place.open().await;
    let good = made.clone();
    made.layers = vec![
        gzip(&good.layers[0]),
        zstd::encode_all(&good.layers[1][..], 1).unwrap(),
    ];
    images
        .import(&place.file("a", &made.oci_archive("a.b/app:1")), None)
        .await
        .unwrap();

    // The same configuration over other contents.
    let mut other = good.clone();
    other.layers[0] = layer("etc/evil", b"x");
    // What was unpacked before would be taken for it.
    images.remove("a.b/app:1").await.unwrap();
    let why = refused(&images, &place, &other.oci_archive("a.b/app:1"), None).await;
    assert!(why.contains("its configuration promises the layer"), "{why}");

    // A blob that is not what it is named by.
    let mut archive = good.oci_archive("a.b/app:1");
    let at = archive.windows(8).position(|bytes| bytes == b"etc/gone").unwrap();
    archive[at] = b'E';
    let why = refused(&images, &place, &archive, None).await;
    assert!(why.contains("checksum"), "{why}");
    assert_eq!(images.list().await.unwrap().len(), 1, "the host image alone");
    images.collect().await.unwrap();
    assert_eq!(place.names("layers"), [""; 0]);
    assert_eq!(place.names("blobs/sha256"), [""; 0]);
}

#[tokio::test]
async fn archives_that_lie_are_refused() {
    if !is_root() {
        return;
    }
    let (place, made) = (Place::new(), two_layers());
    let images = place.open().await;
    let mut fewer = made.clone();
    fewer.layers.pop();
    let mut elsewhere = made.clone();
    elsewhere.config = String::from_utf8(made.config.clone())
        .unwrap()
        .replace(&Platform::host().architecture, "vax")
        .into_bytes();
    let config = format!("blobs/sha256/{}", Digest::of(&made.config).hex());
    let without = |path: &str| {
        let mut archive = made.oci_archive("a.b/c:1");
        let at = archive
            .windows(path.len())
            .position(|bytes| bytes == path.as_bytes())
            .unwrap();
        archive[at] = b'X';
        super::tar::seal(&mut archive[at..at + 512]);
        archive
    };
    for (archive, name, words) in [
        (tar(&[Item::file("a", b"")]), None, "neither an index.json"),
        (b"no archive".repeat(100), None, "no tar archive"),
        (
            fewer.oci_archive("a.b/c:1"),
            None,
            "has 2 layers, and its manifest 1",
        ),
        (elsewhere.oci_archive("a.b/c:1"), None, "it is for linux/vax"),
        (made.oci_archive("latest"), None, "give it a name"),
        (made.oci_archive("a.b/C:1"), None, "small letters"),
        (made.oci_archive("a.b/c:1"), Some("A B"), "small letters"),
        (without(&config), None, "does not have it"),
        (
            tar(&[Item::file("x", b"1"), Item::file("./x", b"2")]),
            None,
            "twice",
        ),
        (tar(&[Item::file("index.json", b"[")]), None, "cannot be read"),
        (tar(&[Item::file("../index.json", b"")]), None, "leave the image"),
        (docker_archive(&made, &[]), None, "give it a name"),
    ] {
        let why = refused(&images, &place, &archive, name).await;
        assert!(why.contains(words), "{why:?} does not say {words:?}");
    }
    assert_eq!(images.list().await.unwrap().len(), 1, "the host image alone");
    // Each is good but for that.
    images
        .import(&place.file("good", &docker_archive(&made, &[])), Some("app"))
        .await
        .unwrap();
    assert!(
        images
            .get("docker.io/library/app:latest")
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn limits_are_of_the_whole_image() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let made = Made::new((0..4).map(|number| layer("f", &[number; 4000])).collect());
    let archive = place.file("a", &made.oci_archive("a.b/c:1"));
    let mut options = ImageOptions::default();
    options.limits.max_unpacked = 10_000;
    let images = Images::open(place.store(), options.clone()).await.unwrap();
    let why = images.import(&archive, None).await.unwrap_err().to_string();
    assert!(why.contains("more than 10000 bytes"), "{why}");
    drop(images);
    options.limits.max_unpacked = 100_000;
    options.limits.max_layers = 3;
    let images = Images::open(place.store(), options).await.unwrap();
    let why = images.import(&archive, None).await.unwrap_err().to_string();
    assert!(why.contains("has 4 layers; at most 3"), "{why}");
}

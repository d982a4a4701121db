//! What is left after a crash, a dropped call, a collection: whole images, and nothing else.

use std::fs;
use std::future::poll_fn;
use std::path::PathBuf;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use orch_core::random::Random;
use orch_core::runtime::RuntimeError;

use super::super::{Base, ImageOptions, Images};
use super::{Item, Made, Place, is_root, layer, names, tar};

fn layers_of(base: Base) -> Vec<PathBuf> {
    match base {
        Base::Layers(layers) => layers,
        other => panic!("{other:?}"),
    }
}

fn app(number: u8) -> Made {
    Made::new(vec![layer("base", b"shared"), layer("app", &[number])])
}

// The clock is paused: who has the store open twice by mistake waits in vain.
#[tokio::test(start_paused = true)]
async fn names_and_leases_survive_and_two_cannot_have_one_store() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let images = place.open().await;
    match Images::open(place.store(), ImageOptions::default()).await {
        Err(RuntimeError::Unavailable { reason, .. }) => assert!(reason.contains("this process")),
        other => panic!("{other:?}"),
    }
    let archive = place.file("a", &app(1).oci_archive("a.b/app:1"));
    images.import(&archive, None).await.unwrap();
    let before = images.lease("a.b/app:1", "c").await.unwrap();
    let listed = images.list().await.unwrap();
    drop(images);

    let images = place.open().await;
    assert_eq!(images.list().await.unwrap(), listed);
    match images.remove("a.b/app:1").await {
        Err(RuntimeError::InUse { what, by }) => {
            assert_eq!((what.as_str(), by.as_str()), ("image a.b/app:1", "container c"));
        }
        other => panic!("{other:?}"),
    }
    // The name moves on; who has the old one keeps it.
    images
        .import(&place.file("b", &app(2).oci_archive("a.b/app:1")), None)
        .await
        .unwrap();
    images.collect().await.unwrap();
    assert_eq!(images.lease("a.b/app:1", "c").await.unwrap(), before);
    assert_ne!(images.lease("a.b/app:1", "d").await.unwrap(), before);
    assert_eq!(fs::read(layers_of(before.base)[1].join("app")).unwrap(), [1]);
    for holder in ["c", "c", "d"] {
        images.release(holder).await.unwrap();
    }
    images.remove("a.b/app:1").await.unwrap();
    images.remove("a.b/app:1").await.unwrap();
    for directory in ["layers", "blobs/sha256", "refs", "leases"] {
        assert_eq!(place.names(directory), [""; 0], "{directory}");
    }
    assert!(matches!(
        images.lease("a.b/app:1", "e").await,
        Err(RuntimeError::ImageNotFound { .. })
    ));
    assert!(matches!(
        images.remove("host").await,
        Err(RuntimeError::InUse { .. })
    ));
    assert_eq!(images.lease("host", "e").await.unwrap().base, Base::Host);
}

#[tokio::test]
async fn an_image_goes_with_its_last_name() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let images = place.open().await;
    for name in ["a.b/app:1", "a.b/app:2"] {
        let archive = place.file("a", &app(1).oci_archive(name));
        images.import(&archive, None).await.unwrap();
    }
    let root = images.lease("a.b/app:1", "c").await.unwrap();
    images.remove("a.b/app:1").await.unwrap();
    assert_eq!(images.get(&root.id).await.unwrap().unwrap().tags, ["a.b/app:2"]);
    assert!(matches!(
        images.remove(&root.id).await,
        Err(RuntimeError::InUse { .. })
    ));
    images.release("c").await.unwrap();
    images.remove(&root.id).await.unwrap();
    assert_eq!(place.names("layers"), [""; 0]);
}

/// Whatever is done in whatever order, who has a lease has its files.
#[tokio::test]
async fn a_collection_never_takes_what_is_leased() {
    if !is_root() {
        return;
    }
    for seed in 0..4 {
        let (place, random) = (Place::new(), Random::seeded(seed));
        let mut images = place.open().await;
        let archives: Vec<PathBuf> = (0..4)
            .map(|number| {
                place.file(
                    &format!("{number}"),
                    &app(number).oci_archive(&format!("a.b/app:{number}")),
                )
            })
            .collect();
        let mut held: Vec<(String, u8, Vec<PathBuf>)> = Vec::new();
        for step in 0..120 {
            let number = u8::try_from(random.below(4)).unwrap();
            let name = format!("a.b/app:{number}");
            match random.below(8) {
                0 | 1 => {
                    images.import(&archives[usize::from(number)], None).await.unwrap();
                }
                2 | 3 => {
                    let holder = format!("c{step}");
                    if let Ok(root) = images.lease(&name, &holder).await {
                        held.push((holder, number, layers_of(root.base)));
                    }
                }
                4 if !held.is_empty() => {
                    let at = usize::try_from(random.below(held.len() as u64)).unwrap();
                    images.release(&held.remove(at).0).await.unwrap();
                }
                5 => {
                    let used = held.iter().any(|(_, other, _)| *other == number);
                    let removed = images.remove(&name).await;
                    let present = images.get(&name).await.unwrap().is_some();
                    assert!(removed.is_ok() || used && present, "{removed:?}");
                }
                6 => {
                    // Beside a pull of another.
                    let importing = images.import(&archives[usize::from(number)], None);
                    let (imported, collected) = tokio::join!(importing, images.collect());
                    imported.unwrap();
                    collected.unwrap();
                }
                7 => {
                    drop(images);
                    images = place.open().await;
                }
                _ => {
                    images.collect().await.unwrap();
                }
            }
            for (holder, number, layers) in &held {
                assert_eq!(
                    fs::read(layers[0].join("base")).unwrap(),
                    b"shared",
                    "seed {seed}, step {step}"
                );
                assert_eq!(fs::read(layers[1].join("app")).unwrap(), [*number]);
                let again = images.lease("a.b/none:1", holder).await.unwrap();
                assert_eq!(&layers_of(again.base), layers);
            }
        }
        for (holder, _, _) in held {
            images.release(&holder).await.unwrap();
        }
        for image in images.list().await.unwrap() {
            if image.id != "host" {
                images.remove(&image.id).await.unwrap();
            }
        }
        images.collect().await.unwrap();
        assert_eq!(place.names("layers"), [""; 0]);
    }
}

/// The import is dropped after every number of steps that it takes.
#[tokio::test]
async fn a_dropped_import_leaves_nothing_half_done() {
    if !is_root() {
        return;
    }
    let made = app(1);
    for steps in 0.. {
        let place = Place::new();
        let images = place.open().await;
        let archive = place.file("a", &made.oci_archive("a.b/app:1"));
        let mut importing = Box::pin(images.import(&archive, None));
        let mut left = steps;
        let done = poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            importing.as_mut().poll(context).map(Some)
        });
        let finished = done.await.is_some();
        drop(importing);
        match images.get("a.b/app:1").await.unwrap() {
            Some(_) => {
                let root = images.lease("a.b/app:1", "c").await.unwrap();
                assert_eq!(fs::read(layers_of(root.base)[1].join("app")).unwrap(), [1]);
            }
            None => {
                images.import(&archive, None).await.unwrap();
            }
        }
        drop(images);
        // Threads that go on a little longer hold the store.
        let images = place.open().await;
        images.collect().await.unwrap();
        place.is_swept().await;
        assert_eq!(place.names("layers").len(), 2);
        if finished {
            break;
        }
    }
}

/// What a kill leaves at each stage, put there by hand.
#[tokio::test]
async fn what_a_kill_leaves_is_swept_when_the_store_is_opened() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let images = place.open().await;
    let archive = place.file("a", &app(1).oci_archive("a.b/app:1"));
    images.import(&archive, None).await.unwrap();
    let store = place.store();
    drop(images);

    // Unpacking was under way, far down.
    fs::create_dir_all(store.join("trash/0/fs").join(vec!["d".repeat(200); 12].join("/"))).unwrap();
    fs::write(store.join("trash/7"), "half a name").unwrap();
    // None of ours.
    fs::create_dir(store.join("layers/17")).unwrap();
    fs::create_dir(store.join("layers/odd")).unwrap();
    fs::write(store.join("refs/odd"), "{").unwrap();
    fs::write(store.join("leases/odd"), "").unwrap();
    // A layer that no name leads to: of this boot it is good, of another it may be empty.
    for (number, boot) in [("8", None), ("9", Some("another"))] {
        let place = store.join("layers").join(number);
        fs::create_dir_all(place.join("fs")).unwrap();
        let digest = super::Digest::of(number.as_bytes());
        let boot = boot.map_or_else(
            || {
                fs::read_to_string("/proc/sys/kernel/random/boot_id")
                    .unwrap()
                    .trim()
                    .to_owned()
            },
            str::to_owned,
        );
        let record = serde_json::json!({ "chain": digest, "diff": digest, "size": 1, "boot": boot });
        fs::write(place.join("layer.json"), record.to_string()).unwrap();
    }
    let images = place.open().await;
    place.is_swept().await;
    assert_eq!(place.names("layers"), ["0", "1", "8"]);
    assert_eq!((place.names("refs").len(), place.names("leases").len()), (1, 0));
    assert!(images.get("a.b/app:1").await.unwrap().is_some());
    let collected = images.collect().await.unwrap();
    assert_eq!((collected.layers, collected.bytes), (1, 1));
    assert_eq!(place.names("layers"), ["0", "1"]);

    // An old download goes, a young one is kept to be gone on with.
    let digest = |text: &str| super::Digest::of(text.as_bytes()).hex();
    let (old, young) = (
        store.join("partial").join(digest("old")),
        store.join("partial").join(digest("young")),
    );
    fs::write(&young, "half").unwrap();
    let file = fs::File::create(&old).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 24 * 3600))
        .unwrap();
    images.collect().await.unwrap();
    assert_eq!(names(&store.join("partial")), [digest("young")]);

    // A name whose configuration was damaged is no image, and a new import mends it.
    let config = store.join("blobs/sha256").join(&app(1).id()[7..]);
    fs::write(&config, "damaged").unwrap();
    assert_eq!(images.get("a.b/app:1").await.unwrap(), None);
    assert!(matches!(
        images.lease("a.b/app:1", "c").await,
        Err(RuntimeError::ImageNotFound { .. })
    ));
    images.import(&archive, None).await.unwrap();
    assert!(images.get("a.b/app:1").await.unwrap().is_some());
    drop(images);

    fs::write(store.join("format"), "2").unwrap();
    let refused = Images::open(&store, ImageOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("format \"2\""), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_of_one_image_at_once_unpack_it_once() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let images = place.open().await;
    let many: Vec<Vec<u8>> = (0..9)
        .map(|number| tar(&[Item::file("f", &vec![number; 100_000])]))
        .collect();
    let made = Made::new(many);
    let archive = place.file("a", &made.oci_archive("a.b/app:1"));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (images, archive) = (images.clone(), archive.clone());
        tasks.spawn(async move { images.import(&archive, None).await.unwrap() });
    }
    for imported in tasks.join_all().await {
        assert_eq!(imported[0].id, made.id());
    }
    assert_eq!(place.names("layers").len(), 9);
    place.is_swept().await;
}

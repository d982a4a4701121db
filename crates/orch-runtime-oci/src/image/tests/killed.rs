//! A process that is killed in the midst of a pull: whoever opens the store next finds it usable.

use std::process::{Command, Stdio};
use std::time::Duration;

use orch_core::random::Random;
use orch_core::runtime::PullRequest;
use rustix::process::{Signal, getpid, kill_process};

use super::super::{Base, ImageOptions, Images};
use super::pulling::noise;
use super::registry::{Registry, Way};
use super::{Digest, Item, Made, Place, gzip, is_root, layer, tar};

/// For the process that is killed: the store, the image, and after which event and how many microseconds.
const VICTIM: &str = "ORCH_TEST_OCI_PULL";

/// Not a test by itself: the process that is killed.
#[test]
fn victim() {
    let Ok(arguments) = std::env::var(VICTIM) else {
        return;
    };
    let [store, image, last, after] = arguments.split('|').collect::<Vec<_>>()[..] else {
        panic!("{arguments}")
    };
    let (last, after): (usize, u64) = (last.parse().unwrap(), after.parse().unwrap());
    let count = std::sync::atomic::AtomicUsize::new(0);
    let pulling = async {
        let images = Images::open(store, ImageOptions::default()).await.unwrap();
        let report = |_: &_| {
            if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == last {
                // The pull goes on meanwhile.
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_micros(after));
                    kill_process(getpid(), Signal::KILL)
                });
            }
        };
        images.pull_reporting(&request(image), report).await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(pulling);
    // Only a pull with fewer events comes here.
    assert!(count.into_inner() <= last + 1, "it was to be killed");
}

fn request(image: &str) -> PullRequest {
    PullRequest {
        image: image.into(),
        credentials: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_that_is_killed_anywhere_leaves_the_store_usable() {
    let (true, Some(registry)) = (is_root(), Registry::start(false)) else {
        return;
    };
    let (place, way, random) = (Place::new(), Way::to(&registry), Random::seeded(1));
    let body = noise(11, 3 << 20);
    let many: Vec<Item> = (0..200)
        .map(|number| Item::file(&format!("many/{number}"), b"x"))
        .collect();
    let made = Made::new(vec![
        gzip(&tar(&[Item::file("noise", &body)])),
        gzip(&tar(&many)),
        layer("small", b"1"),
    ]);
    let diffs = vec![
        tar(&[Item::file("noise", &body)]),
        tar(&many),
        layer("small", b"1"),
    ];
    let made = Made {
        config: Made::new(diffs).config,
        ..made
    };
    registry.push("app:1", &made).await;
    let name = format!("{}/app:1", way.host);
    let big = Digest::of(&made.layers[0]).to_string();
    let (mut killed, mut resumed) = (0, false);
    for last in 0.. {
        let after = random.below(4000);
        let program = std::env::current_exe().unwrap();
        let arguments = format!("{}|{name}|{last}|{after}", place.store().display());
        let mut victim = Command::new(program);
        victim.args(["--exact", "image::tests::killed::victim", "--nocapture"]);
        victim
            .env(VICTIM, arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = tokio::task::spawn_blocking(move || victim.status())
            .await
            .unwrap()
            .unwrap();
        killed += u32::from(!status.success());

        // Whole or not there; and to be had.
        let images = place.open().await;
        place.is_swept().await;
        let before = way.asked(&big).len();
        if images.get(&name).await.unwrap().is_none() {
            images.pull(&request(&name)).await.unwrap();
        }
        resumed |= way.asked(&big)[before..].iter().any(|from| *from > 0);
        let root = images.lease(&name, "c").await.unwrap();
        let Base::Layers(layers) = root.base else {
            panic!("{:?}", root.base)
        };
        assert!(
            std::fs::read(layers[0].join("noise")).unwrap() == body,
            "event {last}, {after} µs"
        );
        assert_eq!(super::names(&layers[1].join("many")).len(), 200);
        images.release("c").await.unwrap();
        images.remove(&name).await.unwrap();
        for directory in ["layers", "blobs/sha256", "refs", "leases"] {
            assert_eq!(
                place.names(directory),
                [""; 0],
                "{directory}: event {last}, {after} µs"
            );
        }
        if status.success() {
            break;
        }
    }
    assert!(killed >= 6, "{killed}");
    assert!(
        resumed,
        "what was downloaded before a kill is not downloaded again"
    );
}

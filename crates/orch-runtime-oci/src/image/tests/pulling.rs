//! Pulls from a real registry: with and without credentials, cut off, from mirrors, several at once.

use std::fs;

use orch_core::runtime::{Credentials, PullRequest, RuntimeError};
use parking_lot::Mutex;

use super::super::{Base, ImageOptions, Images, Platform, PullEvent};
use super::registry::{Registry, Way};
use super::{Digest, Item, Made, Place, gzip, is_root, layer, tar};

fn request(image: &str) -> PullRequest {
    PullRequest {
        image: image.into(),
        credentials: None,
    }
}

/// Bytes that no compression makes fewer.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let random = orch_core::random::Random::seeded(seed);
    (0..length.div_ceil(8))
        .flat_map(|_| random.below(u64::MAX).to_le_bytes())
        .take(length)
        .collect()
}

fn big(seed: u64) -> Made {
    Made::new(vec![
        tar(&[Item::file("noise", &noise(seed, 5 << 20))]),
        layer("small", b"1"),
    ])
}

async fn failure(images: &Images, request: &PullRequest) -> (String, bool) {
    match images.pull(request).await {
        Err(RuntimeError::PullFailed {
            image,
            reason,
            retryable,
        }) => {
            assert_eq!(image, request.image);
            (reason, retryable)
        }
        other => panic!("{other:?}"),
    }
}

async fn with(place: &Place, options: ImageOptions) -> Images {
    Images::open(place.store(), options).await.expect("opening")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_pulled_and_what_is_present_is_not_fetched_again() {
    let (true, Some(registry)) = (is_root(), Registry::start(false)) else {
        return;
    };
    let (place, way) = (Place::new(), Way::to(&registry));
    let images = place.open().await;
    let mut made = big(1);
    // As registries have them.
    made.layers = made.layers.iter().map(|layer| gzip(layer)).collect();
    registry.push("app:1", &made).await;
    let name = format!("{}/app:1", way.host);
    let events = Mutex::new(Vec::new());
    let report = |event: &PullEvent| events.lock().push(event.clone());
    let image = images.pull_reporting(&request(&name), report).await.unwrap();
    assert_eq!((image.id, &image.tags[..]), (made.id(), &[name.clone()][..]));
    let digest = Digest::of(&made.manifest());
    assert_eq!(image.digests, [format!("{}/app@{digest}", way.host)]);

    let events = events.into_inner();
    let bytes = made.layers.iter().map(|layer| layer.len() as u64).sum();
    assert_eq!(events.first(), Some(&PullEvent::Resolved { layers: 2, bytes }));
    assert_eq!(events.last(), Some(&PullEvent::Done));
    for layer in &made.layers {
        let own = Digest::of(layer).to_string();
        let mut got = Vec::new();
        for event in &events {
            match event {
                PullEvent::Downloading { digest, done, total } if *digest == own => {
                    assert_eq!(*total, layer.len() as u64);
                    got.push(*done);
                }
                _ => {}
            }
        }
        assert!(
            got.is_sorted() && got.last() == Some(&(layer.len() as u64)),
            "{got:?}"
        );
        assert!(events.contains(&PullEvent::Unpacking { digest: own.clone() }));
        assert_eq!(way.asked(&own).len(), 1);
    }
    let root = images.lease(&name, "c").await.unwrap();
    let Base::Layers(layers) = root.base else {
        panic!("{:?}", root.base)
    };
    assert_eq!(fs::read(layers[0].join("noise")).unwrap(), noise(1, 5 << 20));

    // By digest; and another that shares a layer.
    let by_digest = format!("{}/app@{digest}", way.host);
    let image = images.pull(&request(&by_digest)).await.unwrap();
    assert!(image.digests.contains(&by_digest), "{image:?}");
    let mut other = Made::new(vec![big(1).layers[0].clone(), layer("other", b"2")]);
    other.layers[0] = made.layers[0].clone();
    registry.push("app:2", &other).await;
    images
        .pull(&request(&format!("{}/app:2", way.host)))
        .await
        .unwrap();
    assert_eq!(way.asked(&Digest::of(&made.layers[0]).to_string()).len(), 1);
    assert_eq!(place.names("layers").len(), 3);
    assert_eq!(place.names("partial"), [""; 0]);
    place.is_swept().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_is_gone_on_with() {
    let (true, Some(registry)) = (is_root(), Registry::start(false)) else {
        return;
    };
    let (place, way) = (Place::new(), Way::to(&registry));
    let made = big(2);
    registry.push("app:1", &made).await;
    let digest = Digest::of(&made.layers[0]);
    let request = request(&format!("{}/app:1", way.host));

    // Each connection brings two MiB and ends.
    way.cut(2, 2 << 20);
    let images = place.open().await;
    images.pull(&request).await.unwrap();
    let asked = way.asked(&digest.to_string());
    assert_eq!((asked.len(), asked[0]), (3, 0), "{asked:?}");
    assert!(
        asked.is_sorted_by(|one, next| one < next) && asked[2] > 2 << 20,
        "{asked:?}"
    );
    images.remove(&request.image).await.unwrap();

    // No more comes: it fails, may be tried again, and keeps what it has, also for another process.
    way.cut(u64::MAX, 1000);
    let partial = place.store().join("partial").join(digest.hex());
    let half = 3 << 20;
    fs::write(&partial, &made.layers[0][..half]).unwrap();
    let (reason, retryable) = failure(&images, &request).await;
    assert!(retryable, "{reason}");
    drop(images);
    way.cut(0, 0);
    let images = place.open().await;
    let already = way.asked(&digest.to_string()).len();
    images.pull(&request).await.unwrap();
    let asked = way.asked(&digest.to_string())[already..].to_vec();
    assert!(asked.len() == 1 && asked[0] >= half as u64, "{asked:?}");
    images.remove(&request.image).await.unwrap();

    // What was there is no part of it: it begins anew.
    fs::write(&partial, vec![0; half]).unwrap();
    images.pull(&request).await.unwrap();
    assert!(images.get(&request.image).await.unwrap().is_some());
    images.remove(&request.image).await.unwrap();
    fs::write(&partial, vec![0; 9 << 20]).unwrap();
    images.pull(&request).await.unwrap();
    assert_eq!(place.names("partial"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_pull_is_gone_on_with() {
    let (true, Some(registry)) = (is_root(), Registry::start(false)) else {
        return;
    };
    let (place, way) = (Place::new(), Way::to(&registry));
    let images = place.open().await;
    let made = big(3);
    registry.push("app:1", &made).await;
    let request = request(&format!("{}/app:1", way.host));
    let (begun, mut has_begun) = tokio::sync::watch::channel(false);
    let pulling = images.pull_reporting(&request, |event| {
        if matches!(event, PullEvent::Downloading { done, .. } if *done > 1 << 20) {
            begun.send_replace(true);
        }
    });
    tokio::select! {
        biased;
        _ = has_begun.wait_for(|begun| *begun) => {}
        done = pulling => panic!("{done:?}"),
    }
    let digest = Digest::of(&made.layers[0]).to_string();
    images.pull(&request).await.unwrap();
    let asked = way.asked(&digest);
    assert!(asked.len() == 2 && asked[1] >= 1 << 20, "{asked:?}");
    assert_eq!(place.names("layers").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_at_once_fetch_each_layer_once() {
    let (true, Some(registry)) = (is_root(), Registry::start(false)) else {
        return;
    };
    let (place, way) = (Place::new(), Way::to(&registry));
    let images = place.open().await;
    let made = big(4);
    registry.push("app:1", &made).await;
    registry.push("app:2", &made).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (images, name) = (images.clone(), format!("{}/app:{}", way.host, number % 2 + 1));
        tasks.spawn(async move { images.pull(&request(&name)).await.unwrap() });
    }
    for image in tasks.join_all().await {
        assert_eq!(image.id, made.id());
    }
    for layer in &made.layers {
        assert_eq!(way.asked(&Digest::of(layer).to_string()).len(), 1);
    }
    assert_eq!(place.names("layers").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_open_a_registry_and_nothing_else_does() {
    let (true, Some(registry)) = (is_root(), Registry::start(true)) else {
        return;
    };
    let place = Place::new();
    let images = place.open().await;
    let made = big(5);
    let name = registry.push("private/app:1", &made).await;
    let basic = |password: &str| {
        Some(Credentials::Basic {
            username: Registry::USER.into(),
            password: password.into(),
        })
    };
    for credentials in [None, basic("wrong")] {
        let request = PullRequest {
            image: name.clone(),
            credentials,
        };
        let (reason, retryable) = failure(&images, &request).await;
        assert!(!retryable && !reason.contains("wrong"), "{reason}");
    }
    let good = PullRequest {
        image: name.clone(),
        credentials: basic(Registry::PASSWORD),
    };
    images.pull(&good).await.unwrap();
    // What one pull logged in with is not there for the next.
    let (reason, retryable) = failure(&images, &request(&name)).await;
    assert!(!retryable, "{reason}");
    // A failed pull leaves what was there.
    assert_eq!(images.get(&name).await.unwrap().unwrap().id, made.id());
    drop(images);

    // From Docker's configuration.
    let login = serde_json::json!({ "auths": { &registry.host: {
        "username": Registry::USER, "password": Registry::PASSWORD,
    } } });
    let config = place.file("config.json", login.to_string().as_bytes());
    let images = with(&place, ImageOptions::default().docker_config(config)).await;
    images.pull(&request(&name)).await.unwrap();
    let wrong = PullRequest {
        credentials: basic("wrong"),
        ..good.clone()
    };
    assert!(!failure(&images, &wrong).await.1, "those given count");
    drop(images);

    // Not sent to a mirror.
    let options = ImageOptions::default().mirror("127.0.0.1:1", &registry.host);
    let images = with(&place, options).await;
    let elsewhere = PullRequest {
        image: "127.0.0.1:1/private/app:1".into(),
        ..good
    };
    let (reason, retryable) = failure(&images, &elsewhere).await;
    assert!(retryable, "the registry itself cannot be reached: {reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirrors_are_asked_before_the_registry() {
    let (true, Some(registry)) = (is_root(), Registry::start(false)) else {
        return;
    };
    let place = Place::new();
    let made = big(6);
    registry.push("library/app:1", &made).await;
    let options = ImageOptions::default()
        .mirror("docker.io", "127.0.0.1:1")
        .mirror("docker.io", &registry.host)
        .mirror("other.invalid", "127.0.0.1:1");
    let images = with(&place, options).await;
    let image = images.pull(&request("app:1")).await.unwrap();
    assert_eq!(
        (image.id, image.tags),
        (made.id(), vec!["docker.io/library/app:1".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_for_the_platform_is_chosen() {
    let (true, Some(registry)) = (is_root(), Registry::start(false)) else {
        return;
    };
    let place = Place::new();
    let (here, mut there) = (big(7), big(7));
    let host = Platform::host().architecture;
    there.config = String::from_utf8(there.config)
        .unwrap()
        .replace(&host, "vax")
        .into_bytes();
    registry.push("app:here", &here).await;
    registry.push("app:there", &there).await;
    let entry = |made: &Made, architecture: &str| {
        let manifest = made.manifest();
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::of(&manifest).to_string(), "size": manifest.len(),
            "platform": { "os": "linux", "architecture": architecture },
        })
    };
    let index = |manifests: Vec<serde_json::Value>| {
        serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests,
        })
    };
    let both = index(vec![entry(&there, "vax"), entry(&here, &host)]);
    let name = registry.push_index("app:both", both).await;
    let other = registry
        .push_index("app:other", index(vec![entry(&there, "vax")]))
        .await;
    let images = place.open().await;
    let image = images.pull(&request(&name)).await.unwrap();
    assert_eq!(image.id, here.id());
    // Known by the index's digest and by the manifest's.
    assert_eq!(image.digests.len(), 2);
    for digest in &image.digests {
        assert_eq!(images.get(digest).await.unwrap().unwrap().id, here.id());
    }
    let (reason, retryable) = failure(&images, &request(&other)).await;
    assert!(
        !retryable && reason.contains("no matching manifest") && reason.contains("linux/vax"),
        "{reason}"
    );
    let (reason, retryable) = failure(&images, &request(&format!("{}/app:there", registry.host))).await;
    assert!(!retryable && reason.contains("it is for linux/vax"), "{reason}");
    drop(images);
    let images = with(&place, ImageOptions::default().platform(Platform::new("vax"))).await;
    assert_eq!(images.pull(&request(&name)).await.unwrap().id, there.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_pull_says_whether_to_try_again() {
    let (true, Some(registry)) = (is_root(), Registry::start(false)) else {
        return;
    };
    let place = Place::new();
    let images = place.open().await;
    let mut lying = big(8);
    lying.layers[1] = layer("small", b"another");
    let lie = registry.push("lie:1", &lying).await;
    let hostile = Made::new(vec![layer("../up", b"x")]);
    let up = registry.push("up:1", &hostile).await;
    // What the registry has on its disk is not what it was.
    let mut spoilt = big(9);
    spoilt.layers[0] = gzip(&spoilt.layers[0]);
    let damaged = registry.push("damaged:1", &spoilt).await;
    registry.damage(&Digest::of(&spoilt.layers[0]));
    let missing_tag = format!("{}/up:2", registry.host);
    let promised = format!("{}", Digest::of(&spoilt.layers[0]));
    for (image, again, words) in [
        (missing_tag.as_str(), false, "unknown"),
        (damaged.as_str(), false, promised.as_str()),
        ("127.0.0.1:1/none/such:1", true, ""),
        (format!("{}/none/such:1", registry.host).as_str(), false, ""),
        (lie.as_str(), false, "its configuration promises the layer"),
        (up.as_str(), false, "entry ../up: its path has .. in it"),
    ] {
        let (reason, retryable) = failure(&images, &request(image)).await;
        assert_eq!(retryable, again, "{image}: {reason}");
        assert!(reason.contains(words), "{image}: {reason}");
    }
    assert!(matches!(
        images.pull(&request("A")).await,
        Err(RuntimeError::InvalidImage { .. })
    ));
    assert_eq!(images.pull(&request("host")).await.unwrap().id, "host");
    // Nothing is kept of what was refused, and nothing but the host image is there.
    assert_eq!(place.names("partial"), [""; 0]);
    place.is_swept().await;
    assert_eq!(images.list().await.unwrap().len(), 1);
}

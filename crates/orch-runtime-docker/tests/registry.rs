//! Pulling from a real registry, with and without credentials.

mod common;

use common::{Registry, Scope};
use orch_core::runtime::{Credentials, PullRequest, Runtime, RuntimeError};

fn request(image: &str, password: Option<&str>) -> PullRequest {
    PullRequest {
        image: image.into(),
        credentials: password.map(|password| Credentials::Basic {
            username: Registry::USER.into(),
            password: password.into(),
        }),
    }
}

#[tokio::test]
async fn credentials_open_a_registry_and_nothing_else_does() {
    let Some(scope) = Scope::new() else { return };
    let Some(registry) = Registry::start(true) else {
        return;
    };
    let image = registry.push("private/busybox:1");
    let runtime = scope.runtime();
    for password in [None, Some("wrong")] {
        match runtime.pull_image(&request(&image, password)).await {
            Err(RuntimeError::PullFailed {
                image: named,
                retryable,
                reason,
            }) => {
                assert_eq!((named, retryable), (image.clone(), false), "{reason}");
            }
            other => panic!("{password:?}: {other:?}"),
        }
    }
    let pulled = runtime
        .pull_image(&request(&image, Some(Registry::PASSWORD)))
        .await
        .expect("pulling");
    assert!(pulled.tags.contains(&image), "{pulled:?}");
    assert!(pulled.size_bytes > 1_000_000);

    // By digest as well as by name.
    let digest = pulled
        .digests
        .iter()
        .find(|digest| digest.starts_with("127.0.0.1"))
        .expect("a digest");
    runtime.remove_image(&image).await.expect("removing");
    assert_eq!(runtime.image(&image).await.unwrap(), None);
    let again = runtime
        .pull_image(&request(digest, Some(Registry::PASSWORD)))
        .await
        .expect("pulling by digest");
    assert_eq!(again.id, pulled.id);
    runtime.remove_image(digest).await.expect("removing");
}

#[tokio::test]
async fn a_failed_pull_says_whether_to_try_again() {
    let Some(scope) = Scope::new() else { return };
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let present = registry.push("public/busybox:1");
    let runtime = scope.runtime();
    let absent = present.replace("busybox:1", "busybox:2");
    for (image, again) in [(absent.as_str(), false), ("127.0.0.1:1/none/such:1", true)] {
        match runtime.pull_image(&request(image, None)).await {
            Err(RuntimeError::PullFailed {
                retryable, reason, ..
            }) => {
                assert_eq!(retryable, again, "{image}: {reason}");
            }
            other => panic!("{image}: {other:?}"),
        }
    }
    runtime
        .pull_image(&request(&present, None))
        .await
        .expect("pulling");
    runtime.remove_image(&present).await.expect("removing");
}

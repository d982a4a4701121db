//! What `quickstart` takes to run the containers, and what it does not take for that unasked.

use super::engine::{Answers, Engine};
use super::{NO_ENGINE, Running, assert_said, loose, run, said};

/// Why Docker cannot run these images, and whether they were asked for in vain.
fn why_docker_cannot() -> Vec<(Option<Answers>, &'static str, &'static str, bool)> {
    let answers = |image, dies| Some(Answers { image, dies });
    let absent = || answers(404, false);
    vec![
        (None, "busybox", "ssh://user@host", false),
        (
            absent(),
            "Foo",
            "image Foo: each part of its name must be small letters",
            false,
        ),
        (
            absent(),
            "gone:1, imagePullPolicy: Never",
            "image gone:1 is not present, and imagePullPolicy: Never forbids pulling",
            false,
        ),
        (
            absent(),
            "gone:1",
            "image gone:1 is not present and cannot be had",
            true,
        ),
        (
            answers(200, false),
            "here:latest",
            "IfNotPresent would run it as it is",
            true,
        ),
        (
            answers(404, true),
            "gone:1",
            "docker is unavailable: no engine answers",
            false,
        ),
    ]
}

#[test]
fn auto_runs_the_commands_of_named_images_on_the_machine_only_if_asked() {
    for (engine, image, why, pulls) in why_docker_cannot() {
        let engine = engine.map(Engine::start);
        let host = engine.as_ref().map_or("ssh://user@host", Engine::address);
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let manifest = loose(dir.path(), image);
        let manifest = manifest.to_str().unwrap();
        let output = run(&data, &[manifest], host);
        let name = image.split(',').next().unwrap();
        let names = format!("loose.yaml names images ({name}).");
        assert_said(
            &output,
            false,
            &["Docker cannot be used: ", why, &names, "say --runtime process"],
        );
        assert!(!said(&output).contains("cluster up"), "{}", said(&output));
        let asked = engine.map(|engine| engine.asked()).unwrap_or_default();
        let pulled = asked.iter().any(|path| path.contains("/images/create"));
        assert_eq!(pulled, pulls, "{image}: {asked:?}");
    }

    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = loose(dir.path(), "busybox");
    let arguments = [manifest.to_str().unwrap(), "--runtime", "process", "--keep"];
    let mut asked = Running::start(&data, &arguments, NO_ENGINE);
    let told = asked.until("going on until Ctrl-C");
    asked.interrupt();
    assert_eq!(told.matches("warning: ").count(), 1, "{told}");
    assert!(
        told.contains("loose.yaml:16 (document 2, ReplicaSet shop/loose): spec.template.spec.containers[0].image: the process runtime has no images"),
        "{told}"
    );
    // What was asked for then is not asked for now.
    let output = run(&data, &[arguments[0]], NO_ENGINE);
    assert_said(
        &output,
        false,
        &[
            "pods of an earlier run are on the process runtime\n",
            "say --runtime process",
        ],
    );
    let output = run(&data, &[arguments[0], "--clean"], NO_ENGINE);
    assert_said(&output, true, &["everything the manifest made is gone"]);
}

#[test]
fn auto_takes_plain_processes_where_the_manifest_says_host() {
    let absent = Answers {
        image: 404,
        dies: false,
    };
    for (engine, why) in [
        (None, "ssh://user@host"),
        (Some(absent), "which Docker does not run"),
    ] {
        let engine = engine.map(Engine::start);
        let host = engine.as_ref().map_or("ssh://user@host", Engine::address);
        let dir = tempfile::tempdir().unwrap();
        let manifest = loose(dir.path(), "host");
        let output = run(&dir.path().join("data"), &[manifest.to_str().unwrap()], host);
        assert_said(
            &output,
            true,
            &["runtime: process (Docker cannot be used: ", why, "cleaned up"],
        );
    }
}

#[test]
fn an_engine_that_takes_too_long_is_waited_for_until_the_timeout() {
    // Connections are taken by the kernel, and by nobody else.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", silent.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let output = run(&dir.path().join("data"), &["--timeout", "2s"], &host);
    let late = "the timeout of 2s has passed while waiting for a runtime with the images";
    assert_said(&output, false, &[late]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn docker_asked_for_by_name_is_not_replaced_by_processes() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&dir.path().join("data"), &["--runtime", "docker"], NO_ENGINE);
    assert_said(&output, false, &[NO_ENGINE]);
}

#[test]
fn each_data_directory_has_containers_of_its_own_on_an_engine() {
    let dir = tempfile::tempdir().unwrap();
    let scope = |name: &str| {
        let data = dir.path().join(name);
        assert_said(
            &run(&data, &["--runtime", "docker"], NO_ENGINE),
            false,
            &[NO_ENGINE],
        );
        std::fs::read_to_string(data.join("scope")).unwrap()
    };
    let (a, b) = (scope("a"), scope("b"));
    assert_ne!(a, b);
    assert_eq!(scope("a"), a, "and keeps it");
    std::fs::rename(dir.path().join("a"), dir.path().join("c")).unwrap();
    assert_eq!(scope("c"), a, "also when it has moved");
    assert_ne!(
        scope("a"),
        a,
        "when its containers are not those of the next in its place"
    );
}

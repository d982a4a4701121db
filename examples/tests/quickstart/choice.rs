//! What `quickstart` takes to run the containers, and what it does not take for that unasked.

use std::path::Path;
use std::process::{Command, Output};

use super::engine::{Answers, Engine};
use super::{NO_ENGINE, Running, assert_said, loose, quickstart, run, said};

/// Whether containers could be run on the kernel alone, by who runs this.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;

    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Runs it with what `auto` chooses where the kernel alone cannot be had, as without control groups; in a network of its
/// own, for it learns of that only after it has made one for its pods.
fn run_without_kernel(data: &Path, arguments: &[&str], docker_host: &str) -> Output {
    let command = quickstart(data, arguments, docker_host);
    if !is_root() || !cfg!(feature = "oci") {
        return { command }.output().unwrap();
    }
    let script = "umount -Rl /sys/fs/cgroup; ip link set lo up; exec \"$@\"";
    let mut without = Command::new("unshare");
    without.args(["--mount", "--net", "sh", "-ec", script, "sh"]);
    without.arg(command.get_program()).args(command.get_args());
    without
        .env("DOCKER_HOST", docker_host)
        .env_remove("DOCKER_CONTEXT");
    without.output().unwrap()
}

/// What `auto` says of the kernel alone where that cannot be had.
fn why_not_kernel() -> &'static str {
    match (cfg!(feature = "oci"), is_root()) {
        (true, true) => "; nor can oci: no control groups are mounted below /sys/fs/cgroup",
        (true, false) => "; nor can oci, which runs as root only",
        (false, true) if cfg!(target_os = "linux") => {
            "; oci, which needs no engine, is not built in: --features oci has it"
        }
        (false, _) => "",
    }
}

#[test]
fn auto_runs_the_commands_of_named_images_on_the_machine_only_if_asked() {
    let dies = Answers {
        image: 404,
        dies: true,
    };
    for (engine, image, why) in [
        (None, "busybox", "ssh://user@host"),
        (Some(dies), "gone:1", "docker is unavailable: no engine answers"),
    ] {
        let engine = engine.map(Engine::start);
        let host = engine.as_ref().map_or("ssh://user@host", Engine::address);
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let manifest = loose(dir.path(), image);
        let output = run_without_kernel(&data, &[manifest.to_str().unwrap()], host);
        let names = format!("loose.yaml names images ({image}).");
        let wanted = [
            "Docker cannot be used: ",
            why,
            why_not_kernel(),
            &names,
            "say --runtime process",
        ];
        assert_said(&output, false, &wanted);
        assert!(!said(&output).contains("cluster up"), "{}", said(&output));
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
    let output = run(&data, &[arguments[0], "--runtime", "auto"], NO_ENGINE);
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

/// What an engine answers for every image, an image, why it cannot be had, and whether it was tried to.
fn what_cannot_be_had() -> [(u16, &'static str, &'static str, bool); 4] {
    [
        (
            404,
            "Foo",
            "image Foo: each part of its name must be small letters",
            false,
        ),
        (
            404,
            "gone:1, imagePullPolicy: Never",
            "image gone:1 is not present, and imagePullPolicy: Never forbids pulling",
            false,
        ),
        (
            404,
            "gone:1",
            "image gone:1 is not present and cannot be had",
            true,
        ),
        (200, "here:latest", "IfNotPresent would run it as it is", true),
    ]
}

#[test]
fn an_image_that_an_engine_cannot_have_is_named_by_its_place_and_nobody_is_sent_to_processes() {
    for (image_status, image, why, pulls) in what_cannot_be_had() {
        for choice in ["auto", "docker"] {
            let engine = Engine::start(Answers {
                image: image_status,
                dies: false,
            });
            let dir = tempfile::tempdir().unwrap();
            let manifest = loose(dir.path(), image);
            let arguments = [manifest.to_str().unwrap(), "--runtime", choice];
            let output = run(&dir.path().join("data"), &arguments, engine.address());
            let place =
                "loose.yaml:16 (document 2, ReplicaSet shop/loose): spec.template.spec.containers[0].image: ";
            let end = "Docker answers, and cannot run these: nothing of the manifest was applied";
            assert_said(&output, false, &[place, why, end]);
            assert!(!said(&output).contains("process"), "{}", said(&output));
            let pulled = engine.asked().iter().any(|path| path.contains("/images/create"));
            assert_eq!(pulled, pulls, "{image}: {:?}", engine.asked());
        }
    }
}

#[test]
fn each_image_that_cannot_be_had_has_a_line_and_is_asked_for_once() {
    let engine = Engine::start(Answers {
        image: 404,
        dies: false,
    });
    let dir = tempfile::tempdir().unwrap();
    let pod = |name: &str, init: &str, image: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  initContainers:\n  - name: a\n    image: {init}\n  \
             containers:\n  - name: b\n    image: {image}\n---\n"
        )
    };
    let manifest = dir.path().join("dk.yaml");
    let text = pod("one", "no/such:1", "nope/nope:2") + &pod("two", "nope/nope:2", "host");
    std::fs::write(&manifest, text).unwrap();
    let output = run(
        &dir.path().join("data"),
        &[manifest.to_str().unwrap()],
        engine.address(),
    );
    let lines = [
        "dk.yaml:7 (document 1, Pod default/one): spec.initContainers[0].image: image no/such:1 is not present",
        "dk.yaml:10 (document 1, Pod default/one): spec.containers[0].image: image nope/nope:2 is not present",
        "dk.yaml:18 (document 2, Pod default/two): spec.initContainers[0].image: image nope/nope:2 is not present",
        "dk.yaml:21 (document 2, Pod default/two): spec.containers[0].image: image \"host\" means",
    ];
    assert_said(&output, false, &lines);
    let asked = engine.asked();
    let pulls = asked.iter().filter(|path| path.contains("/images/create"));
    assert_eq!(pulls.count(), 2, "{asked:?}");
}

#[test]
fn auto_takes_the_next_runtime_for_what_ships_with_it_and_says_why() {
    let engine = Engine::start(Answers {
        image: 404,
        dies: false,
    });
    let dir = tempfile::tempdir().unwrap();
    let output = run_without_kernel(&dir.path().join("data"), &["--no-demo"], engine.address());
    let why = "runtime: process (Docker cannot be used: image busybox is not present and cannot be had (";
    assert_said(&output, true, &[why, why_not_kernel(), "cleaned up"]);
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
        let data = dir.path().join("data");
        let output = run_without_kernel(&data, &[manifest.to_str().unwrap()], host);
        assert_said(
            &output,
            true,
            &[
                "runtime: process (Docker cannot be used: ",
                why,
                why_not_kernel(),
                "cleaned up",
            ],
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

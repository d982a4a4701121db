//! Containers that run from images: what an image says of them, what its layers show, and how long an image stays.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use common::images::{self, Item, Made, tar};
use common::{Oci, PATIENCE, clear, create, ended, exit_code, open, text};
use orch_core::runtime::{ContainerConfig, ContainerId, ContainerState, Runtime, RuntimeError};
use orch_runtime_oci::image::{ImageOptions, Images};
use orch_runtime_oci::{OciOptions, OciRuntime};
use serde_json::json;

const NAME: &str = "registry.example/app:1";

/// A container of the image, which runs what that says.
fn of_image(name: &str) -> ContainerConfig {
    ContainerConfig {
        name: name.into(),
        image: NAME.into(),
        ..ContainerConfig::default()
    }
}

fn script(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ..of_image(name)
    }
}

async fn import(oci: &Oci, runtime: &OciRuntime, image: &Made) -> String {
    let archive = oci.beside("archive.tar");
    images::archive(&archive, image, NAME);
    let imported = runtime
        .image_store()
        .import(&archive, None)
        .await
        .expect("importing");
    imported[0].id.clone()
}

/// What a container that ends by itself has written, and its exit code.
async fn output(runtime: &OciRuntime, config: &ContainerConfig) -> (String, Option<i32>, ContainerId) {
    let id = common::start(runtime, config).await;
    let ContainerState::Exited { exit_code, .. } = ended(runtime, &id).await else {
        panic!("it has ended");
    };
    (text(runtime, &id, false).await, exit_code, id)
}

async fn looks_until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn layers(oci: &Oci) -> usize {
    fs::read_dir(oci.root().join("images/layers"))
        .expect("layers")
        .count()
}

#[tokio::test]
async fn a_container_runs_what_its_image_says_and_as_whom() {
    let Some(oci) = Oci::new() else { return };
    let said = json!({
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["id -u; id -g; id -G; pwd; echo $GREETING $HOME; echo again >/dev/stdout; cat /etc/upper; \
                 test -e /etc/gone || echo hidden; touch /etc/new 2>/dev/null || echo no root; stat -c '%a %u' /; exit 3"],
        "Env": ["GREETING=hello", "PATH=/bin"], "User": "web", "WorkingDir": "/srv/app",
    });
    let Some(image) = images::shell(&said) else { return };
    let runtime = open(&oci).await;
    let id = import(&oci, &runtime, &image).await;
    let (said, code, container) = output(&runtime, &of_image("main")).await;
    let expected =
        "1000\n1001\n1001 50\n/srv/app\nhello /home/web\nagain\nof the upper layer\nhidden\nno root\n751 0\n";
    assert_eq!((said.as_str(), code), (expected, Some(3)));
    assert_eq!(runtime.container(&container).await.unwrap().image_id, id);

    // What is asked for goes before.
    let mut config = ContainerConfig {
        args: vec!["id -u; id -g; id -G; pwd; echo $GREETING $HOME".into()],
        working_dir: Some("/tmp".into()),
        env: vec![("GREETING".into(), "bye".into())],
        ..of_image("other")
    };
    config.security.run_as_user = Some(7);
    config.security.run_as_group = Some(8);
    config.security.supplemental_groups = vec![9];
    let (said, code, _) = output(&runtime, &config).await;
    assert_eq!((said.as_str(), code), ("7\n8\n8 9\n/tmp\nbye /\n", Some(0)));
    clear(&runtime).await;
}

#[tokio::test]
async fn an_image_whose_files_lead_nowhere_gets_the_pods() {
    let Some(oci) = Oci::new() else { return };
    let Some(base) = images::base() else { return };
    let resolver = Item::link(b'2', "etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
    let image = Made::saying(&json!({ "Env": ["PATH=/bin"] }), vec![base, tar(&[resolver])]);
    let runtime = open(&oci).await;
    import(&oci, &runtime, &image).await;
    let sandbox = orch_core::runtime::SandboxConfig {
        uid: "pod".into(),
        dns_servers: vec!["10.9.8.7".parse().unwrap()],
        host_aliases: vec![("10.1.2.3".parse().unwrap(), vec!["db".into()])],
        ..Default::default()
    };
    runtime.run_sandbox(&sandbox).await.unwrap();
    let look = "cat /etc/resolv.conf; tail -n 1 /etc/hosts";
    let (said, code, _) = output(&runtime, &script("main", look)).await;
    assert_eq!(
        (said.as_str(), code),
        ("nameserver 10.9.8.7\n10.1.2.3\tdb\n", Some(0))
    );
    clear(&runtime).await;
}

#[tokio::test]
async fn who_is_not_in_the_image_does_not_run() {
    let Some(oci) = Oci::new() else { return };
    let Some(image) = images::shell(&json!({ "Cmd": ["true"], "User": "nobody" })) else {
        return;
    };
    let runtime = open(&oci).await;
    import(&oci, &runtime, &image).await;
    let id = create(&runtime, &of_image("main")).await;
    match runtime.start_container(&id).await {
        Err(RuntimeError::StartFailed { reason, .. }) => {
            assert!(
                reason.contains("user \"nobody\" is not in the image's /etc/passwd"),
                "{reason}"
            );
        }
        other => panic!("{other:?}"),
    }
    let mut config = of_image("sure");
    config.security.run_as_non_root = true;
    let sandbox = runtime.sandboxes(&Default::default()).await.unwrap().remove(0);
    match runtime.create_container(&sandbox.id, &config).await {
        Err(RuntimeError::InvalidConfig { field, reason }) => {
            assert!(
                field == "security.run_as_non_root" && reason.contains("nobody"),
                "{field}: {reason}"
            );
        }
        other => panic!("{other:?}"),
    }
    clear(&runtime).await;
    runtime
        .remove_image(NAME)
        .await
        .expect("nobody has it: a container that was refused neither");
}

#[tokio::test]
async fn who_may_write_in_the_root_of_an_image_may_in_a_containers() {
    let Some(oci) = Oci::new() else { return };
    let Some(base) = images::base() else { return };
    // It has all that would else be made in it: by that the kernel looks at the root again.
    let mut items = vec![Item::dir("./").mode(0o1777)];
    items.extend(["dev", "proc", "sys"].map(Item::dir));
    let open_root = tar(&items);
    let said = json!({"Env": ["PATH=/bin"], "User": "web"});
    let runtime = open(&oci).await;
    import(&oci, &runtime, &Made::saying(&said, vec![base, open_root])).await;
    let (said, code, _) = output(
        &runtime,
        &script("main", "touch /made && stat -c '%u %a' / /made"),
    )
    .await;
    assert_eq!((said.as_str(), code), ("0 1777\n1000 644\n", Some(0)));
    clear(&runtime).await;
}

#[tokio::test]
async fn what_a_container_writes_is_its_own() {
    let Some(oci) = Oci::new() else { return };
    let Some(image) = images::shell(&json!({ "Env": ["PATH=/bin"] })) else {
        return;
    };
    let runtime = open(&oci).await;
    import(&oci, &runtime, &image).await;
    let change = "echo changed >/etc/upper; rm /bin/ls; mkdir /new; echo done";
    assert_eq!(output(&runtime, &script("one", change)).await.0, "done\n");
    let look = "cat /etc/upper; ls -d /new 2>/dev/null; ls /";
    let (said, _, _) = output(&runtime, &script("two", look)).await;
    assert_eq!(
        said.split_whitespace().collect::<Vec<_>>().join(" "),
        "of the upper layer bin dev etc proc sbin sys tmp usr"
    );
    clear(&runtime).await;
}

#[tokio::test]
async fn the_images_signal_asks_a_container_to_end() {
    let Some(oci) = Oci::new() else { return };
    let said = json!({
        "Entrypoint": ["/bin/sh", "-c", "trap 'exit 7' USR1; echo ready; while :; do sleep 1 & wait $!; done"],
        "Env": ["PATH=/bin"], "StopSignal": "SIGUSR1",
    });
    let Some(image) = images::shell(&said) else { return };
    let runtime = open(&oci).await;
    import(&oci, &runtime, &image).await;
    let id = common::start(&runtime, &of_image("main")).await;
    let log = oci.root().join("containers").join(&id.0).join("log.0");
    looks_until("it is ready", || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("ready"))
    })
    .await;
    runtime.stop_container(&id, PATIENCE).await.unwrap();
    let state = ended(&runtime, &id).await;
    assert_eq!(exit_code(&state), Some(7), "{state:?}");
    clear(&runtime).await;
}

#[tokio::test]
async fn an_image_stays_for_as_long_as_a_container_has_it() {
    let Some(oci) = Oci::new() else { return };
    let said = |number: u32| json!({ "Entrypoint": ["/bin/sh", "-c", format!("sleep 0.1; exit {number}")] });
    let (Some(old), Some(new)) = (images::shell(&said(1)), images::base()) else {
        return;
    };
    let new = Made::saying(&said(2), vec![new, tar(&[Item::file("new", b"2")])]);
    let runtime = open(&oci).await;
    import(&oci, &runtime, &old).await;
    let id = create(&runtime, &of_image("main")).await;
    // Of a crash between the lease and the container.
    runtime.image_store().lease(NAME, "none").await.unwrap();
    drop(runtime);

    let runtime = open(&oci).await;
    match runtime.remove_image(NAME).await {
        Err(RuntimeError::InUse { by, .. }) => assert_eq!(by, format!("container {id}")),
        other => panic!("{other:?}"),
    }
    // The name moves on, and the container keeps what it has.
    let new_id = import(&oci, &runtime, &new).await;
    assert_eq!(runtime.image(NAME).await.unwrap().unwrap().id, new_id);
    runtime.image_store().collect().await.unwrap();
    assert_eq!(layers(&oci), 3, "the lower one is in both");
    runtime.start_container(&id).await.unwrap();
    let state = ended(&runtime, &id).await;
    assert_eq!(exit_code(&state), Some(1), "{state:?}");
    runtime.remove_container(&id).await.unwrap();
    looks_until("what nothing needs any more goes by itself", || layers(&oci) == 2).await;
    let (_, code, id) = output(&runtime, &of_image("other")).await;
    assert_eq!(code, Some(2));
    runtime.remove_container(&id).await.unwrap();
    runtime.remove_image(NAME).await.unwrap();
    assert_eq!(layers(&oci), 0);
    clear(&runtime).await;
}

#[tokio::test]
async fn an_image_of_one_program_and_no_directory_runs() {
    let Some(oci) = Oci::new() else { return };
    let Some(busybox) = images::busybox() else { return };
    let runtime = open(&oci).await;
    let program = Item::file("busybox", &busybox).mode(0o755);
    let image = Made::saying(
        &json!({ "Entrypoint": ["/busybox"], "User": "5" }),
        vec![tar(&[program])],
    );
    import(&oci, &runtime, &image).await;
    let config = ContainerConfig {
        args: ["sh", "-c", "/busybox id -u; /busybox cat /proc/self/cmdline"]
            .map(str::to_owned)
            .to_vec(),
        ..of_image("main")
    };
    let (said, code, _) = output(&runtime, &config).await;
    assert_eq!(
        (said.as_str(), code),
        ("5\n/busybox\0cat\0/proc/self/cmdline\0", Some(0))
    );
    clear(&runtime).await;

    // Nothing at all to run.
    import(&oci, &runtime, &Made::saying(&json!({}), Vec::new())).await;
    let id = create(&runtime, &script("empty", "true")).await;
    match runtime.start_container(&id).await {
        Err(RuntimeError::StartFailed { reason, .. }) => assert!(reason.contains("No such file"), "{reason}"),
        other => panic!("{other:?}"),
    }
    clear(&runtime).await;
}

/// Where overlayfs cannot be had a copy of the image shows the same. Here the options would be too long for it: the
/// kernel takes them in one page, and the directory has half of that for a name, twice.
#[tokio::test]
async fn a_copy_shows_what_overlayfs_does() {
    let Some(oci) = Oci::new() else { return };
    let look = "cd /; ls -lan /etc /bin/sh /tmp | tr -s ' '; stat -c '%a %u' /; cat etc/upper; echo own >etc/own; cat etc/own";
    let said = json!({ "Entrypoint": ["/bin/sh", "-c", look], "Env": ["PATH=/bin"] });
    let Some(image) = images::shell(&said) else { return };
    let mut seen = Vec::new();
    let deep: String = vec!["d".repeat(200); 10].join("/");
    for root in [oci.root(), oci.beside(&format!("deep/{deep}"))] {
        let options = orch_runtime_oci::OciOptions::new(&root)
            .shim(common::SHIM)
            .cgroup_parent(oci.group());
        let runtime = OciRuntime::open(options).await.expect("opening");
        import(&oci, &runtime, &image).await;
        let (said, code, id) = output(&runtime, &of_image("main")).await;
        assert_eq!(code, Some(0), "{said}");
        let root_seen = root.join("containers").join(&id.0).join("upper");
        seen.push((without_times(&said), root_seen.join("bin/busybox").exists()));
        clear(&runtime).await;
        assert!(!Path::new(&root_seen).exists());
    }
    assert_eq!((seen[0].1, seen[1].1), (false, true), "the second is a copy");
    assert_eq!(seen[0].0, seen[1].0);
    assert!(seen[0].0.contains("upper"), "{}", seen[0].0);
}

/// Listings without when, and how big directories are.
fn without_times(listing: &str) -> String {
    let lines = listing.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [mode, _, owner, group, _, _, _, _, ref name @ ..] => {
                format!("{mode} {owner} {group} {}\n", name.join(" "))
            }
            _ => format!("{line}\n"),
        }
    });
    lines.filter(|line| !line.starts_with("total")).collect()
}

#[cfg(feature = "pull")]
#[tokio::test]
async fn a_container_runs_from_a_pulled_image() {
    let Some(oci) = Oci::new() else { return };
    let said = json!({ "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["id -u; echo $OF"], "Env": ["PATH=/bin", "OF=image"], "User": "web" });
    let (Some(image), Some(registry)) = (images::shell(&said), images::Registry::start(false)) else {
        return;
    };
    let name = registry.push("app:1", &image).await;
    let runtime = open(&oci).await;
    let request = orch_core::runtime::PullRequest {
        image: name.clone(),
        credentials: None,
    };
    let config = ContainerConfig {
        image: name,
        ..of_image("main")
    };
    let refused = {
        let sandbox = runtime.run_sandbox(&common::pods::pod("web")).await.unwrap();
        runtime.create_container(&sandbox.id, &config).await
    };
    assert!(
        matches!(refused, Err(RuntimeError::ImageNotFound { .. })),
        "{refused:?}"
    );
    let pulled = runtime.pull_image(&request).await.unwrap();
    assert_eq!((pulled.id, pulled.user.as_str()), (image.id(), "web"));
    let (said, code, _) = output(&runtime, &config).await;
    assert_eq!((said.as_str(), code), ("1000\nimage\n", Some(0)));
    clear(&runtime).await;
}

#[cfg(not(feature = "pull"))]
#[tokio::test]
async fn without_the_feature_a_pull_says_so() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let mut request = orch_core::runtime::PullRequest {
        image: NAME.into(),
        credentials: None,
    };
    match runtime.pull_image(&request).await {
        Err(RuntimeError::PullFailed {
            reason,
            retryable: false,
            ..
        }) => {
            assert!(reason.contains("feature `pull`"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    request.image = "host".into();
    assert_eq!(runtime.pull_image(&request).await.unwrap().id, "host");
}

/// Whoever makes a container has directories of the machine open, and what is executed has them until it is found.
#[tokio::test]
async fn a_program_is_not_found_through_what_its_shim_has_open() {
    let Some(oci) = Oci::new() else { return };
    let Some(image) = images::shell(&json!({ "Env": [] })) else {
        return;
    };
    let runtime = open(&oci).await;
    import(&oci, &runtime, &image).await;
    let place = oci.beside("machine");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("true"), images::busybox().unwrap()).unwrap();
    fs::set_permissions(place.join("true"), fs::Permissions::from_mode(0o755)).unwrap();
    let below = |number: u32| {
        let up = "../".repeat(12);
        let place = place.strip_prefix("/").unwrap().display();
        format!("/proc/self/fd/{number}/{place}:/proc/self/fd/{number}/{up}{place}")
    };
    let path: Vec<_> = (0..64).map(below).collect();
    for tty in [false, true] {
        let config = ContainerConfig {
            command: vec!["true".into()],
            env: vec![("PATH".into(), path.join(":"))],
            tty,
            ..of_image(&format!("tty-{tty}"))
        };
        let id = create(&runtime, &config).await;
        let started = runtime.start_container(&id).await;
        assert!(
            matches!(started, Err(RuntimeError::StartFailed { .. })),
            "{started:?}"
        );
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn another_program_does_not_take_away_what_containers_run_from_while_their_runtime_is_not_there() {
    let Some(oci) = Oci::new() else { return };
    let Some(image) = images::shell(&json!({ "Env": ["PATH=/bin"] })) else {
        return;
    };
    let runtime = open(&oci).await;
    let id = import(&oci, &runtime, &image).await;
    let container = common::start(&runtime, &script("main", "sleep 600")).await;
    drop(runtime);

    let another = Images::open(oci.root().join("images"), ImageOptions::default()).await;
    let another = another.expect("opening the images");
    let refused = another.remove(NAME).await;
    let is_held =
        matches!(&refused, Err(RuntimeError::InUse { by, .. }) if *by == format!("container {container}"));
    assert!(is_held, "{refused:?}");
    // Nor once its name is another image's.
    let other = Made::saying(&json!({ "Env": ["PATH=/"] }), vec![tar(&[Item::dir("bin")])]);
    let archive = oci.beside("other.tar");
    images::archive(&archive, &other, NAME);
    another.import(&archive, None).await.expect("importing");
    another.collect().await.expect("collecting");
    let listed = another.list().await.expect("listing");
    assert!(listed.iter().any(|image| image.id == id), "{listed:?}");
    assert_eq!(layers(&oci), 3);
    drop(another);

    let runtime = open(&oci).await;
    let seen = runtime.container(&container).await.expect("looking");
    assert!(seen.state.is_running(), "{seen:?}");
    assert_eq!(layers(&oci), 3, "no name leads to its image, and it runs from it");
    clear(&runtime).await;
    looks_until("its image goes with it", || layers(&oci) == 1).await;
}

/// Where the containers are is written down as seen from the images, which lie beside them.
#[tokio::test]
async fn nor_when_both_were_moved_meanwhile() {
    let Some(oci) = Oci::new() else { return };
    let Some(image) = images::shell(&json!({ "Env": ["PATH=/bin"] })) else {
        return;
    };
    let runtime = open(&oci).await;
    import(&oci, &runtime, &image).await;
    let container = common::start(&runtime, &script("main", "sleep 600")).await;
    drop(runtime);
    let moved = oci.beside("moved");
    fs::rename(oci.root(), &moved).unwrap();

    let another = Images::open(moved.join("images"), ImageOptions::default()).await;
    let another = another.expect("opening the images");
    let refused = another.remove(NAME).await;
    let is_held =
        matches!(&refused, Err(RuntimeError::InUse { by, .. }) if *by == format!("container {container}"));
    assert!(is_held, "{refused:?}");
    drop(another);
    let options = OciOptions::new(&moved)
        .shim(common::SHIM)
        .cgroup_parent(oci.group());
    clear(&OciRuntime::open(options).await.expect("opening the runtime")).await;
}

//! Logs under load.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::runtime::process::log;

fn assert_counts(lines: &[String], from: usize, to: usize) {
    assert_eq!(lines.len(), to + 1 - from, "as many lines as were written");
    for (line, number) in lines.iter().zip(from..) {
        assert_eq!(*line, number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_loses_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let builder = ProcessRuntime::builder(dir.path()).log_limits(64 << 10, 10_000);
    let runtime = builder.open().await.unwrap();
    let id = started(&runtime, &shell("main", "seq 1 100000; seq 100001 200000")).await;
    assert_counts(&lines(&runtime, &id).await, 1, 200_000);
    assert_counts(&lines(&runtime, &id).await, 1, 200_000);
    let files = log::files(&runtime.inner.dir.container(&id)).unwrap();
    assert!(files.len() > 50, "it was rotated: {} files", files.len());
}

#[tokio::test]
async fn a_log_is_bounded_and_keeps_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 64 << 10;
    let runtime = ProcessRuntime::builder(dir.path())
        .log_limits(limit, 3)
        .open()
        .await
        .unwrap();
    let id = started(&runtime, &shell("main", "seq 1 200000")).await;
    exit_code(&runtime, &id).await;
    let kept = lines(&runtime, &id).await;
    assert_counts(&kept, 200_001 - kept.len(), 200_000);
    let files = log::files(&runtime.inner.dir.container(&id)).unwrap();
    assert_eq!(files.len(), 3);
    for (_, path) in &files {
        // One read's worth beyond the limit, each line longer by its time.
        let length = path.metadata().unwrap().len();
        assert!(length < limit + (1 << 20), "{length}");
    }
    let cell = runtime.inner.cell(&id).unwrap();
    assert!(
        cell.log.raw_paths().iter().all(|path| !path.exists()),
        "the raw output is gone with the container"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_raw_outputs_space_is_given_back_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let script = "head -c 30000000 /dev/zero | tr '\\0' x | fold -w 1000; echo; echo done; sleep 1000";
    let id = started(&runtime, &shell("main", script)).await;
    said(&runtime, &id, "done").await;
    let [stdout, _] = runtime.inner.cell(&id).unwrap().log.raw_paths();
    let length = stdout.metadata().unwrap().len();
    assert!(length >= 30_000_000, "{length}");
    assert!(
        allocated(&stdout) < 4 << 20,
        "{} of {length} bytes are still there",
        allocated(&stdout)
    );
    runtime.remove_container(&id).await.unwrap();
}

#[tokio::test]
async fn a_prompt_without_line_end_reaches_an_attached_reader() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let mut config = shell(
        "main",
        "read go; printf 'name? '; read name; echo \"hello $name\"",
    );
    config.stdin = true;
    let id = started(&runtime, &config).await;
    let options = crate::runtime::AttachOptions { stdin: true };
    let mut session = runtime.attach(&id, &options).await.unwrap();
    for (input, expected) in [("\n", "name? "), ("you\n", "hello you\n")] {
        session
            .input
            .send(crate::runtime::SessionInput::Stdin(input.into()))
            .await
            .unwrap();
        let mut heard = Vec::new();
        while heard != expected.as_bytes() {
            let next = tokio::time::timeout(PATIENCE, session.output.next())
                .await
                .expect("output in time");
            heard.extend_from_slice(&next.expect("not the end").unwrap().data);
        }
    }
    assert_eq!(session.exit.await.unwrap(), 0);
}

#[tokio::test]
async fn a_reader_that_leaves_a_quiet_container_is_forgotten_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let id = started(&runtime, &shell("main", "sleep 1000")).await;
    let log = runtime.inner.cell(&id).unwrap().log.clone();
    let options = crate::runtime::AttachOptions::default();
    let stays = runtime.attach(&id, &options).await.unwrap();
    for _ in 0..100 {
        drop(runtime.attach(&id, &options).await.unwrap());
    }
    assert_eq!(log.attached(), 1);
    runtime.remove_container(&id).await.unwrap();
    assert_eq!(log.attached(), 0);
    assert_eq!(stays.output.count().await, 0, "it ends with the container");
}

#[tokio::test]
async fn a_log_that_is_busy_keeps_only_those_waiting_who_need_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let id = started(&runtime, &shell("main", "echo ready; sleep 1000")).await;
    said(&runtime, &id, "ready").await;
    let log = runtime.inner.cell(&id).unwrap().log.clone();
    let (release, released) = std::sync::mpsc::channel();
    let (hold, held) = tokio::sync::oneshot::channel();
    let holder = std::thread::spawn(move || {
        let _busy = log.busy();
        hold.send(()).unwrap();
        released.recv_timeout(Duration::from_secs(5)).is_ok()
    });
    held.await.unwrap();
    let (read, attach) = (LogOptions::default(), crate::runtime::AttachOptions::default());
    let needing = async {
        let (read, attached, stopped) = tokio::join!(
            runtime.logs(&id, &read),
            runtime.attach(&id, &attach),
            runtime.stop_container(&id, Duration::ZERO)
        );
        assert!(read.is_ok() && attached.is_ok() && stopped.is_ok());
    };
    let others = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        release.send(()).unwrap();
    };
    tokio::join!(needing, others);
    assert!(holder.join().unwrap(), "the only thread went on");
}

#[tokio::test]
async fn a_program_that_is_no_program_says_why_it_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path().join("state")).await.unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "not to be executed").unwrap();
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).unwrap();
    let plain = plain.display().to_string();
    let as_a_file = format!("program {plain:?}: {plain}: Permission denied");
    let cases = [
        (
            "missing",
            "nonesuch-program".to_owned(),
            None,
            "program \"nonesuch-program\" not found in PATH (/",
            127,
        ),
        (
            "missing-file",
            "/nonesuch/program".to_owned(),
            None,
            "program \"/nonesuch/program\": no such file",
            127,
        ),
        ("plain", plain, None, as_a_file.as_str(), 126),
        (
            "directory",
            "/usr".to_owned(),
            None,
            "program \"/usr\": /usr: permission denied: it is no file",
            126,
        ),
        (
            "nowhere",
            "true".to_owned(),
            Some("/no/such/dir".to_owned()),
            "no such directory",
            127,
        ),
    ];
    for (name, program, working_dir, expected, code) in cases {
        let mut config = shell(name, "");
        (config.command, config.working_dir) = (vec![program], working_dir);
        let id = created(&runtime, &config).await;
        match runtime.start_container(&id).await {
            Err(RuntimeError::StartFailed { reason, .. }) => {
                assert!(reason.contains(expected), "{name}: {reason}");
            }
            other => panic!("{name}: expected StartFailed, got {other:?}"),
        }
        assert_eq!(exit_code(&runtime, &id).await, Some(code), "{name}");
    }
}

#[tokio::test]
async fn a_container_that_never_stops_writing_keeps_no_other_log_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let builder = ProcessRuntime::builder(dir.path()).log_limits(1 << 20, 2);
    let runtime = builder.open().await.unwrap();
    let quiet = shell(
        "quiet",
        "until [ -e $0/go ]; do sleep 0.05; done; echo here; sleep 1000",
    );
    let quiet = ContainerConfig {
        command: [quiet.command, vec![dir.path().display().to_string()]].concat(),
        ..quiet
    };
    let quiet = started(&runtime, &quiet).await;
    // Two, for one may be caught up with. They end when the directory goes, for a killed test ends nothing.
    for name in ["one", "two"] {
        let noise = shell(name, "while [ -d $0 ]; do echo noise; seq 1 10000; done");
        let noise = ContainerConfig {
            command: [noise.command, vec![dir.path().display().to_string()]].concat(),
            ..noise
        };
        started(&runtime, &noise).await;
    }
    let says = said(&runtime, &quiet, "here");
    let lets = async { std::fs::write(dir.path().join("go"), "").unwrap() };
    tokio::join!(says, lets);
    for (id, _) in runtime.inner.dir.sandboxes().unwrap() {
        runtime.remove_sandbox(&id).await.unwrap();
    }
}

#[tokio::test]
async fn what_rotation_would_remove_is_not_logged_first() {
    let dir = tempfile::tempdir().unwrap();
    let limits = log::LogLimits {
        file_bytes: 10_000,
        files: 3,
    };
    let log = log::Log::new(dir.path().to_owned(), limits);
    let [mut stdout, _] = log.begin().unwrap();
    let text: String = (1..=500_000).map(|number| format!("{number}\n")).collect();
    std::io::Write::write_all(&mut stdout, text.as_bytes()).unwrap();
    log.finish().unwrap();
    let files = log::files(dir.path()).unwrap();
    assert!(files.len() <= 3);
    let written: String = files
        .iter()
        .map(|(_, path)| std::fs::read_to_string(path).unwrap())
        .collect();
    let numbers: Vec<u64> = written
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    let first = numbers[0];
    assert!(
        numbers.iter().copied().eq(first..=500_000),
        "from {first} on there is no gap"
    );
    assert!(numbers.len() > 300, "{}", numbers.len());
    let [(name, _), ..] = files.as_slice() else {
        panic!("there are files")
    };
    assert!(
        name.number < 20,
        "only the end was moved, in {} files",
        name.number
    );
}

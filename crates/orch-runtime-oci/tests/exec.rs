//! Commands in containers: what they see, how they end, and what they leave.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{
    Oci, PATIENCE, clear, code, command, config, create, ended, exec, hears, nap, open, rest, says,
    sleep_runs, sleepers, start, tell,
};
use futures::StreamExt;
use orch_core::runtime::{
    ContainerConfig, ContainerId, ExecRequest, LogOptions, Runtime, RuntimeError, SessionInput, TerminalSize,
};
use orch_runtime_oci::OciRuntime;
use rustix::process::{Pid, Signal, kill_process};

#[tokio::test]
async fn a_command_is_confined_as_its_container_and_inherits_nothing() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let main = ContainerConfig {
        working_dir: Some("/usr".into()),
        env: vec![("WHO".into(), "you".into())],
        ..config("main", "exec sleep 3600")
    };
    let id = start(&runtime, &main).await;
    let status = "grep -E '^(Cap|Groups|Uid|Gid|NoNewPrivs|Seccomp:|Sig(Blk|Ign))'";
    let of_first = says(&runtime, &id, &format!("{status} /proc/1/status")).await;
    let own = says(&runtime, &id, &format!("exec {status} /proc/self/status")).await;
    assert_eq!(own, of_first);
    assert!(own.contains("SigBlk:\t0000000000000000"), "{own}");
    for kind in ["mnt", "pid", "ipc", "uts", "net"] {
        let both = says(
            &runtime,
            &id,
            &format!("readlink /proc/1/ns/{kind} /proc/self/ns/{kind}"),
        )
        .await;
        let (first, own) = both.trim().split_once('\n').unwrap();
        assert_eq!(first, own);
    }
    // The list's own descriptor is the fourth.
    assert_eq!(says(&runtime, &id, "echo $(ls /proc/self/fd)").await, "0 1 2 3\n");
    let surroundings = says(
        &runtime,
        &id,
        "pwd; echo $WHO; echo \"[$TERM]\"; cat; touch /var/in-it",
    )
    .await;
    assert_eq!(surroundings, "/usr\nyou\n[]\n");
    assert!(!Path::new("/var/in-it").exists());
    // The group that tells a command's processes from others is gone with it.
    assert!(groups(&oci, &id).is_empty());
    clear(&runtime).await;
}

/// The control groups of commands that run in a container, in any hierarchy.
fn groups(oci: &Oci, id: &ContainerId) -> Vec<PathBuf> {
    let children = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let mut places = children(Path::new("/sys/fs/cgroup"));
    places.push("/sys/fs/cgroup".into());
    let parents = places.iter().flat_map(|place| children(&place.join(oci.group())));
    let found = parents.flat_map(|parent| children(&parent.join(&id.0)));
    found
        .filter(|path| path.is_dir() && path.file_name().unwrap().to_string_lossy().starts_with("exec-"))
        .collect()
}

#[tokio::test]
async fn who_is_not_root_opens_the_standard_streams_again_by_their_names() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    for tty in [false, true] {
        let main = ContainerConfig {
            tty,
            ..config(
                &format!("tty-{tty}"),
                "id -u; echo again >/dev/stdout; exec sleep 3600",
            )
        };
        let id = create(&runtime, &main).await;
        let spec = oci.root().join("run").join(&id.0).join("bundle/config.json");
        let mut changed: serde_json::Value = serde_json::from_slice(&fs::read(&spec).unwrap()).unwrap();
        changed["process"]["user"] = serde_json::json!({"uid": 12345, "gid": 6, "additionalGids": [6]});
        fs::write(&spec, changed.to_string()).unwrap();
        runtime.start_container(&id).await.unwrap();
        let mut heard = runtime
            .logs(
                &id,
                &LogOptions {
                    follow: true,
                    ..LogOptions::default()
                },
            )
            .await
            .unwrap();
        let mut text = String::new();
        while !text.contains("again") {
            let chunk = tokio::time::timeout(PATIENCE, heard.next()).await.unwrap();
            text += &String::from_utf8_lossy(&chunk.unwrap().unwrap().data);
        }
        assert!(text.starts_with("12345"), "{text}");
        let request = ExecRequest {
            tty,
            // A terminal is the user's a moment after the command has begun.
            ..command("id -u; until (echo again >/dev/stdout) 2>/dev/null; do sleep 0.01; done")
        };
        let output = runtime.exec(&id, &request).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        assert_eq!(text, "12345\nagain\n");
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn what_cannot_be_executed_is_told_as_a_shell_would_and_leaves_no_zombie() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "trap 'exit 9' TERM; sleep 3600 & wait")).await;
    for tty in [false, true] {
        for (program, expected, reason) in [
            ("no-such-program", 127, "no-such-program: No such file"),
            ("/no/such/program", 127, "/no/such/program: No such file"),
            ("", 127, "No such file"),
            ("/etc/passwd", 126, "/etc/passwd: Permission denied"),
            ("/", 126, "/: Permission denied"),
        ] {
            let request = ExecRequest {
                tty,
                ..ExecRequest::new([program])
            };
            let output = runtime.exec(&id, &request).await.unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.exit_code, expected, "{program}: {text}");
            assert!(text.contains(reason) && text.ends_with('\n'), "{program}: {text}");
            let mut session = runtime.open_exec(&id, &request).await.unwrap();
            let (heard, error) = rest(&mut session).await;
            assert!(error.is_none() && heard == output.stderr, "{program}: {error:?}");
            assert_eq!(code(session).await.unwrap(), expected);
        }
    }
    let zombies = exec(&runtime, &id, "cat /proc/[0-9]*/status | grep '^State:.Z'").await;
    assert_eq!((zombies.exit_code, zombies.stdout.len()), (1, 0), "{zombies:?}");
    for (request, field) in [
        (ExecRequest::default(), "command"),
        (ExecRequest::new(["echo", "a\0b"]), "command"),
    ] {
        let refused = runtime.exec(&id, &request).await;
        assert!(
            matches!(&refused, Err(RuntimeError::InvalidConfig { field: found, .. }) if found == field),
            "{refused:?}"
        );
    }
    // One that was left would keep its first process from ending.
    runtime.stop_container(&id, PATIENCE).await.unwrap();
    clear(&runtime).await;
}

#[tokio::test]
async fn input_goes_in_and_comes_to_its_end() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "exec sleep 3600")).await;
    let request = ExecRequest {
        stdin: true,
        ..command("cat; echo over; exit 6")
    };
    let mut session = runtime.open_exec(&id, &request).await.unwrap();
    // More than all the channels and pipes on the way hold.
    let sent: Vec<u8> = (0..4 << 20_u32).map(|number| (number % 251) as u8).collect();
    let (input, idle) = tokio::sync::mpsc::channel(1);
    let input = std::mem::replace(&mut session.input, input);
    drop(idle);
    let pieces: Vec<_> = sent.chunks(100_000).map(<[u8]>::to_vec).collect();
    let sending = tokio::spawn(async move {
        for piece in pieces {
            input.send(SessionInput::Stdin(piece.into())).await.unwrap();
        }
    });
    let (heard, error) = rest(&mut session).await;
    sending.await.unwrap();
    assert!(error.is_none(), "{error:?}");
    assert!(heard == [&sent[..], b"over\n"].concat(), "{} bytes", heard.len());
    assert_eq!(code(session).await.unwrap(), 6);
    clear(&runtime).await;
}

#[tokio::test]
async fn a_terminal_is_one_and_can_be_resized() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "exec sleep 3600")).await;
    let request = ExecRequest {
        tty: true,
        stdin: true,
        ..command("trap 'stty size' WINCH; tty; echo $TERM; echo to-errors >&2; while :; do sleep 0.05; done")
    };
    let mut session = runtime.open_exec(&id, &request).await.unwrap();
    let heard = hears(&mut session, "to-errors").await;
    assert!(heard.contains("/dev/pts/0\r\nxterm\r\n"), "{heard}");
    let size = TerminalSize {
        width: 300,
        height: 50,
    };
    session.input.send(SessionInput::Resize(size)).await.unwrap();
    hears(&mut session, "50 300").await;
    // As a person ends it.
    tell(&session, "\x03").await;
    assert_eq!(code(session).await.unwrap(), 130);
    let request = ExecRequest {
        tty: true,
        stdin: true,
        ..command("cat; exit 4")
    };
    let mut session = runtime.open_exec(&id, &request).await.unwrap();
    tell(&session, "echoed\n").await;
    assert_eq!(hears(&mut session, "echoed\r\nechoed\r\n").await.len(), 16);
    let (input, _) = tokio::sync::mpsc::channel(1);
    drop(std::mem::replace(&mut session.input, input));
    assert_eq!(
        code(session).await.unwrap(),
        4,
        "the end of its input is one for a terminal's reader too"
    );
    clear(&runtime).await;
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_all_it_started() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "exec sleep 3600")).await;
    let nap = nap(1);
    let script = format!("setsid sleep {nap} & (setsid sleep {nap} &) ; sleep {nap}");
    let limit = Duration::from_millis(500);
    let request = ExecRequest {
        timeout: Some(limit),
        ..command(&script)
    };
    match runtime.exec(&id, &request).await {
        Err(RuntimeError::Timeout { after, .. }) => assert_eq!(after, limit),
        other => panic!("{other:?}"),
    }
    assert_eq!(sleepers(nap), 0);
    // Also if somebody else waits for its end.
    let session = runtime.open_exec(&id, &request).await.unwrap();
    let end = code(session).await;
    assert!(matches!(end, Err(RuntimeError::Timeout { .. })), "{end:?}");
    assert_eq!(sleepers(nap), 0);
    assert!(groups(&oci, &id).is_empty());
    says(&runtime, &id, "echo the container runs on").await;
    clear(&runtime).await;
}

#[tokio::test]
async fn a_dropped_session_ends_its_command_with_all_it_started() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "exec sleep 3600")).await;
    let nap = nap(2);
    let request = ExecRequest {
        stdin: true,
        timeout: None,
        ..command(&format!("setsid sleep {nap} & exec sleep {nap}"))
    };
    let session = runtime.open_exec(&id, &request).await.unwrap();
    sleep_runs(nap, 2).await;
    drop(session);
    sleep_runs(nap, 0).await;
    // Also while it reads nothing of what was sent, and somebody has a part of the session still.
    let session = runtime.open_exec(&id, &request).await.unwrap();
    sleep_runs(nap, 2).await;
    tell(&session, vec![b'x'; 1 << 20]).await;
    let (input, output) = (session.input, session.output);
    drop((session.exit, output));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sleepers(nap), 2, "who only writes is not cut off");
    drop(input);
    sleep_runs(nap, 0).await;
    clear(&runtime).await;
}

#[tokio::test]
async fn what_a_command_leaves_running_goes_on_with_the_container_and_does_not_hold_up_its_end() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "exec sleep 3600")).await;
    // It has the output's other end.
    let nap = nap(3);
    let output = exec(&runtime, &id, &format!("setsid sleep {nap} & echo done; exit 5")).await;
    assert_eq!((output.exit_code, &output.stdout[..]), (5, &b"done\n"[..]));
    sleep_runs(nap, 1).await;
    assert!(groups(&oci, &id).is_empty());
    runtime.stop_container(&id, Duration::ZERO).await.unwrap();
    assert_eq!(sleepers(nap), 0);
    clear(&runtime).await;
}

/// The shims of commands in a container, by where they complain.
fn shims(oci: &Oci, id: &ContainerId) -> Vec<Pid> {
    let execs = oci.root().join("run").join(&id.0).join("execs");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let found = processes.filter(|process| {
        let stderr = fs::read_link(process.path().join("fd/2"));
        stderr.is_ok_and(|file| file.starts_with(&execs))
    });
    let numbers = found.filter_map(|process| process.file_name().to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).collect()
}

#[tokio::test]
async fn a_command_whose_shim_is_killed_is_swept() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "exec sleep 3600")).await;
    let nap = nap(4);
    let request = ExecRequest {
        timeout: None,
        ..command(&format!("setsid sleep {nap} & exec sleep {nap}"))
    };
    let session = runtime.open_exec(&id, &request).await.unwrap();
    sleep_runs(nap, 2).await;
    let found = shims(&oci, &id);
    assert_eq!(found.len(), 1);
    kill_process(found[0], Signal::KILL).unwrap();
    let end = code(session).await;
    assert!(
        matches!(&end, Err(error @ RuntimeError::Failed { .. }) if error.to_string().contains("shim")),
        "{end:?}"
    );
    sleep_runs(nap, 0).await;
    let execs = oci.root().join("run").join(&id.0).join("execs");
    assert_eq!(fs::read_dir(execs).unwrap().count(), 0);
    clear(&runtime).await;
}

#[tokio::test]
async fn a_command_needs_a_container_that_runs_and_ends_with_it() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = create(&runtime, &config("main", "sleep 0.3; exit 2")).await;
    let early = runtime.exec(&id, &command("true")).await;
    assert!(matches!(early, Err(RuntimeError::NotRunning { .. })), "{early:?}");
    runtime.start_container(&id).await.unwrap();
    let session = runtime.open_exec(&id, &command("exec sleep 3600")).await.unwrap();
    assert_eq!(
        code(session).await.unwrap(),
        137,
        "it was killed with the container"
    );
    ended(&runtime, &id).await;
    let late = runtime.exec(&id, &command("true")).await;
    assert!(matches!(late, Err(RuntimeError::NotRunning { .. })), "{late:?}");
    runtime.remove_container(&id).await.unwrap();
    let gone = runtime.exec(&id, &command("true")).await;
    assert!(matches!(gone, Err(RuntimeError::NotFound { .. })), "{gone:?}");
    clear(&runtime).await;
}

/// Starts commands for as long as that is possible.
async fn keep_on(runtime: &OciRuntime, id: &ContainerId) {
    loop {
        match runtime.exec(id, &command("true")).await {
            Ok(output) => assert!(matches!(output.exit_code, 0 | 137), "{output:?}"),
            Err(RuntimeError::NotRunning { .. } | RuntimeError::NotFound { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn commands_while_a_container_ends_run_or_are_refused_and_leave_nothing() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    for round in 0..10 {
        let id = start(&runtime, &config(&format!("c{round}"), "sleep 0.1")).await;
        let ending = async {
            if round % 2 == 0 {
                ended(&runtime, &id).await;
            }
            runtime.remove_container(&id).await.unwrap();
        };
        tokio::join!(
            keep_on(&runtime, &id),
            keep_on(&runtime, &id),
            keep_on(&runtime, &id),
            ending
        );
    }
    clear(&runtime).await;
}

/// Of which directory the process runs a command that the test below kills.
const CALLER: &str = "ORCH_TEST_OCI_CALLER";

/// Not a test by itself: the program that is killed.
#[test]
fn caller() {
    let Some(arguments) = std::env::var_os(CALLER) else {
        return;
    };
    let arguments = arguments.into_string().unwrap();
    let mut arguments = arguments.split(':');
    let [root, group, nap] = std::array::from_fn(|_| arguments.next().unwrap());
    let options = orch_runtime_oci::OciOptions::new(root)
        .shim(common::SHIM)
        .cgroup_parent(group);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let runtime = OciRuntime::open(options).await.unwrap();
        let id = start(&runtime, &config("main", "exec sleep 3600")).await;
        let request = ExecRequest {
            timeout: None,
            ..command(&format!("setsid sleep {nap} & exec sleep {nap}"))
        };
        let _session = runtime.open_exec(&id, &request).await.unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test]
async fn a_command_ends_with_the_program_that_asked_for_it() {
    let Some(oci) = Oci::new() else { return };
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "caller"]).stdout(Stdio::null());
    let nap = nap(6);
    program.env(CALLER, format!("{}:{}:{nap}", oci.root().display(), oci.group()));
    let mut caller = program.spawn().unwrap();
    let begin = Instant::now();
    while sleepers(nap) < 2 {
        assert!(
            begin.elapsed() < PATIENCE && caller.try_wait().unwrap().is_none(),
            "the command does not come up"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    caller.kill().unwrap();
    caller.wait().unwrap();
    sleep_runs(nap, 0).await;
    let runtime = open(&oci).await;
    let found = runtime.containers(&Default::default()).await.unwrap();
    assert!(found.len() == 1 && found[0].state.is_running(), "{found:?}");
    says(&runtime, &found[0].id, "true").await;
    clear(&runtime).await;
}

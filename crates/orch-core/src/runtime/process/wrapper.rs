//! Spawns a container's wrapper: the shell that runs its program and writes down how it ended.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal};

use super::dir::ContainerRecord;
use super::os;
use crate::runtime::{ContainerConfig, ContainerId};

/// What the wrapper does. Its arguments: the container's id, as its name; the container's directory; `stdin` if
/// it must keep the pipe open; the signals to survive; the program and its arguments.
///
/// It must outlive every signal to the group, for the group is signalled as a whole, and a trap is reset in
/// children where ignoring would be inherited. The program runs in the foreground, because background jobs of
/// a shell ignore SIGINT. `claim` is made exclusively, so that of two wrappers of one container, started by a
/// holder that died and by the next, one gives way.
///
/// A signal before the program is there would be lost: the wrapper survives it, and a child drops what it gets
/// until its traps are reset. They are, says POSIX, when a subshell is entered, so `began` is made there: from
/// then on a signal to the group ends the program's process or reaches the program, and whoever stops it waits
/// for that.
const SCRIPT: &str = r#"
exec 3>&2 2>/dev/null
dir=$1 pipe=$2 signals=$3
shift 3
trap : $signals
if [ "$pipe" ]; then exec 4>"$dir/stdin"; fi
set -C
echo $$ >"$dir/claim" || exit 125
(true >"$dir/began"; exec "$@" 2>&3 3>&- 4>&-)
code=$?
echo $code >"$dir/exit" && kill -KILL 0
exit $code
"#;

/// The signals a wrapper survives in any case.
const SURVIVED: &str = "HUP INT QUIT USR1 USR2 ALRM TERM";

/// The variable that marks every process of a container.
pub(super) const MARK: &str = "ORCH_CONTAINER";

/// Where programs are looked for if nothing says where.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The wrapper's own name among its arguments, which tells it from any other process.
pub(super) fn name(id: &ContainerId) -> String {
    format!("orch-container-{id}")
}

/// The environment of a container's programs, later names replacing earlier ones.
pub(super) fn environment(id: &ContainerId, record: &ContainerRecord) -> Vec<(String, String)> {
    let caller = |name: &str| std::env::var(name).ok();
    let mut variables = vec![(
        "PATH".to_owned(),
        caller("PATH").unwrap_or_else(|| DEFAULT_PATH.into()),
    )];
    variables.extend(caller("HOME").map(|home| ("HOME".to_owned(), home)));
    if !record.hostname.is_empty() {
        variables.push(("HOSTNAME".to_owned(), record.hostname.clone()));
    }
    let given = record
        .config
        .env
        .iter()
        .cloned()
        .chain([(MARK.to_owned(), id.0.clone())]);
    for (name, value) in given {
        variables.retain(|(other, _)| *other != name);
        variables.push((name, value));
    }
    variables
}

/// Where its programs start.
pub(super) fn working_dir(config: &ContainerConfig) -> PathBuf {
    config.working_dir.as_deref().unwrap_or("/").into()
}

/// Starts the wrapper, in a process group of its own; the reason if the program cannot be executed.
pub(super) fn spawn(
    id: &ContainerId,
    dir: &Path,
    record: &ContainerRecord,
    stdin: Option<File>,
    [stdout, stderr]: [File; 2],
) -> Result<Pid, String> {
    let config = &record.config;
    let variables = environment(id, record);
    let directory = working_dir(config);
    if !directory.is_dir() {
        return Err(format!(
            "working directory {}: no such directory",
            directory.display()
        ));
    }
    let words: Vec<&String> = config.command.iter().chain(&config.args).collect();
    let [program, args @ ..] = &words[..] else {
        return Err("no command".into());
    };
    let program = find(program, &variables, &directory)?;
    let signal = config
        .stop_signal
        .as_deref()
        .and_then(os::signal)
        .unwrap_or(Signal::TERM);
    let holds_pipe = stdin.is_some() && !config.stdin_once;

    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(SCRIPT).arg(name(id)).arg(dir);
    command.arg(if holds_pipe { "stdin" } else { "" });
    command.arg(format!("{SURVIVED} {}", signal.as_raw()));
    command.env_clear();
    // A shell passes on only what could be a variable of its own.
    let (plain, odd): (Vec<_>, Vec<_>) = variables.into_iter().partition(|(name, _)| is_identifier(name));
    command.envs(plain);
    if !odd.is_empty() {
        command.arg("/usr/bin/env");
        command.args(odd.iter().map(|(name, value)| format!("{name}={value}")));
    }
    command.arg(program).args(args);
    command.current_dir(directory).process_group(0);
    command
        .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
        .stdout(stdout)
        .stderr(stderr);
    let child = command.spawn().map_err(|error| error.to_string())?;
    // Waited for by its number: an adopted wrapper has no `Child` either.
    let pid = os::pid(child.id());
    // The kernel reports a successful exec a moment before the new arguments can be read. Until then nobody would
    // recognise the wrapper, and a signal meant for it would not be sent.
    while !os::is_wrapper(pid, id) && !os::waitable(pid) {
        std::thread::yield_now();
    }
    Ok(pid)
}

fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// The program's file, as `execvp` finds it; else why there is none, and where it was looked for.
pub(super) fn find(
    program: &str,
    variables: &[(String, String)],
    directory: &Path,
) -> Result<PathBuf, String> {
    let path = variables
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or(DEFAULT_PATH, |(_, path)| path);
    let is_path = program.contains('/');
    let candidates: Vec<PathBuf> = if is_path {
        vec![directory.join(program)]
    } else {
        std::env::split_paths(path)
            .map(|dir| directory.join(dir).join(program))
            .collect()
    };
    let mut denied = None;
    for candidate in candidates {
        let why = match candidate.metadata() {
            Ok(file) if file.is_file() => match access(&candidate, Access::EXEC_OK) {
                Ok(()) => return Ok(candidate),
                Err(error) => io::Error::from(error).to_string(),
            },
            Ok(_) => "permission denied: it is no file".to_owned(),
            Err(_) => continue,
        };
        denied = Some(format!("program {program:?}: {}: {why}", candidate.display()));
    }
    Err(denied.unwrap_or_else(|| {
        if is_path {
            format!("program {program:?}: no such file")
        } else {
            format!("program {program:?} not found in PATH ({path})")
        }
    }))
}

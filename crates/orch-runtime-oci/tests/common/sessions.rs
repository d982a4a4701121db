//! Talking with what runs in a container.

use std::fs;

use bytes::Bytes;
use futures::StreamExt;
use orch_core::runtime::{
    ContainerId, ExecOutput, ExecRequest, Runtime, RuntimeError, Session, SessionInput,
};
use orch_runtime_oci::OciRuntime;

use super::PATIENCE;

pub(crate) fn command(script: &str) -> ExecRequest {
    ExecRequest {
        timeout: Some(PATIENCE),
        ..ExecRequest::new(["/bin/sh", "-c", script])
    }
}

pub(crate) async fn exec(runtime: &OciRuntime, id: &ContainerId, script: &str) -> ExecOutput {
    runtime
        .exec(id, &command(script))
        .await
        .expect("running a command")
}

/// What a command writes, which must end well.
pub(crate) async fn says(runtime: &OciRuntime, id: &ContainerId, script: &str) -> String {
    let output = exec(runtime, id, script).await;
    assert_eq!(output.exit_code, 0, "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Reads until a text was heard; returns all that was.
pub(crate) async fn hears(session: &mut Session, text: &str) -> String {
    let mut heard = String::new();
    let reading = async {
        while !heard.contains(text) {
            let chunk = session.output.next().await;
            let chunk = chunk.expect("not the end yet").expect("reading output");
            heard += &String::from_utf8_lossy(&chunk.data);
        }
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    assert!(read.is_ok(), "expected {text:?} in what was heard, {heard:?}");
    heard
}

/// The rest of the output, to its end: whole, or until an error.
pub(crate) async fn rest(session: &mut Session) -> (Vec<u8>, Option<RuntimeError>) {
    let mut heard = Vec::new();
    let reading = async {
        while let Some(chunk) = session.output.next().await {
            match chunk {
                Ok(chunk) => heard.extend_from_slice(&chunk.data),
                Err(error) => return Some(error),
            }
        }
        None
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    let error = read.expect("the end of output");
    (heard, error)
}

pub(crate) async fn tell(session: &Session, text: impl Into<Bytes>) {
    let input = SessionInput::Stdin(text.into());
    let sent = tokio::time::timeout(PATIENCE, session.input.send(input)).await;
    sent.expect("it is taken").expect("standard input is open");
}

pub(crate) async fn code(session: Session) -> Result<i32, RuntimeError> {
    let code = tokio::time::timeout(PATIENCE, session.exit).await;
    code.expect("it ends")
}

/// For how many seconds a test's processes sleep: a number that nobody else on the machine has.
pub(crate) fn nap(of_test: u32) -> u32 {
    100_000_000 + std::process::id() * 10 + of_test
}

/// How many processes of the machine run `sleep` for so many seconds.
pub(crate) fn sleepers(seconds: u32) -> usize {
    let wanted = format!("sleep\0{seconds}\0");
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter(|process| {
            fs::read(process.path().join("cmdline")).is_ok_and(|line| line.ends_with(wanted.as_bytes()))
        })
        .count()
}

/// Looks until there are so many.
pub(crate) async fn sleep_runs(seconds: u32, count: usize) {
    let looking = async {
        while sleepers(seconds) != count {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let looked = tokio::time::timeout(PATIENCE, looking).await;
    assert!(looked.is_ok(), "{} and not {count} run", sleepers(seconds));
}

//! Cases about ports of pods.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::rig::{Case, Rig};
use super::{Program, Step};
use crate::runtime::{PortStream, RuntimeError, SandboxId};

/// Looking again whether something listens by now, of which nobody tells.
const LOOK: Duration = Duration::from_millis(20);

/// A port that nothing listened on a moment ago, also where pods are on the machine's network.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}

/// Connects once something listens.
async fn reach(rig: &Rig<'_>, sandbox: &SandboxId, port: u16) -> PortStream {
    let trying = async {
        loop {
            match rig.runtime().port_forward(sandbox, port).await {
                Err(RuntimeError::NotListening { .. }) => tokio::time::sleep(LOOK).await,
                connected => return connected.expect("connecting"),
            }
        }
    };
    timeout(rig.harness.patience(), trying).await.expect("it listens")
}

pub(super) async fn a_port_of_a_pod_is_reached(rig: &mut Rig<'_>) -> Case {
    rig.needs("port_forward", |has| has.port_forward)?;
    let port = free_port();
    let id = rig.run("web", Program::new().then(Step::Echo(port))).await;
    let sandbox = rig.get(&id).await.sandbox;
    // Two at a time, each with its own words; and more of them than any buffer holds.
    let long = vec![b'x'; 1 << 20];
    let mut streams = [reach(rig, &sandbox, port).await, reach(rig, &sandbox, port).await];
    for (which, words) in [(0, &b"one"[..]), (1, b"two"), (0, b"again")] {
        let stream = &mut streams[which];
        stream.write_all(words).await.expect("writing");
        stream.flush().await.expect("flushing");
        let mut back = vec![0; words.len()];
        let reading = timeout(rig.harness.patience(), stream.read_exact(&mut back)).await;
        reading.expect("it answers").expect("reading");
        assert_eq!(back, words);
    }
    let [first, second] = streams;
    let (mut read, mut write) = tokio::io::split(second);
    let writing = async {
        write.write_all(&long).await.expect("writing");
        write.shutdown().await.expect("saying that there is no more");
    };
    let mut back = Vec::new();
    let both = async { tokio::join!(writing, read.read_to_end(&mut back)) };
    let ((), read) = timeout(rig.harness.patience(), both).await.expect("an end");
    read.expect("reading");
    assert!(back == long, "{} bytes came back", back.len());
    drop(first);
    Ok(())
}

pub(super) async fn where_nothing_listens_that_is_said(rig: &mut Rig<'_>) -> Case {
    rig.needs("port_forward", |has| has.port_forward)?;
    let (sandbox, port) = (rig.sandbox("web").await, free_port());
    match rig.runtime().port_forward(&sandbox, port).await {
        Err(error @ RuntimeError::NotListening { .. }) => {
            let words = format!("nothing listens on port {port} of pod conformance/web");
            assert_eq!(error.to_string(), words);
        }
        other => panic!("expected NotListening, got {other:?}"),
    }
    let missing = rig
        .runtime()
        .port_forward(&SandboxId("nonesuch".into()), port)
        .await;
    assert!(
        matches!(missing, Err(RuntimeError::NotFound { .. })),
        "{missing:?}"
    );
    rig.runtime()
        .stop_sandbox(&sandbox)
        .await
        .expect("stopping a sandbox");
    let stopped = rig.runtime().port_forward(&sandbox, port).await;
    assert!(
        stopped.is_err(),
        "nothing is reached in a sandbox that was stopped"
    );
    Ok(())
}

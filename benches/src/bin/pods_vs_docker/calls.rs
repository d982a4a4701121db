//! What the runtime's calls for a pod take by themselves.

use std::time::{Duration, Instant};

use orch_benches::{median, millis};
use orch_core::runtime::{ContainerConfig, Runtime, SandboxConfig};

use crate::IMAGE;

/// Medians of each call, one pod after the other.
pub(crate) async fn measure(runtime: &dyn Runtime, rounds: usize) {
    let mut taken: [Vec<Duration>; 5] = Default::default();
    for round in 0..rounds {
        let pod = SandboxConfig {
            name: format!("calls-{round}"),
            namespace: "default".into(),
            uid: format!("calls-{round}"),
            hostname: "calls".into(),
            ..SandboxConfig::default()
        };
        let container = ContainerConfig {
            name: "main".into(),
            image: IMAGE.into(),
            command: vec!["sleep".into(), "3600".into()],
            ..ContainerConfig::default()
        };
        let mut began = Instant::now();
        let mut time = |call: usize| {
            taken[call].push(began.elapsed());
            began = Instant::now();
        };
        let sandbox = runtime.run_sandbox(&pod).await.expect("a sandbox").id;
        time(0);
        let id = runtime.create_container(&sandbox, &container).await;
        let id = id.expect("a container");
        time(1);
        runtime.start_container(&id).await.expect("it starts");
        time(2);
        runtime
            .stop_container(&id, Duration::ZERO)
            .await
            .expect("it ends");
        time(3);
        runtime.remove_sandbox(&sandbox).await.expect("it is removed");
        time(4);
    }
    let [sandbox, create, start, stop, remove] = taken.map(|times| millis(median(times)));
    println!(
        "the OCI runtime's calls by themselves: sandbox {sandbox:.1} ms, create {create:.1} ms, start {start:.1} ms; \
         kill {stop:.1} ms, remove all {remove:.1} ms"
    );
}

//! Engines that answer late, halfway, or in an order that a real one takes only now and then.

mod common;

use common::script::{Script, inspected};
use common::shell;
use orch_core::runtime::{Runtime, RuntimeError, SandboxFilter, SandboxId};

#[tokio::test]
async fn an_old_list_does_not_end_a_sandbox_that_runs() {
    for (listed, lives) in [
        ("created", true),
        ("configured", true),
        ("initialized", true),
        ("exited", false),
    ] {
        let engine = Script::new(move |asked| async move {
            if asked.is("GET /v1.41/containers/json") {
                let labels = r#"{"orch.scope":"default","orch.kind":"sandbox"}"#;
                let list = format!(r#"[{{"Id":"s1","State":"{listed}","Labels":{labels}}}]"#);
                asked.answer(200, &list).await;
            } else if asked.is("GET /v1.41/containers/s1/json") {
                asked.answer(200, &inspected("s1", "sandbox", "running")).await;
            } else {
                asked.answer(201, r#"{"Id":"c1","Warnings":[]}"#).await;
            }
        });
        let runtime = engine.runtime();
        let sandbox = SandboxId("s1".into());
        let create = async || runtime.create_container(&sandbox, &shell("true")).await;
        create().await.expect("its sandbox is seen running");
        let told = runtime.sandboxes(&SandboxFilter::default()).await;
        assert_eq!(told.expect("a list").len(), 1);
        match create().await {
            Ok(_) => assert!(lives, "{listed}"),
            Err(RuntimeError::Failed { .. }) => assert!(!lives, "{listed}"),
            Err(other) => panic!("{listed}: {other:?}"),
        }
    }
}

//! What must not be written into a log: the values of variables, and commands.

mod common;

use std::fmt::Debug;
use std::sync::Mutex;

use common::script::{Script, inspected};
use common::shell;
use orch_core::runtime::{ContainerId, ExecRequest, Runtime, RuntimeError, SandboxId};
use tracing::field::{Field, Visit};
use tracing::span;

const SECRET: &str = "correct-horse-battery-staple";

static WRITTEN: Mutex<String> = Mutex::new(String::new());

fn note(text: &str) {
    *WRITTEN.lock().unwrap() += &format!("{text}\n");
}

/// Keeps all that is logged, by either of the two ways there are.
struct Everything;

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        note(&record.args().to_string());
    }

    fn flush(&self) {}
}

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        note(&format!("{field}={value:?}"));
    }
}

impl tracing::Subscriber for Everything {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut Self);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Self);
    }

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Self);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn neither_variables_nor_commands_are_logged() {
    log::set_logger(&Everything).expect("the only logger");
    log::set_max_level(log::LevelFilter::Trace);
    tracing::subscriber::set_global_default(Everything).expect("the only subscriber");
    let engine = Script::new(|asked| async move {
        if asked.is("GET /v1.41/containers/s1/json") {
            asked.answer(200, &inspected("s1", "sandbox", "running")).await;
        } else if asked.is("POST /v1.41/containers/create") {
            assert!(asked.body.contains(SECRET), "it is sent to the engine");
            let made = r#"{"Id":"c1","Warnings":["look out"]}"#;
            asked.answer(201, made).await;
        } else if asked.is("POST /v1.41/containers/c1/exec") {
            assert!(asked.body.contains(SECRET), "it is sent to the engine");
            asked.answer(201, r#"{"Id":"e1"}"#).await;
        } else {
            asked.answer(500, r#"{"message":"no"}"#).await;
        }
    });
    let runtime = engine.runtime();
    let mut config = shell("true");
    config.env = vec![("PASSWORD".into(), SECRET.into())];
    let made = runtime.create_container(&SandboxId("s1".into()), &config).await;
    let id: ContainerId = made.expect("a container");
    let command = ExecRequest::new(["login", SECRET]);
    let run = runtime.exec(&id, &command).await;
    assert!(matches!(run, Err(RuntimeError::Failed { .. })), "{run:?}");
    assert!(runtime.start_container(&id).await.is_err());
    let written = WRITTEN.lock().unwrap();
    for seen in ["look out", "/containers/c1/start"] {
        assert!(written.contains(seen), "the test sees what is logged: {written}");
    }
    assert!(!written.contains(SECRET), "{written}");
}

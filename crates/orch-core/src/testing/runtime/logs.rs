//! Cases about logs.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;

use super::rig::{Case, Rig, joined};
use super::{Program, Step};
use crate::runtime::{ContainerId, LogOptions, LogStream};
use crate::time;

/// Apart enough that two streams, collected apart, keep their order.
const APART: Duration = Duration::from_millis(100);

async fn run_to_end(rig: &Rig<'_>, pod: &str, program: Program) -> ContainerId {
    let id = rig.run(pod, program).await;
    rig.ended(&id).await;
    id
}

pub(super) async fn both_streams_are_kept_in_order(rig: &mut Rig<'_>) -> Case {
    let program = Program::new()
        .out("one\n")
        .sleep(APART)
        .err("two\n")
        .sleep(APART)
        .out("three\n");
    let id = run_to_end(rig, "web", program).await;
    let chunks = rig.chunks(&id, &LogOptions::default()).await;
    assert_eq!(joined(&chunks, None), "one\ntwo\nthree\n");
    assert_eq!(joined(&chunks, Some(LogStream::Stderr)), "two\n");
    Ok(())
}

pub(super) async fn one_stream_can_be_read_alone(rig: &mut Rig<'_>) -> Case {
    let id = run_to_end(rig, "web", Program::new().out("out\n").err("err\n")).await;
    for (stream, expected) in [(LogStream::Stdout, "out\n"), (LogStream::Stderr, "err\n")] {
        let options = LogOptions {
            stream: Some(stream),
            ..LogOptions::default()
        };
        assert_eq!(rig.text(&id, &options).await, expected);
    }
    Ok(())
}

pub(super) async fn the_last_lines_can_be_read_alone(rig: &mut Rig<'_>) -> Case {
    let id = run_to_end(rig, "web", Program::new().then(Step::Count(100)).out("end")).await;
    for (tail, expected) in [(0, ""), (1, "end"), (3, "99\n100\nend")] {
        let options = LogOptions {
            tail: Some(tail),
            ..LogOptions::default()
        };
        assert_eq!(rig.text(&id, &options).await, expected, "the last {tail}");
        let followed = LogOptions {
            follow: true,
            ..options
        };
        assert_eq!(
            rig.text(&id, &followed).await,
            expected,
            "the last {tail}, followed"
        );
    }
    let all = LogOptions {
        tail: Some(1000),
        ..LogOptions::default()
    };
    assert_eq!(rig.text(&id, &all).await.lines().count(), 101);
    Ok(())
}

pub(super) async fn lines_since_a_moment_can_be_read_alone(rig: &mut Rig<'_>) -> Case {
    let pause = Duration::from_secs(2);
    let id = rig
        .run(
            "web",
            Program::new()
                .out("early\n")
                .sleep(pause)
                .out("late\n")
                .out("later\n"),
        )
        .await;
    rig.said(&id, "early\n").await;
    // Where clocks have only whole seconds, or two clocks differ a little.
    let moment = time::now() + pause / 2;
    rig.ended(&id).await;
    let since = LogOptions {
        since: Some(moment),
        ..LogOptions::default()
    };
    assert_eq!(rig.text(&id, &since).await, "late\nlater\n");
    let with_tail = LogOptions {
        tail: Some(1),
        ..since
    };
    assert_eq!(
        rig.text(&id, &with_tail).await,
        "later\n",
        "the last of the lines that since lets through"
    );
    Ok(())
}

pub(super) async fn lines_can_show_when_they_were_written(rig: &mut Rig<'_>) -> Case {
    let before = time::now() - Duration::from_secs(2);
    let id = run_to_end(rig, "web", Program::new().out("one\n").err("two\n")).await;
    let after = time::now() + Duration::from_secs(2);
    let options = LogOptions {
        timestamps: true,
        ..LogOptions::default()
    };
    let text = rig.text(&id, &options).await;
    assert_eq!(text.lines().count(), 2, "{text:?}");
    for line in text.lines() {
        let (at, word) = line.split_once(' ').expect("a time and a space before the line");
        assert!(["one", "two"].contains(&word), "{line:?}");
        let at: Timestamp = at.parse().expect("RFC 3339");
        assert!(before <= at && at <= after, "{at} between {before} and {after}");
    }
    Ok(())
}

pub(super) async fn a_last_line_without_an_end_has_none(rig: &mut Rig<'_>) -> Case {
    let id = run_to_end(rig, "web", Program::new().out("one\ntwo")).await;
    for follow in [false, true] {
        let options = LogOptions {
            follow,
            ..LogOptions::default()
        };
        assert_eq!(rig.text(&id, &options).await, "one\ntwo");
    }
    Ok(())
}

pub(super) async fn long_lines_and_odd_bytes_come_back_whole(rig: &mut Rig<'_>) -> Case {
    let odd: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let length = 100_000;
    let program = Program::new()
        .out(&odd)
        .out("\n")
        .then(Step::Fill(length))
        .out("\n\n\r\n");
    let id = run_to_end(rig, "web", program).await;
    let chunks = rig.chunks(&id, &LogOptions::default()).await;
    let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.data.to_vec()).collect();
    let expected = [&odd[..], b"\n", &vec![b'x'; length], b"\n\n\r\n"].concat();
    assert_eq!(bytes.len(), expected.len());
    assert!(bytes == expected, "every byte as it was written");
    let last = LogOptions {
        tail: Some(3),
        ..LogOptions::default()
    };
    assert_eq!(
        rig.text(&id, &last).await.len(),
        length + 4,
        "a long line is one line"
    );
    Ok(())
}

pub(super) async fn many_lines_come_back_in_order(rig: &mut Rig<'_>) -> Case {
    let id = run_to_end(rig, "web", Program::new().then(Step::Count(10_000))).await;
    let text = rig.text(&id, &LogOptions::default()).await;
    let mut lines = 0;
    for (index, line) in text.lines().enumerate() {
        assert_eq!(line, (index + 1).to_string());
        lines += 1;
    }
    assert_eq!(lines, 10_000);
    Ok(())
}

pub(super) async fn following_ends_with_the_container(rig: &mut Rig<'_>) -> Case {
    let program = Program::new().out("one\n").sleep(APART).out("two\n").exit(3);
    let id = rig.run("web", program).await;
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    assert_eq!(rig.text(&id, &follow).await, "one\ntwo\n");
    rig.ended(&id).await;
    assert_eq!(
        rig.text(&id, &follow).await,
        "one\ntwo\n",
        "following what has ended ends at once"
    );
    Ok(())
}

pub(super) async fn following_shows_lines_as_they_are_written(rig: &mut Rig<'_>) -> Case {
    let id = rig
        .run_ready("web", |program| program.out("ready\n").on_term(0).wait())
        .await;
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut logs = rig.runtime().logs(&id, &follow).await.expect("following logs");
    let first = tokio::time::timeout(rig.harness.patience(), logs.next()).await;
    let first = first
        .expect("a line of what runs still")
        .expect("not the end")
        .expect("reading logs");
    assert_eq!(&first.data[..], b"ready\n");
    rig.runtime()
        .stop_container(&id, rig.harness.patience())
        .await
        .expect("stopping");
    let end = tokio::time::timeout(rig.harness.patience(), logs.next())
        .await
        .expect("the end of the logs");
    assert!(end.is_none(), "{end:?}");
    Ok(())
}

pub(super) async fn a_container_without_output_has_empty_logs(rig: &mut Rig<'_>) -> Case {
    let id = run_to_end(rig, "web", Program::new()).await;
    let sandbox = rig.sandbox("never").await;
    let created = rig.create(&sandbox, &rig.config("main", &Program::new())).await;
    for id in [&id, &created] {
        assert_eq!(rig.chunks(id, &LogOptions::default()).await, []);
    }
    Ok(())
}

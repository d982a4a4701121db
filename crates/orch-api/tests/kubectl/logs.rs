//! What containers wrote.

use std::collections::BTreeSet;

use orch_core::testing::fake_runtime::{Behavior, FakeRuntime, On};
use orch_core::testing::runtime::Program;
use serde_json::json;

use super::{Served, programs, says};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_what_containers_wrote() {
    for program in programs() {
        let runtime = FakeRuntime::new();
        let tells = |first: &str, last: &str| {
            let told = Program::new().out(format!("{first}\n")).err(format!("{last}\n"));
            Behavior::new().run(told.wait())
        };
        runtime.on(On::container("web"), tells("one", "two"));
        runtime.on(On::container("side"), tells("three", "four"));
        let again = Program::new().out("before\n").exit(1);
        let again = Behavior::new().run(again).run(Program::new().out("now\n").wait());
        runtime.on(On::container("again"), again);
        let served = Served::running(program, runtime).await;
        let Served { kubectl, .. } = &served;
        for (name, containers) in [
            ("a", &["web", "side"][..]),
            ("b", &["web"]),
            ("again", &["again"]),
        ] {
            let containers = containers.iter().map(|name| json!({"name": name, "image": "i"}));
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
                "spec": {"containers": containers.collect::<Vec<_>>()},
            });
            let file = served.file("pod.json", &pod.to_string());
            kubectl.run(&format!("create -f {file}")).await;
        }
        kubectl
            .run("wait pod/a pod/b --for=condition=Ready --timeout=60s")
            .await;
        kubectl
            .run("wait pod/again --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=60s")
            .await;
        kubectl
            .run("wait pod/again --for=condition=Ready --timeout=60s")
            .await;
        for (words, expected) in [
            ("b", "one\ntwo\n"),
            ("b --tail=1", "two\n"),
            ("b --since=1h", "one\ntwo\n"),
            ("b --since-time=2130-01-01T00:00:00Z", ""),
            ("b --limit-bytes=5", "one\nt"),
            ("pod/b -c web", "one\ntwo\n"),
            ("a -c side", "three\nfour\n"),
            ("a side --tail=1", "four\n"),
            ("a --all-containers", "one\ntwo\nthree\nfour\n"),
            (
                "a --all-containers --prefix --tail=1",
                "[pod/a/web] two\n[pod/a/side] four\n",
            ),
            ("-l app=b", "one\ntwo\n"),
            ("-l app=a --all-containers --tail=1", "two\nfour\n"),
            ("again", "now\n"),
            ("again -p", "before\n"),
        ] {
            // kubectl takes containers in any order.
            let said = kubectl.run(&format!("logs {words}")).await;
            let lines = |text: &str| text.split('\n').map(str::to_owned).collect::<BTreeSet<_>>();
            assert_eq!(lines(&said), lines(expected), "{words}");
        }
        let usual = kubectl.run("logs a").await;
        assert!(
            usual.contains("Defaulted container \"web\" out of: web, side"),
            "{usual}"
        );
        let stamped = kubectl.run("logs b --timestamps --tail=1").await;
        assert!(
            stamped.starts_with("20") && stamped.ends_with("Z two\n"),
            "{stamped}"
        );
        for (words, expected) in [
            (
                "b -p",
                "previous terminated container \"web\" in pod \"b\" not found",
            ),
            ("b -c none", "container none is not valid for pod b"),
            ("none", "pods \"none\" not found"),
        ] {
            let words = format!("logs {words}");
            let (is_done, said) = kubectl.try_run(&words.split(' ').collect::<Vec<_>>()).await;
            assert!(!is_done && said.contains(expected), "{words}: {said}");
        }
        // Until there is no more to come.
        let (mut following, mut lines) = kubectl.lines("logs -f b");
        says(&mut lines, "two").await;
        kubectl.run("delete pod b --grace-period=1").await;
        assert!(following.wait().await.unwrap().success());
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_what_the_pods_of_a_workload_wrote() {
    for program in programs() {
        let runtime = FakeRuntime::new();
        runtime.on(
            On::image("i"),
            Behavior::new().run(Program::new().out("hello\n").wait()),
        );
        let served = Served::running(program, runtime).await;
        let Served { kubectl, .. } = &served;
        kubectl.run("create deployment web --image=i --replicas=2").await;
        kubectl.run("rollout status deployment/web --timeout=60s").await;
        let said = kubectl.run("logs deployment/web").await;
        assert!(
            said.starts_with("Found 2 pods, using pod/web-") || said.starts_with("hello\n"),
            "{said}"
        );
        assert!(said.contains("hello\n"), "{said}");
        assert_eq!(kubectl.run("logs -l app=web --tail=-1").await, "hello\nhello\n");
        served.stop().await;
    }
}

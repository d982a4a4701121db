//! What plugins are told, by plugins that write it down.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use orch_core::runtime::{PodNetwork, Protocol, SandboxConfig};
use orch_podnet::{Cni, CniOptions};
use serde_json::Value;

use super::Place;
use super::common::{Namespace, id, on_a_machine, port, with_ports};

/// A plugin that writes down what it is told, then does as `acts` says.
fn plugin(place: &Place, name: &str, acts: &str) {
    let log = place.dir("log");
    let script = format!(
        "#!/bin/sh\ninput=$(cat)\n\
         printf '%s\\t%s\\t%s\\t%s\\t%s\\n' {name} \"$CNI_COMMAND\" \"$CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME\" \"$CNI_ARGS\" \
         \"$(printf %s \"$input\" | tr -d '\\n\\t')\" >>{log}\n{acts}\n",
        log = log.display()
    );
    let program = place.dir("bin").join(name);
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What is there of a sandbox is looked at too, so there is a link with the address.
const ANSWERS: &str = r#"[ "$CNI_COMMAND" != ADD ] || { nsenter --net="$CNI_NETNS" sh -c '
    ip link del eth0 2>/dev/null; ip link add eth0 type bridge && ip addr add 10.1.2.3/24 dev eth0'; }
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.3/24"}],"dns":{"domain":"first"}}'"#;
const PASSES_ON: &str = r#"[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.3/24"}],"dns":{"domain":"second"}}'"#;

struct Call {
    plugin: String,
    verb: String,
    what: String,
    arguments: String,
    input: Value,
}

/// What plugins were told since it was asked last.
fn calls(place: &Place) -> Vec<Call> {
    let log = place.dir("log");
    let text = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    let call = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        Call {
            plugin: fields[0].into(),
            verb: fields[1].into(),
            what: fields[2].into(),
            arguments: fields[3].into(),
            input: serde_json::from_str(fields[4]).unwrap(),
        }
    };
    text.lines().map(call).collect()
}

fn verbs(calls: &[Call]) -> Vec<String> {
    calls
        .iter()
        .map(|call| format!("{} {}", call.plugin, call.verb))
        .collect()
}

fn two(place: &Place, version: &str, more: &str) -> CniOptions {
    let conf = format!(
        r#"{{"cniVersion":"{version}","name":"net"{more},"plugins":[
            {{"type":"first","mtu":1400}},{{"type":"second","capabilities":{{"portMappings":true}}}}]}}"#
    );
    place.configure("net.conflist", &conf);
    place.options().plugin_dirs([place.dir("bin")])
}

#[test]
fn plugins_are_asked_in_order_and_told_what_those_before_answered() {
    on_a_machine(&[], async || {
        let place = Place::new();
        plugin(&place, "first", ANSWERS);
        plugin(&place, "second", PASSES_ON);
        let cni = Cni::open(two(&place, "1.1.0", "")).await.unwrap();
        assert!(calls(&place).is_empty());
        let one = Namespace::new();
        let config = with_ports(&[port(Some("192.0.2.1"), 8080, 80, Protocol::Udp)]);
        let attachment = cni.attach(&id("one"), &one.path(), &config).await.unwrap();
        assert_eq!(attachment.ips[0].to_string(), "10.1.2.3");
        assert!(one.sh("ip -o addr show lo").contains("127.0.0.1"));

        let added = calls(&place);
        assert_eq!(verbs(&added), ["first ADD", "second ADD"]);
        for call in &added {
            assert_eq!(call.what, format!("one {} eth0", one.path().display()));
            assert_eq!(
                call.arguments,
                "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=one;K8S_POD_UID=0f3c"
            );
            assert_eq!(
                (&call.input["name"], &call.input["cniVersion"]),
                (&"net".into(), &"1.1.0".into())
            );
        }
        assert_eq!(added[0].input.get("prevResult"), None);
        assert_eq!(added[0].input.get("runtimeConfig"), None);
        assert_eq!(added[1].input["prevResult"]["dns"]["domain"], "first");
        let mapping = &added[1].input["runtimeConfig"]["portMappings"][0];
        assert_eq!(
            mapping.to_string(),
            r#"{"containerPort":80,"hostIP":"192.0.2.1","hostPort":8080,"protocol":"udp"}"#
        );

        cni.attach(&id("one"), &one.path(), &config).await.unwrap();
        let checked = calls(&place);
        assert_eq!(verbs(&checked), ["first CHECK", "second CHECK"]);
        assert!(
            checked
                .iter()
                .all(|call| call.input["prevResult"]["dns"]["domain"] == "second")
        );

        assert_eq!(cni.status().await, Ok(()));
        assert_eq!(verbs(&calls(&place)), ["first STATUS", "second STATUS"]);
        cni.retain(&[id("one")]).await.unwrap();
        let collected = calls(&place);
        assert_eq!(verbs(&collected), ["first GC", "second GC"]);
        for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
            assert_eq!(
                collected[0].input[key].to_string(),
                r#"[{"containerID":"one","ifname":"eth0"}]"#
            );
        }

        // As it was connected, whatever is configured by now.
        drop(cni);
        let cni = Cni::open(two(&place, "0.3.1", "")).await.unwrap();
        cni.detach(&id("one"), Some(&one.path())).await.unwrap();
        let gone = calls(&place);
        assert_eq!(verbs(&gone), ["second DEL", "first DEL"]);
        for call in &gone {
            assert_eq!(call.what, format!("one {} eth0", one.path().display()));
            assert_eq!(call.input["cniVersion"], "1.1.0");
            assert_eq!(call.input["prevResult"]["dns"]["domain"], "second");
        }
        assert_eq!(
            gone[0].input["runtimeConfig"]["portMappings"][0]["hostPort"],
            8080
        );
        cni.detach(&id("one"), None).await.unwrap();
        assert!(calls(&place).is_empty());
    });
}

#[test]
fn what_a_version_or_its_switches_do_not_have_is_not_asked() {
    on_a_machine(&[], async || {
        for (version, more, expected) in [
            ("0.3.1", "", vec!["second DEL", "first DEL"]),
            (
                "0.4.0",
                "",
                vec!["first CHECK", "second CHECK", "second DEL", "first DEL"],
            ),
            (
                "1.0.0",
                r#","disableCheck":true"#,
                vec!["second DEL", "first DEL"],
            ),
            (
                "1.1.0",
                r#","disableCheck":true,"disableGC":true"#,
                vec!["first STATUS", "second STATUS", "second DEL", "first DEL"],
            ),
        ] {
            let place = Place::new();
            plugin(&place, "first", ANSWERS);
            plugin(&place, "second", PASSES_ON);
            let cni = Cni::open(two(&place, version, more)).await.unwrap();
            let (one, config) = (Namespace::new(), SandboxConfig::default());
            cni.attach(&id("one"), &one.path(), &config).await.unwrap();
            calls(&place);
            cni.attach(&id("one"), &one.path(), &config).await.unwrap();
            assert_eq!(cni.status().await, Ok(()));
            cni.retain(&[]).await.unwrap();
            let asked = calls(&place);
            assert_eq!(verbs(&asked), expected, "{version}");
            let told = asked
                .iter()
                .filter(|call| call.verb == "DEL")
                .all(|call| call.input.get("prevResult").is_some());
            assert_eq!(told, version != "0.3.1");
        }
    });
}

#[test]
fn a_refusal_is_told_whole_and_all_of_the_chain_is_undone() {
    on_a_machine(&[], async || {
        let place = Place::new();
        plugin(&place, "first", ANSWERS);
        let refuses = r#"[ "$CNI_COMMAND" != ADD ] || { echo '{"cniVersion":"1.1.0","code":111,"msg":"no room","details":"all are out"}'; exit 1; }"#;
        plugin(&place, "second", refuses);
        let cni = Cni::open(two(&place, "1.1.0", "")).await.unwrap();
        let one = Namespace::new();
        let attach = async || {
            cni.attach(&id("one"), &one.path(), &SandboxConfig::default())
                .await
        };
        let error = attach().await.unwrap_err().to_string();
        let expected = "connecting sandbox one to the CNI network net: CNI plugin second, ADD: no room; all are out (code 111)";
        assert_eq!(error, expected);
        assert_eq!(
            verbs(&calls(&place)),
            ["first ADD", "second ADD", "second DEL", "first DEL"]
        );
        assert_eq!(place.kept(), 0);

        // One that falls over without an answer, also when it is to undo: it is asked again later.
        plugin(&place, "second", "echo 'panic: nil map' >&2; exit 2");
        let error = attach().await.unwrap_err().to_string();
        assert!(
            error.ends_with("CNI plugin second, ADD: exit code 2: panic: nil map"),
            "{error}"
        );
        assert_eq!(
            verbs(&calls(&place)),
            ["first ADD", "second ADD", "second DEL", "first DEL"]
        );
        assert_eq!(place.kept(), 1);
        let error = cni.detach(&id("one"), None).await.unwrap_err().to_string();
        assert!(
            error.starts_with("disconnecting sandbox one from the CNI network net: CNI plugin second, DEL"),
            "{error}"
        );
        calls(&place);
        plugin(&place, "second", PASSES_ON);
        assert_eq!(attach().await.unwrap().ips.len(), 1);
        assert_eq!(
            verbs(&calls(&place)),
            ["second DEL", "first DEL", "first ADD", "second ADD"]
        );

        plugin(
            &place,
            "first",
            r#"[ "$CNI_COMMAND" != STATUS ] || { echo '{"cniVersion":"1.1.0","code":50,"msg":"not yet"}'; exit 1; }"#,
        );
        assert_eq!(
            cni.status().await.unwrap_err(),
            "CNI network net, plugin first: CNI plugin first, STATUS: not yet (code 50)"
        );
        plugin(&place, "first", "echo nonsense");
        cni.detach(&id("one"), None).await.unwrap();
        let error = attach().await.unwrap_err().to_string();
        assert!(
            error.contains("CNI plugin first, ADD: its answer cannot be read"),
            "{error}"
        );
        plugin(&place, "first", "echo '{}'");
        plugin(&place, "second", "echo '{}'");
        let error = attach().await.unwrap_err().to_string();
        assert!(
            error.ends_with("the plugins gave the sandbox no address"),
            "{error}"
        );
    });
}

#[test]
fn a_plugin_that_hangs_is_killed_with_what_it_started() {
    on_a_machine(&[], async || {
        let place = Place::new();
        let pids = place.dir("pids");
        plugin(&place, "first", ANSWERS);
        let hangs = format!(
            r#"[ "$CNI_COMMAND" != ADD ] || {{ sleep 600 & echo $! >{}; wait; }}"#,
            pids.display()
        );
        plugin(&place, "second", &hangs);
        let cni = Cni::open(two(&place, "1.1.0", "").timeout(Duration::from_secs(2)))
            .await
            .unwrap();
        let begun = Instant::now();
        let one = Namespace::new();
        let error = cni
            .attach(&id("one"), &one.path(), &SandboxConfig::default())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("CNI plugin second, ADD: took longer than 2s and was killed"),
            "{error}"
        );
        assert!(begun.elapsed() < Duration::from_secs(60));
        let sleeper = fs::read_to_string(&pids).unwrap();
        let alive = || {
            fs::read_to_string(format!("/proc/{}/stat", sleeper.trim()))
                .is_ok_and(|stat| !stat.contains(") Z "))
        };
        // Killed, it may take a moment to go.
        while alive() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn plugins_get_no_descriptor_of_ours_and_no_variable() {
    on_a_machine(&[], async || {
        let place = Place::new();
        // One that is inherited unless something is done, as one that a C library opened.
        let secret = fs::File::create(place.dir("secret")).unwrap();
        let inherited = rustix::io::dup(&secret).unwrap();
        let seen = place.dir("seen");
        let looks = format!("ls -l /proc/$$/fd >{0}; env >>{0}\n{ANSWERS}", seen.display());
        plugin(&place, "first", &looks);
        plugin(&place, "second", PASSES_ON);
        let cni = Cni::open(two(&place, "1.1.0", "")).await.unwrap();
        cni.attach(&id("one"), &Namespace::new().path(), &SandboxConfig::default())
            .await
            .unwrap();
        let seen = fs::read_to_string(&seen).unwrap();
        assert!(
            seen.contains("CNI_COMMAND=ADD") && seen.contains("PATH="),
            "{seen}"
        );
        assert!(!seen.contains("secret") && !seen.contains("/lock"), "{seen}");
        assert!(!seen.contains("CARGO"), "{seen}");
        drop(inherited);
    });
}

#[test]
fn what_is_missing_is_said() {
    on_a_machine(&[], async || {
        let place = Place::new();
        let open = async |options: CniOptions| Cni::open(options).await.unwrap_err().to_string();
        let error = open(place.options()).await;
        assert!(
            error.starts_with("runtime cni is unavailable: there is no CNI configuration in "),
            "{error}"
        );
        let options = two(&place, "1.1.0", "");
        let error = open(options.clone()).await;
        let expected = format!(
            "CNI network net: there is no program first in {}",
            place.dir("bin").display()
        );
        assert!(error.ends_with(&expected), "{error}");
        let error = open(options.clone().plugin_dirs(["bin"])).await;
        assert_eq!(
            error,
            r#"plugin_dirs: ["bin"]: must be absolute paths, at least one"#
        );
        let error = open(options.clone().timeout(Duration::ZERO)).await;
        assert_eq!(error, "timeout: 0: must be more");
        plugin(&place, "first", ANSWERS);
        plugin(&place, "second", PASSES_ON);
        let cni = Cni::open(options).await.unwrap();
        let config = SandboxConfig {
            name: "a;b".into(),
            ..SandboxConfig::default()
        };
        let error = cni
            .attach(&id("one"), &Namespace::new().path(), &config)
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            r#"name: "a;b": must not have ; or = in it for CNI plugins"#
        );
        fs::remove_file(place.dir("bin/second")).unwrap();
        assert!(
            cni.status()
                .await
                .unwrap_err()
                .contains("there is no program second")
        );
    });
}

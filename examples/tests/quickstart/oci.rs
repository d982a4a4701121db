//! On the kernel alone, and on a machine of the test's own as far as the network goes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use super::{NO_ENGINE, Running, assert_said, loose, quickstart, said};

/// A network namespace, which a process holds.
struct Machine(Child);

impl Machine {
    /// None where containers cannot be run, or not connected; says so.
    fn new() -> Option<Self> {
        let root = std::fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| status.contains("\nUid:\t0\t0\t"));
        let lacks = ["ip", "nft"].into_iter().find(|name| !is_program(name));
        if !root || lacks.is_some() {
            let why = lacks.map_or("needs root".to_owned(), |name| {
                format!("needs the program {name}")
            });
            assert!(
                !root || std::env::var_os("ORCH_REQUIRE_ENGINE").is_none(),
                "ORCH_REQUIRE_ENGINE is set, and it {why}"
            );
            // Not by a macro, whose output the test harness keeps to itself.
            let _ = writeln!(std::io::stderr(), "skipped: {why}");
            return None;
        }
        let holder = Command::new("unshare").args(["--net", "sleep", "3600"]).spawn();
        let machine = Self(holder.expect("unshare, of util-linux"));
        let network = |of: &Path| std::fs::read_link(of).expect("it runs");
        while network(&machine.path()) == network(Path::new("/proc/self/ns/net")) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        machine.says("ip link set lo up");
        Some(machine)
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }

    /// The same command, there.
    fn at(&self, command: &Command) -> Command {
        let mut there = Command::new("nsenter");
        there.arg(format!("--net={}", self.path().display()));
        there.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => there.env(name, value),
                None => there.env_remove(name),
            };
        }
        there
    }

    fn says(&self, line: &str) -> String {
        let mut shell = Command::new("sh");
        shell
            .args(["-ec", line])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let output = self.at(&shell).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(&self, data: &Path, arguments: &[&str]) -> Output {
        self.at(&quickstart(data, arguments, NO_ENGINE)).output().unwrap()
    }

    fn keep(&self, data: &Path, arguments: &[&str]) -> Running {
        let command = self.at(&quickstart(data, arguments, NO_ENGINE));
        Running::spawn(data, arguments, NO_ENGINE, command)
    }

    /// Its links and its rules.
    fn has(&self) -> String {
        self.says("ip -o link show; nft list ruleset")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut dirs = std::env::split_paths(&path).chain(usual);
    dirs.any(|dir| dir.join(name).is_file())
}

/// What is in a data directory whose pods are gone: nothing of the runtime they were on, and of their network.
#[track_caller]
fn assert_empty(data: &Path) {
    assert_eq!(data.join("oci/containers").read_dir().unwrap().count(), 0);
    for gone in ["network", "runtime"] {
        assert!(!data.join(gone).exists(), "{gone} is left");
    }
}

#[test]
fn where_there_is_no_engine_auto_takes_it_and_the_shipped_manifest_heals_rolls_and_leaves_nothing() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.has();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = machine.run(&data, &["--runtime", "auto"]);
    assert_said(
        &output,
        true,
        &[
            "runtime: oci (Docker cannot be used: ",
            "\nnetwork: each pod has its own, on the bridge orch",
            " (10.64.0.0/16)\n",
            "deployment/web created",
            // Where its log says that it is served, it is.
            " on http://10.64.0.",
            "applied to ready ",
            "killed to ready again ",
            "rolled to the new version ",
            "rolled back ",
            "cleaned up",
        ],
    );
    assert_empty(&data);
    assert_eq!(machine.has(), before);
}

#[test]
fn containers_and_their_network_go_on_without_it_and_are_found_again() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.has();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = loose(dir.path(), "host");
    let manifest = manifest.to_str().unwrap();
    let mut first = machine.keep(&data, &[manifest, "--runtime", "oci", "--keep"]);
    let told = first.until("going on until Ctrl-C");
    assert!(told.contains("runtime: oci (as asked for)\n"), "{told}");
    let found = super::pods(&told);
    first.interrupt();
    let held = || data.join("oci/containers").read_dir().unwrap().count();
    let kept = machine.has();
    assert_eq!((held(), kept.matches("orch").count() > 3), (2, true), "{kept}");

    let mut again = machine.keep(&data, &[manifest, "--runtime", "auto", "--keep"]);
    let said = again.until("going on until Ctrl-C");
    let why = "runtime: oci (pods of an earlier run are on it)";
    assert!(said.contains(why) && said.contains("all as they were"), "{said}");
    assert_eq!(super::pods(&said), found);
    assert_eq!((held(), machine.has()), (2, kept));
    again.interrupt();

    let output = machine.run(&data, &[manifest, "--runtime", "auto", "--clean"]);
    assert_said(&output, true, &["everything the manifest made is gone"]);
    assert_empty(&data);
    assert_eq!(machine.has(), before);
}

#[test]
fn where_pods_cannot_have_a_network_of_their_own_they_have_the_machines_and_it_says_what_to_do() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.has();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let found = machine.says("command -v nft");
    let mut without = Command::new("unshare");
    let script = format!("mount --bind /dev/null {} && exec \"$@\"", found.trim());
    without.args(["--mount", "sh", "-c", &script, "sh"]);
    let command = quickstart(&data, &["--runtime", "oci", "--no-demo"], NO_ENGINE);
    without.arg(command.get_program()).args(command.get_args());
    let output = machine.at(&without).output().unwrap();
    let told = "\nnetwork: the machine's, which pods share, for they cannot have their own: there is no program nft on the \
                search path: install the package nftables (Debian: apt-get install nftables)\n";
    assert_said(&output, true, &[told, "applied to ready ", "cleaned up"]);
    assert!(!said(&output).contains("10.64."), "{}", said(&output));
    assert_empty(&data);
    assert_eq!(machine.has(), before);
}

#[test]
fn two_at_once_have_each_a_bridge_and_addresses_of_its_own() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.has();
    let dir = tempfile::tempdir().unwrap();
    let manifest = loose(dir.path(), "host");
    let manifest = manifest.to_str().unwrap();
    let data = ["one", "two"].map(|name| dir.path().join(name));
    let mut running = data
        .each_ref()
        .map(|data| machine.keep(data, &[manifest, "--runtime", "oci", "--keep"]));
    let told = running.each_mut().map(|one| one.until("going on until Ctrl-C"));
    let network = |told: &str| {
        let line = told.lines().find(|line| line.starts_with("network: "));
        line.unwrap_or_else(|| panic!("{told}")).to_owned()
    };
    let networks = told.each_ref().map(|told| network(told));
    for subnet in ["(10.64.0.0/16)", "(10.65.0.0/16)"] {
        let having = networks.iter().filter(|line| line.ends_with(subnet));
        assert_eq!(having.count(), 1, "{networks:?}");
    }
    running.into_iter().for_each(|one| drop(one.interrupt()));
    for data in &data {
        let output = machine.run(data, &[manifest, "--runtime", "auto", "--clean"]);
        assert_said(&output, true, &["everything the manifest made is gone"]);
        assert_empty(data);
    }
    assert_eq!(machine.has(), before);
}

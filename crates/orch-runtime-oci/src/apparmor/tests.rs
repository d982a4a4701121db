use std::os::unix::fs::PermissionsExt;

use super::*;

const LOADED: &str = "docker-default (enforce)\n/usr/bin/man (complain)\nsnap.a (b) (unconfined)\n";

/// A machine, as far as AppArmor's files go.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn enabled(self) -> Self {
        self.with("sys/module/apparmor/parameters/enabled", "Y\n")
    }

    fn loaded(self) -> Self {
        self.with("sys/kernel/security/apparmor/profiles", LOADED)
    }

    /// Has a parser that keeps what it is given, and then does as said.
    fn parser(self, then: &str) -> Self {
        let root = self.0.path().display().to_string();
        let script = format!("#!/bin/sh\ncd {root} || exit 9\necho \"$*\" >arguments\ncat >text\n{then}\n");
        let machine = self.with("sbin/apparmor_parser", &script);
        let path = machine.0.path().join("sbin/apparmor_parser");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn said(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    fn app_armor(&self) -> AppArmor {
        AppArmor::of(self.0.path())
    }
}

fn asks(app_armor: AppArmorProfile) -> Security {
    Security {
        app_armor,
        ..Security::default()
    }
}

fn refusal(machine: &Machine, name: &str) -> String {
    let asked = asks(AppArmorProfile::Localhost(name.into()));
    match machine.app_armor().profile(&asked) {
        Err(RuntimeError::InvalidConfig { field, reason }) if field == FIELD => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_profile_of_the_machine_is_taken_if_it_is_loaded_and_refused_otherwise() {
    let machine = Machine::new().enabled().loaded();
    for name in ["docker-default", "/usr/bin/man", "snap.a (b)"] {
        let asked = asks(AppArmorProfile::Localhost(name.into()));
        let privileged = Security {
            privileged: true,
            ..asked.clone()
        };
        // A word of one's own holds for privileged containers too.
        for asked in [asked, privileged] {
            let given = machine.app_armor().profile(&asked).unwrap();
            assert_eq!(given.as_deref(), Some(name));
        }
    }
    for name in ["docker", "docker-default (enforce)", "man", "snap.a"] {
        let reason = refusal(&machine, name);
        assert_eq!(
            reason,
            format!("Cannot enforce AppArmor: profile {name:?} is not loaded")
        );
    }
    for name in ["", " a", "a\nb"] {
        assert!(refusal(&machine, name).contains("no profile's name"), "{name:?}");
    }
}

#[test]
fn where_the_kernel_has_none_a_profile_of_the_machine_is_refused_and_the_default_is_nothing() {
    let off = "sys/module/apparmor/parameters/enabled";
    for machine in [Machine::new(), Machine::new().loaded().with(off, "N\n")] {
        let reason = refusal(&machine, "web");
        assert_eq!(
            reason,
            "Cannot enforce AppArmor: AppArmor is not enabled on the host, so there is no profile \"web\"; enable it, or ask for none"
        );
        let default = asks(AppArmorProfile::RuntimeDefault);
        assert_eq!(machine.app_armor().profile(&default).unwrap(), None);
    }
    // Its list cannot be seen: nobody knows what is loaded.
    let reason = refusal(&Machine::new().enabled(), "web");
    assert!(reason.contains("apparmor/profiles"), "{reason}");
}

#[test]
fn the_default_is_loaded_once_it_is_wanted_and_again_when_somebody_has_removed_it() {
    let to_list = format!(
        "echo '{} (enforce)' >>sys/kernel/security/apparmor/profiles",
        *DEFAULT
    );
    let machine = Machine::new().enabled().loaded().parser(&to_list);
    let app_armor = machine.app_armor();
    for asked in [
        asks(AppArmorProfile::Unconfined),
        Security {
            privileged: true,
            ..Security::default()
        },
    ] {
        assert_eq!(app_armor.profile(&asked).unwrap(), None);
    }
    assert_eq!(machine.said("text"), "", "nobody wanted it");
    let default = asks(AppArmorProfile::RuntimeDefault);
    for _ in 0..2 {
        assert_eq!(
            app_armor.profile(&default).unwrap().as_deref(),
            Some(DEFAULT.as_str())
        );
        let text = machine.said("text");
        let head = format!("\nprofile {} ", *DEFAULT);
        assert!(text.contains(&head) && text.contains("\n  deny mount,\n"));
        assert!(!text.contains('@'), "{text}");
        assert_eq!(machine.said("arguments"), "--skip-cache --replace\n");
        fs::write(machine.0.path().join("text"), "").unwrap();
        // It is there now, and not loaded anew.
        assert_eq!(
            app_armor.profile(&default).unwrap().as_deref(),
            Some(DEFAULT.as_str())
        );
        assert_eq!(machine.said("text"), "");
        fs::write(app_armor.profiles(), LOADED).unwrap();
    }
}

#[test]
fn a_profile_of_another_version_is_left_to_its_owner_and_not_taken_for_this_ones() {
    let others = "orch-default (enforce)\norch-default-00000000 (enforce)\n";
    let machine = Machine::new().enabled().parser("");
    let machine = machine.with("sys/kernel/security/apparmor/profiles", others);
    let given = machine.app_armor().profile(&Security::default()).unwrap();
    let given = given.expect("this version's own");
    assert!(
        given
            .strip_prefix("orch-default-")
            .is_some_and(|digits| digits.len() == 8 && digits != "00000000"),
        "{given}"
    );
    assert!(machine.said("text").contains(&format!("\nprofile {given} ")));
}

/// Whoever holds a container may be started anew, confined otherwise, and what it is confined by says whom it may signal.
#[test]
fn whoever_may_signal_a_container_can_by_whatever_it_is_confined() {
    let rules: Vec<_> = TEXT.lines().map(str::trim).collect();
    for rule in [
        "signal (receive),",
        "signal (send) peer=@NAME@,",
        "ptrace (readby),",
    ] {
        assert!(rules.contains(&rule), "{rule}");
    }
}

#[test]
fn a_machine_that_cannot_load_a_profile_does_without_and_a_profile_that_it_refuses_is_an_error() {
    let default = asks(AppArmorProfile::RuntimeDefault);
    // No parser; no list.
    for machine in [Machine::new().enabled().loaded(), Machine::new().enabled()] {
        assert_eq!(machine.app_armor().profile(&default).unwrap(), None);
    }
    let machine = Machine::new().enabled().loaded();
    let machine = machine.parser("echo 'syntax error, line 7' >&2; exit 1");
    let error = machine.app_armor().profile(&default).unwrap_err();
    let told = format!("{error:?}");
    assert!(
        told.contains(DEFAULT.as_str()) && told.contains("line 7"),
        "{told}"
    );
}

/// What the machine's own parser, where there is one, makes of the text: it compiles, and nothing is loaded.
#[test]
fn the_text_is_a_profile() {
    let known = Command::new("apparmor_parser").arg("--version").output();
    if !known.is_ok_and(|output| output.status.success()) {
        let is_required = std::env::var_os("ORCH_REQUIRE_ENGINE").is_some();
        assert!(
            !is_required,
            "ORCH_REQUIRE_ENGINE is set, and there is no apparmor_parser (Debian: apparmor)"
        );
        let _ = writeln!(
            std::io::stderr(),
            "skipped: there is no apparmor_parser on this machine"
        );
        return;
    }
    let profile = Machine::new().with("profile", &text());
    let output = Command::new("apparmor_parser")
        .args(["--skip-kernel-load", "--skip-cache"])
        .arg(profile.0.path().join("profile"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

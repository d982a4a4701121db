//! AppArmor, on a kernel that has it: what containers, and commands in them, run under, and what that denies them.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::pods::{owned, pod, run};
use common::{Oci, clear, config, create, exec, kernel_has, open, says, start};
use orch_core::runtime::{
    AppArmorProfile, ContainerConfig, ContainerId, Runtime, RuntimeError, SandboxConfig, Security,
};
use orch_runtime_oci::OciRuntime;

/// What a process runs under.
const UNDER: &str = "cat /proc/1/attr/current /proc/self/attr/current";

const PARSER: &str = "/usr/sbin/apparmor_parser";

/// Whether there is one to enforce a profile, and to load one.
fn is_here() -> bool {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    let enabled = enabled.is_ok_and(|text| text.starts_with('Y'));
    let loads = Path::new(PARSER).exists() && Path::new("/sys/kernel/security/apparmor").exists();
    kernel_has(enabled && loads, "AppArmor, securityfs and apparmor_parser")
}

/// A profile of the machine's own, until this goes: nothing may be written in `/var/secret`.
struct Profile {
    name: String,
}

impl Profile {
    fn load(of: &str) -> Self {
        let name = format!("orch-test-{of}-{}", std::process::id());
        let profile = Self { name };
        assert!(profile.feed("--replace"), "the profile cannot be loaded");
        profile
    }

    fn feed(&self, what: &str) -> bool {
        let text = format!(
            "profile {} flags=(attach_disconnected) {{\n file,\n network,\n capability,\n signal,\n ptrace,\n mount,\n umount,\n \
             deny /var/secret/** w,\n}}\n",
            self.name
        );
        let mut parser = Command::new(PARSER)
            .args(["--skip-cache", what])
            .stdin(Stdio::piped())
            .spawn()
            .expect("apparmor_parser");
        parser
            .stdin
            .take()
            .expect("it is piped")
            .write_all(text.as_bytes())
            .expect("it reads");
        parser.wait().expect("it ends").success()
    }

    fn asked(&self) -> Security {
        Security {
            app_armor: AppArmorProfile::Localhost(self.name.clone()),
            ..Security::default()
        }
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let removed = self.feed("--remove");
        assert!(removed || std::thread::panicking(), "the profile is removed");
    }
}

fn secured(name: &str, security: Security) -> ContainerConfig {
    ContainerConfig {
        security,
        ..config(name, "exec sleep 3600")
    }
}

async fn start_in(runtime: &OciRuntime, pod: &SandboxConfig, config: &ContainerConfig) -> ContainerId {
    let sandbox = run(runtime, pod).await;
    let id = runtime
        .create_container(&sandbox, config)
        .await
        .expect("creating it");
    runtime.start_container(&id).await.expect("starting it");
    id
}

/// What the profile is called that containers run under who ask for none: the digits are its text's.
async fn default_profile(runtime: &OciRuntime) -> String {
    let id = start(runtime, &secured("default", Security::default())).await;
    let under = says(runtime, &id, "cat /proc/self/attr/current").await;
    let name = under.strip_suffix(" (enforce)\n").expect("it is in force");
    let digits = name.strip_prefix("orch-default-").expect("it is ours");
    assert!(
        digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{name}"
    );
    name.to_owned()
}

#[tokio::test]
async fn each_container_runs_under_what_it_asks_for_and_so_do_commands_in_it() {
    let Some(oci) = Oci::new() else { return };
    if !is_here() {
        return;
    }
    let runtime = open(&oci).await;
    let profile = Profile::load("own");
    let unconfined = Security {
        app_armor: AppArmorProfile::Unconfined,
        ..Security::default()
    };
    let privileged = Security {
        privileged: true,
        ..Security::default()
    };
    let nobody = Security {
        run_as_user: Some(65534),
        allow_privilege_escalation: Some(false),
        ..Security::default()
    };
    let default = format!("{} (enforce)\n", default_profile(&runtime).await);
    let own = format!("{} (enforce)\n", profile.name).repeat(2);
    for (name, security, expected) in [
        ("plain", Security::default(), default.repeat(2)),
        ("nobody", nobody, default.repeat(2)),
        ("own", profile.asked(), own),
        ("none", unconfined, "unconfined\n".repeat(2)),
        ("privileged", privileged, "unconfined\n".repeat(2)),
    ] {
        let id = start(&runtime, &secured(name, security)).await;
        assert_eq!(says(&runtime, &id, UNDER).await, expected, "{name}");
    }
    let id = start_in(&runtime, &owned("owned"), &secured("main", Security::default())).await;
    assert_eq!(
        says(&runtime, &id, UNDER).await,
        default.repeat(2),
        "with users of its own"
    );
    // The first there is the pod's.
    let shared = SandboxConfig {
        share_process_namespace: true,
        ..pod("shared")
    };
    let id = start_in(&runtime, &shared, &secured("main", Security::default())).await;
    let under = says(&runtime, &id, "cat /proc/self/attr/current").await;
    assert_eq!(under, default, "with the processes of its pod");
    clear(&runtime).await;
}

#[tokio::test]
async fn what_the_default_denies_is_denied_to_who_could_do_it_otherwise() {
    let Some(oci) = Oci::new() else { return };
    if !is_here() {
        return;
    }
    let runtime = open(&oci).await;
    // Who may mount but for the profile.
    let admin = |app_armor| Security {
        add_capabilities: vec!["SYS_ADMIN".into()],
        app_armor,
        ..Security::default()
    };
    let mounts = "mount -t tmpfs none /mnt 2>&1";
    let confined = start(
        &runtime,
        &secured("confined", admin(AppArmorProfile::RuntimeDefault)),
    )
    .await;
    // `mount` tries again without writing, and tells of that.
    assert_eq!(exec(&runtime, &confined, mounts).await.exit_code, 32);
    let free = start(&runtime, &secured("free", admin(AppArmorProfile::Unconfined))).await;
    says(&runtime, &free, mounts).await;
    // Who sees the machine's settings, which nothing but the profile keeps from it.
    let asked = Security {
        privileged: true,
        app_armor: AppArmorProfile::Localhost(default_profile(&runtime).await),
        ..Security::default()
    };
    let writes = "cat /proc/sys/kernel/domainname > /proc/sys/kernel/domainname";
    let settings = start(&runtime, &secured("settings", asked)).await;
    assert_ne!(exec(&runtime, &settings, writes).await.exit_code, 0);
    let privileged = Security {
        privileged: true,
        ..Security::default()
    };
    let id = start(&runtime, &secured("privileged", privileged)).await;
    says(&runtime, &id, writes).await;
    // What programs do all the time is not.
    let usual = "sleep 100 & kill $! && echo x > /tmp/x && ps >/dev/null && cat /proc/$$/status >/dev/null && \
        echo $$ > /dev/null && chown 1:1 /tmp/x && su nobody -s /bin/sh -c true";
    let id = start(&runtime, &secured("usual", Security::default())).await;
    says(&runtime, &id, usual).await;
    clear(&runtime).await;
}

#[tokio::test]
async fn a_profile_of_the_machines_own_is_kept_by_name_and_what_is_not_loaded_is_refused() {
    let Some(oci) = Oci::new() else { return };
    if !is_here() {
        return;
    }
    let runtime = open(&oci).await;
    let profile = Profile::load("kept");
    let id = start(&runtime, &secured("main", profile.asked())).await;
    let script = "mkdir -p /var/secret /var/open && echo x > /var/open/x && echo x > /var/secret/x";
    assert_ne!(exec(&runtime, &id, script).await.exit_code, 0);
    says(&runtime, &id, "cat /var/open/x; test ! -e /var/secret/x").await;
    // Gone between being asked for and the start.
    let late = create(&runtime, &secured("late", profile.asked())).await;
    let asked = profile.asked();
    let name = profile.name.clone();
    drop(profile);
    let error = runtime.start_container(&late).await.expect_err("it is gone");
    let expected = format!("it cannot run under the AppArmor profile {name:?}");
    assert!(error.to_string().contains(&expected), "{error}");
    let sandbox = runtime.container(&id).await.unwrap().sandbox;
    match runtime.create_container(&sandbox, &secured("gone", asked)).await {
        Err(RuntimeError::InvalidConfig { field, reason }) => {
            let expected = format!("Cannot enforce AppArmor: profile {name:?} is not loaded");
            assert_eq!((field, reason), ("security.app_armor".into(), expected));
        }
        other => panic!("{other:?}"),
    }
    clear(&runtime).await;
}

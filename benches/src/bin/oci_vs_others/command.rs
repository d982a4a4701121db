//! Containers of a command that does all in one.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use tokio::process::Command;

use crate::aside::Aside;
use crate::{Contender, Network};

pub(crate) struct Program {
    name: &'static str,
    aside: Aside,
    bundle: PathBuf,
    state: PathBuf,
}

impl Program {
    /// None if the machine has no such program.
    pub(crate) fn find(name: &'static str, dir: &Path, network: Network, aside: &Aside) -> Option<Self> {
        let version = std::process::Command::new(name).arg("--version").output();
        let Ok(version) = version else {
            println!("no {name} on this machine");
            return None;
        };
        println!(
            "{}",
            String::from_utf8_lossy(&version.stdout)
                .lines()
                .next()
                .unwrap_or(name)
        );
        let bundle = dir.join(format!("bundle-{name}"));
        std::fs::create_dir_all(&bundle).expect("a directory");
        // As it is by default, each time anew.
        let _ = std::fs::remove_file(bundle.join("config.json"));
        let made = std::process::Command::new(name)
            .arg("spec")
            .current_dir(&bundle)
            .status();
        assert!(made.is_ok_and(|status| status.success()), "{name} spec");
        let path = bundle.join("config.json");
        let text = std::fs::read(&path).expect("what it has made");
        let mut spec: serde_json::Value = serde_json::from_slice(&text).expect("a specification");
        spec["process"]["args"] = serde_json::json!(["/bin/true"]);
        spec["process"]["terminal"] = false.into();
        spec["root"] = serde_json::json!({"path": dir.join("rootfs"), "readonly": true});
        if network == Network::Host {
            let namespaces = spec["linux"]["namespaces"].as_array_mut().expect("namespaces");
            namespaces.retain(|namespace| namespace["type"] != "network");
        }
        std::fs::write(&path, spec.to_string()).expect("written");
        Some(Self {
            name,
            aside: aside.clone(),
            bundle,
            state: dir.join(format!("state-{name}")),
        })
    }
}

#[async_trait]
impl Contender for Program {
    fn name(&self) -> &str {
        self.name
    }

    async fn run(&self, id: String) {
        let mut command = Command::new(self.name);
        command
            .arg("--root")
            .arg(&self.state)
            .args(["run", "--bundle"])
            .arg(&self.bundle)
            .arg(format!("orch-bench-{id}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let status = self.aside.run(command).await;
        assert!(status.is_ok_and(|status| status.success()), "{} run", self.name);
    }
}

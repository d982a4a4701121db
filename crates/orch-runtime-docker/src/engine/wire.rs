//! What we read of the engine's answers: as little as is needed, and nothing that must be there.
//!
//! bollard's response types refuse a whole answer over one unknown word, and other engines behind the same
//! API (Podman) do send states and event types that Docker's specification does not list.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer};

fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

pub(crate) type Labels = HashMap<String, String>;

/// `GET /version`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Version {
    pub(crate) version: String,
    pub(crate) api_version: String,
    #[serde(rename = "MinAPIVersion")]
    pub(crate) min_api_version: String,
    pub(crate) arch: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) components: Vec<Component>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Component {
    pub(crate) name: String,
}

impl Version {
    pub(crate) fn is_podman(&self) -> bool {
        self.components
            .iter()
            .any(|component| component.name.starts_with("Podman"))
    }

    /// `docker 28.2.2`, as a person would say it.
    pub(crate) fn described(&self) -> String {
        let name = if self.is_podman() { "podman" } else { "docker" };
        format!("{name} {}", self.version)
    }
}

/// `GET /info`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Info {
    #[serde(deserialize_with = "nullable")]
    pub(crate) security_options: Vec<String>,
}

impl Info {
    /// Whether containers are confined by AppArmor; an option is `name=apparmor`, maybe with settings after it.
    pub(crate) fn has_app_armor(&self) -> bool {
        let names = self
            .security_options
            .iter()
            .map(|option| option.split(',').next());
        names.into_iter().any(|name| name == Some("name=apparmor"))
    }
}

/// An element of `GET /containers/json`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) state: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) labels: Labels,
    #[serde(deserialize_with = "nullable")]
    pub(crate) network_settings: NetworkSettings,
}

/// The answer to `POST /containers/create` and `POST /containers/{id}/exec`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Made {
    pub(crate) id: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) warnings: Vec<String>,
}

/// `GET /containers/{id}/json`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Inspected {
    pub(crate) id: String,
    pub(crate) created: String,
    pub(crate) image: String,
    pub(crate) state: State,
    pub(crate) config: Config,
    pub(crate) host_config: HostConfig,
    #[serde(deserialize_with = "nullable")]
    pub(crate) network_settings: NetworkSettings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct State {
    pub(crate) status: String,
    #[serde(rename = "OOMKilled")]
    pub(crate) oom_killed: bool,
    pub(crate) exit_code: i64,
    pub(crate) error: String,
    pub(crate) started_at: String,
    pub(crate) finished_at: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) pid: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Config {
    #[serde(deserialize_with = "nullable")]
    pub(crate) labels: Labels,
    pub(crate) tty: bool,
    pub(crate) open_stdin: bool,
    pub(crate) image: String,
    pub(crate) user: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    pub(crate) cpu_shares: i64,
    pub(crate) cpu_period: i64,
    pub(crate) cpu_quota: i64,
    pub(crate) nano_cpus: i64,
    pub(crate) memory: i64,
    pub(crate) pids_limit: Option<i64>,
    pub(crate) oom_score_adj: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct NetworkSettings {
    #[serde(rename = "IPAddress", deserialize_with = "nullable")]
    pub(crate) ip_address: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) networks: HashMap<String, Endpoint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Endpoint {
    #[serde(rename = "IPAddress", deserialize_with = "nullable")]
    pub(crate) ip_address: String,
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "nullable")]
    pub(crate) global_ipv6_address: String,
}

/// `GET /images/{name}/json` and an element of `GET /images/json`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Image {
    pub(crate) id: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) repo_tags: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) repo_digests: Vec<String>,
    pub(crate) size: i64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) config: Config,
}

/// `GET /exec/{id}/json`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Exec {
    pub(crate) running: bool,
    pub(crate) exit_code: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) pid: i64,
    #[serde(rename = "ContainerID")]
    pub(crate) container_id: String,
}

/// The body of `POST /containers/{id}/wait`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Waited {
    pub(crate) status_code: i64,
}

/// A line of `GET /events`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Event {
    pub(crate) action: String,
    pub(crate) actor: Actor,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Actor {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) attributes: Labels,
}

/// `GET /containers/{id}/stats?stream=false`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stats {
    pub(crate) read: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) cpu_stats: CpuStats,
    #[serde(deserialize_with = "nullable")]
    pub(crate) memory_stats: MemoryStats,
    #[serde(deserialize_with = "nullable")]
    pub(crate) pids_stats: PidsStats,
    #[serde(deserialize_with = "nullable")]
    pub(crate) networks: BTreeMap<String, Traffic>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CpuStats {
    #[serde(deserialize_with = "nullable")]
    pub(crate) cpu_usage: CpuUsage,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CpuUsage {
    pub(crate) total_usage: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MemoryStats {
    pub(crate) usage: u64,
    /// The kernel's `memory.stat`; a number there may be beyond 64 bits.
    #[serde(deserialize_with = "nullable")]
    pub(crate) stats: HashMap<String, serde_json::Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PidsStats {
    pub(crate) current: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Traffic {
    pub(crate) rx_bytes: u64,
    pub(crate) rx_errors: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) tx_errors: u64,
}

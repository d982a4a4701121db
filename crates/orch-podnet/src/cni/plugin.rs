//! Runs plugins: what they are given, and what they answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orch_core::runtime::{SandboxConfig, SandboxId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::conf::Chain;
use crate::command;

/// The link that a sandbox has.
pub(super) const INTERFACE: &str = "eth0";

/// What a plugin is asked, `CNI_COMMAND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Check,
    Del,
    Gc,
    Status,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Check => "CHECK",
            Self::Del => "DEL",
            Self::Gc => "GC",
            Self::Status => "STATUS",
        }
    }
}

/// A plugin's refusal, as [CNI's specification](https://www.cni.dev/docs/spec/#error) has it. It is the source of the
/// errors of a [`Cni`](super::Cni) network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CNI plugin {plugin}, {verb}: {message}{}{}", detail(.details), number(.code))]
#[non_exhaustive]
pub struct PluginError {
    /// The plugin's name.
    pub plugin: String,
    /// What was asked of it: `ADD`, `CHECK`, `DEL`, `GC` or `STATUS`.
    pub verb: &'static str,
    /// Its code; none if it ended without an answer. Below 100 they are the specification's, 11 says to try again.
    pub code: Option<u32>,
    /// What is wrong, in its words.
    pub message: String,
    /// More of it; may be empty.
    pub details: String,
}

fn detail(details: &str) -> String {
    if details.is_empty() {
        String::new()
    } else {
        format!("; {details}")
    }
}

fn number(code: &Option<u32>) -> String {
    code.map_or_else(String::new, |code| format!(" (code {code})"))
}

/// What is the same for all plugins of a chain and all verbs, for one sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) sandbox: String,
    /// `CNI_ARGS`.
    pub(super) arguments: String,
    /// What plugins that say they can are told, by capability.
    pub(super) capabilities: Map<String, Value>,
}

impl Request {
    pub(super) fn new(sandbox: &SandboxId, config: &SandboxConfig) -> Result<Self, (&'static str, String)> {
        let mut arguments = "IgnoreUnknown=1".to_owned();
        for (key, field, value) in [
            ("K8S_POD_NAMESPACE", "namespace", &config.namespace),
            ("K8S_POD_NAME", "name", &config.name),
            ("K8S_POD_INFRA_CONTAINER_ID", "sandbox", &sandbox.0),
            ("K8S_POD_UID", "uid", &config.uid),
        ] {
            if value.contains([';', '=']) {
                return Err((
                    field,
                    format!("{value:?}: must not have ; or = in it for CNI plugins"),
                ));
            }
            arguments.push_str(&format!(";{key}={value}"));
        }
        let mut capabilities = Map::new();
        if !config.host_ports.is_empty() {
            let ports = config.host_ports.iter().map(|port| {
                json!({
                    "hostPort": port.host_port,
                    "containerPort": port.container_port,
                    "protocol": port.protocol.to_string().to_lowercase(),
                    "hostIP": port.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
                })
            });
            capabilities.insert("portMappings".into(), ports.collect());
        }
        if !(config.dns_servers.is_empty() && config.dns_searches.is_empty() && config.dns_options.is_empty())
        {
            let (servers, searches, options) =
                (&config.dns_servers, &config.dns_searches, &config.dns_options);
            capabilities.insert(
                "dns".into(),
                json!({"servers": servers, "searches": searches, "options": options}),
            );
        }
        if !config.annotations.is_empty() {
            capabilities.insert(
                "io.kubernetes.cri.pod-annotations".into(),
                json!(config.annotations),
            );
        }
        Ok(Self {
            sandbox: sandbox.0.clone(),
            arguments,
            capabilities,
        })
    }
}

/// Whether a plugin says that it takes a capability.
pub(super) fn takes(plugin: &Map<String, Value>, capability: &str) -> bool {
    let told = plugin
        .get("capabilities")
        .and_then(|capabilities| capabilities.get(capability));
    told.and_then(Value::as_bool).unwrap_or(false)
}

/// Where plugins are, and how long they may take.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) dirs: Vec<PathBuf>,
    pub(super) timeout: Duration,
}

impl Runner {
    /// The program of a plugin.
    pub(super) fn find(&self, plugin: &Map<String, Value>) -> Result<PathBuf, String> {
        let name = kind(plugin);
        let program = self
            .dirs
            .iter()
            .map(|dir| dir.join(name))
            .find(|path| command::is_program(path));
        program.ok_or_else(|| {
            let dirs: Vec<String> = self.dirs.iter().map(|dir| dir.display().to_string()).collect();
            format!("there is no program {name} in {}", dirs.join(" or "))
        })
    }

    /// Asks one plugin of a chain; `more` is what its configuration has for this call alone.
    pub(super) fn ask(
        &self,
        verb: Verb,
        chain: &Chain,
        plugin: &Map<String, Value>,
        request: &Request,
        namespace: Option<&Path>,
        more: Map<String, Value>,
    ) -> Result<Option<Value>, PluginError> {
        let fault = |message: String| PluginError {
            plugin: kind(plugin).to_owned(),
            verb: verb.word(),
            code: None,
            message,
            details: String::new(),
        };
        let program = self.find(plugin).map_err(fault)?;
        let input = configuration(chain, plugin, request, more).to_string();
        let dirs: Vec<String> = self.dirs.iter().map(|dir| dir.display().to_string()).collect();
        let namespace = namespace
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        let mut variables = vec![
            ("PATH", command::search_path()),
            ("CNI_COMMAND", verb.word().into()),
            ("CNI_PATH", dirs.join(":")),
        ];
        if !matches!(verb, Verb::Gc | Verb::Status) {
            variables.extend([
                ("CNI_CONTAINERID", request.sandbox.clone()),
                ("CNI_NETNS", namespace),
                ("CNI_IFNAME", INTERFACE.into()),
                ("CNI_ARGS", request.arguments.clone()),
            ]);
        }
        let ended = command::run(&program, &[], variables, input.as_bytes(), self.timeout, None)
            .map_err(|error| fault(error.to_string()))?;
        if !ended.status.success() {
            return Err(refusal(&ended.out).map_or_else(
                || fault(ended.complaint()),
                |told| PluginError {
                    code: Some(told.code),
                    message: told.msg,
                    details: told.details,
                    ..fault(String::new())
                },
            ));
        }
        if verb != Verb::Add {
            return Ok(None);
        }
        let result = serde_json::from_slice(&ended.out)
            .map_err(|error| fault(format!("its answer cannot be read: {error}")))?;
        Ok(Some(result))
    }
}

pub(super) fn kind(plugin: &Map<String, Value>) -> &str {
    plugin.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// What a plugin gets on its standard input.
fn configuration(
    chain: &Chain,
    plugin: &Map<String, Value>,
    request: &Request,
    more: Map<String, Value>,
) -> Value {
    let mut all = plugin.clone();
    all.insert("name".into(), chain.name.clone().into());
    all.insert("cniVersion".into(), chain.version.word().into());
    let told = request
        .capabilities
        .iter()
        .filter(|(capability, _)| takes(plugin, capability));
    let told: Map<String, Value> = told
        .map(|(capability, value)| (capability.clone(), value.clone()))
        .collect();
    if !told.is_empty() {
        all.insert("runtimeConfig".into(), told.into());
    }
    all.extend(more);
    all.into()
}

#[derive(Deserialize)]
struct Refusal {
    code: u32,
    msg: String,
    #[serde(default)]
    details: String,
}

fn refusal(out: &[u8]) -> Option<Refusal> {
    serde_json::from_slice(out).ok()
}

#[cfg(test)]
mod tests {
    use orch_core::runtime::{HostPort, Protocol};

    use super::*;

    #[test]
    fn plugins_get_what_they_say_they_take() {
        let chain = Chain::parse(
            br#"{"cniVersion":"1.0.0","name":"net","plugins":[
                {"type":"bridge","name":"other","cniVersion":"0.3.1","mtu":1400},
                {"type":"portmap","capabilities":{"portMappings":true,"dns":false}}]}"#,
        )
        .unwrap();
        let config = SandboxConfig {
            name: "web".into(),
            namespace: "shop".into(),
            uid: "u1".into(),
            host_ports: vec![HostPort {
                host_ip: None,
                host_port: 8080,
                container_port: 80,
                protocol: Protocol::Tcp,
            }],
            dns_servers: vec!["10.0.0.10".parse().unwrap()],
            ..SandboxConfig::default()
        };
        let request = Request::new(&SandboxId("s1".into()), &config).unwrap();
        assert_eq!(
            request.arguments,
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=s1;K8S_POD_UID=u1"
        );
        let first = configuration(&chain, &chain.plugins[0], &request, Map::new());
        assert_eq!(
            first,
            json!({"type": "bridge", "name": "net", "cniVersion": "1.0.0", "mtu": 1400})
        );
        let more = Map::from_iter([("prevResult".to_owned(), json!({"ips": []}))]);
        let second = configuration(&chain, &chain.plugins[1], &request, more);
        assert_eq!(
            second["runtimeConfig"],
            json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]})
        );
        assert_eq!(second["prevResult"], json!({"ips": []}));
        let odd = SandboxConfig {
            name: "a;b".into(),
            ..config
        };
        assert_eq!(Request::new(&SandboxId("s1".into()), &odd).unwrap_err().0, "name");
    }

    #[test]
    fn a_refusal_says_who_refused_what_and_why() {
        let error = PluginError {
            plugin: "bridge".into(),
            verb: "ADD",
            code: Some(7),
            message: "no subnet".into(),
            details: "see ipam".into(),
        };
        assert_eq!(
            error.to_string(),
            "CNI plugin bridge, ADD: no subnet; see ipam (code 7)"
        );
        assert!(refusal(b"panic: nothing").is_none());
        assert_eq!(
            refusal(br#"{"cniVersion":"1.0.0","code":7,"msg":"no"}"#)
                .unwrap()
                .code,
            7
        );
    }
}

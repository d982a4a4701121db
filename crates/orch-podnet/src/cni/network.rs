//! What a chain of plugins has made for which sandbox.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use orch_core::runtime::{RuntimeError, SandboxConfig, SandboxId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::NAME;
use super::conf::{Chain, Version};
use super::options::CniOptions;
use super::plugin::{INTERFACE, PluginError, Request, Runner, Verb, kind, takes};
use crate::files::StateDir;
use crate::{invalid, netlink, threads};

/// The code of a plugin that asks to be asked again.
const TRY_AGAIN: u32 = 11;

/// What is kept of a sandbox: enough to disconnect it with no configuration at hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    namespace: PathBuf,
    /// The namespace itself, which another may have followed under the same name.
    inode: (u64, u64),
    chain: Chain,
    request: Request,
    /// What the last plugin answered; none while they are asked, and if that was cut short.
    result: Option<Value>,
}

#[derive(Debug)]
pub(super) struct Network {
    options: CniOptions,
    runner: Runner,
    state: StateDir,
    records: Mutex<BTreeMap<SandboxId, Record>>,
}

impl Network {
    pub(super) fn open(options: CniOptions) -> Result<Self, RuntimeError> {
        if options.plugin_dirs.is_empty() || options.plugin_dirs.iter().any(|dir| !dir.is_absolute()) {
            let reason = format!("{:?}: must be absolute paths, at least one", options.plugin_dirs);
            return Err(invalid("plugin_dirs", reason));
        }
        if options.timeout.is_zero() {
            return Err(invalid("timeout", "0: must be more".into()));
        }
        let state = StateDir::open(NAME, &options.state)?;
        let records = state.sandboxes()?.into_iter().collect();
        let network = Self {
            runner: Runner {
                dirs: options.plugin_dirs.clone(),
                timeout: options.timeout,
            },
            options,
            state,
            records: Mutex::new(records),
        };
        network.chain()?;
        Ok(network)
    }

    /// The configuration of now, whose plugins are there.
    fn chain(&self) -> Result<Chain, RuntimeError> {
        let unavailable = |reason| RuntimeError::Unavailable {
            runtime: NAME,
            reason,
        };
        let chain = Chain::load(&self.options).map_err(unavailable)?;
        for plugin in &chain.plugins {
            let network = &chain.name;
            self.runner
                .find(plugin)
                .map_err(|error| unavailable(format!("CNI network {network}: {error}")))?;
        }
        Ok(chain)
    }

    pub(super) fn attach(
        &self,
        sandbox: &SandboxId,
        namespace: &Path,
        config: &SandboxConfig,
    ) -> Result<Vec<IpAddr>, RuntimeError> {
        let request = Request::new(sandbox, config).map_err(|(field, reason)| invalid(field, reason))?;
        let there = threads::namespace(namespace)?;
        let failed = |error| RuntimeError::failed(format!("looking at {}", namespace.display()), error);
        let inode = there
            .metadata()
            .map(|file| (file.dev(), file.ino()))
            .map_err(failed)?;
        let earlier = self.records.lock().get(sandbox).cloned();
        if let Some(earlier) = earlier {
            if let Some(result) = earlier.result.as_ref()
                && earlier.inode == inode
                && earlier.request == request
                && self.holds(&earlier, &there, namespace, result)
            {
                return addresses(result)
                    .map_err(|error| RuntimeError::failed("reading a kept result", error));
            }
            self.detach(sandbox, Some(&earlier.namespace))?;
        }
        let chain = self.chain()?;
        if !config.host_ports.is_empty() && !chain.plugins.iter().any(|plugin| takes(plugin, "portMappings"))
        {
            let reason = format!(
                "no plugin of the CNI network {} has the capability portMappings",
                chain.name
            );
            return Err(invalid("host_ports", reason));
        }
        threads::inside(&there, netlink::loopback)
            .and_then(|up| up)
            .map_err(|error| RuntimeError::failed(format!("setting up {}", namespace.display()), error))?;
        let record = Record {
            namespace: namespace.to_owned(),
            inode,
            chain,
            request,
            result: None,
        };
        self.keep(sandbox, record.clone())?;
        match self.add(&record) {
            Ok((result, ips)) => {
                self.keep(
                    sandbox,
                    Record {
                        result: Some(result),
                        ..record
                    },
                )?;
                Ok(ips)
            }
            Err(error) => {
                // All of the chain, also those that were not asked: so the specification wants it.
                if let Err(error) = self.detach(sandbox, Some(namespace)) {
                    tracing::warn!(%sandbox, %error, "what plugins made of it is left until it is disconnected");
                }
                Err(error)
            }
        }
    }

    fn add(&self, record: &Record) -> Result<(Value, Vec<IpAddr>), RuntimeError> {
        let connecting = || {
            format!(
                "connecting sandbox {} to the CNI network {}",
                record.request.sandbox, record.chain.name
            )
        };
        let mut result: Option<Value> = None;
        for plugin in &record.chain.plugins {
            let more = result
                .take()
                .map(|result| ("prevResult".to_owned(), result))
                .into_iter()
                .collect();
            let answer = self.runner.ask(
                Verb::Add,
                &record.chain,
                plugin,
                &record.request,
                Some(&record.namespace),
                more,
            );
            result = answer.map_err(|error| RuntimeError::failed(connecting(), error))?;
        }
        let result = result.unwrap_or_default();
        let ips = addresses(&result).map_err(|error| RuntimeError::failed(connecting(), error))?;
        Ok((result, ips))
    }

    /// Whether the sandbox still has the addresses that it was given.
    ///
    /// What plugins say when they are asked to `CHECK` is told and not acted on: the portmap of plugins 1.1 finds fault
    /// with every sandbox that has no IPv6 address, and to connect one anew gives it another address.
    fn holds(&self, record: &Record, there: &File, namespace: &Path, result: &Value) -> bool {
        let given = addresses(result).unwrap_or_default();
        let has = threads::inside(there, || netlink::addresses(INTERFACE))
            .and_then(|found| found)
            .unwrap_or_default();
        if !given.iter().all(|ip| has.contains(ip)) {
            return false;
        }
        if record.chain.version >= Version::V0_4_0 && record.chain.checked {
            let checked = record.chain.plugins.iter().try_for_each(|plugin| {
                let more = Map::from_iter([("prevResult".to_owned(), result.clone())]);
                let answer = self.runner.ask(
                    Verb::Check,
                    &record.chain,
                    plugin,
                    &record.request,
                    Some(namespace),
                    more,
                );
                answer.map(drop)
            });
            if let Err(error) = checked {
                tracing::warn!(sandbox = record.request.sandbox, %error, "a plugin finds fault with a connected sandbox");
            }
        }
        true
    }

    pub(super) fn detach(&self, sandbox: &SandboxId, namespace: Option<&Path>) -> Result<(), RuntimeError> {
        let Some(record) = self.records.lock().get(sandbox).cloned() else {
            return Ok(());
        };
        let namespace = namespace.or(Some(&record.namespace)).filter(|path| path.exists());
        let mut failed: Option<PluginError> = None;
        for plugin in record.chain.plugins.iter().rev() {
            let known = record
                .result
                .clone()
                .filter(|_| record.chain.version >= Version::V0_4_0);
            let more = known
                .map(|result| ("prevResult".to_owned(), result))
                .into_iter()
                .collect();
            let answer = self
                .runner
                .ask(Verb::Del, &record.chain, plugin, &record.request, namespace, more);
            // The others' parts are removed all the same.
            if let Err(error) = answer {
                failed.get_or_insert(error);
            }
        }
        // One that was never connected has little to lose; a mistake in the configuration must not keep it for ever.
        let never =
            |error: &PluginError| record.result.is_none() && error.code.is_some_and(|code| code != TRY_AGAIN);
        if let Some(error) = failed.take_if(|error| never(error)) {
            tracing::warn!(%sandbox, %error, "forgetting a sandbox that was never connected");
        }
        if let Some(error) = failed {
            let what = format!(
                "disconnecting sandbox {sandbox} from the CNI network {}",
                record.chain.name
            );
            return Err(RuntimeError::failed(what, error));
        }
        self.state.remove(sandbox)?;
        self.records.lock().remove(sandbox);
        Ok(())
    }

    fn keep(&self, sandbox: &SandboxId, record: Record) -> Result<(), RuntimeError> {
        self.state.write(sandbox, &record)?;
        self.records.lock().insert(sandbox.clone(), record);
        Ok(())
    }

    /// Sandboxes that are connected and not among these.
    pub(super) fn others(&self, live: &[SandboxId]) -> Vec<SandboxId> {
        let records = self.records.lock();
        records
            .keys()
            .filter(|sandbox| !live.contains(sandbox))
            .cloned()
            .collect()
    }

    /// Has plugins remove what belongs to no sandbox that is connected.
    pub(super) fn collect(&self) -> Result<(), RuntimeError> {
        let chain = self.chain()?;
        if chain.version < Version::V1_1_0 || !chain.collected {
            return Ok(());
        }
        let records = self.records.lock().clone();
        let ours = records.values().filter(|record| record.chain.name == chain.name);
        let valid: Value = ours
            .map(|record| json!({"containerID": record.request.sandbox, "ifname": INTERFACE}))
            .collect();
        let mut failed = None;
        for plugin in &chain.plugins {
            // Under both names that it had in the course of the specification's making.
            let more = ["cni.dev/valid-attachments", "cni.dev/attachments"]
                .map(|key| (key.to_owned(), valid.clone()));
            let answer = self.runner.ask(
                Verb::Gc,
                &chain,
                plugin,
                &Request::default(),
                None,
                Map::from_iter(more),
            );
            if let Err(error) = answer {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), |error| {
            Err(RuntimeError::failed(
                format!("collecting what was left of the CNI network {}", chain.name),
                error,
            ))
        })
    }

    /// Whether sandboxes can be connected, as far as plugins can tell.
    pub(super) fn status(&self) -> Result<(), RuntimeError> {
        let chain = self.chain()?;
        if chain.version < Version::V1_1_0 {
            return Ok(());
        }
        for plugin in &chain.plugins {
            let answer = self.runner.ask(
                Verb::Status,
                &chain,
                plugin,
                &Request::default(),
                None,
                Map::new(),
            );
            answer.map_err(|error| {
                RuntimeError::failed(
                    format!("CNI network {}, plugin {}", chain.name, kind(plugin)),
                    error,
                )
            })?;
        }
        Ok(())
    }
}

/// The addresses of a result that are a sandbox's, in its order.
fn addresses(result: &Value) -> Result<Vec<IpAddr>, String> {
    let list = |key: &str| {
        result
            .get(key)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let mut found = Vec::new();
    for (index, ip) in list("ips").iter().enumerate() {
        let link = ip
            .get("interface")
            .and_then(Value::as_u64)
            .and_then(|at| list("interfaces").get(usize::try_from(at).ok()?));
        // One of an interface of the machine is not the sandbox's.
        if link.is_some_and(|link| {
            link.get("sandbox")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .is_empty()
        }) {
            continue;
        }
        let text = ip.get("address").and_then(Value::as_str).unwrap_or_default();
        let address: IpNet = text
            .parse()
            .map_err(|_| format!("the result's ips[{index}].address is {text:?}"))?;
        found.push(address.addr());
    }
    if found.is_empty() {
        return Err("the plugins gave the sandbox no address".into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandboxs_addresses_are_those_of_its_own_links() {
        let result = json!({
            "interfaces": [{"name": "cni0"}, {"name": "eth0", "sandbox": "/run/netns/a"}],
            "ips": [
                {"interface": 0, "address": "10.1.0.1/16"},
                {"interface": 1, "address": "10.1.0.7/16"},
                {"address": "fd00::7/64"},
            ],
        });
        let found: Vec<String> = addresses(&result)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["10.1.0.7", "fd00::7"]);
        assert_eq!(
            addresses(&json!({})),
            Err("the plugins gave the sandbox no address".into())
        );
        let odd = addresses(&json!({"ips": [{"address": "10.1.0.7"}]}));
        assert_eq!(odd, Err(r#"the result's ips[0].address is "10.1.0.7""#.into()));
    }
}

//! What is asked of the engine for a sandbox or a container. Pure: configuration in, request body out.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding,
};
use orch_core::runtime::{
    AppArmorProfile, ContainerConfig, Resources, RuntimeError, SandboxConfig, SandboxId, SeccompProfile,
    Security,
};

use crate::NAME;
use crate::labels::Pids;
use crate::options::DockerOptions;
use crate::state::CPU_PERIOD;

/// What Kubernetes gives its pause containers: the last to be killed, short of the node itself.
const SANDBOX_OOM_SCORE: i64 = -998;

/// Docker refuses a limit of memory below this. Podman does not, but with less not even a shell comes up there.
pub(crate) const MEMORY_MIN: u64 = 6 << 20;

pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> RuntimeError {
    RuntimeError::InvalidConfig {
        field: field.into(),
        reason: reason.into(),
    }
}

/// The container that holds a sandbox. `protect`: whether the engine can lower a process's OOM score.
pub(crate) fn sandbox(
    options: &DockerOptions,
    config: &SandboxConfig,
    image: &str,
    labels: HashMap<String, String>,
    protect: bool,
) -> ContainerCreateBody {
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &config.host_ports {
        let key = format!(
            "{}/{}",
            port.container_port,
            port.protocol.to_string().to_lowercase()
        );
        ports
            .entry(key)
            .or_default()
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: port.host_ip.map(|ip| ip.to_string()),
                host_port: Some(port.host_port.to_string()),
            });
    }
    let exposed = (!ports.is_empty()).then(|| ports.keys().cloned().collect());
    let hosts = config
        .host_aliases
        .iter()
        .flat_map(|(ip, names)| names.iter().map(move |name| format!("{name}:{ip}")));
    let host = HostConfig {
        network_mode: Some(if config.host_network {
            "host".into()
        } else {
            options.network.clone()
        }),
        port_bindings: (!ports.is_empty() && !config.host_network).then_some(ports),
        dns: some_list(config.dns_servers.iter().map(ToString::to_string)),
        dns_search: some_list(config.dns_searches.iter().cloned()),
        dns_options: some_list(config.dns_options.iter().cloned()),
        extra_hosts: some_list(hosts),
        sysctls: (!config.sysctls.is_empty()).then(|| {
            config
                .sysctls
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        }),
        pid_mode: config.host_pid.then(|| "host".into()),
        // The pod's containers join it: Kubernetes shares it within a pod always.
        ipc_mode: Some("shareable".into()),
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".into()),
            config: None,
        }),
        oom_score_adj: protect.then_some(SANDBOX_OOM_SCORE),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        readonly_rootfs: Some(true),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(image.to_owned()),
        // Docker refuses a host name of one's own beside the machine's network before API 1.44.
        hostname: (!config.hostname.is_empty() && !config.host_network).then(|| config.hostname.clone()),
        exposed_ports: exposed,
        labels: Some(labels),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// What an engine can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Engine {
    /// It can lower a process's OOM score.
    pub(crate) protects: bool,
    /// It is Docker itself.
    pub(crate) is_docker: bool,
}

/// A container of a pod. `user` is what [`user`] made of the configuration and the image.
pub(crate) fn container(
    options: &DockerOptions,
    engine: Engine,
    pod: (&SandboxId, Pids),
    config: &ContainerConfig,
    labels: HashMap<String, String>,
    user: Option<String>,
) -> Result<ContainerCreateBody, RuntimeError> {
    let (sandbox, pids) = pod;
    let joined = format!("container:{sandbox}");
    // Docker's other driver for files writes JSON, which replaces bytes that are no UTF-8.
    let log_driver = if engine.is_docker { "local" } else { "json-file" };
    let security = &config.security;
    // Without the words by which an update takes limits away.
    let limits = Limits::of(&config.resources.in_force())?;
    let host = HostConfig {
        network_mode: Some(joined.clone()),
        ipc_mode: Some(joined.clone()),
        pid_mode: match pids {
            Pids::Own => None,
            Pids::Sandbox => Some(joined),
            Pids::Host => Some("host".into()),
        },
        mounts: some_list(mounts(config)?),
        log_config: Some(HostConfigLogConfig {
            typ: Some(log_driver.into()),
            config: Some(HashMap::from([
                ("max-size".into(), options.log_max_bytes.to_string()),
                ("max-file".into(), options.log_files.to_string()),
            ])),
        }),
        cpu_shares: limits.cpu_shares,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        memory: limits.memory,
        memory_swap: limits.memory,
        pids_limit: limits.pids,
        oom_score_adj: config
            .resources
            .oom_score_adj
            .map(i64::from)
            .filter(|score| engine.protects || *score >= 0),
        privileged: security.privileged.then_some(true),
        readonly_rootfs: security.read_only_root.then_some(true),
        cap_add: some_list(security.add_capabilities.iter().cloned()),
        cap_drop: some_list(security.drop_capabilities.iter().cloned()),
        group_add: some_list(security.supplemental_groups.iter().map(ToString::to_string)),
        security_opt: some_list(security_options(security)?),
        ..HostConfig::default()
    };
    Ok(ContainerCreateBody {
        image: Some(config.image.clone()),
        entrypoint: some_list(config.command.iter().cloned()),
        cmd: some_list(config.args.iter().cloned()),
        env: some_list(environment(&config.env)?),
        working_dir: config.working_dir.clone(),
        user,
        labels: Some(labels),
        tty: config.tty.then_some(true),
        open_stdin: config.stdin.then_some(true),
        stdin_once: (config.stdin && config.stdin_once).then_some(true),
        stop_signal: config.stop_signal.clone(),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    })
}

/// What the engine takes as words beside its fields.
fn security_options(security: &Security) -> Result<Vec<String>, RuntimeError> {
    let mut options = Vec::new();
    if security.allow_privilege_escalation == Some(false) {
        options.push("no-new-privileges".into());
    }
    match &security.seccomp {
        SeccompProfile::RuntimeDefault => {}
        SeccompProfile::Unconfined => options.push("seccomp=unconfined".into()),
        // The engine may be elsewhere, and takes the profile itself.
        SeccompProfile::Localhost(path) => {
            let profile = std::fs::read_to_string(path)
                .map_err(|error| invalid("security.seccomp", format!("{}: {error}", path.display())))?;
            options.push(format!("seccomp={profile}"));
        }
        other => {
            return Err(invalid(
                "security.seccomp",
                format!("{other:?} is not known here"),
            ));
        }
    }
    // An engine on a machine without AppArmor takes no notice of these: a name is refused before.
    match &security.app_armor {
        AppArmorProfile::RuntimeDefault => {}
        AppArmorProfile::Unconfined => options.push("apparmor=unconfined".into()),
        AppArmorProfile::Localhost(name) => options.push(format!("apparmor={name}")),
        other => {
            let reason = format!("{other:?} is not known here");
            return Err(invalid("security.app_armor", reason));
        }
    }
    Ok(options)
}

/// New limits for a running container.
pub(crate) fn update(resources: &Resources) -> Result<ContainerUpdateBody, RuntimeError> {
    if let Some(score) = resources.oom_score_adj {
        return Err(invalid(
            "resources.oom_score_adj",
            format!("{score}: cannot change while the container runs; leave it unset"),
        ));
    }
    let limits = Limits::of(resources)?;
    Ok(ContainerUpdateBody {
        cpu_shares: limits.cpu_shares,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        memory: limits.memory,
        memory_swap: limits.memory,
        pids_limit: limits.pids,
        ..ContainerUpdateBody::default()
    })
}

struct Limits {
    cpu_shares: Option<i64>,
    cpu_period: Option<i64>,
    cpu_quota: Option<i64>,
    memory: Option<i64>,
    pids: Option<i64>,
}

impl Limits {
    fn of(resources: &Resources) -> Result<Self, RuntimeError> {
        resources.check_memory(MEMORY_MIN)?;
        if !resources.hugepages.is_empty() {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "limits of huge pages, for which the engine's API has no field".into(),
            });
        }
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let limits = resources.in_force();
        // What else is asked for means no limit. In an update each field of the engine's has a word of its own for that, of
        // memory the most there can be: nothing at all would leave what there is.
        let none = |asked: Option<u64>, word: i64| asked.map(|_| word);
        let quota = limits
            .cpu_limit_millis
            .map(|millis| signed(millis) * (CPU_PERIOD / 1000));
        let memory = limits.memory_limit_bytes.map(signed);
        Ok(Self {
            cpu_shares: limits.cpu_shares.map(signed),
            cpu_period: resources.cpu_limit_millis.map(|_| CPU_PERIOD),
            cpu_quota: quota.or(none(resources.cpu_limit_millis, -1)),
            // Memory and swap together are set to the same, which means no swap, as Kubernetes has it. Where a limit is taken
            // away that leaves the container without swap on version 2; on version 1 runc cannot write -1 for swap alone.
            memory: memory.or(none(resources.memory_limit_bytes, i64::MAX)),
            pids: limits.pids_limit.map(signed).or(none(resources.pids_limit, -1)),
        })
    }
}

/// The user to run as, in Docker's `user:group`; none leaves the image's. `image_user` is what the image
/// says, where [`needs_image_user`] asked for it.
pub(crate) fn user(
    config: &ContainerConfig,
    image_user: Option<&str>,
) -> Result<Option<String>, RuntimeError> {
    let security = &config.security;
    if security.run_as_non_root {
        let field = || format!("container {}: security.run_as_non_root", config.name);
        match (security.run_as_user, image_user) {
            (Some(0), _) => return Err(invalid(field(), "run_as_user is 0, which is root")),
            (Some(_), _) => {}
            (None, user) => {
                let user = user.unwrap_or_default();
                let name = user.split(':').next().unwrap_or_default();
                match name.parse::<u32>() {
                    Ok(0) => return Err(invalid(field(), "the image runs as user 0, which is root")),
                    Ok(_) => {}
                    Err(_) if name.is_empty() || name == "root" => {
                        return Err(invalid(field(), "the image runs as root; set run_as_user"));
                    }
                    Err(_) => {
                        let reason = format!(
                            "the image's user {name:?} is no number and could be root; set run_as_user"
                        );
                        return Err(invalid(field(), reason));
                    }
                }
            }
        }
    }
    Ok(match (security.run_as_user, security.run_as_group) {
        (Some(user), Some(group)) => Some(format!("{user}:{group}")),
        (Some(user), None) => Some(user.to_string()),
        (None, Some(group)) => {
            let user = image_user
                .unwrap_or_default()
                .split(':')
                .next()
                .unwrap_or_default();
            Some(format!("{}:{group}", if user.is_empty() { "0" } else { user }))
        }
        (None, None) => None,
    })
}

/// Whether [`user`] has to know the image's user.
pub(crate) fn needs_image_user(config: &ContainerConfig) -> bool {
    let security = &config.security;
    security.run_as_user.is_none() && (security.run_as_non_root || security.run_as_group.is_some())
}

/// `NAME=value`, each name once. The kernel takes a name twice, and then `getenv` finds the first.
fn environment(given: &[(String, String)]) -> Result<Vec<String>, RuntimeError> {
    let mut env: Vec<(&str, &str)> = Vec::with_capacity(given.len());
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (name, value) in given {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(invalid(
                "env",
                format!("{name:?}: a name must be non-empty and without '=', neither may hold a zero byte"),
            ));
        }
        match places.get(name.as_str()) {
            Some(place) => env[*place].1 = value,
            None => {
                places.insert(name, env.len());
                env.push((name, value));
            }
        }
    }
    Ok(env
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect())
}

fn mounts(config: &ContainerConfig) -> Result<Vec<Mount>, RuntimeError> {
    let text = |path: &std::path::Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| invalid("mounts", format!("{}: must be valid UTF-8", path.display())))
    };
    config
        .mounts
        .iter()
        .map(|mount| {
            Ok(Mount {
                // Not a `bind` string: that would make a missing source, as a directory of root's.
                typ: Some(MountType::BIND),
                source: Some(text(&mount.source)?),
                target: Some(text(&mount.target)?),
                read_only: Some(mount.read_only),
                ..Mount::default()
            })
        })
        .collect()
}

fn some_list<T>(items: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.into_iter().collect();
    (!items.is_empty()).then_some(items)
}

#[cfg(test)]
mod tests;

//! What a container runs, and as whom: what it was asked for, above what its image says. Pure.
//!
//! As Kubernetes has it: a command takes the place of the image's entrypoint and drops the image's arguments; arguments
//! alone take the place of the image's arguments.

use orch_core::runtime::{ContainerConfig, RuntimeError, SandboxConfig, Security};

use crate::image::{Base, Rootfs};
use crate::invalid;
use crate::record::Identity;
use crate::spec::{TERM, hostname};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) args: Vec<String>,
    /// In order; each name once.
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    /// None: root, with no more groups, on a machine's own root.
    pub(crate) identity: Option<Identity>,
}

pub(crate) fn program(
    config: &ContainerConfig,
    sandbox: &SandboxConfig,
    root: &Rootfs,
) -> Result<Program, RuntimeError> {
    let identity = identity(config, root)?;
    Ok(Program {
        args: args(config, root)?,
        env: env(config, sandbox, root, identity.is_none()),
        cwd: cwd(config, root)?,
        identity,
    })
}

/// The program's words.
fn args(config: &ContainerConfig, root: &Rootfs) -> Result<Vec<String>, RuntimeError> {
    let image = &root.defaults;
    let (command, args) = match (config.command.is_empty(), config.args.is_empty()) {
        (false, _) => (&config.command, &config.args),
        (true, false) => (&image.entrypoint, &config.args),
        (true, true) => (&image.entrypoint, &image.cmd),
    };
    let words: Vec<String> = command.iter().chain(args).cloned().collect();
    if words.is_empty() {
        let reason = format!(
            "the image `{}` has no command of its own; name a program",
            config.image
        );
        return Err(invalid("command", reason));
    }
    Ok(words)
}

/// Its environment, in order; a later name wins. Without a home directory, which is `named` by the user's otherwise,
/// libcontainer would look for one with the C library's help, inside the root.
fn env(config: &ContainerConfig, sandbox: &SandboxConfig, root: &Rootfs, is_root: bool) -> Vec<String> {
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut given = vec![own("PATH", PATH)];
    if is_root {
        given.push(own("HOME", "/root"));
    }
    if config.tty {
        given.push(own("TERM", TERM));
    }
    given.extend(hostname(sandbox).map(|name| own("HOSTNAME", name)));
    let mut env: Vec<String> = Vec::new();
    for (name, value) in given.iter().chain(&root.defaults.env).chain(&config.env) {
        env.retain(|other| other.split('=').next() != Some(name));
        env.push(format!("{name}={value}"));
    }
    env
}

fn cwd(config: &ContainerConfig, root: &Rootfs) -> Result<String, RuntimeError> {
    let image = &root.defaults.working_dir;
    let given = config.working_dir.as_ref().filter(|path| !path.is_empty());
    match given.unwrap_or(image).as_str() {
        "" => Ok("/".into()),
        path if path.starts_with('/') => Ok(path.to_owned()),
        path if given.is_some() => Err(invalid(
            "working_dir",
            format!("{path:?}: must be an absolute path, or unset for the image's"),
        )),
        path => Err(RuntimeError::InvalidImage {
            image: config.image.clone(),
            reason: format!(
                "its working directory {path:?} is not an absolute path; give the container one of its own"
            ),
        }),
    }
}

/// As whom it runs. Names are looked up in the image's files, once they are to be seen.
fn identity(config: &ContainerConfig, root: &Rootfs) -> Result<Option<Identity>, RuntimeError> {
    let Security {
        run_as_user,
        run_as_group,
        ref supplemental_groups,
        run_as_non_root,
        ..
    } = config.security;
    let image = &root.defaults.user;
    let (image_user, image_group) = match image.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (image.as_str(), None),
    };
    let user = run_as_user.map_or_else(|| image_user.to_owned(), |user| user.to_string());
    if run_as_non_root {
        let refused = |reason: String| Err(invalid("security.run_as_non_root", reason));
        match (run_as_user, user.parse::<u32>()) {
            (Some(0), _) => {
                return refused("run_as_user is 0, which is root; set it to another, or allow root".into());
            }
            (None, Ok(0)) => {
                return refused("the image runs as user 0, which is root; set run_as_user".into());
            }
            (None, Err(_)) if user.is_empty() || user == "root" => {
                return refused("the image runs as root; set run_as_user".into());
            }
            (None, Err(_)) => {
                let reason = "is no number and could be root; set run_as_user";
                return refused(format!("the image's user {user:?} {reason}"));
            }
            _ => {}
        }
    }
    let group = match (run_as_group, run_as_user) {
        (Some(group), _) => Some(group.to_string()),
        // The image's group goes with the image's user.
        (None, None) => image_group.filter(|group| !group.is_empty()).map(str::to_owned),
        (None, Some(_)) => None,
    };
    let identity = Identity {
        user: if user.is_empty() { "0".into() } else { user },
        group,
        more: supplemental_groups.clone(),
    };
    let plain = Identity {
        user: "0".into(),
        ..Identity::default()
    };
    Ok((root.base != Base::Host || identity != plain).then_some(identity))
}

#[cfg(test)]
#[path = "defaults/tests.rs"]
mod tests;

//! A pod's volumes: directories and files of the machine, made before a container is and mounted into it.
//!
//! `emptyDir`, `configMap`, `secret`, `downwardAPI` and `projected` volumes are directories below one of the
//! agent's own ([`Place`]), named by the pod's uid and the volume; `hostPath` is the machine's path itself. Files are
//! written when a container starts, not while it runs.

mod beneath;
mod content;
mod host_path;
mod place;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use orch_core::runtime::Mount;

use self::content::{Content, content};
pub(crate) use self::place::Place;
use super::downward::Facts;
use super::env::{Source, Sources, expand};

/// Why a container's volumes are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// One of them is not, in the words of the kubelet's event `FailedMount`, a space before the colon and all.
    #[error("MountVolume.SetUp failed for volume {volume:?} : {reason}")]
    SetUp {
        /// Its name in the pod.
        volume: String,
        /// Why, and what to do about it.
        reason: String,
    },
    /// The directory in which the agent keeps them cannot be used.
    #[error(
        "the node's directory for volumes, {}, cannot be used: {error}; mend it, or choose another with \
         AgentConfig::volumes_dir", directory.display()
    )]
    Place {
        /// Where it is.
        directory: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// The making was cut off.
    #[error("the pod's volumes were not made: the work on them was cut off, and will be done again")]
    Interrupted,
}

/// Which objects the volumes that `container` mounts refer to.
pub(crate) fn sources<'a>(pod: &'a Pod, container: &Container) -> BTreeSet<Source<'a>> {
    let mut all = BTreeSet::new();
    for volume in mounted(pod, container) {
        all.extend(volume.config_map.as_ref().map(|map| Source::ConfigMap(&map.name)));
        all.extend(
            volume
                .secret
                .as_ref()
                .and_then(|secret| secret.secret_name.as_deref())
                .map(Source::Secret),
        );
        for source in volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten())
        {
            all.extend(source.config_map.as_ref().map(|map| Source::ConfigMap(&map.name)));
            all.extend(source.secret.as_ref().map(|secret| Source::Secret(&secret.name)));
        }
    }
    all
}

/// Whether the agent knows how to make the volume.
pub(crate) fn is_supported(volume: &Volume) -> bool {
    // A volume of which nothing is said is an `emptyDir`.
    let others = serde_json::to_value(volume).is_ok_and(|volume| {
        let known = [
            "name",
            "emptyDir",
            "hostPath",
            "configMap",
            "secret",
            "downwardAPI",
            "projected",
        ];
        volume
            .as_object()
            .is_some_and(|volume| volume.keys().any(|key| !known.contains(&key.as_str())))
    });
    !others
}

/// What a container's mounts need, ready to be made.
#[derive(Debug)]
pub(crate) struct Volumes {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    volume: String,
    root: PathBuf,
    content: Content,
    sub_path: String,
    target: PathBuf,
    read_only: bool,
}

/// Reckons what the mounts of `container` need, below the pod's own directory.
pub(crate) fn plan(
    container: &Container,
    directory: &Path,
    sources: &Sources,
    env: &[(String, String)],
    facts: &Facts<'_>,
) -> Result<Volumes, VolumeError> {
    let mut steps = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let failed = |reason: String| VolumeError::SetUp {
            volume: mount.name.clone(),
            reason,
        };
        let volumes = facts.pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        let volume = volumes
            .into_iter()
            .flatten()
            .find(|volume| volume.name == mount.name);
        let volume =
            volume.ok_or_else(|| failed("the pod has no such volume; add it to spec.volumes".to_owned()))?;
        let content = content(volume, sources, facts).map_err(failed)?;
        let expanded = mount.sub_path_expr.as_deref().map(|path| {
            expand(path, |name| {
                env.iter()
                    .rev()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.as_str())
            })
        });
        let sub_path = expanded.or_else(|| mount.sub_path.clone()).unwrap_or_default();
        if !is_inside(&sub_path) {
            return Err(failed(format!(
                "subPath {sub_path:?}: must be relative and without '..'"
            )));
        }
        let root = match &content {
            Content::Host(host) => PathBuf::from(&host.path),
            _ => directory.join("volumes").join(&volume.name),
        };
        steps.push(Step {
            volume: volume.name.clone(),
            root,
            sub_path,
            // One that is relative is so to the container's root, as the kubelet has it.
            target: Path::new("/").join(&mount.mount_path),
            // As in Kubernetes: what the agent writes, containers only read.
            read_only: matches!(content, Content::Files(_)) || mount.read_only.unwrap_or_default(),
            content,
        });
    }
    Ok(Volumes { steps })
}

impl Volumes {
    /// Makes them; what is there already stays. Blocks.
    pub(crate) fn make(self) -> Result<Vec<Mount>, VolumeError> {
        self.steps.into_iter().map(Step::make).collect()
    }

    /// Whether any of them lies in the agent's own place.
    pub(crate) fn need_place(&self) -> bool {
        let on_host = |step: &Step| matches!(step.content, Content::Host(_));
        !self.steps.iter().all(on_host)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Step {
    fn make(self) -> Result<Mount, VolumeError> {
        let source = self.try_make().map_err(|reason| VolumeError::SetUp {
            volume: self.volume.clone(),
            reason,
        })?;
        Ok(Mount {
            source,
            target: self.target,
            read_only: self.read_only,
        })
    }

    fn try_make(&self) -> Result<PathBuf, String> {
        let own = |error: io::Error| format!("{}: {error}", self.root.display());
        match &self.content {
            Content::Empty => self.make_empty().map_err(own)?,
            Content::Host(host) => host_path::check(host)?,
            Content::Files(files) => {
                std::fs::create_dir_all(&self.root).map_err(own)?;
                files
                    .iter()
                    .try_for_each(|file| file.write(&self.root))
                    .map_err(own)?;
            }
        }
        if self.sub_path.is_empty() {
            return Ok(self.root.clone());
        }
        beneath::sub_path(&self.root, Path::new(&self.sub_path))
            .map_err(|error| format!("subPath {:?} in {}: {error}", self.sub_path, self.root.display()))
    }

    /// Makes a directory in which whoever the containers run as may write, as in Kubernetes. One that is there is
    /// theirs, mode and all.
    fn make_empty(&self) -> io::Result<()> {
        if self.root.exists() {
            return Ok(());
        }
        let fresh = self.root.with_file_name(format!(".new-{}", self.volume));
        std::fs::create_dir_all(&fresh)?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o777))?;
        // Under its name it is whole, wherever this was cut off.
        std::fs::rename(&fresh, &self.root)
    }
}

/// Removes a directory with all in it; a link is removed itself. Blocks; done twice it does nothing.
fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn mounted<'a>(pod: &'a Pod, container: &Container) -> impl Iterator<Item = &'a Volume> {
    let names: BTreeSet<String> = container
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| mount.name.clone())
        .collect();
    let volumes = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.volumes.as_ref())
        .into_iter()
        .flatten();
    volumes.filter(move |volume| names.contains(&volume.name))
}

fn is_inside(path: &str) -> bool {
    Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

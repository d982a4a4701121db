//! A pod's volumes: directories and files of the machine, made before a container is and mounted into it.
//!
//! `emptyDir`, `configMap`, `secret`, `downwardAPI` and `projected` volumes are directories below one of the
//! agent's own, named by the pod's uid and the volume; `hostPath` is the machine's path itself. Files are written
//! when a container starts, not while it runs.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, Pod, Volume};
use orch_core::runtime::Mount;

use super::downward::{self, Facts};
use super::env::{EnvError, Source, Sources, expand};

/// The mode of files where none is asked for.
const MODE: i32 = 0o644;

/// Why a container's volumes are not there.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?}: {reason}")]
pub(crate) struct VolumeError {
    volume: String,
    reason: String,
}

impl VolumeError {
    /// The making was cut off.
    pub(crate) fn interrupted() -> Self {
        Self { volume: String::new(), reason: "interrupted".to_owned() }
    }
}

/// Which objects the volumes that `container` mounts refer to.
pub(crate) fn sources<'a>(pod: &'a Pod, container: &Container) -> BTreeSet<Source<'a>> {
    let mut all = BTreeSet::new();
    for volume in mounted(pod, container) {
        all.extend(volume.config_map.as_ref().map(|map| Source::ConfigMap(&map.name)));
        all.extend(volume.secret.as_ref().and_then(|secret| secret.secret_name.as_deref()).map(Source::Secret));
        for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
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
        let known = ["name", "emptyDir", "hostPath", "configMap", "secret", "downwardAPI", "projected"];
        volume.as_object().is_some_and(|volume| volume.keys().any(|key| !known.contains(&key.as_str())))
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

#[derive(Debug)]
enum Content {
    Empty,
    Host(HostPathVolumeSource),
    Files(Vec<File>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    path: String,
    data: Vec<u8>,
    mode: u32,
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
        let failed = |reason: String| VolumeError { volume: mount.name.clone(), reason };
        let volumes = facts.pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        let volume = volumes.into_iter().flatten().find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| failed("the pod has no such volume".to_owned()))?;
        let content = content(volume, sources, facts).map_err(failed)?;
        let expanded = mount.sub_path_expr.as_deref().map(|path| {
            expand(path, |name| env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str()))
        });
        let sub_path = expanded.or_else(|| mount.sub_path.clone()).unwrap_or_default();
        if !is_inside(&sub_path) {
            return Err(failed(format!("subPath {sub_path:?} must be relative and without '..'")));
        }
        let root = match &content {
            Content::Host(host) => PathBuf::from(&host.path),
            _ => directory.join("volumes").join(&volume.name),
        };
        steps.push(Step {
            volume: volume.name.clone(),
            root,
            content,
            sub_path,
            target: PathBuf::from(&mount.mount_path),
            read_only: mount.read_only.unwrap_or_default(),
        });
    }
    Ok(Volumes { steps })
}

impl Volumes {
    /// Makes them; what is there already stays. Blocks.
    pub(crate) fn make(self) -> Result<Vec<Mount>, VolumeError> {
        self.steps.into_iter().map(Step::make).collect()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Step {
    fn make(self) -> Result<Mount, VolumeError> {
        let source = self.try_make().map_err(|error| VolumeError {
            volume: self.volume.clone(),
            reason: format!("{}: {error}", self.root.display()),
        })?;
        Ok(Mount { source, target: self.target, read_only: self.read_only })
    }

    fn try_make(&self) -> io::Result<PathBuf> {
        match &self.content {
            Content::Empty => {
                std::fs::create_dir_all(&self.root)?;
                // Whoever the containers run as may write, as in Kubernetes.
                std::fs::set_permissions(&self.root, std::fs::Permissions::from_mode(0o777))?;
            }
            Content::Host(host) => check_host_path(host)?,
            Content::Files(files) => {
                std::fs::create_dir_all(&self.root)?;
                files.iter().try_for_each(|file| file.write(&self.root))?;
            }
        }
        if self.sub_path.is_empty() {
            return Ok(self.root.clone());
        }
        let inside = self.root.join(&self.sub_path);
        if !inside.exists() {
            std::fs::create_dir_all(&inside)?;
        }
        // A container may have put a link there that leads out of the volume.
        let (root, inside) = (self.root.canonicalize()?, inside.canonicalize()?);
        if inside.starts_with(&root) { Ok(inside) } else { Err(io::Error::other("subPath leads out of the volume")) }
    }
}

impl File {
    fn write(&self, root: &Path) -> io::Result<()> {
        let path = root.join(&self.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // Readers see the old file or the new one.
        let mut fresh = path.clone().into_os_string();
        fresh.push(".new");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        io::Write::write_all(&mut file, &self.data)?;
        file.set_permissions(std::fs::Permissions::from_mode(self.mode))?;
        std::fs::rename(fresh, path)
    }
}

/// Removes all volumes of a pod. Blocks; done twice it does nothing.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes the directories of pods that are not among `known`. Blocks.
pub(crate) fn sweep(directory: &Path, known: &std::collections::HashSet<String>) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|uid| !known.contains(uid)) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn mounted<'a>(pod: &'a Pod, container: &Container) -> impl Iterator<Item = &'a Volume> {
    let names: BTreeSet<String> = container.volume_mounts.iter().flatten().map(|mount| mount.name.clone()).collect();
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref()).into_iter().flatten();
    volumes.filter(move |volume| names.contains(&volume.name))
}

fn content(volume: &Volume, sources: &Sources, facts: &Facts<'_>) -> Result<Content, String> {
    if let Some(host) = &volume.host_path {
        return Ok(Content::Host(host.clone()));
    }
    let mut files = Files { sources, facts, all: Vec::new() };
    if let Some(map) = &volume.config_map {
        files.config_map(&map.name, map.items.as_deref(), map.optional, map.default_mode)?;
    } else if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        files.secret(name, secret.items.as_deref(), secret.optional, secret.default_mode)?;
    } else if let Some(downward) = &volume.downward_api {
        files.downward(downward.items.as_deref().unwrap_or_default(), downward.default_mode)?;
    } else if let Some(projected) = &volume.projected {
        let mode = projected.default_mode;
        for source in projected.sources.iter().flatten() {
            if let Some(map) = &source.config_map {
                files.config_map(&map.name, map.items.as_deref(), map.optional, mode)?;
            }
            if let Some(secret) = &source.secret {
                files.secret(&secret.name, secret.items.as_deref(), secret.optional, mode)?;
            }
            if let Some(downward) = &source.downward_api {
                files.downward(downward.items.as_deref().unwrap_or_default(), mode)?;
            }
        }
    } else {
        return Ok(Content::Empty);
    }
    match files.all.iter().find(|file| file.path.is_empty() || !is_inside(&file.path)) {
        Some(file) => Err(format!("path {:?} must be relative and without '..'", file.path)),
        None => Ok(Content::Files(files.all)),
    }
}

struct Files<'a> {
    sources: &'a Sources,
    facts: &'a Facts<'a>,
    all: Vec<File>,
}

impl Files<'_> {
    fn config_map(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: Option<i32>,
    ) -> Result<(), String> {
        let Some(map) = self.sources.config_maps.get(name) else {
            return missing("configmap", name, optional);
        };
        let text = map.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes()));
        let binary = map.binary_data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
        let entries: Vec<_> = text.chain(binary).collect();
        self.entries("configmap", &entries, items, optional, mode)
    }

    fn secret(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: Option<i32>,
    ) -> Result<(), String> {
        let Some(secret) = self.sources.secrets.get(name) else {
            return missing("secret", name, optional);
        };
        let entries: Vec<_> =
            secret.data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice())).collect();
        self.entries("secret", &entries, items, optional, mode)
    }

    fn entries(
        &mut self,
        kind: &str,
        entries: &[(&str, &[u8])],
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: Option<i32>,
    ) -> Result<(), String> {
        let Some(items) = items else {
            self.all.extend(entries.iter().map(|(key, data)| file(key, data, None, mode)));
            return Ok(());
        };
        for item in items {
            match entries.iter().find(|(key, _)| *key == item.key) {
                Some((_, data)) => self.all.push(file(&item.path, data, item.mode, mode)),
                None if optional == Some(true) => {}
                None => return Err(format!("{kind} references non-existent key: {}", item.key)),
            }
        }
        Ok(())
    }

    fn downward(&mut self, items: &[DownwardAPIVolumeFile], mode: Option<i32>) -> Result<(), String> {
        for item in items {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => downward::file_field(self.facts, &field.field_path)?,
                (None, Some(resource)) => {
                    let first = self.facts.pod.spec.as_ref().and_then(|spec| spec.containers.first());
                    let first = first.ok_or_else(|| "the pod has no container".to_owned())?;
                    downward::resource(self.facts, first, resource)?
                }
                (None, None) => return Err(format!("{:?}: neither fieldRef nor resourceFieldRef is set", item.path)),
            };
            self.all.push(file(&item.path, value.as_bytes(), item.mode, mode));
        }
        Ok(())
    }
}

fn file(path: &str, data: &[u8], own: Option<i32>, default: Option<i32>) -> File {
    let mode = own.or(default).unwrap_or(MODE) & 0o777;
    File { path: path.to_owned(), data: data.to_vec(), mode: u32::try_from(mode).unwrap_or(0o644) }
}

fn missing(kind: &'static str, name: &str, optional: Option<bool>) -> Result<(), String> {
    if optional == Some(true) {
        return Ok(());
    }
    Err(EnvError::NotFound { kind, name: name.to_owned() }.to_string())
}

fn is_inside(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The checks of `hostPath.type`.
fn check_host_path(host: &HostPathVolumeSource) -> io::Result<()> {
    let path = Path::new(&host.path);
    let wants = |what: &str, is: bool| {
        if is { Ok(()) } else { Err(io::Error::other(format!("hostPath type check failed: it is not a {what}"))) }
    };
    match host.type_.as_deref().unwrap_or_default() {
        "DirectoryOrCreate" if !path.exists() => std::fs::create_dir_all(path),
        "FileOrCreate" if !path.exists() => std::fs::OpenOptions::new().create(true).append(true).open(path).map(drop),
        "Directory" | "DirectoryOrCreate" => wants("directory", path.is_dir()),
        "File" | "FileOrCreate" => wants("file", path.is_file()),
        // Also sockets and devices, whose kind the mount does not depend on.
        _ => wants("path that exists", path.exists()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testkit::pod_with;

    fn some_sources() -> Sources {
        let mut sources = Sources::default();
        let map = r#"{"data": {"a": "1", "b": "2"}, "binaryData": {"c": "AAE="}}"#;
        sources.config_maps.insert("map".into(), serde_json::from_str(map).unwrap());
        sources.secrets.insert("key".into(), serde_json::from_str(r#"{"data": {"token": "eA=="}}"#).unwrap());
        sources
    }

    fn made(directory: &Path, volume: &str, mount: &str) -> Result<Vec<Mount>, String> {
        let pod = pod_with(&format!(
            r#"{{"volumes": [{{"name": "v", {volume}}}], "containers": [{{"name": "c", "image": "i",
                "volumeMounts": [{{"name": "v", "mountPath": "/v" {mount}}}]}}]}}"#
        ));
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let env = [("N".to_owned(), "7".to_owned())];
        let plan = plan(container, directory, &some_sources(), &env, &Facts::of(&pod));
        plan.and_then(Volumes::make).map_err(|error| error.to_string())
    }

    #[test]
    fn files_come_from_maps_secrets_and_the_pod_itself() {
        let directory = tempfile::tempdir().unwrap();
        let cases = [
            (r#""configMap": {"name": "map"}"#, "a", "1"),
            (r#""configMap": {"name": "map", "items": [{"key": "b", "path": "x/y"}]}"#, "x/y", "2"),
            (r#""secret": {"secretName": "key", "defaultMode": 256}"#, "token", "x"),
            (r#""downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}"#, "name", "web"),
            (r#""projected": {"sources": [{"secret": {"name": "key"}}, {"configMap": {"name": "map"}}]}"#, "b", "2"),
        ];
        for (number, (volume, path, content)) in cases.into_iter().enumerate() {
            let own = directory.path().join(number.to_string());
            let mounts = made(&own, volume, "").unwrap();
            assert_eq!(std::fs::read_to_string(mounts[0].source.join(path)).unwrap(), content, "{volume}");
            made(&own, volume, "").expect("making it again changes nothing");
        }
        let secret = directory.path().join("2/volumes/v/token");
        assert_eq!(std::fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o400);
    }

    #[test]
    fn an_empty_directory_keeps_what_is_in_it_until_the_pod_goes() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("u-1");
        let mounts = made(&own, r#""emptyDir": {}"#, "").unwrap();
        std::fs::write(mounts[0].source.join("kept"), "x").unwrap();
        assert_eq!(made(&own, r#""emptyDir": {}"#, "").unwrap(), mounts);
        assert!(mounts[0].source.join("kept").exists());
        let sub = made(&own, r#""emptyDir": {}"#, r#", "subPathExpr": "d/$(N)""#).unwrap();
        assert!(sub[0].source.ends_with("volumes/v/d/7"), "{sub:?}");
        sweep(directory.path(), &["u-1".to_owned()].into()).unwrap();
        assert!(own.exists());
        sweep(directory.path(), &std::collections::HashSet::new()).unwrap();
        assert!(!own.exists());
        remove(&own).unwrap();
    }

    #[test]
    fn what_leads_out_or_is_not_there_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("u");
        std::fs::create_dir_all(own.join("volumes/v")).unwrap();
        std::os::unix::fs::symlink("/", own.join("volumes/v/link")).unwrap();
        let cases = [
            (r#""emptyDir": {}"#, r#", "subPath": "../x""#, "without '..'"),
            (r#""emptyDir": {}"#, r#", "subPath": "link/etc""#, "leads out"),
            (r#""configMap": {"name": "none"}"#, "", "configmap \"none\" not found"),
            (r#""configMap": {"name": "map", "items": [{"key": "z", "path": "z"}]}"#, "", "non-existent key: z"),
            (r#""configMap": {"name": "map", "items": [{"key": "a", "path": "../z"}]}"#, "", "without '..'"),
            (r#""hostPath": {"path": "/nowhere", "type": "Directory"}"#, "", "not a directory"),
        ];
        for (volume, mount, part) in cases {
            let error = made(&own, volume, mount).unwrap_err();
            assert!(error.contains(part) && error.contains("\"v\""), "{error}");
        }
        assert!(made(&own, r#""configMap": {"name": "none", "optional": true}"#, "").is_ok());
    }

    #[test]
    fn unknown_kinds_of_volumes_are_told_apart() {
        let cases = [
            (r#"{"name": "v"}"#, true),
            (r#"{"name": "v", "emptyDir": {}}"#, true),
            (r#"{"name": "v", "nfs": {"path": "/", "server": "s"}}"#, false),
            (r#"{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}"#, false),
        ];
        for (volume, supported) in cases {
            assert_eq!(is_supported(&serde_json::from_str(volume).unwrap()), supported, "{volume}");
        }
    }
}

//! Tests of volumes, on real directories.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::agent::testkit::pod_with;

fn some_sources() -> Sources {
    let mut sources = Sources::default();
    let map = r#"{"data": {"a": "1", "b": "2"}, "binaryData": {"c": "AAE="}}"#;
    sources
        .config_maps
        .insert("map".into(), serde_json::from_str(map).unwrap());
    sources.secrets.insert(
        "key".into(),
        serde_json::from_str(r#"{"data": {"token": "eA=="}}"#).unwrap(),
    );
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
        (
            r#""configMap": {"name": "map", "items": [{"key": "b", "path": "x/y"}]}"#,
            "x/y",
            "2",
        ),
        (
            r#""secret": {"secretName": "key", "defaultMode": 256}"#,
            "token",
            "x",
        ),
        (
            r#""downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}"#,
            "name",
            "web",
        ),
        (
            r#""projected": {"sources": [{"secret": {"name": "key"}}, {"configMap": {"name": "map"}}]}"#,
            "b",
            "2",
        ),
    ];
    for (number, (volume, path, content)) in cases.into_iter().enumerate() {
        let own = directory.path().join(number.to_string());
        let mounts = made(&own, volume, "").unwrap();
        assert_eq!(
            std::fs::read_to_string(mounts[0].source.join(path)).unwrap(),
            content,
            "{volume}"
        );
        assert!(mounts[0].read_only, "{volume}");
        made(&own, volume, "").expect("making it again changes nothing");
    }
    let secret = directory.path().join("2/volumes/v/token");
    assert_eq!(
        std::fs::metadata(secret).unwrap().permissions().mode() & 0o777,
        0o400
    );
}

#[test]
fn an_empty_directory_keeps_what_is_in_it_until_the_pod_goes() {
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join("u-1");
    let mounts = made(&own, r#""emptyDir": {}"#, "").unwrap();
    assert!(!mounts[0].read_only);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&mounts[0].source), 0o777);
    let closed = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&mounts[0].source, closed).unwrap();
    std::fs::write(mounts[0].source.join("kept"), "x").unwrap();
    assert_eq!(made(&own, r#""emptyDir": {}"#, "").unwrap(), mounts);
    assert!(mounts[0].source.join("kept").exists());
    assert_eq!(mode(&mounts[0].source), 0o700, "a container closed it");
    let sub = made(&own, r#""emptyDir": {}"#, r#", "subPathExpr": "d/$(N)""#).unwrap();
    assert!(sub[0].source.ends_with("volumes/v/d/7"), "{sub:?}");
    remove(&own).unwrap();
    assert!(!own.exists());
    remove(&own).unwrap();
}

#[test]
fn what_leads_out_or_is_not_there_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join("u");
    std::fs::create_dir_all(own.join("volumes/v")).unwrap();
    std::os::unix::fs::symlink("/", own.join("volumes/v/link")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), own.join("volumes/v/outside")).unwrap();
    let cases = [
        (r#""emptyDir": {}"#, r#", "subPath": "../x""#, "without '..'"),
        (r#""emptyDir": {}"#, r#", "subPath": "link/etc""#, "leads out"),
        (r#""emptyDir": {}"#, r#", "subPath": "outside/new""#, "leads out"),
        (
            r#""configMap": {"name": "none"}"#,
            "",
            "configmap \"none\" not found: create it",
        ),
        (
            r#""secret": {"secretName": "key", "items": [{"key": "z", "path": "z"}]}"#,
            "",
            "references non-existent secret key: z: add it to secret \"key\"",
        ),
        (
            r#""configMap": {"name": "map", "items": [{"key": "z", "path": "z"}]}"#,
            "",
            "configmap references non-existent config key: z: add it to configmap \"map\"",
        ),
        (
            r#""configMap": {"name": "map", "items": [{"key": "a", "path": "../z"}]}"#,
            "",
            "without '..'",
        ),
        (
            r#""hostPath": {"path": "/nowhere", "type": "Directory"}"#,
            "",
            " : hostPath type check failed: /nowhere is not a directory: it does not exist",
        ),
        (
            r#""hostPath": {"path": "/dev/null"}"#,
            r#", "subPath": "x""#,
            "subPath \"x\" in /dev/null: ",
        ),
    ];
    for (volume, mount, part) in cases {
        let error = made(&own, volume, mount).unwrap_err();
        assert!(error.contains(part), "{error}");
        let begin = "MountVolume.SetUp failed for volume \"v\" : ";
        assert!(error.starts_with(begin), "{error}");
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(made(&own, r#""configMap": {"name": "none", "optional": true}"#, "").is_ok());
}

#[test]
fn unknown_kinds_of_volumes_are_told_apart() {
    let cases = [
        (r#"{"name": "v"}"#, true),
        (r#"{"name": "v", "emptyDir": {}}"#, true),
        (r#"{"name": "v", "nfs": {"path": "/", "server": "s"}}"#, false),
        (
            r#"{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}"#,
            false,
        ),
    ];
    for (volume, supported) in cases {
        assert_eq!(
            is_supported(&serde_json::from_str(volume).unwrap()),
            supported,
            "{volume}"
        );
    }
}

#[test]
fn a_host_path_of_no_type_is_made_if_it_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some/where");
    for type_ in ["", r#", "type": """#] {
        let volume = format!(r#""hostPath": {{"path": "{}" {type_}}}"#, path.display());
        let mounts = made(directory.path(), &volume, "").unwrap();
        assert_eq!(mounts[0].source, path);
        assert!(path.is_dir());
        std::fs::remove_dir(&path).unwrap();
    }
    std::fs::write(&path, "a file").unwrap();
    let volume = format!(r#""hostPath": {{"path": "{}"}}"#, path.display());
    assert!(made(directory.path(), &volume, "").is_ok());
}

#[test]
fn a_relative_mount_path_begins_at_the_containers_root() {
    let directory = tempfile::tempdir().unwrap();
    for (path, target) in [("data/x", "/data/x"), ("/data", "/data")] {
        let pod = pod_with(&format!(
            r#"{{"volumes": [{{"name": "v", "emptyDir": {{}}}}], "containers": [{{"name": "c", "image": "i",
                "volumeMounts": [{{"name": "v", "mountPath": "{path}"}}]}}]}}"#
        ));
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let plan = plan(
            container,
            directory.path(),
            &Sources::default(),
            &[],
            &Facts::of(&pod),
        );
        assert_eq!(plan.unwrap().make().unwrap()[0].target, Path::new(target));
    }
}

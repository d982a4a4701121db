//! Volumes that cannot be had, and where they cannot be mounted.

use std::path::Path;

use k8s_openapi::api::core::v1::{Container, PodSpec, VolumeMount};
use orch_core::object::FieldPath;

use super::{Complaint, Judge, of_spec};
use crate::agent::volumes::is_supported;

impl Judge<'_> {
    pub(super) fn mounts(&mut self, field: &FieldPath, container: &Container) {
        let mounts = container.volume_mounts.as_ref();
        if !self.can.mounts && mounts.is_some_and(|mounts| !mounts.is_empty()) {
            self.refuse(
                field.child("volumeMounts"),
                "cannot mount volumes; run the pod on a runtime with images",
            );
        }
        let devices = container.volume_devices.as_ref();
        if devices.is_some_and(|devices| !devices.is_empty()) {
            let why = "block devices are not supported; mount a volume of files with volumeMounts";
            self.refuse_everywhere(field.child("volumeDevices"), why);
        }
        self.places(field, container);
    }

    /// Paths that validation, which compares them as they are written and refuses those that are the same, takes for two.
    fn places(&mut self, field: &FieldPath, container: &Container) {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        let place = |mount: &VolumeMount| Path::new("/").join(&mount.mount_path);
        for (index, mount) in mounts.iter().enumerate() {
            let same = |one: &&VolumeMount| one.mount_path != mount.mount_path && place(one) == place(mount);
            let earlier = mounts[..index].iter().find(same);
            if let Some(earlier) = earlier {
                self.refuse_everywhere(
                    field.child("volumeMounts").index(index).child("mountPath"),
                    format!(
                        "{:?} is where {:?} is mounted already, as {:?}; mount it elsewhere",
                        mount.mount_path, earlier.name, earlier.mount_path
                    ),
                );
            }
        }
    }

    pub(super) fn volumes(&mut self, spec: &PodSpec) {
        let volumes = || spec.volumes.iter().flatten();
        for (index, volume) in volumes().enumerate().filter(|(_, volume)| !is_supported(volume)) {
            self.refuse_everywhere(
                of_spec("volumes").index(index),
                format!(
                    "volume {} cannot be had: only emptyDir, hostPath, configMap, secret, downwardAPI and projected \
                     volumes are supported",
                    volume.name
                ),
            );
        }
        let sources = volumes()
            .filter_map(|volume| volume.projected.as_ref())
            .flat_map(|projected| projected.sources.iter().flatten());
        if sources
            .into_iter()
            .any(|source| source.service_account_token.is_some())
        {
            self.found.warnings.push(Complaint {
                field: of_spec("volumes"),
                why: "there are no service account tokens; the files are left out".to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use orch_core::runtime::Runtime;
    use orch_core::testing::FakeRuntime;

    use crate::agent::support::support;
    use crate::agent::support_tests::{HOST, pod};

    #[test]
    fn one_place_written_in_two_ways_is_still_one() {
        let can = FakeRuntime::new().capabilities();
        for (first, second, is_one) in [
            ("/data", "/data/", true),
            ("/data", "data", true),
            ("/data//x", "/data/x", true),
            ("/data", "/data", false),
            ("/data", "/data/x", false),
            ("/data", "/data2", false),
        ] {
            let example = format!(
                r#""volumeMounts": [{{"name": "v", "mountPath": "{first}"}}, {{"name": "w", "mountPath": "{second}"}}]"#
            );
            let refusal = support(&pod("…", &example, "containers"), "able", &can, &HOST).refusal();
            let told = is_one.then(|| {
                format!(
                    "spec.containers[0].volumeMounts[1].mountPath: {second:?} is where \"v\" is mounted already, as \
                     {first:?}; mount it elsewhere"
                )
            });
            assert_eq!(refusal.map(|refusal| refusal.message), told);
        }
    }
}

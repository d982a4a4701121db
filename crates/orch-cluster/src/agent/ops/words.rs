//! What a runtime refuses of a pod or a container, in the words of the pod's writer.

use orch_core::runtime::RuntimeError;

/// The fields of a container's or a sandbox's configuration that have another name in a pod, and that name.
const FIELDS: [(&str, &str); 16] = [
    ("host_ports", "ports"),
    ("mounts", "volumeMounts"),
    ("resources.cpu_limit_millis", "resources.limits[cpu]"),
    ("resources.hugepages", "resources.limits"),
    ("resources.memory_limit_bytes", "resources.limits[memory]"),
    ("security.add_capabilities", "securityContext.capabilities.add"),
    ("security.app_armor", "securityContext.appArmorProfile"),
    ("security.drop_capabilities", "securityContext.capabilities.drop"),
    ("security.run_as_group", "securityContext.runAsGroup"),
    ("security.run_as_non_root", "securityContext.runAsNonRoot"),
    ("security.run_as_user", "securityContext.runAsUser"),
    ("security.seccomp", "securityContext.seccompProfile"),
    (
        "security.supplemental_groups",
        "securityContext.supplementalGroups",
    ),
    ("stop_signal", "lifecycle.stopSignal"),
    ("sysctls", "securityContext.sysctls"),
    ("working_dir", "workingDir"),
];

/// Why a pod's sandbox, or a container, was not made. Fields are named from the root of the pod's specification, or the
/// container's: `workingDir`.
pub(crate) fn in_words_of_pods(error: &RuntimeError) -> String {
    let RuntimeError::InvalidConfig { field, reason } = error else {
        return error.to_string();
    };
    let (about, field) = field.rsplit_once(": ").unwrap_or(("", field));
    let Some((_, known)) = FIELDS.iter().find(|(own, _)| *own == field) else {
        return error.to_string();
    };
    // Which container it is is said where this is shown.
    let about = if about.is_empty() || about.starts_with("container ") {
        String::new()
    } else {
        format!("{about}: ")
    };
    format!("{about}{known}: {}", reason.replace("run_as_user", "runAsUser"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_their_names_in_pods() {
        for (field, reason, told) in [
            (
                "security.run_as_non_root",
                "the image runs as root; set run_as_user",
                "securityContext.runAsNonRoot: the image runs as root; set runAsUser",
            ),
            (
                "container main: security.run_as_non_root",
                "the image runs as user 0, which is root",
                "securityContext.runAsNonRoot: the image runs as user 0, which is root",
            ),
            (
                "working_dir",
                "\"x\": must be an absolute path",
                "workingDir: \"x\": must be an absolute path",
            ),
            (
                "sysctls",
                "\"kernel.pid_max\": no sandbox has its own",
                "securityContext.sysctls: \"kernel.pid_max\": no sandbox has its own",
            ),
            ("command", "name a program", "command: name a program"),
            (
                "container main",
                "the engine says no",
                "container main: the engine says no",
            ),
        ] {
            let error = RuntimeError::InvalidConfig {
                field: field.to_owned(),
                reason: reason.to_owned(),
            };
            assert_eq!(in_words_of_pods(&error), told);
        }
        let other = RuntimeError::Paused {
            container: "mounts".to_owned(),
        };
        assert_eq!(in_words_of_pods(&other), other.to_string());
    }
}

use super::*;
use crate::image::ImageDefaults;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn image(change: impl FnOnce(&mut ImageDefaults)) -> Rootfs {
    let mut defaults = ImageDefaults::default();
    change(&mut defaults);
    Rootfs {
        id: "sha256:0".into(),
        base: Base::Layers(vec!["/layers/0/fs".into()]),
        defaults,
    }
}

fn host() -> Rootfs {
    Rootfs {
        id: "host".into(),
        base: Base::Host,
        defaults: ImageDefaults::default(),
    }
}

fn secure(change: impl FnOnce(&mut Security)) -> ContainerConfig {
    let mut config = ContainerConfig::default();
    change(&mut config.security);
    config
}

#[test]
fn a_command_drops_the_images_words_and_arguments_only_its_arguments() {
    for (entrypoint, cmd, command, args, expected) in [
        ("entry", "cmd", "", "", Some("entry cmd")),
        ("entry", "cmd", "", "args", Some("entry args")),
        ("entry", "cmd", "command", "", Some("command")),
        ("entry", "cmd", "command", "args", Some("command args")),
        ("", "cmd -x", "", "", Some("cmd -x")),
        ("", "cmd -x", "", "args", Some("args")),
        ("entry", "", "", "", Some("entry")),
        ("", "", "", "", None),
    ] {
        let image = image(|defaults| (defaults.entrypoint, defaults.cmd) = (words(entrypoint), words(cmd)));
        let config = ContainerConfig {
            image: "app:1".into(),
            command: words(command),
            args: words(args),
            ..ContainerConfig::default()
        };
        match (super::args(&config, &image), expected) {
            (Ok(found), Some(expected)) => assert_eq!(found, words(expected)),
            (Err(RuntimeError::InvalidConfig { field, reason }), None) => {
                assert!(
                    field == "command" && reason.contains("`app:1`"),
                    "{field}: {reason}"
                );
            }
            (found, _) => panic!("{expected:?}: {found:?}"),
        }
    }
}

#[test]
fn a_later_variable_wins_and_there_is_always_a_path() {
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    };
    let config = ContainerConfig {
        env: pairs(&[("A", "1"), ("PATH", "/bin"), ("A", "2=3")]),
        ..ContainerConfig::default()
    };
    let sandbox = SandboxConfig {
        hostname: "web".into(),
        ..SandboxConfig::default()
    };
    assert_eq!(
        env(&config, &sandbox, &host(), true),
        ["HOME=/root", "HOSTNAME=web", "PATH=/bin", "A=2=3"]
    );
    let image = image(|defaults| {
        defaults.env = pairs(&[("A", "image"), ("PATH", "/image"), ("B", ""), ("HOME", "/h")]);
    });
    assert_eq!(
        env(&config, &sandbox, &image, false),
        ["HOSTNAME=web", "B=", "HOME=/h", "PATH=/bin", "A=2=3"]
    );
    let nothing = ContainerConfig::default();
    let found = env(&nothing, &SandboxConfig::default(), &host(), true);
    assert_eq!(found, [format!("PATH={PATH}"), "HOME=/root".into()]);
}

#[test]
fn it_starts_where_it_is_told_or_the_image_says() {
    for (given, said, expected) in [
        (None, "", Ok("/")),
        (None, "/srv", Ok("/srv")),
        (Some(""), "/srv", Ok("/srv")),
        (Some("/tmp"), "/srv", Ok("/tmp")),
        (Some("tmp"), "/srv", Err("working_dir")),
        (None, "srv", Err("image")),
    ] {
        let config = ContainerConfig {
            working_dir: given.map(str::to_owned),
            ..ContainerConfig::default()
        };
        let found = cwd(&config, &image(|defaults| defaults.working_dir = said.into()));
        let found = found.map_err(|error| match error {
            RuntimeError::InvalidConfig { field, .. } => field,
            RuntimeError::InvalidImage { .. } => "image".into(),
            other => panic!("{other}"),
        });
        assert_eq!(
            found,
            expected.map(str::to_owned).map_err(str::to_owned),
            "{given:?} {said:?}"
        );
    }
}

#[test]
fn who_it_runs_as_is_asked_for_or_the_images() {
    let so = |user: &str, group: Option<&str>, more: &[u32]| {
        Some(Identity {
            user: user.into(),
            group: group.map(str::to_owned),
            more: more.to_vec(),
        })
    };
    let plain = ContainerConfig::default();
    assert_eq!(identity(&plain, &host()).unwrap(), None);
    let as_7 = secure(|security| security.run_as_user = Some(7));
    assert_eq!(identity(&as_7, &host()).unwrap(), so("7", None, &[]));
    for (said, config, expected) in [
        ("", plain.clone(), so("0", None, &[])),
        ("web", plain.clone(), so("web", None, &[])),
        ("web:", plain.clone(), so("web", None, &[])),
        ("1000:www", plain.clone(), so("1000", Some("www"), &[])),
        (":www", plain, so("0", Some("www"), &[])),
        ("1000:www", as_7, so("7", None, &[])),
        (
            "1000:www",
            secure(|security| security.run_as_group = Some(8)),
            so("1000", Some("8"), &[]),
        ),
        (
            "web",
            secure(|security| security.supplemental_groups = vec![9, 10]),
            so("web", None, &[9, 10]),
        ),
    ] {
        let found = identity(&config, &image(|defaults| defaults.user = said.into()));
        assert_eq!(found.unwrap(), expected, "{said}");
    }
}

#[test]
fn who_must_not_be_root_is_known_not_to_be() {
    for (said, user, reason) in [
        ("1000", None, None),
        ("", Some(1000), None),
        ("root", Some(1000), None),
        ("", None, Some("the image runs as root")),
        ("root:www", None, Some("the image runs as root")),
        ("0", None, Some("user 0")),
        ("00:7", None, Some("user 0")),
        ("web", None, Some("\"web\" is no number")),
        ("1000", Some(0), Some("run_as_user is 0")),
    ] {
        let config = secure(|security| {
            (security.run_as_non_root, security.run_as_user) = (true, user);
        });
        match (
            identity(&config, &image(|defaults| defaults.user = said.into())),
            reason,
        ) {
            (Ok(_), None) => {}
            (Err(RuntimeError::InvalidConfig { field, reason }), Some(expected)) => {
                assert_eq!(field, "security.run_as_non_root");
                assert!(reason.contains(expected), "{said}: {reason}");
            }
            (found, _) => panic!("{said}: {found:?}"),
        }
    }
}

#[test]
fn a_terminal_is_named_unless_its_name_is_given() {
    for (tty, given, expected) in [
        (false, None, None),
        (true, None, Some("TERM=xterm")),
        (true, Some("dumb"), Some("TERM=dumb")),
    ] {
        let config = ContainerConfig {
            tty,
            env: given
                .map(|name| ("TERM".into(), name.into()))
                .into_iter()
                .collect(),
            ..ContainerConfig::default()
        };
        let env = env(&config, &SandboxConfig::default(), &host(), true);
        let found: Vec<_> = env
            .iter()
            .filter(|variable| variable.starts_with("TERM="))
            .collect();
        assert_eq!(found, Vec::from_iter(&expected.map(String::from)));
    }
}

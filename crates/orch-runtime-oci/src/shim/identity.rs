//! As whom the container's program runs: looked up in the image's own list of users, and written into the
//! specification. The C library is not asked: it would take the machine's users, or run code of the image.

use serde_json::{Value, json};

use crate::image::{Tree, root};
use crate::record::{ContainerDir, Identity, Plan};
use crate::users::{COUNT, Users};

/// Who that is, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    uid: u32,
    gid: u32,
    /// All of them, its own the first.
    groups: Vec<u32>,
    home: String,
}

/// Settles who the program runs as, and sees to it that the directory it starts in exists, and what is mounted over
/// can be. The root is mounted. Returns the program's environment, with the user's home.
pub(super) fn settle(dir: &ContainerDir, plan: &Plan, spec: &mut Value) -> Result<Vec<String>, String> {
    let root = Tree::open(&dir.rootfs()).map_err(|error| error.to_string())?;
    let users = plan.shared.users();
    let owner = users.map(Users::root);
    root::make_directory(&root, &plan.cwd, owner).map_err(|error| format!("making {}: {error}", plan.cwd))?;
    // Machines and images with systemd-resolved have it lead to where nothing is in a container.
    for path in ["/etc/hosts", "/etc/resolv.conf"] {
        root::replace_dead_link(&root, path, owner).map_err(|error| format!("making {path}: {error}"))?;
    }
    let mut env = plan.env.clone();
    let Some(identity) = &plan.identity else {
        return Ok(env);
    };
    let list = |path: &str| {
        let read = root::read(&root, path).map_err(|error| format!("reading its {path}: {error}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&read.unwrap_or_default()).into_owned())
    };
    let known = look_up(identity, &list("/etc/passwd")?, &list("/etc/group")?)?;
    let all = [("user", known.uid)].into_iter();
    let all = all.chain(known.groups.iter().map(|gid| ("group", *gid)));
    if let Some(users) = users
        && let Some((what, id)) = all.into_iter().find(|(_, id)| users.of_machine(*id).is_none())
    {
        return Err(format!(
            "its {what} {id} is none of the {COUNT} that a pod with a user namespace of its own has"
        ));
    }
    if !env.iter().any(|variable| variable.starts_with("HOME=")) {
        env.push(format!("HOME={}", known.home));
    }
    spec["process"]["user"] = json!({"uid": known.uid, "gid": known.gid, "additionalGids": known.groups});
    spec["process"]["env"] = json!(env);
    Ok(env)
}

/// A line of `/etc/passwd`.
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        let (uid, gid) = (id(fields.next()?)?, id(fields.next()?)?);
        let _about = fields.next()?;
        let home = fields.next()?;
        Some(User { name, uid, gid, home })
    })
}

/// Names, numbers and members of the lines of `/etc/group`.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        Some((name, id(fields.next()?)?, fields.next()?))
    })
}

/// The last number means nobody to the kernel.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

/// What is wrong with whom an image, or who made the container, has it run as, and what to do.
fn unknown(what: &str, wanted: &str, list: &str) -> String {
    let last = u32::MAX - 1;
    match wanted.parse() {
        Ok(u32::MAX) => format!(
            "its {what} {wanted:?} is the number that the kernel takes for none; a {what} is one from 0 to {last}; choose another"
        ),
        _ => format!(
            "its {what} {wanted:?} is not in the image's {list}, nor is it a number from 0 to {last}; choose one that is"
        ),
    }
}

/// A name that is there, or a number. Of a user who is known come its group, home and further groups.
fn look_up(identity: &Identity, passwd: &str, group: &str) -> Result<Known, String> {
    let wanted = identity.user.as_str();
    let number = id(wanted);
    // A name of digits is a name first, as other runtimes have it.
    let user = users(passwd)
        .find(|user| user.name == wanted)
        .or_else(|| users(passwd).find(|user| Some(user.uid) == number));
    let (uid, own, home) = match (&user, number) {
        (Some(user), _) => (user.uid, user.gid, user.home),
        (None, Some(number)) => (number, 0, ""),
        (None, None) => return Err(unknown("user", wanted, "/etc/passwd")),
    };
    let gid = match identity.group.as_deref() {
        None => own,
        Some(wanted) => groups(group)
            .find(|(name, _, _)| *name == wanted)
            .map(|(_, gid, _)| gid)
            .or_else(|| id(wanted))
            .ok_or_else(|| unknown("group", wanted, "/etc/group"))?,
    };
    let is_member = |members: &str| {
        user.as_ref()
            .is_some_and(|user| members.split(',').any(|name| name == user.name))
    };
    let member_of = groups(group)
        .filter(|(_, _, members)| is_member(members))
        .map(|(_, gid, _)| gid);
    let mut all = vec![gid];
    for gid in member_of.chain(identity.more.iter().copied()) {
        if !all.contains(&gid) {
            all.push(gid);
        }
    }
    let home = if home.starts_with('/') && !home.contains('\0') {
        home
    } else {
        "/"
    };
    Ok(Known {
        uid,
        gid,
        groups: all,
        home: home.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# a comment\n\nweb:x:33:34:a web:/var/www:/bin/sh\n\
                          77:x:78:79::/odd:\nbroken:x:many:1::/:\nnowhere:x:90:91::somewhere:\nno-one:x:4294967295:1::/:\n";
    const GROUP: &str =
        "root:x:0:\nstaff:x:50:web,other\nwww:x:51:\nmore:x:52:other,web\nbroken\nself:x:34:web\n";

    fn of(user: &str, group: Option<&str>, more: &[u32]) -> Result<Known, String> {
        let identity = Identity {
            user: user.into(),
            group: group.map(str::to_owned),
            more: more.to_vec(),
        };
        look_up(&identity, PASSWD, GROUP)
    }

    #[test]
    fn users_and_groups_are_the_images() {
        for (user, group, more, uid, gid, groups, home) in [
            ("0", None, &[][..], 0, 0, &[0][..], "/root"),
            ("root", None, &[], 0, 0, &[0], "/root"),
            ("web", None, &[], 33, 34, &[34, 50, 52], "/var/www"),
            ("33", None, &[7, 50], 33, 34, &[34, 50, 52, 7], "/var/www"),
            ("web", Some("www"), &[], 33, 51, &[51, 50, 52, 34], "/var/www"),
            ("web", Some("60"), &[], 33, 60, &[60, 50, 52, 34], "/var/www"),
            ("1000", None, &[], 1000, 0, &[0], "/"),
            ("1000", Some("1001"), &[9], 1000, 1001, &[1001, 9], "/"),
            ("77", None, &[], 78, 79, &[79], "/odd"),
            ("nowhere", None, &[], 90, 91, &[91], "/"),
        ] {
            let expected = Known {
                uid,
                gid,
                groups: groups.to_vec(),
                home: home.into(),
            };
            assert_eq!(of(user, group, more), Ok(expected), "{user} {group:?}");
        }
    }

    #[test]
    fn who_is_not_known_is_refused_by_name() {
        for (user, group, expected) in [
            (
                "broken",
                None,
                "user \"broken\" is not in the image's /etc/passwd",
            ),
            ("no-one", None, "user \"no-one\""),
            (
                "4294967295",
                None,
                "user \"4294967295\" is the number that the kernel takes for none",
            ),
            (
                "4294967296",
                None,
                "user \"4294967296\" is not in the image's /etc/passwd, nor is it a number from 0 to 4294967294",
            ),
            ("web", Some("4294967295"), "group \"4294967295\" is the number"),
            ("-1", None, "user \"-1\""),
            (
                "web",
                Some("none"),
                "group \"none\" is not in the image's /etc/group",
            ),
        ] {
            let refused = of(user, group, &[]).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}

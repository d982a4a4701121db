//! Which devices the processes of a group may have. Of version 2 by a program, for there are no files for it.

use std::fs::File;
use std::io::{self, Write};

use super::{Hierarchies, put};
use crate::sys::{DeviceInstruction, DeviceProgram};

/// The kernel's `BPF_DEVCG_DEV_…`.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// Its `BPF_DEVCG_ACC_…`.
const MAKE: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;
const ALL: i32 = MAKE | READ | WRITE;

/// Kind, numbers (all if none) and what may be done with it.
type Rule = (i32, Option<i32>, Option<i32>, i32);

/// What a container may do. As Docker has it: every device may be made, and these be used.
const ALLOWED: [Rule; 11] = [
    (CHARACTER, None, None, MAKE),
    (BLOCK, None, None, MAKE),
    // null, zero, full, random, urandom
    (CHARACTER, Some(1), Some(3), ALL),
    (CHARACTER, Some(1), Some(5), ALL),
    (CHARACTER, Some(1), Some(7), ALL),
    (CHARACTER, Some(1), Some(8), ALL),
    (CHARACTER, Some(1), Some(9), ALL),
    // tty, console, ptmx, and the terminals that it makes
    (CHARACTER, Some(5), Some(0), ALL),
    (CHARACTER, Some(5), Some(1), ALL),
    (CHARACTER, Some(5), Some(2), ALL),
    (CHARACTER, Some(136), None, ALL),
];

/// The registers: the answer, what is asked (`struct bpf_cgroup_dev_ctx`), and the parts of that.
const ANSWER: u8 = 0;
const ASKED: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

impl Hierarchies {
    /// Keeps what is in a group, which was made, to the devices that a container may have; those that it makes
    /// among them.
    pub(crate) fn confine_devices(&self, group: &str) -> io::Result<()> {
        let group = group.trim_start_matches('/');
        if self.unified {
            let program = DeviceProgram::load(&program(&ALLOWED))?;
            for path in self.at(group) {
                program.attach(File::open(path)?)?;
            }
            return Ok(());
        }
        let Some(mount) = self.controllers.get("devices") else {
            return Err(io::Error::other(
                "no control group of devices is mounted, without which a container that may make devices (MKNOD) could use \
                 any; mount it below /sys/fs/cgroup, or drop MKNOD",
            ));
        };
        let path = mount.join(group);
        put(path.join("devices.deny"), "a")?;
        let mut allowed = File::options().write(true).open(path.join("devices.allow"))?;
        // The kernel takes one at a time.
        ALLOWED
            .iter()
            .try_for_each(|rule| allowed.write_all(as_v1(rule).as_bytes()))
    }
}

/// A rule in the words of version 1.
fn as_v1((kind, major, minor, access): &Rule) -> String {
    let kind = if *kind == BLOCK { 'b' } else { 'c' };
    let number = |number: &Option<i32>| number.map_or("*".to_owned(), |number| number.to_string());
    let letters = [(READ, "r"), (WRITE, "w"), (MAKE, "m")].map(|(bit, letter)| match access & bit {
        0 => "",
        _ => letter,
    });
    format!("{kind} {}:{} {}", number(major), number(minor), letters.concat())
}

/// Whether this kernel takes such programs from this process.
pub(crate) fn can_confine_devices() -> bool {
    DeviceProgram::load(&program(&ALLOWED)).is_ok()
}

const fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> DeviceInstruction {
    DeviceInstruction {
        code,
        registers: to | from << 4,
        offset,
        value,
    }
}

const fn load(to: u8, offset: i16) -> DeviceInstruction {
    instruction(0x61, to, ASKED, offset, 0)
}

const fn and(to: u8, value: i32) -> DeviceInstruction {
    instruction(0x54, to, 0, 0, value)
}

const fn shift_right(to: u8, value: i32) -> DeviceInstruction {
    instruction(0x74, to, 0, 0, value)
}

const fn copy(to: u8, from: u8) -> DeviceInstruction {
    instruction(0xbc, to, from, 0, 0)
}

const fn set(to: u8, value: i32) -> DeviceInstruction {
    instruction(0xb4, to, 0, 0, value)
}

const fn skip_unless(register: u8, value: i32) -> DeviceInstruction {
    instruction(0x55, register, 0, 0, value)
}

const EXIT: DeviceInstruction = instruction(0x95, 0, 0, 0, 0);

/// Answers 1 if one of the rules allows all that is asked for, and 0 if none does.
fn program(allowed: &[Rule]) -> Vec<DeviceInstruction> {
    let mut program = vec![
        load(KIND, 0),
        copy(ACCESS, KIND),
        and(KIND, 0xffff),
        shift_right(ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for (kind, major, minor, access) in allowed {
        let mut rule = vec![skip_unless(KIND, *kind)];
        rule.extend(major.map(|major| skip_unless(MAJOR, major)));
        rule.extend(minor.map(|minor| skip_unless(MINOR, minor)));
        if *access != ALL {
            rule.extend([copy(ANSWER, ACCESS), and(ANSWER, !access), skip_unless(ANSWER, 0)]);
        }
        rule.extend([set(ANSWER, 1), EXIT]);
        let end = rule.len();
        for (at, step) in rule.iter_mut().enumerate() {
            if step.code == skip_unless(0, 0).code {
                // To what follows this rule, which has a handful of steps.
                step.offset = (end - at - 1) as i16;
            }
        }
        program.extend(rule);
    }
    program.extend([set(ANSWER, 0), EXIT]);
    program
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;
    use std::process;
    use std::process::Command;

    use super::*;

    /// Does what the kernel would, of the few instructions that there are.
    fn answer(program: &[DeviceInstruction], kind: i32, access: i32, major: i32, minor: i32) -> i32 {
        let asked = [kind | access << 16, major, minor];
        let (mut registers, mut at) = ([0; 6], 0);
        loop {
            let step = program[at];
            let (to, from) = (usize::from(step.registers & 15), usize::from(step.registers >> 4));
            at += 1;
            match step.code {
                0x61 => registers[to] = asked[step.offset as usize / 4],
                0x54 => registers[to] &= step.value,
                0x74 => registers[to] >>= step.value,
                0xbc => registers[to] = registers[from],
                0xb4 => registers[to] = step.value,
                0x55 if registers[to] != step.value => at += step.offset as usize,
                0x55 => {}
                0x95 => return registers[0],
                other => panic!("{other:x}"),
            }
        }
    }

    #[test]
    fn what_is_on_the_list_is_allowed_and_nothing_else() {
        let program = program(&ALLOWED);
        for (kind, access, (major, minor), expected) in [
            (CHARACTER, READ, (1, 3), 1),
            (CHARACTER, READ | WRITE, (1, 3), 1),
            (CHARACTER, ALL, (136, 77), 1),
            (CHARACTER, READ, (5, 2), 1),
            (CHARACTER, MAKE, (10, 200), 1),
            (BLOCK, MAKE, (8, 0), 1),
            // The machine's memory, its log, its disks, tunnels.
            (CHARACTER, READ, (1, 1), 0),
            (CHARACTER, READ, (1, 11), 0),
            (CHARACTER, READ | WRITE, (10, 200), 0),
            (BLOCK, READ, (8, 0), 0),
            (BLOCK, MAKE | READ, (8, 0), 0),
            (BLOCK, READ, (1, 3), 0),
            (CHARACTER, WRITE, (5, 3), 0),
        ] {
            let told = answer(&program, kind, access, major, minor);
            assert_eq!(told, expected, "kind {kind}, {major}:{minor}, access {access}");
        }
        assert_eq!(answer(&super::program(&[]), CHARACTER, READ, 1, 3), 0);
    }

    #[test]
    fn rules_of_version_1_are_in_the_kernels_words() {
        let words: Vec<_> = ALLOWED.iter().map(as_v1).collect();
        assert_eq!(words[..3], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        assert_eq!(words[10], "c 136:* rwm");
    }

    #[test]
    fn the_kernel_keeps_a_group_to_the_list() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let unified = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let mount: Option<PathBuf> = unified.and_then(|line| line.split(' ').nth(4)).map(Into::into);
        let Some(mount) = mount.filter(|_| rustix::process::geteuid().is_root()) else {
            let _ = writeln!(
                io::stderr(),
                "skipped: needs root and control groups of version 2"
            );
            return;
        };
        let hierarchies = Hierarchies {
            mounts: vec![mount.clone()],
            v2: Some(mount.clone()),
            controllers: Default::default(),
            unified: true,
        };
        let group = format!("orch-test-devices-{}", process::id());
        let (place, dir) = (mount.join(&group), tempfile::tempdir().unwrap());
        fs::create_dir(&place).unwrap();
        let device = dir.path().join("device");
        // In a group within, as commands are.
        let script = "echo 0 > \"$1/cgroup.procs\" || exit 9
            head -c1 /dev/zero >/dev/null || exit 1
            mknod \"$2\" c 1 11 || exit 2
            head -c0 \"$2\" && exit 3
            exit 0";
        let run = |place: &PathBuf| {
            let status = Command::new("sh")
                .args(["-c", script, "sh"])
                .arg(place)
                .arg(&device)
                .status();
            status.unwrap().code()
        };
        // It can be read, unless devices in the place for such directories cannot.
        if run(&place) != Some(3) {
            let _ = writeln!(io::stderr(), "skipped: {} is no device here", device.display());
            hierarchies.sweep(&group).unwrap();
            return;
        }
        fs::remove_file(&device).unwrap();
        hierarchies.confine_devices(&group).unwrap();
        let within = place.join("exec");
        fs::create_dir(&within).unwrap();
        assert_eq!(run(&within), Some(0));
        hierarchies.sweep(&group).unwrap();
    }
}

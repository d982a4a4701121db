//! Compiles rules with libseccomp.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::str::FromStr;

use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use rustix::fs::{MemfdFlags, memfd_create};

use super::profile::{Condition, Flag, Operator, Rules, Verdict};
use super::ranges;
use crate::sys::{Filter, Instruction};

/// The kernel's `ENOSYS`.
const NO_CALL: u32 = 38;

/// From here on numbers are those of the x32 calls, on x86_64.
const X32: u32 = 0x4000_0000;

/// What the kernel takes; the error is a sentence.
pub(crate) fn compile(rules: &Rules) -> Result<Filter, String> {
    let program = ranges::fold(program(rules)?);
    Filter::new(program, flags(&rules.flags)).map_err(|length| {
        format!(
            "it comes to {length} instructions, more than the {} that the kernel takes",
            Filter::MOST
        )
    })
}

/// As libseccomp has it.
fn program(rules: &Rules) -> Result<Vec<Instruction>, String> {
    let failed = |error: SeccompError| error.to_string();
    let mut context = ScmpFilterContext::new(action(rules.default)).map_err(failed)?;
    for name in &rules.architectures {
        let arch = ScmpArch::from_str(name)
            .map_err(|_| format!("architecture {name:?} is none that libseccomp knows"))?;
        context.add_arch(arch).map_err(failed)?;
    }
    // Sorted into a tree: the kernel goes through it for every call that there is when it loads a filter. A libseccomp
    // before 2.5 cannot, and need not.
    let _ = context.set_ctl_optimize(2);
    // What the embedding application's thread may gain is not this program's to say.
    context.set_ctl_nnp(false).map_err(failed)?;
    let mut known = 0;
    for rule in rules.rules.iter().filter(|rule| rule.verdict != rules.default) {
        for name in &rule.names {
            // A call that this libseccomp does not know cannot be let through; see `unknown`.
            let Ok(call) = ScmpSyscall::from_name(name) else {
                tracing::debug!(name, "system call unknown to libseccomp");
                continue;
            };
            known = known.max(call.as_raw_syscall());
            for conditions in alternatives(&rule.conditions) {
                let added = context.add_rule_conditional(action(rule.verdict), call, &conditions);
                added.map_err(|error| format!("{name}: {error}"))?;
            }
        }
    }
    let mut program = match (rules.default, u32::try_from(known)) {
        (Verdict::Error(_), Ok(known @ 1..)) => unknown(known),
        _ => Vec::new(),
    };
    program.extend(exported(&context).map_err(|error| error.to_string())?);
    Ok(program)
}

fn exported(context: &ScmpFilterContext) -> std::io::Result<Vec<Instruction>> {
    let mut file = File::from(memfd_create("seccomp", MemfdFlags::CLOEXEC)?);
    context.export_bpf(&file).map_err(std::io::Error::other)?;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(Instruction::read(&bytes))
}

/// Calls that came to the kernel after libseccomp's last release are not there, for all that programs are told: they
/// have another way then, which they do not take if they are told that it is forbidden.
fn unknown(known: u32) -> Vec<Instruction> {
    let native = match std::env::consts::ARCH {
        "x86_64" => 0xC000_003E,
        "aarch64" => 0xC000_00B7,
        "riscv64" => 0xC000_00F3,
        _ => return Vec::new(),
    };
    // Offsets into the kernel's `struct seccomp_data`.
    let (number, arch) = (0, 4);
    vec![
        Instruction::load(arch),
        Instruction::if_equal(native, 0, 4),
        Instruction::load(number),
        Instruction::if_at_least(X32, 2, 0),
        Instruction::if_more(known, 0, 1),
        Instruction::refuse(NO_CALL),
    ]
}

/// An argument can be compared once in a rule; conditions that do so twice are a rule each, as under runc.
fn alternatives(conditions: &[Condition]) -> Vec<Vec<ScmpArgCompare>> {
    let compared: HashSet<_> = conditions.iter().map(|condition| condition.index).collect();
    let compare = |condition: &Condition| {
        let (operator, value) = match condition.operator {
            Operator::NotEqual => (ScmpCompareOp::NotEqual, condition.value),
            Operator::Less => (ScmpCompareOp::Less, condition.value),
            Operator::LessOrEqual => (ScmpCompareOp::LessOrEqual, condition.value),
            Operator::Equal => (ScmpCompareOp::Equal, condition.value),
            Operator::GreaterOrEqual => (ScmpCompareOp::GreaterEqual, condition.value),
            Operator::Greater => (ScmpCompareOp::Greater, condition.value),
            Operator::Masked => (ScmpCompareOp::MaskedEqual(condition.value), condition.value_two),
        };
        ScmpArgCompare::new(condition.index, operator, value)
    };
    let comparisons = conditions.iter().map(compare);
    if compared.len() == conditions.len() {
        vec![comparisons.collect()]
    } else {
        comparisons.map(|comparison| vec![comparison]).collect()
    }
}

fn action(verdict: Verdict) -> ScmpAction {
    match verdict {
        Verdict::Allow => ScmpAction::Allow,
        Verdict::Log => ScmpAction::Log,
        Verdict::Error(number) => ScmpAction::Errno(number.into()),
        Verdict::Trace(number) => ScmpAction::Trace(number),
        Verdict::Trap => ScmpAction::Trap,
        Verdict::KillThread => ScmpAction::KillThread,
        Verdict::KillProcess => ScmpAction::KillProcess,
    }
}

/// The flags of the kernel's `seccomp` call.
fn flags(flags: &[Flag]) -> u32 {
    let each = flags.iter().map(|flag| match flag {
        Flag::ThreadSync => 1,
        Flag::Log => 2,
        Flag::SpecAllow => 4,
    });
    each.fold(0, |all, flag| all | flag)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::seccomp::{ARCHITECTURE, DEFAULT, Subject, resolve};

    pub(in super::super) fn exported(rules: &Rules) -> Vec<Instruction> {
        program(rules).unwrap()
    }

    pub(in super::super) fn rules(capabilities: &[&str]) -> Rules {
        let (arch, native) = ARCHITECTURE;
        let subject = Subject {
            arch,
            native,
            kernel: (6, 1),
            capabilities,
        };
        resolve(DEFAULT, subject).unwrap()
    }

    #[test]
    fn dockers_profile_compiles_and_a_capability_lets_more_through() {
        let (plain, admin) = (rules(&[]), rules(&["CAP_SYS_ADMIN"]));
        let (plain, admin) = (compile(&plain).unwrap(), compile(&admin).unwrap());
        assert_ne!(plain, admin);
        assert_eq!(Filter::decode(&plain.encode()), Some(plain));
    }

    #[test]
    fn what_cannot_be_compiled_is_refused_by_name() {
        let mut odd = rules(&[]);
        odd.architectures = vec!["SCMP_ARCH_ABACUS".into()];
        let refused = compile(&odd).unwrap_err();
        assert!(
            refused.contains("\"SCMP_ARCH_ABACUS\" is none that libseccomp knows"),
            "{refused}"
        );
        let mut odd = rules(&[]);
        odd.rules[0].conditions = vec![Condition {
            index: 9,
            operator: Operator::Equal,
            value: 1,
            value_two: 0,
        }];
        let refused = compile(&odd).unwrap_err();
        assert!(refused.starts_with(&odd.rules[0].names[0]), "{refused}");
    }

    #[test]
    fn an_argument_that_is_compared_twice_makes_two_rules() {
        let condition = |index| Condition {
            index,
            operator: Operator::Equal,
            value: 1,
            value_two: 0,
        };
        let lengths = |conditions: &[Condition]| -> Vec<usize> {
            alternatives(conditions).iter().map(Vec::len).collect()
        };
        assert_eq!(lengths(&[]), [0]);
        assert_eq!(lengths(&[condition(0), condition(1)]), [2]);
        assert_eq!(lengths(&[condition(0), condition(0)]), [1, 1]);
    }
}

//! Filters of system calls.

use nix::libc;

/// What decides over a process's system calls, in the kernel's own form (classic BPF).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    program: Vec<Instruction>,
    flags: u32,
}

/// One of the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

impl Instruction {
    const SIZE: usize = 8;

    /// Loads a word of what is known of the call.
    pub(crate) fn load(offset: u32) -> Self {
        Self::new(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, (0, 0), offset)
    }

    /// Skips so many instructions if what was loaded is `value`, and so many else.
    pub(crate) fn if_equal(value: u32, then: u8, otherwise: u8) -> Self {
        Self::new(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            (then, otherwise),
            value,
        )
    }

    pub(crate) fn if_at_least(value: u32, then: u8, otherwise: u8) -> Self {
        Self::new(
            libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K,
            (then, otherwise),
            value,
        )
    }

    pub(crate) fn if_more(value: u32, then: u8, otherwise: u8) -> Self {
        Self::new(
            libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K,
            (then, otherwise),
            value,
        )
    }

    /// Skips so many instructions.
    pub(crate) fn jump(by: u32) -> Self {
        Self::new(libc::BPF_JMP | libc::BPF_JA, (0, 0), by)
    }

    /// Refuses the call with an error.
    pub(crate) fn refuse(error: u32) -> Self {
        Self::give(libc::SECCOMP_RET_ERRNO | error)
    }

    /// What is done about the call, in the kernel's number for it.
    pub(crate) fn give(verdict: u32) -> Self {
        Self::new(libc::BPF_RET | libc::BPF_K, (0, 0), verdict)
    }

    /// The same comparison, which skips so many instructions.
    pub(crate) fn led(self, then: u8, otherwise: u8) -> Self {
        Self {
            if_true: then,
            if_false: otherwise,
            ..self
        }
    }

    /// What it does.
    pub(crate) fn step(self) -> Step {
        let compare = |compare| Step::If {
            compare,
            value: self.value,
            to: [self.if_true.into(), self.if_false.into()],
        };
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
        const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
        const MORE: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
        const ANY: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
        const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
        const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
        match u32::from(self.code) {
            LOAD => Step::Load(self.value),
            JUMP => usize::try_from(self.value).map_or(Step::Other, Step::Jump),
            EQUAL => compare(Compare::Equal),
            AT_LEAST => compare(Compare::AtLeast),
            MORE => compare(Compare::More),
            ANY => compare(Compare::Any),
            AND => Step::And(self.value),
            RETURN => Step::Return(self.value),
            _ => Step::Other,
        }
    }

    fn new(code: u32, (if_true, if_false): (u8, u8), value: u32) -> Self {
        Self {
            // The kernel's codes have sixteen bits; libc has them as numbers of another size.
            code: code as u16,
            if_true,
            if_false,
            value,
        }
    }

    /// As the kernel has them in memory, one after the other.
    pub(crate) fn read(bytes: &[u8]) -> Vec<Self> {
        let instructions = bytes.as_chunks::<{ Self::SIZE }>().0.iter();
        instructions
            .map(|[a, b, if_true, if_false, value @ ..]| Self {
                code: u16::from_ne_bytes([*a, *b]),
                if_true: *if_true,
                if_false: *if_false,
                value: u32::from_ne_bytes(*value),
            })
            .collect()
    }

    fn bytes(self) -> [u8; Self::SIZE] {
        let ([a, b], [c, d, e, f]) = (self.code.to_ne_bytes(), self.value.to_ne_bytes());
        [a, b, self.if_true, self.if_false, c, d, e, f]
    }
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Loads the word at this offset of what is known of the call.
    Load(u32),
    /// Skips so many.
    Jump(usize),
    /// Skips so many of the two if what was loaded compares, or not, with the value.
    If {
        compare: Compare,
        value: u32,
        to: [usize; 2],
    },
    /// Takes away bits of what was loaded.
    And(u32),
    Return(u32),
    Other,
}

impl Step {
    /// Where it goes on from its own place.
    pub(crate) fn next(self, at: usize) -> Vec<usize> {
        match self {
            Self::Jump(by) => vec![at + 1 + by],
            Self::If { to, .. } => to.map(|by| at + 1 + by).into(),
            Self::Return(_) => Vec::new(),
            Self::Load(_) | Self::And(_) | Self::Other => vec![at + 1],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal,
    AtLeast,
    More,
    /// They have a bit in common.
    Any,
}

impl Compare {
    pub(crate) fn holds(self, loaded: u32, value: u32) -> bool {
        match self {
            Self::Equal => loaded == value,
            Self::AtLeast => loaded >= value,
            Self::More => loaded > value,
            Self::Any => loaded & value != 0,
        }
    }
}

impl Filter {
    /// As many instructions as the kernel takes.
    pub(crate) const MOST: usize = 4096;

    /// The error is the number of instructions that are too many.
    pub(crate) fn new(program: Vec<Instruction>, flags: u32) -> Result<Self, usize> {
        match program.len() {
            length if length > Self::MOST => Err(length),
            _ => Ok(Self { program, flags }),
        }
    }

    /// To be read back by [`decode`](Self::decode), on this machine.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.flags.to_ne_bytes().to_vec();
        bytes.extend(self.program.iter().flat_map(|instruction| instruction.bytes()));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (flags, program) = bytes.split_first_chunk()?;
        if program.len() % Instruction::SIZE != 0 {
            return None;
        }
        Self::new(Instruction::read(program), u32::from_ne_bytes(*flags)).ok()
    }

    /// Puts this process, and all that it starts, under the filter, for good.
    ///
    /// # Errors
    ///
    /// `EACCES` for one that neither has `CAP_SYS_ADMIN` nor has given up gaining privileges; `EINVAL` for a program
    /// that the kernel does not take.
    pub(crate) fn load(&self) -> nix::Result<()> {
        let program = self.program.iter().map(|instruction| libc::sock_filter {
            code: instruction.code,
            jt: instruction.if_true,
            jf: instruction.if_false,
            k: instruction.value,
        });
        let mut program: Vec<_> = program.collect();
        let list = libc::sock_fprog {
            // No longer than `MOST`.
            len: program.len() as libc::c_ushort,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: the call reads `list` and the instructions that it points to, which live until it has returned, and
        // keeps neither. What it does to this process no memory of it depends on: later calls may fail, or end it.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
                libc::c_ulong::from(self.flags),
                &raw const list,
            )
        };
        nix::errno::Errno::result(result).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_back_as_it_was_and_a_broken_one_is_none() {
        let program = vec![
            Instruction::load(4),
            Instruction::if_equal(0xC000_003E, 0, 1),
            Instruction::refuse(38),
        ];
        let filter = Filter::new(program, 2).unwrap();
        let bytes = filter.encode();
        assert_eq!(Filter::decode(&bytes), Some(filter));
        assert_eq!(Filter::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Filter::decode(&[0; 3]), None);
        assert_eq!(Filter::new(vec![Instruction::load(0); 4097], 0), Err(4097));
    }
}

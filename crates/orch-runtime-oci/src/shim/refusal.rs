//! Why a program could not be executed, as a sentence for whoever asked for it.
//!
//! The kernel has a number alone, and the same for a script and for its interpreter: what is there is looked at where
//! the program would have run, by who would have run it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use rustix::fs::StatVfsMountFlags;

/// How much of a file tells what it is.
const HEAD: usize = 4096;

/// Why a program could not be executed.
pub(super) struct Refusal {
    pub(super) error: Errno,
    /// A sentence, with the program's name.
    pub(super) text: String,
}

impl Refusal {
    /// Of what is found neither at its own path nor in any directory of `PATH`.
    pub(super) fn nowhere(name: &str, path: &str) -> Self {
        let error = Errno::ENOENT;
        let place = match name {
            "" => ": its name is empty".to_owned(),
            name if name.contains('/') => String::new(),
            _ => format!(" in PATH, which is {path:?}"),
        };
        Self::told(error, format!("{name}: {}{place}", error.desc()))
    }

    /// Of a file that is there, or is not to be seen.
    pub(super) fn of_file(file: &Path, error: Errno) -> Self {
        let why = match error {
            Errno::ENOENT | Errno::ENOTDIR => missing(file),
            Errno::EACCES => forbidden(file),
            Errno::ENOEXEC => foreign(file),
            _ => None,
        };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        Self::told(error, format!("{}: {}{why}", file.display(), error.desc()))
    }

    /// Of what there is to do before.
    pub(super) fn before(what: &str, error: Errno) -> Self {
        Self::told(error, format!("{what}: {}", error.desc()))
    }

    fn told(error: Errno, text: String) -> Self {
        Self { error, text }
    }

    pub(super) fn write(&self, mut to: impl Write) -> io::Result<()> {
        to.write_all(&[&(self.error as i32).to_le_bytes()[..], self.text.as_bytes()].concat())
    }

    /// What was written to the other end of a status pipe, which all have closed: nothing if the program runs.
    pub(super) fn read(status: OwnedFd) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        File::from(status).read_to_end(&mut bytes)?;
        Ok(bytes.split_first_chunk().map(|(error, text)| Self {
            error: Errno::from_raw(i32::from_le_bytes(*error)),
            text: String::from_utf8_lossy(text).into_owned(),
        }))
    }
}

/// The file is there, so what would run it is not.
fn missing(file: &Path) -> Option<String> {
    let interpreter = interpreter(file)?;
    Some(format!("its interpreter {interpreter} is missing"))
}

fn forbidden(file: &Path) -> Option<String> {
    let user = rustix::process::geteuid();
    let Ok(meta) = fs::metadata(file) else {
        return Some(format!("user {user} cannot look there"));
    };
    let mode = meta.mode() & 0o7777;
    let is_noexec =
        rustix::fs::statvfs(file).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::NOEXEC));
    Some(match interpreter(file) {
        _ if meta.is_dir() => "it is a directory".into(),
        _ if !meta.is_file() => "it is not a file".into(),
        _ if mode & 0o111 == 0 => format!("nobody may execute it (its mode is {mode:04o})"),
        _ if is_noexec => "it is on a file system of which nothing may be executed".into(),
        Some(interpreter) => {
            format!(
                "user {user} may not execute it (its mode is {mode:04o}) or its interpreter {interpreter}"
            )
        }
        None => format!("user {user} may not execute it (its mode is {mode:04o})"),
    })
}

fn foreign(file: &Path) -> Option<String> {
    let here = std::env::consts::ARCH;
    let head = head(file)?;
    Some(match (Elf::read(&head), interpreter(file)) {
        (Some(elf), _) => match elf.architecture() {
            other if other == here => "it is not a program, though it is made for this machine".into(),
            other => format!("it is made for {other}, and this machine is {here}"),
        },
        (None, Some(interpreter)) => format!("its interpreter {interpreter} cannot be executed"),
        (None, None) if head.is_empty() => "it is empty".into(),
        (None, None) => "it is neither a program nor a script that begins with #!".into(),
    })
}

/// What a script names in its first line, or a program as what loads it.
fn interpreter(file: &Path) -> Option<String> {
    let head = head(file)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii_start();
        let name = line.split(u8::is_ascii_whitespace).next()?;
        return (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned());
    }
    Elf::read(&head)?.interpreter(file)
}

/// The beginning of a file; of nothing else, which could have to be waited for.
fn head(file: &Path) -> Option<Vec<u8>> {
    let is_file = fs::metadata(file).ok()?.is_file();
    let mut head = vec![0; HEAD];
    let count = is_file
        .then(|| File::open(file))?
        .ok()?
        .read_at(&mut head, 0)
        .ok()?;
    head.truncate(count);
    Some(head)
}

/// The beginning of a program: elf(5).
struct Elf<'a> {
    head: &'a [u8],
    is_big_endian: bool,
    has_64_bits: bool,
}

impl<'a> Elf<'a> {
    fn read(head: &'a [u8]) -> Option<Self> {
        let &[class, data] = head.strip_prefix(b"\x7fELF")?.first_chunk()?;
        Some(Self {
            head,
            is_big_endian: data == 2,
            has_64_bits: class == 2,
        })
    }

    /// A number of so many bytes.
    fn number(&self, at: usize, bytes: usize) -> Option<usize> {
        let bytes = self.head.get(at..at.checked_add(bytes)?)?;
        let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        Some(if self.is_big_endian {
            bytes.iter().fold(0, add)
        } else {
            bytes.iter().rev().fold(0, add)
        })
    }

    /// As Rust has them.
    fn architecture(&self) -> String {
        let name = match self.number(18, 2) {
            Some(3) => "x86",
            Some(20) => "powerpc",
            Some(21) => "powerpc64",
            Some(22) => "s390x",
            Some(40) => "arm",
            Some(62) => "x86_64",
            Some(183) => "aarch64",
            Some(243) => "riscv64",
            Some(258) => "loongarch64",
            Some(other) => return format!("machine {other} of ELF"),
            None => return "no machine".into(),
        };
        name.into()
    }

    fn interpreter(&self, file: &Path) -> Option<String> {
        /// The kind of part that names it, `PT_INTERP`.
        const INTERPRETER: usize = 3;
        const LONGEST: usize = 4096;
        if !self.has_64_bits {
            return None;
        }
        let (first, size, count) = (self.number(32, 8)?, self.number(54, 2)?, self.number(56, 2)?);
        let mut parts = (0..count).map(|number| first.saturating_add(number * size));
        let part = parts.find(|part| self.number(*part, 4) == Some(INTERPRETER))?;
        let (from, length) = (self.number(part + 8, 8)?, self.number(part + 32, 8)?);
        let mut name = vec![0; length.min(LONGEST)];
        File::open(file)
            .ok()?
            .read_exact_at(&mut name, u64::try_from(from).ok()?)
            .ok()?;
        let name = name.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(name).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, content: &[u8], error: Errno) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, content).unwrap();
        let text = Refusal::of_file(&file, error).text;
        text.strip_prefix(&format!("{}: ", dir.path().join(name).display()))
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_sentence_says_what_is_wrong_with_a_file() {
        let own = fs::read("/proc/self/exe").unwrap();
        let loader = interpreter(Path::new("/proc/self/exe")).unwrap();
        assert!(Path::new(&loader).exists(), "{loader}");
        let mut other = own[..HEAD].to_vec();
        let machine: u16 = if cfg!(target_arch = "s390x") { 62 } else { 22 };
        other[18..20].copy_from_slice(&machine.to_ne_bytes());
        let name = if machine == 22 { "s390x" } else { "x86_64" };
        let foreign = format!(
            "it is made for {name}, and this machine is {}",
            std::env::consts::ARCH
        );
        let missing = format!("its interpreter {loader} is missing");
        for (content, error, expected) in [
            (
                &b"#! /no/such -x\n"[..],
                Errno::ENOENT,
                "its interpreter /no/such is missing",
            ),
            (
                b"#!/no/such\n",
                Errno::ENOEXEC,
                "its interpreter /no/such cannot be executed",
            ),
            (&own[..], Errno::ENOENT, &missing),
            (&other[..], Errno::ENOEXEC, &foreign),
            (b"", Errno::ENOEXEC, "it is empty"),
            (
                b"words",
                Errno::ENOEXEC,
                "it is neither a program nor a script that begins with #!",
            ),
            (
                b"words",
                Errno::EACCES,
                "nobody may execute it (its mode is 0644)",
            ),
        ] {
            let text = of("file", content, error);
            assert_eq!(text, format!("{}: {expected}", error.desc()));
        }
        assert_eq!(of("file", b"words", Errno::E2BIG), Errno::E2BIG.desc());
    }

    #[test]
    fn what_claims_to_be_a_program_and_is_broken_is_read_without_harm() {
        let whole = fs::read("/proc/self/exe").unwrap();
        for length in [4, 5, 6, 19, 20, 57, 63, 64, 100] {
            let text = of("file", &whole[..length], Errno::ENOENT);
            assert!(text.starts_with(Errno::ENOENT.desc()), "{text}");
        }
        let mut odd = whole[..HEAD].to_vec();
        odd[32..40].fill(0xff);
        of("file", &odd, Errno::ENOENT);
    }

    #[test]
    fn what_is_nowhere_was_looked_for_somewhere() {
        for (name, expected) in [
            (
                "sh",
                "sh: No such file or directory in PATH, which is \"/bin:/sbin\"",
            ),
            ("/bin/sh", "/bin/sh: No such file or directory"),
            ("", ": No such file or directory: its name is empty"),
        ] {
            assert_eq!(Refusal::nowhere(name, "/bin:/sbin").text, expected);
        }
    }
}

//! Whether what was called before `main` is in the program, and not in a library that another program has loaded.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{fs, io};

use crate::sys::hook;

/// Started again, another program would do its own work once more. An error is a sentence on what to do.
pub(super) fn is_program() -> Result<(), String> {
    let is = || -> io::Result<bool> {
        let maps = fs::read("/proc/self/maps")?;
        let program = fs::read_link("/proc/self/exe")?;
        Ok(file_at(&maps, hook::place()).is_some_and(|file| file == program))
    };
    match is() {
        Ok(true) => Ok(()),
        Ok(false) => Err(
            "orch-runtime-oci is in a library that this program has loaded, where the feature auto-shim does nothing; \
             call orch_runtime_oci::init() first thing in the program's main, or name the program orch-oci-shim with \
             OciOptions::shim"
                .into(),
        ),
        Err(error) => Err(format!("looking where this program is in memory: {error}")),
    }
}

/// The file that is mapped at an address, by what the kernel says of a process (proc_pid_maps(5)).
fn file_at(maps: &[u8], address: usize) -> Option<&Path> {
    let mut lines = maps.split(|byte| *byte == b'\n');
    let is_around = |line: &&[u8]| {
        let range = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let range = std::str::from_utf8(range)
            .ok()
            .and_then(|range| range.split_once('-'));
        let number = |digits| usize::from_str_radix(digits, 16).ok();
        let range = range.and_then(|(from, to)| Some(number(from)?..number(to)?));
        range.is_some_and(|range| range.contains(&address))
    };
    let line = lines.find(is_around)?;
    let path = line.iter().position(|byte| *byte == b'/')?;
    Some(Path::new(OsStr::from_bytes(&line[path..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_file_that_is_mapped_there() {
        let maps = b"55d0c0000000-55d0c0001000 r--p 00000000 fe:00 131       /opt/a program (deleted)\n\
            55d0c0001000-55d0c0002000 rw-p 00001000 fe:00 131       /opt/a program (deleted)\n\
            55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0         [heap]\n\
            7f0000000000-7f0000001000 r--p 00000000 fe:00 77        /usr/lib/libhost.so\n";
        for (address, expected) in [
            (0x55d0_c000_0000, Some("/opt/a program (deleted)")),
            (0x55d0_c000_1fff, Some("/opt/a program (deleted)")),
            (0x55d0_c000_2000, None),
            (0x55d0_c100_0000, None),
            (0x7f00_0000_0800, Some("/usr/lib/libhost.so")),
        ] {
            assert_eq!(file_at(maps, address), expected.map(Path::new), "{address:x}");
        }
    }

    #[test]
    fn a_program_of_tests_is_itself() {
        assert_eq!(is_program(), Ok(()));
    }
}

//! Gives memory back that is in files just as it is.

use std::ops::Range;
use std::{fs, io, ptr};

use rustix::mm::{Advice, madvise};

/// Lets go of what this process has in memory of its program and libraries, as far as that is as it is in their files: what is
/// needed again comes back from there. Most of it is what making a container takes, and not holding it.
pub(crate) fn let_go_of_files() -> io::Result<()> {
    for place in unchanged(&fs::read_to_string("/proc/self/smaps")?) {
        // SAFETY: `madvise` is unsafe for advice that changes what is in memory. This (`MADV_DONTNEED`) has each page of a file
        // read again when it is next used, which is what is there now: nothing in this range is this process's own, as the kernel
        // has just said, and nothing becomes so where nothing can be written, while the only thread does this.
        unsafe {
            madvise(
                ptr::without_provenance_mut(place.start),
                place.len(),
                Advice::LinuxDontNeed,
            )
        }?;
    }
    Ok(())
}

/// What is mapped of files, cannot be written and has no page of the process's own, by what the kernel says of a process
/// (proc_pid_smaps(5)). Such pages are of what the loader has changed before it had them made read-only; also when they are
/// swapped out.
fn unchanged(smaps: &str) -> Vec<Range<usize>> {
    let mut found: Vec<(Range<usize>, [bool; 2])> = Vec::new();
    for line in smaps.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "Anonymous:" | "Swap:" => {
                if let Some((_, none)) = found.last_mut() {
                    none[usize::from(first == "Swap:")] = rest.trim() == "0 kB";
                }
            }
            _ if first.ends_with(':') => {}
            _ => {
                let number = |digits| usize::from_str_radix(digits, 16).ok();
                let range = first
                    .split_once('-')
                    .and_then(|(from, to)| Some(number(from)?..number(to)?));
                // The rights, the offset, the device and the file, of which there is none if it is number 0.
                let words: Vec<_> = rest.split_whitespace().collect();
                let is_file = matches!(words[..], ["r--p" | "r-xp", _, _, inode, ..] if inode != "0");
                // One that is not taken stays, for the lines below it are its.
                found.push((range.filter(|_| is_file).unwrap_or(0..0), [false; 2]));
            }
        }
    }
    let own = found
        .into_iter()
        .filter(|(range, none)| !range.is_empty() && *none == [true; 2]);
    own.map(|(range, _)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_in_its_file_is_let_go_of() {
        let about = |range: &str, mapping: &str, anonymous: u32, swap: u32| {
            format!(
                "{range} {mapping}\nSize: 8 kB\nAnonymous:     {anonymous} kB\nSwap:    {swap} kB\nVmFlags: rd mr mw me\n"
            )
        };
        let file = |rights: &str| format!("{rights} 00000000 fe:00 131       /opt/a program");
        let smaps = [
            about("1000-2000", &file("r-xp"), 0, 0),
            about("2000-4000", &file("r--p"), 0, 0),
            about("4000-5000", &file("r--p"), 4, 0),
            about("5000-6000", &file("r--p"), 0, 4),
            about("6000-7000", &file("rw-p"), 0, 0),
            about("7000-8000", &file("r--s"), 0, 0),
            about("8000-9000", "r--p 00000000 00:00 0 [vvar]", 0, 0),
            about("9000-a000", "r-xp 00000000 00:00 0", 0, 0),
        ];
        assert_eq!(unchanged(&smaps.concat()), [0x1000..0x2000, 0x2000..0x4000]);
        // One of which not all is said.
        let cut_short = format!("1000-2000 {}\nAnonymous: 0 kB\n", file("r-xp"));
        assert!(unchanged(&cut_short).is_empty());
    }

    #[test]
    fn a_process_goes_on_without_what_it_has_let_go_of() {
        // A constant, code, and what the loader has set: a pointer to a constant.
        static WORDS: [&str; 3] = ["let", "go", "of"];
        for _ in 0..3 {
            let_go_of_files().unwrap();
            assert_eq!(WORDS.join(" "), ["let", "go", "of"].join(" "));
            assert_eq!(format!("{:?}", "1.5".parse::<f64>()), "Ok(1.5)");
        }
    }
}

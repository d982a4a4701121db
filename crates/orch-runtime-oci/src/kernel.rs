//! Whether this machine's kernel is new enough.

use std::fs;

/// The oldest that will do: libcontainer mounts with calls that came with it, and has nothing to fall back on.
const OLDEST: (u32, u32) = (5, 12);

/// Why containers cannot be run on this kernel, if so.
pub(crate) fn trouble() -> Option<String> {
    too_old(fs::read_to_string("/proc/sys/kernel/osrelease").ok()?.trim())
}

/// One that does not say which it is may be new enough.
fn too_old(release: &str) -> Option<String> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let version: (u32, u32) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let (major, minor) = OLDEST;
    (version < OLDEST).then(|| {
        format!(
            "the kernel is Linux {release}, and containers without an engine need {major}.{minor} or later; install a \
             newer kernel, or use another runtime"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_before_the_oldest_that_will_do_are_named() {
        for (release, expected) in [
            ("5.10.0-28-amd64", true),
            ("5.4.0-200-generic", true),
            ("4.18.0-553.el8.x86_64", true),
            ("5.11", true),
            ("5.12.0", false),
            ("5.15.0-1-cloud", false),
            ("6.1.0-18-amd64", false),
            ("10.0-rc1", false),
            ("custom", false),
            ("", false),
        ] {
            let said = too_old(release);
            assert_eq!(said.is_some(), expected, "{release}");
            let said = said.unwrap_or_else(|| format!("{release} 5.12"));
            assert!(said.contains(release) && said.contains("5.12"), "{said}");
        }
    }
}

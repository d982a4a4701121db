//! Which devices a container may use: those of Docker's list.

use std::fs;
use std::io;

use super::Hierarchies;

/// As the kernel writes them: `c` or `b`, the numbers, and whether it may read, write and make one.
const ALLOWED: [&str; 11] = [
    // Making one opens none.
    "c *:* m",
    "b *:* m",
    // null, zero, full, random and urandom
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    // tty, console, ptmx and the terminals of devpts
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

impl Hierarchies {
    /// Denies a group, which was made, all devices but those that every container has.
    pub(crate) fn deny_devices(&self, group: &str) -> io::Result<()> {
        // Version 2 has no such files.
        let Some(mount) = self.controllers.get("devices").filter(|_| !self.unified) else {
            return Ok(());
        };
        let path = mount.join(group.trim_start_matches('/'));
        fs::write(path.join("devices.deny"), "a")?;
        for rule in ALLOWED {
            fs::write(path.join("devices.allow"), rule)?;
        }
        Ok(())
    }
}

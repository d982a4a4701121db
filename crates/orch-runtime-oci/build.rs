//! Says what is missing before the linker does, in its own words.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    let is_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    // Who has no pkg-config may have the library nevertheless.
    let found = Command::new("pkg-config")
        .args(["--exists", "libseccomp"])
        .status();
    if is_linux && found.is_ok_and(|found| !found.success()) {
        println!(
            "cargo::error=orch-runtime-oci needs libseccomp with its headers (Debian, Ubuntu: libseccomp-dev; Fedora: \
             libseccomp-devel); all other crates build without"
        );
    }
}

//! Runs pods on the kernel itself, with no daemon. So far: its [`image`] store.
#[cfg(target_os = "linux")]
pub mod image;

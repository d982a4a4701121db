//! A whole cluster in one program, for kubectl.
//!
//!     cargo run --release --example orchd -- --data DIR

use std::process::ExitCode;

fn main() -> ExitCode {
    // Containers that no engine holds are held by this very program, started again: nothing may come before.
    #[cfg(feature = "oci")]
    orch_runtime_oci::init();
    orchd::main()
}

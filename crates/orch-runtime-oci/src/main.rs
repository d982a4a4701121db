//! The shim as a program of its own, for those that name it with `OciOptions::shim`.

fn main() {
    #[cfg(target_os = "linux")]
    orch_runtime_oci::shim_main()
}

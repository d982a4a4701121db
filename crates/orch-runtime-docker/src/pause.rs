//! The program that holds a sandbox: it waits for ever, and is made here because there may be no registry.
//!
//! A pod's containers come and go; its network must not. So a container that does nothing owns the pod's
//! namespaces (Kubernetes' pause container). Its image holds one static executable of some 230 bytes, built
//! from the instructions below and imported into the engine once.

/// The name of the image. The number changes with the content.
pub(crate) const IMAGE: &str = "orch/pause";
/// The image's tag.
pub(crate) const TAG: &str = "1";
/// The path of the program in the image.
pub(crate) const PROGRAM: &str = "/pause";

/// Both programs ask the kernel to reap their children (`SIGCHLD` set to `SIG_IGN`: as first process of a
/// shared process namespace they inherit every orphan), then wait.
const X86_64: &[u8] = &[
    0x6a, 0x00, // push 0            sa_mask
    0x6a, 0x00, // push 0            sa_restorer
    0x6a, 0x00, // push 0            sa_flags
    0x6a, 0x01, // push 1            sa_handler = SIG_IGN
    0xb8, 0x0d, 0x00, 0x00, 0x00, // mov eax, 13       rt_sigaction
    0xbf, 0x11, 0x00, 0x00, 0x00, // mov edi, 17       SIGCHLD
    0x48, 0x89, 0xe6, // mov rsi, rsp
    0x31, 0xd2, // xor edx, edx
    0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8       size of the mask
    0x0f, 0x05, // syscall
    0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, 34       pause
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp -9            again
];

const AARCH64: [u32; 16] = [
    0xd280_0020, // mov x0, #1             sa_handler = SIG_IGN
    0xa9be_7fe0, // stp x0, xzr, [sp, #-32]!
    0xa901_7fff, // stp xzr, xzr, [sp, #16]
    0xd280_0220, // mov x0, #17            SIGCHLD
    0x9100_03e1, // mov x1, sp
    0xd280_0002, // mov x2, #0
    0xd280_0103, // mov x3, #8             size of the mask
    0xd280_10c8, // mov x8, #134           rt_sigaction
    0xd400_0001, // svc #0
    0xd280_0000, // mov x0, #0
    0xd280_0001, // mov x1, #0
    0xd280_0002, // mov x2, #0
    0xd280_0003, // mov x3, #0
    0xd280_0928, // mov x8, #73            ppoll of nothing, without end
    0xd400_0001, // svc #0
    0x17ff_fffa, // b -6                   again
];

/// The image's root as a tar archive, for the engine's architecture in Go's words; none if there is no
/// program for it.
pub(crate) fn archive(architecture: &str) -> Option<Vec<u8>> {
    let program = match architecture {
        "amd64" | "x86_64" => executable(62, X86_64),
        "arm64" | "aarch64" => {
            let code: Vec<u8> = AARCH64.iter().flat_map(|word| word.to_le_bytes()).collect();
            executable(183, &code)
        }
        _ => return None,
    };
    Some(tar(PROGRAM.trim_start_matches('/'), &program))
}

/// A static 64-bit little-endian executable of `code`.
fn executable(machine: u16, code: &[u8]) -> Vec<u8> {
    const HEADER: u64 = 64;
    const SEGMENT: u64 = 56;
    const BASE: u64 = 0x40_0000;
    let entry = HEADER + 2 * SEGMENT;
    let size = entry + code.len() as u64;
    let mut file = Vec::with_capacity(256);
    file.extend(b"\x7fELF\x02\x01\x01"); // 64 bits, little-endian, version 1
    file.resize(16, 0);
    file.extend(2_u16.to_le_bytes()); // executable
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for at in [BASE + entry, HEADER, 0] {
        file.extend(at.to_le_bytes()); // entry point, segment table, no section table
    }
    file.extend(0_u32.to_le_bytes());
    for size in [HEADER, SEGMENT, 2, 64, 0, 0] {
        file.extend((size as u16).to_le_bytes());
    }
    // One segment loads the whole file, readable and executable; pages are at most 64 KiB.
    segment(&mut file, 1, 0b101, [0, BASE, BASE, size, size, 0x1_0000]);
    // The other says that the stack need not be executable (PT_GNU_STACK).
    segment(&mut file, 0x6474_e551, 0b110, [0, 0, 0, 0, 0, 16]);
    file.extend(code);
    file
}

fn segment(file: &mut Vec<u8>, kind: u32, flags: u32, fields: [u64; 6]) {
    file.extend(kind.to_le_bytes());
    file.extend(flags.to_le_bytes());
    for field in fields {
        file.extend(field.to_le_bytes());
    }
}

/// A POSIX tar archive of one executable file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000555\0"); // mode
    put(108, "0000000\0"); // uid
    put(116, "0000000\0"); // gid
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0"); // modified
    put(148, "        "); // checksum, counted as blanks
    put(156, "0"); // a file
    put(257, "ustar\x0000");
    let checksum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_one_small_executable() {
        for (architecture, machine) in [("amd64", 62), ("arm64", 183)] {
            let archive = archive(architecture).unwrap();
            assert_eq!(archive.len() % 512, 0);
            assert_eq!(&archive[..5], b"pause");
            assert_eq!(&archive[512..516], b"\x7fELF");
            assert_eq!(archive[512 + 18], machine);
        }
        assert!(archive("riscv64").is_none());
    }

    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    #[test]
    fn the_program_runs_until_it_is_killed() {
        use std::os::unix::fs::PermissionsExt;
        use std::os::unix::process::ExitStatusExt;

        let archive = archive(std::env::consts::ARCH).unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&archive[124..135]).unwrap(), 8).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pause");
        std::fs::write(&path, &archive[512..512 + size]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = std::process::Command::new(&path).spawn().unwrap();
        // A broken program dies by SIGSEGV or SIGILL at once, before it can be killed.
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}

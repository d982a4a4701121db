//! What the machine is and has, as far as it says without special rights.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::NodeSystemInfo;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use orch_core::runtime::kernel_page_size;

use super::config::go_arch;

/// Processors and memory, by resource name. What cannot be read is left out.
pub(crate) fn capacity() -> BTreeMap<String, Quantity> {
    let mut capacity = BTreeMap::new();
    if let Ok(cpus) = std::thread::available_parallelism() {
        capacity.insert("cpu".to_owned(), Quantity(cpus.to_string()));
    }
    if let Some(kib) = read("/proc/meminfo").as_deref().and_then(total_memory_kib) {
        capacity.insert("memory".to_owned(), Quantity(format!("{kib}Ki")));
    }
    capacity.extend(huge_pages(Path::new("/sys/kernel/mm/hugepages")));
    capacity
}

/// Memory in huge pages of each size that there are some of, as the kubelet names them.
fn huge_pages(dir: &Path) -> BTreeMap<String, Quantity> {
    let pages = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        let size = kernel_page_size(name.to_str()?)? >> 10;
        let count: u64 = read(entry.path().join("nr_hugepages"))?.trim().parse().ok()?;
        let pages = (
            format!("hugepages-{}", binary(size)),
            Quantity(binary(size * count)),
        );
        (count > 0).then_some(pages)
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(pages).collect()
}

/// So many times 1024 bytes, as Kubernetes writes them.
fn binary(kib: u64) -> String {
    match kib {
        kib if kib % (1 << 20) == 0 => format!("{}Gi", kib >> 20),
        kib if kib % (1 << 10) == 0 => format!("{}Mi", kib >> 10),
        kib => format!("{kib}Ki"),
    }
}

/// The node's `nodeInfo`.
pub(crate) fn node_info(runtime_version: &str) -> NodeSystemInfo {
    let text = |path| read(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let machine_id = text("/etc/machine-id");
    NodeSystemInfo {
        architecture: go_arch(std::env::consts::ARCH).to_owned(),
        boot_id: text("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: runtime_version.to_owned(),
        kernel_version: text("/proc/sys/kernel/osrelease"),
        kube_proxy_version: String::new(),
        kubelet_version: concat!("orch-", env!("CARGO_PKG_VERSION")).to_owned(),
        operating_system: std::env::consts::OS.to_owned(),
        os_image: read("/etc/os-release")
            .as_deref()
            .and_then(pretty_name)
            .unwrap_or_default(),
        system_uuid: machine_id.clone(),
        machine_id,
        ..NodeSystemInfo::default()
    }
}

/// The machine's host name.
pub(crate) fn hostname() -> Option<String> {
    read("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn total_memory_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn pretty_name(os_release: &str) -> Option<String> {
    let line = os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        assert_eq!(
            total_memory_kib("MemTotal:       24600420 kB\nMemFree: 1 kB\n"),
            Some(24_600_420)
        );
        assert_eq!(total_memory_kib("nothing"), None);
        let dir = tempfile::tempdir().unwrap();
        for (name, count) in [("2048", 3), ("1048576", 2), ("64", 5), ("32768", 0)] {
            let size = dir.path().join(format!("hugepages-{name}kB"));
            std::fs::create_dir(&size).unwrap();
            std::fs::write(size.join("nr_hugepages"), format!("{count}\n")).unwrap();
        }
        let found = [
            ("hugepages-1Gi", "2Gi"),
            ("hugepages-2Mi", "6Mi"),
            ("hugepages-64Ki", "320Ki"),
        ];
        let found = found.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
        assert_eq!(huge_pages(dir.path()), found.into());
        assert_eq!(huge_pages(&dir.path().join("none")), BTreeMap::new());
        let os = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(pretty_name(os).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    }
}

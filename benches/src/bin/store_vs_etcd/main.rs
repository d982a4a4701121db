//! Measures the redb store, and etcd beside it when built with the feature `etcd`.
//!
//! `store_vs_etcd [--etcd URL] [--dir DIR] [--seconds N]`; `benches/store.sh` starts etcd and calls it. Both
//! sides get the same load from the same runtime in the same run, by turns, and the same disk.

#![allow(clippy::print_stdout, reason = "its table is what it is for")]

#[cfg(feature = "etcd")]
mod etcd;
mod load;
mod opening;
mod ours;

use std::path::PathBuf;
use std::time::Duration;

use load::Figures;

struct Arguments {
    etcd: Option<String>,
    directory: PathBuf,
    time: Duration,
}

/// How often each side is measured; the median counts.
const ROUNDS: usize = 3;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut settings = Arguments {
        etcd: None,
        directory: std::env::temp_dir(),
        time: Duration::from_secs(4),
    };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
        match name.as_str() {
            "--etcd" => settings.etcd = Some(value()),
            "--dir" => settings.directory = value().into(),
            "--seconds" => settings.time = Duration::from_secs(value().parse().expect("a number of seconds")),
            opening::CHILD => return opening::write_until_killed(&value()),
            other => panic!("{other}: --etcd URL, --dir DIR and --seconds N are known"),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        if let Some(figures) = runtime.block_on(etcd_figures(&settings)) {
            theirs.push(figures);
        }
        ours.push(runtime.block_on(ours::figures(&settings.directory, settings.time)));
    }
    report(
        &load::median(&ours),
        (!theirs.is_empty()).then(|| load::median(&theirs)).as_ref(),
    );
    opening::report(&settings.directory);
}

#[cfg(feature = "etcd")]
async fn etcd_figures(settings: &Arguments) -> Option<Figures> {
    match &settings.etcd {
        Some(url) => Some(etcd::figures(url, settings.time).await),
        None => None,
    }
}

#[cfg(not(feature = "etcd"))]
async fn etcd_figures(settings: &Arguments) -> Option<Figures> {
    assert!(settings.etcd.is_none(), "built without the feature etcd");
    None
}

fn report(ours: &Figures, theirs: Option<&Figures>) {
    println!(
        "{:<44} {:>12} {:>12} {:>7}",
        "1 KiB values, durable", "redb store", "etcd", "ratio"
    );
    for (name, ours) in ours {
        let theirs = theirs.and_then(|theirs| theirs.get(name));
        match theirs {
            // Of times, less is better.
            Some(theirs) if name.ends_with("µs") => {
                println!("{name:<44} {ours:>12.0} {theirs:>12.0} {:>6.1}x", theirs / ours);
            }
            Some(theirs) => println!("{name:<44} {ours:>12.0} {theirs:>12.0} {:>6.1}x", ours / theirs),
            None => println!("{name:<44} {ours:>12.0} {:>12} {:>7}", "-", "-"),
        }
    }
}

//! An image of some 200 MB pulled and unpacked: the OCI runtime's image store beside `skopeo copy` and `umoci unpack`.
//!
//! `benches/pull.sh` makes what it needs. `layers` prints how many layers the image has, and `layer N` one of them;
//! `pull DIR IMAGE` measures, by turns, in an empty place each time. Ours ends with what it has on the disk, for which it
//! waits; the others' may be in memory still. What each leaves to be written is written before the next one begins.

#![allow(clippy::print_stdout, reason = "its table is what it is for")]

mod layers;

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use orch_benches::{median, millis};
use orch_core::runtime::PullRequest;
use orch_runtime_oci::image::{ImageOptions, Images};

const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["layers"] => println!("{}", layers::COUNT),
        ["layer", number] => {
            let mut to = BufWriter::new(std::io::stdout().lock());
            let number = number.parse().expect("a layer's number");
            layers::write(number, &mut to)
                .and_then(|()| to.flush())
                .expect("writing");
        }
        ["pull", dir, image] => measure(Path::new(dir), image),
        _ => panic!("see benches/pull.sh"),
    }
}

fn measure(dir: &Path, image: &str) {
    let tokio = tokio::runtime::Runtime::new().expect("a runtime");
    let place = dir.join("place");
    let (mut ours, mut copied, mut both) = (Vec::new(), Vec::new(), Vec::new());
    let (mut spent, mut spent_by_others) = (Duration::ZERO, Duration::ZERO);
    for round in 0..=ROUNDS {
        clear(&place);
        let (began, busy) = (Instant::now(), processor_time());
        tokio.block_on(pull(&place, image));
        let (our_time, our_busy) = (began.elapsed(), processor_time() - busy);

        clear(&place);
        let layout = place.join("layout");
        let (began, busy) = (Instant::now(), processor_time());
        let (from, to) = (
            format!("docker://{image}"),
            format!("oci:{}:it", layout.display()),
        );
        run(
            "skopeo",
            &["copy", "--quiet", "--src-tls-verify=false", &from, &to],
        );
        let copy_time = began.elapsed();
        let (from, to) = (format!("{}:it", layout.display()), place.join("bundle"));
        run("umoci", &["unpack", "--image", &from, &to.display().to_string()]);
        let (time, others_busy) = (began.elapsed(), processor_time() - busy);

        // The first warms up.
        if round > 0 {
            ours.push(our_time);
            copied.push(copy_time);
            both.push(time);
            spent += our_busy;
            spent_by_others += others_busy;
        }
    }
    clear(&place);
    let each = |spent: Duration| millis(spent) / ROUNDS as f64;
    let (time, others) = (median(ours.clone()), median(both.clone()));
    println!(
        "orch, pulled, unpacked and on the disk  {:>7.0} ms (median of {ROUNDS}; {:.0} to {:.0}), {:.0} ms of processor time",
        millis(time),
        millis(*ours.iter().min().expect("a round")),
        millis(*ours.iter().max().expect("a round")),
        each(spent)
    );
    println!(
        "skopeo copy and umoci unpack            {:>7.0} ms (of which skopeo {:.0}; {:.0} to {:.0}), {:.0} ms of processor time",
        millis(others),
        millis(median(copied)),
        millis(*both.iter().min().expect("a round")),
        millis(*both.iter().max().expect("a round")),
        each(spent_by_others)
    );
    println!("orch takes {:.2}x their time", millis(time) / millis(others));
}

async fn pull(place: &Path, image: &str) {
    let images = Images::open(place.join("images"), ImageOptions::default());
    let images = images.await.expect("a store");
    let request = PullRequest {
        image: image.to_owned(),
        credentials: None,
    };
    images.pull(&request).await.expect("an image");
}

fn run(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    let status = command.status().expect(program);
    assert!(status.success(), "{program}: {status}");
}

/// An empty place, and nothing left to be written of what was in it.
fn clear(place: &Path) {
    if place.exists() {
        fs::remove_dir_all(place).expect("removing");
    }
    fs::create_dir(place).expect("making a directory");
    run("sync", &[]);
}

/// What the machine has spent, the registry's part among it, in the kernel's hundredths of a second.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/stat").expect("the machine's figures");
    let all = stat.lines().next().expect("a line for all processors");
    // proc(5): user, nice, system, idle, iowait, irq, softirq.
    let ticks: Vec<u64> = all
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().expect("a number"))
        .collect();
    Duration::from_millis((ticks[..3].iter().sum::<u64>() + ticks[5] + ticks[6]) * 10)
}

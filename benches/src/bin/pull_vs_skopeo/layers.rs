//! The layers of an image of some 200 MB, the same each time: many small files, some big ones, text, programs and what is
//! compressed already.

use std::io::{self, Write};

use orch_core::random::Random;

/// What a file's bytes are like, which is how well they compress.
#[derive(Clone, Copy)]
enum Like {
    /// To a third or so.
    Text,
    /// To a half or so.
    Program,
    /// Not at all.
    Archive,
}

/// So many files of about such a size.
struct Files {
    below: &'static str,
    count: u64,
    size: u64,
    like: Like,
}

const fn files(below: &'static str, count: u64, size: u64, like: Like) -> Files {
    Files {
        below,
        count,
        size,
        like,
    }
}

/// The lowest first: a distribution's base, its libraries, a language with its packages, data, the application.
const LAYERS: &[&[Files]] = &[
    &[
        files("usr/share/doc", 3_500, 4_000, Like::Text),
        files("usr/share/zoneinfo", 1_500, 1_500, Like::Program),
        files("usr/bin", 250, 90_000, Like::Program),
        files("usr/lib", 200, 200_000, Like::Program),
    ],
    &[
        files("usr/lib/libs", 60, 1_800_000, Like::Program),
        files("usr/include", 2_500, 12_000, Like::Text),
    ],
    &[
        files("usr/lib/packages", 14_000, 6_000, Like::Text),
        files("usr/lib/compiled", 4_000, 9_000, Like::Program),
    ],
    &[files("srv/data", 8, 4_500_000, Like::Archive)],
    &[
        files("app/bin", 2, 35_000_000, Like::Program),
        files("app/etc", 40, 1_000, Like::Text),
    ],
];

pub(crate) const COUNT: usize = LAYERS.len();

/// Writes one of them as a tar archive (POSIX.1-1988).
pub(crate) fn write(number: usize, to: &mut impl Write) -> io::Result<()> {
    let random = Random::seeded(number as u64);
    let words: Vec<Vec<u8>> = (0..4_096)
        .map(|_| {
            let length = 2 + random.below(9);
            (0..length).map(|_| b'a' + random.below(26) as u8).collect()
        })
        .collect();
    for files in LAYERS[number] {
        let mut directory = String::new();
        for nth in 0..files.count {
            if nth % 20 == 0 {
                directory = format!("{}/d{:03}", files.below, nth / 20);
                entry(to, b'5', &directory, "", 0)?;
            }
            let path = format!("{directory}/f{nth:05}");
            // Now and then a link, as of libraries' versions.
            if nth % 20 == 7 {
                entry(to, b'2', &path, &format!("f{:05}", nth - 1), 0)?;
                continue;
            }
            // Few are big, most are small, and the mean is as wanted.
            let part = random.fraction();
            let size = 1 + (files.size as f64 * 4.0 * part.powi(3)) as usize;
            let body = body(files.like, size, &random, &words);
            entry(to, b'0', &path, "", body.len())?;
            to.write_all(&body)?;
            to.write_all(&[0; 512][..body.len().wrapping_neg() % 512])?;
        }
    }
    to.write_all(&[0; 1024])
}

fn body(like: Like, size: usize, random: &Random, words: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::with_capacity(size + 16);
    while body.len() < size {
        match like {
            Like::Text => {
                let word = random.fraction() * random.fraction() * words.len() as f64;
                body.extend_from_slice(&words[word as usize]);
                body.push(if random.below(12) == 0 { b'\n' } else { b' ' });
            }
            // What instructions are like: some new, some as a short while ago.
            Like::Program if body.len() > 64 && random.below(3) > 0 => {
                let length = 4 + random.below(12) as usize;
                let back = length + random.below((body.len() - length).min(8_192) as u64) as usize;
                let from = body.len() - back;
                body.extend_from_within(from..from + length);
            }
            Like::Program | Like::Archive => body.extend_from_slice(&random.below(u64::MAX).to_le_bytes()),
        }
    }
    body.truncate(size);
    body
}

fn entry(to: &mut impl Write, kind: u8, path: &str, link: &str, size: usize) -> io::Result<()> {
    let mut header = [0; 512];
    let mut field = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(0, path);
    field(100, if kind == b'0' { "0000644" } else { "0000755" });
    field(108, "0000000");
    field(116, "0000000");
    field(124, &format!("{size:011o}"));
    field(136, "07346545000");
    field(148, "        ");
    field(157, link);
    field(257, "ustar\x0000");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    to.write_all(&header)
}

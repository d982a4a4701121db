//! Writes what the program writes into its log, in files of bounded size.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use orch_core::runtime::LogStream;
use orch_core::runtime::cri::{files, format_lines, write_line};
use orch_core::time;

use crate::record::gone;

pub(super) struct Log {
    dir: PathBuf,
    file_bytes: u64,
    files: usize,
    file: File,
    number: u64,
    length: u64,
    /// What has no line end yet, by stream.
    pending: [Vec<u8>; 2],
}

impl Log {
    pub(super) fn create(dir: &Path, file_bytes: u64, files: usize) -> io::Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            file_bytes,
            files,
            file: open(dir, 0)?,
            number: 0,
            length: 0,
            pending: [Vec::new(), Vec::new()],
        })
    }

    /// Goes on in the same directory, by another path to it.
    pub(super) fn go_on_in(&mut self, dir: &Path) {
        self.dir = dir.to_owned();
    }

    pub(super) fn write(&mut self, stream: LogStream, data: &[u8]) -> io::Result<()> {
        let mut whole = std::mem::take(&mut self.pending[stream as usize]);
        whole.extend_from_slice(data);
        let (lines, rest) = format_lines(&whole, stream, time::now());
        self.pending[stream as usize] = rest.to_vec();
        if lines.is_empty() {
            Ok(())
        } else {
            self.append(&lines)
        }
    }

    /// Writes what has no line end, after which nothing may come.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let pending = std::mem::take(&mut self.pending[stream as usize]);
            if !pending.is_empty() {
                let mut line = Vec::new();
                write_line(&mut line, time::now(), stream, b'P', &pending);
                self.append(&line)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            // Half a line would spoil the next.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += lines.len() as u64;
        if self.length < self.file_bytes {
            return Ok(());
        }
        self.file = open(&self.dir, self.number + 1)?;
        (self.number, self.length) = (self.number + 1, 0);
        let old = files(&self.dir)?;
        for (_, path) in &old[..old.len().saturating_sub(self.files)] {
            gone(fs::remove_file(path))?;
        }
        Ok(())
    }
}

fn open(dir: &Path, number: u64) -> io::Result<File> {
    File::options()
        .append(true)
        .create(true)
        .open(dir.join(format!("log.{number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_whole_lines_in_a_bounded_number_of_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::create(dir.path(), 200, 3).unwrap();
        for number in 0..100 {
            // Cut anywhere.
            let line = format!("line {number}\n");
            let (first, second) = line.split_at(number % line.len());
            log.write(LogStream::Stdout, first.as_bytes()).unwrap();
            log.write(LogStream::Stdout, second.as_bytes()).unwrap();
        }
        log.write(LogStream::Stderr, b"rest").unwrap();
        log.finish().unwrap();
        let files = files(dir.path()).unwrap();
        assert_eq!(files.len(), 3);
        let text: String = files
            .iter()
            .map(|(_, path)| fs::read_to_string(path).unwrap())
            .collect();
        let (last, lines) = text
            .trim_end()
            .split_once("stderr")
            .map(|(before, rest)| (rest, before))
            .unwrap();
        assert_eq!(last, " P rest");
        let numbers: Vec<_> = lines
            .lines()
            .filter_map(|line| line.split(" F line ").nth(1))
            .collect();
        assert_eq!(numbers.last(), Some(&"99"));
        let first: usize = numbers[0].parse().unwrap();
        let expected: Vec<_> = (first..100).map(|number| number.to_string()).collect();
        assert!(
            first > 50 && numbers == expected,
            "the newest, without a gap: {numbers:?}"
        );
    }
}

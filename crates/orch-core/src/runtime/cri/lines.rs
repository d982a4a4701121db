//! Lines of a log file, in the format of CRI: time, stream, whether the line ends, and its bytes.

use std::io::Write;

use jiff::Timestamp;

use crate::runtime::LogStream;

/// A line longer than this is written in pieces (CRI's `P`).
pub const PIECE: usize = 16 << 10;

/// Log lines for some output, and the rest that has no line end yet.
pub fn format_lines(mut data: &[u8], stream: LogStream, at: Timestamp) -> (Vec<u8>, &[u8]) {
    let mut lines = Vec::with_capacity(data.len() + data.len() / 4);
    loop {
        let end = data.iter().take(PIECE + 1).position(|byte| *byte == b'\n');
        match end {
            Some(end) => {
                write_line(&mut lines, at, stream, b'F', &data[..end]);
                data = &data[end + 1..];
            }
            None if data.len() > PIECE => {
                write_line(&mut lines, at, stream, b'P', &data[..PIECE]);
                data = &data[PIECE..];
            }
            None => return (lines, data),
        }
    }
}

/// Appends one log line, whose bytes hold no line end. The tag is `F` if the line ends with it, `P` if not.
pub fn write_line(lines: &mut Vec<u8>, at: Timestamp, stream: LogStream, tag: u8, data: &[u8]) {
    let stream = match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    };
    write!(lines, "{at:.9} {stream} {} ", char::from(tag)).expect("a Vec takes all that is written");
    lines.extend_from_slice(data);
    lines.push(b'\n');
}

/// A log line taken apart: when, where, whether the line ends with it, and its bytes.
pub fn parse_line(line: &[u8]) -> Option<(Timestamp, LogStream, bool, &[u8])> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let at = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let stream = match fields.next()? {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    let ends = fields.next()? == b"F";
    Some((at, stream, ends, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_becomes_lines_and_long_ones_pieces() {
        let at: Timestamp = "2030-01-01T00:00:00.5Z".parse().unwrap();
        let long = vec![b'x'; PIECE + 1];
        let output = [b"one\n\n", &long[..], b"\nrest"].concat();
        let (lines, rest) = format_lines(&output, LogStream::Stderr, at);
        let lines = String::from_utf8(lines).unwrap();
        let prefix = "2030-01-01T00:00:00.500000000Z stderr";
        let piece = "x".repeat(PIECE);
        let expected = [
            "F one".to_owned(),
            "F ".into(),
            format!("P {piece}"),
            "F x".into(),
        ];
        assert_eq!(
            lines.lines().collect::<Vec<_>>(),
            expected.map(|line| format!("{prefix} {line}"))
        );
        assert_eq!(rest, b"rest");
        let parsed = parse_line(lines.lines().next().unwrap().as_bytes());
        assert_eq!(parsed, Some((at, LogStream::Stderr, true, &b"one"[..])));
    }
}

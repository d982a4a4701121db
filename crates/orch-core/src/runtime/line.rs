//! Lines of container logs: which of them a reader asked for, and how they are shown.

use bytes::Bytes;
use jiff::Timestamp;

use super::{LogChunk, LogOptions, LogStream};

/// A line as it was written, its line end included if it had one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) at: Timestamp,
    pub(crate) stream: LogStream,
    pub(crate) data: Bytes,
}

impl LogLine {
    /// Whether the reader wants it, regardless of `tail`.
    pub(crate) fn wanted(&self, options: &LogOptions) -> bool {
        options.stream.is_none_or(|stream| stream == self.stream)
            && options.since.is_none_or(|since| self.at >= since)
    }

    /// As the reader gets it.
    pub(crate) fn render(self, options: &LogOptions) -> LogChunk {
        let data = if options.timestamps {
            let mut text = format!("{:.9} ", self.at).into_bytes();
            text.extend_from_slice(&self.data);
            text.into()
        } else {
            self.data
        };
        LogChunk {
            stream: self.stream,
            data,
        }
    }
}

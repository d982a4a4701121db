//! Says things on standard output, as long as somebody reads them.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use super::Error;

/// Nobody reads standard output any more, as behind `| head`: time to end, without a word.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output is closed")
    }
}

impl std::error::Error for Closed {}

impl Closed {
    /// What a shell says of a program that SIGPIPE has ended.
    pub(crate) const EXIT: u8 = 128 + 13;

    pub(crate) fn is(error: &Error) -> bool {
        error.is::<Self>()
    }
}

/// What `say!` does.
pub(crate) fn line(line: fmt::Arguments<'_>) -> Result<(), Error> {
    match writeln!(io::stdout().lock(), "{line}") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        Err(error) => Err(format!("standard output: {error}").into()),
    }
}

/// Ends the program: what it has to say of its failure, if anybody reads that.
pub(crate) fn end(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if Closed::is(&error) => ExitCode::from(Closed::EXIT),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Like `println!`, which would panic; gives an error instead.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::say::line(format_args!($($words)*))
    };
}

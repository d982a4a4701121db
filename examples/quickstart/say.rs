//! Says things on standard output, as long as somebody reads them, and ends the program.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use super::Error;

/// What shells and most programs end with whose command line is wrong.
const MISUSED: u8 = 2;

/// It ends before its work is done, and there is no more to say of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// It has failed, which was told then.
    Failed,
    /// Nobody reads standard output any more, as behind `| head`.
    Closed,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Early {
    /// For the last three, what a shell says of a program that the signal for it has ended.
    fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Closed => 128 + 13,
            Self::Interrupted => 128 + 2,
            Self::Terminated => 128 + 15,
        }
    }

    pub(crate) fn of(error: &Error) -> Option<Self> {
        error.downcast_ref().copied()
    }

    /// Whether nobody would read what is said.
    pub(crate) fn is_closed(error: &Error) -> bool {
        Self::of(error) == Some(Self::Closed)
    }
}

impl fmt::Display for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Closed => "standard output is closed",
            Self::Interrupted => "interrupted",
            Self::Terminated => "told to end",
        })
    }
}

impl std::error::Error for Early {}

/// What `say!` does.
pub(crate) fn line(line: fmt::Arguments<'_>) -> Result<(), Error> {
    match writeln!(io::stdout().lock(), "{line}") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Early::Closed.into()),
        Err(error) => Err(format!("standard output: {error}").into()),
    }
}

/// Ends the program: what it has to say of its failure, if anybody reads that.
pub(crate) fn end(result: Result<(), Error>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if let Some(early) = Early::of(&error) {
        return ExitCode::from(early.code());
    }
    failed(&error);
    ExitCode::FAILURE
}

/// Says what is wrong with the command line.
pub(crate) fn misused(error: &lexopt::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "{error}\nsee --help");
    ExitCode::from(MISUSED)
}

/// Says of a failure what there is to say, if anybody reads that.
pub(crate) fn failed(error: &Error) {
    let _ = writeln!(io::stderr(), "{error}");
}

/// Like `println!`, which would panic; gives an error instead.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::say::line(format_args!($($words)*))
    };
}

//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
quickstart [MANIFEST.yaml] [--runtime auto|docker|process] [--data DIR] [--keep] [--clean]

  MANIFEST.yaml  what to run; by default a web Deployment that ships with this
  --runtime      what runs the containers; auto takes Docker if an engine answers and has or gets the images,
                 else plain processes
  --data DIR     where the state is kept; by default orch-quickstart in the temporary directory
  --keep         go on until Ctrl-C or SIGTERM, saying what changes, and leave everything running for the next time
  --clean        remove what the manifest made in an earlier run, then end";

/// Which runtime was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    Docker,
    Process,
}

#[derive(Debug)]
pub(crate) enum Command {
    /// The main job.
    Run(Options),
    /// Serve a page, as a container of the default manifest.
    Serve,
    /// Check that page, as a probe of the default manifest.
    Check,
    Help,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) manifest: Option<PathBuf>,
    pub(crate) runtime: Choice,
    pub(crate) data: PathBuf,
    pub(crate) keep: bool,
    pub(crate) clean: bool,
}

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    use lexopt::prelude::*;

    let data = std::env::temp_dir().join("orch-quickstart");
    let mut options = Options {
        manifest: None,
        runtime: Choice::Auto,
        data,
        keep: false,
        clean: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("runtime") => options.runtime = parser.value()?.parse_with(choice)?,
            Long("data") => options.data = parser.value()?.into(),
            Long("keep") => options.keep = true,
            Long("clean") => options.clean = true,
            Short('h') | Long("help") => return Ok(Command::Help),
            Value(word) if word == "serve" => return Ok(Command::Serve),
            Value(word) if word == "check" => return Ok(Command::Check),
            Value(path) if options.manifest.is_none() => options.manifest = Some(path_of(path)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Run(options))
}

fn path_of(word: OsString) -> PathBuf {
    word.into()
}

fn choice(word: &str) -> Result<Choice, String> {
    match word {
        "auto" => Ok(Choice::Auto),
        "docker" => Ok(Choice::Docker),
        "process" => Ok(Choice::Process),
        other => Err(format!("--runtime {other}: must be auto, docker or process")),
    }
}

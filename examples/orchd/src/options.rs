//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
orchd --data DIR [--listen ADDR] [--runtime auto|docker|oci|process]

A cluster of this machine alone, for kubectl, until Ctrl-C or SIGTERM; its containers go on, and the next start takes them over.

  --data DIR      where all is kept, and the file kubeconfig, which only its owner reads; is made if it is not there
  --listen ADDR   where the API listens, an address and port of loopback such as 127.0.0.1:6443; by default the port of
                  the last time, or one that is free
  --runtime       what runs the containers; auto takes that of the last time, else Docker if an engine answers, else, as
                  root and built with --features oci, this machine's kernel with no engine (oci), else plain processes.
                  Those run a container's command with this machine's own programs and files, whatever its image

It ends with 0 when it was told to end, with 1 if something has failed, with 2 if the command line is wrong.";

/// Which runtime was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    Docker,
    Oci,
    Process,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Run(Options),
    Help,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) data: PathBuf,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) runtime: Choice,
}

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    parse_from(std::env::args_os().skip(1))
}

fn parse_from(words: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    use lexopt::prelude::*;

    let (mut data, mut listen, mut runtime) = (None, None, Choice::Auto);
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("data") => data = Some(PathBuf::from(parser.value()?)),
            Long("listen") => listen = Some(address(&parser.value()?.string()?)?),
            Long("runtime") => runtime = choice(&parser.value()?.string()?)?,
            Short('h') | Long("help") => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    let data = data.filter(|data| !data.as_os_str().is_empty());
    let data = data.ok_or("--data DIR: must be given: where all is kept")?;
    Ok(Command::Run(Options {
        data,
        listen,
        runtime,
    }))
}

fn address(word: &str) -> Result<SocketAddr, String> {
    match word.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err(format!(
            "--listen {word}: must be an address of loopback, such as 127.0.0.1:6443 or [::1]:6443"
        )),
        Err(_) => Err(format!(
            "--listen {word}: must be an address and a port, such as 127.0.0.1:6443"
        )),
    }
}

fn choice(word: &str) -> Result<Choice, String> {
    match word {
        "auto" => Ok(Choice::Auto),
        "docker" => Ok(Choice::Docker),
        "oci" if cfg!(feature = "oci") => Ok(Choice::Oci),
        "oci" => Err("--runtime oci: this orchd is built without it; cargo run --features oci has it".into()),
        "process" => Ok(Choice::Process),
        other => Err(format!("--runtime {other}: must be auto, docker, oci or process")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let words = line.split_whitespace().map(OsString::from);
        parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_line_says_where_all_is_kept() {
        let expected = Options {
            data: "/d".into(),
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 6443))),
            runtime: Choice::Process,
        };
        let line = "--data /d --listen 127.0.0.1:6443 --runtime process";
        assert_eq!(parsed(line), Ok(Command::Run(expected)));
        let least = Options {
            data: "d".into(),
            listen: None,
            runtime: Choice::Auto,
        };
        assert_eq!(parsed("--data d"), Ok(Command::Run(least)));
        assert_eq!(parsed("-h"), Ok(Command::Help));
    }

    #[test]
    fn a_wrong_command_line_says_what_is_allowed() {
        for (line, wanted) in [
            ("", "--data DIR: must be given"),
            ("--data=", "--data DIR: must be given"),
            (
                "--data d --listen 6443",
                "--listen 6443: must be an address and a port",
            ),
            (
                "--data d --listen 0.0.0.0:6443",
                "--listen 0.0.0.0:6443: must be an address of loopback",
            ),
            (
                "--data d --runtime podman",
                "--runtime podman: must be auto, docker, oci or process",
            ),
            ("--data d --frobnicate", "frobnicate"),
            ("d", "unexpected argument"),
        ] {
            let refused = parsed(line).unwrap_err();
            assert!(refused.contains(wanted), "{line:?}: {refused}");
        }
    }
}

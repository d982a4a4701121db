//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

/// How long all may take where nobody said, unless it is kept.
const TIMEOUT: Duration = Duration::from_secs(300);

pub(crate) const USAGE: &str = "\
quickstart [MANIFEST.yaml] [--runtime auto|docker|oci|process] [--data DIR] [--timeout TIME] [--no-demo] [--keep] [--clean]

Of the first Deployment of the manifest, yours too, it kills a container and rolls the pods to a new version and back,
unless with --keep all of the manifest is there already, and unchanged; --no-demo leaves them alone.

  MANIFEST.yaml   what to run, - for standard input; by default a web Deployment that ships with this
  --runtime       what runs the containers; auto takes Docker if an engine answers and has or gets the images, else, as
                  root and built with --features oci, this machine's kernel with no engine (oci), else plain processes.
                  Those run the commands with this machine's own programs and files, so of a manifest of your own auto
                  runs them only if each image is `host`, which says just that; --runtime process asks for it whatever
                  the images. On oci each pod has a network of its own if there is nftables, else the machine's
  --data DIR      where the state is kept; by default orch-quickstart in the temporary directory. It can be moved; a copy
                  would take the same containers for its own
  --timeout TIME  how long it may take in all until everything is ready, has come back and is rolled, images included,
                  such as 90s, 5m or 1h30m; by default 5m, and with --keep for ever. Past it, it says what is missing
                  and fails, having cleaned up unless with --keep. With --clean: how long that may take; by default as
                  long as something moves
  --no-demo       apply and wait, and neither kill nor roll anything
  --keep          go on until Ctrl-C or SIGTERM, saying what changes, and leave everything running for the next time
  --clean         remove what the manifest made in an earlier run, and what still runs though DIR/state.redb was lost;
                  then end. If all of DIR was lost, containers on Docker are named, and left to you; processes of the
                  process runtime are not found

Ready is what has been so for a second, with the same containers; a pod whose restartPolicy is Never or OnFailure is to
end, and is waited for until it has, or with --keep until it runs.

It ends with 0; with 1 if something has failed, such as a pod that is not restarted; with 2 if the command line is wrong;
with 130 after Ctrl-C and 143 after SIGTERM: what runs then goes on; with 141 if nobody reads its output any more.";

/// Which runtime was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    Docker,
    Oci,
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
    /// How long all may take until it has been shown, or removed; none: for ever.
    pub(crate) timeout: Option<Duration>,
    /// Whether to show how a Deployment heals and rolls.
    pub(crate) demo: bool,
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
        timeout: None,
        demo: true,
        keep: false,
        clean: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("runtime") => options.runtime = choice(&parser.value()?.string()?)?,
            Long("data") => options.data = parser.value()?.into(),
            Long("timeout") => options.timeout = Some(timeout(&parser.value()?.string()?)?),
            Long("no-demo") => options.demo = false,
            Long("keep") => options.keep = true,
            Long("clean") => options.clean = true,
            Short('h') | Long("help") => return Ok(Command::Help),
            Value(word) if word == "serve" => return Ok(Command::Serve),
            Value(word) if word == "check" => return Ok(Command::Check),
            Value(path) if options.manifest.is_none() => options.manifest = Some(path_of(path)),
            other => return Err(other.unexpected()),
        }
    }
    if options.keep && options.clean {
        let both =
            "--keep and --clean: say which, for one leaves everything running and the other removes it";
        return Err(both.into());
    }
    if options.clean && !options.demo {
        return Err("--clean and --no-demo: say which, for one removes what the other would run".into());
    }
    if !options.keep && !options.clean {
        options.timeout.get_or_insert(TIMEOUT);
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
        "oci" if cfg!(feature = "oci") => Ok(Choice::Oci),
        "oci" => {
            Err("--runtime oci: this quickstart is built without it; cargo run --features oci has it".into())
        }
        "process" => Ok(Choice::Process),
        other => Err(format!("--runtime {other}: must be auto, docker, oci or process")),
    }
}

fn timeout(word: &str) -> Result<Duration, String> {
    let time = word.parse::<SignedDuration>().ok().map(Duration::try_from);
    match time {
        Some(Ok(time)) if !time.is_zero() => Ok(time),
        _ => Err(format!(
            "--timeout {word}: must be a time of more than nothing, such as 90s, 5m or 1h30m"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_with_a_unit() {
        for (word, seconds) in [
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("1h30m", Some(5400)),
            ("90", None),
            ("", None),
            ("0s", None),
            ("-5s", None),
            ("soon", None),
        ] {
            let read = timeout(word).ok().map(|time| time.as_secs());
            assert_eq!(read, seconds, "{word:?}");
        }
        assert!(timeout("90").unwrap_err().contains("such as 90s"));
    }
}

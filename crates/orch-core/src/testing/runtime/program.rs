//! A program told by what it does, for runtimes that run shells and for the one that runs nothing.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a program does, step by step. After the last step it ends with code 0.
///
/// The conformance suite describes its containers this way; a harness makes a command of it, by default a
/// script for a POSIX shell. The [`FakeRuntime`](crate::testing::FakeRuntime) executes the steps themselves.
///
/// ```
/// use orch_core::testing::runtime::Program;
///
/// let program = Program::new().out("ready\n").exit(3);
/// assert_eq!(program.to_shell()[0], "sh");
/// assert_eq!(Program::from_command(&program.to_command()), Some(program));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Program {
    steps: Vec<Step>,
}

/// One thing a [`Program`] does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Step {
    /// Writes to standard output.
    Out(Vec<u8>),
    /// Writes to standard error.
    Err(Vec<u8>),
    /// Writes the numbers from 1 to this, a line each.
    Count(u32),
    /// Writes so many times the letter `x`, without a line end.
    Fill(usize),
    /// Writes the value of an environment variable, and a line end.
    Env(String),
    /// Writes the working directory, and a line end.
    Pwd,
    /// Writes the user id it runs as, and a line end.
    UserId,
    /// Writes `tty` if standard output is a terminal, else `no tty`, and a line end.
    Tty,
    /// Writes the content of a file; ends with 1 if it cannot be read.
    Read(String),
    /// Writes text into a file; ends with 1 if it cannot.
    Write(String, String),
    /// Copies standard input to standard output until its end.
    Cat,
    /// Goes on after this long.
    Sleep(Duration),
    /// Goes on only until it is stopped.
    Wait,
    /// Listens on this TCP port, of 127.0.0.1 at least, and sends back to each who connects what that one sends, until the program is
    /// stopped.
    Echo(u16),
    /// From here on, takes this signal (`TERM`) by ending with `code` after a while.
    OnSignal {
        /// The signal's name without `SIG`.
        signal: String,
        /// How long it takes to end.
        after: Duration,
        /// The exit code.
        code: i32,
    },
    /// From here on, takes no notice of this signal (`TERM`).
    Ignore(String),
    /// Ends with this code.
    Exit(i32),
    /// Ends by this signal.
    Kill(i32),
    /// Takes memory until it is killed for it.
    OutOfMemory,
    /// As the only step: is no program that could be started.
    CannotStart,
}

/// The first word of [`Program::to_command`].
const MARKER: &str = "orch-program";

impl Program {
    /// One that does nothing, with code 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Writes to standard output.
    #[must_use]
    pub fn out(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Out(bytes.as_ref().to_vec()))
    }

    /// Writes to standard error.
    #[must_use]
    pub fn err(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Err(bytes.as_ref().to_vec()))
    }

    /// Goes on after this long.
    #[must_use]
    pub fn sleep(self, duration: Duration) -> Self {
        self.then(Step::Sleep(duration))
    }

    /// Runs until it is stopped.
    #[must_use]
    pub fn wait(self) -> Self {
        self.then(Step::Wait)
    }

    /// Ends with this code.
    #[must_use]
    pub fn exit(self, code: i32) -> Self {
        self.then(Step::Exit(code))
    }

    /// From here on, ends with `code` when asked to terminate.
    #[must_use]
    pub fn on_term(self, code: i32) -> Self {
        self.then(Step::OnSignal {
            signal: "TERM".into(),
            after: Duration::ZERO,
            code,
        })
    }

    /// As a command that [`from_command`](Self::from_command) reads, for a container of the fake runtime.
    pub fn to_command(&self) -> Vec<String> {
        let steps = serde_json::to_string(self).expect("steps are plain data with string keys");
        vec![MARKER.into(), steps]
    }

    /// The program that [`to_command`](Self::to_command) wrote.
    pub fn from_command(command: &[String]) -> Option<Self> {
        match command {
            [marker, steps] if marker == MARKER => serde_json::from_str(steps).ok(),
            _ => None,
        }
    }

    /// As `sh -c …`. The script needs `cat`, `head`, `id`, `seq`, `sleep`, `tail` and `tr` on the path, and for
    /// [`Step::Echo`] either `busybox` or, as on Debian, `perl`.
    pub fn to_shell(&self) -> Vec<String> {
        if self.steps.contains(&Step::CannotStart) {
            return vec!["/no/such/program".into()];
        }
        vec!["sh".into(), "-c".into(), self.script()]
    }

    fn script(&self) -> String {
        // Process 1 of a pid namespace takes no signal that it does not ask for.
        let mut script = String::from("trap 'exit 143' TERM\n");
        for step in &self.steps {
            step.write_shell(&mut script)
                .expect("a String takes all that is written");
        }
        script
    }
}

/// Perl that listens on the port of its first argument.
const ECHO: &str = "use IO::Socket::INET; \
    my $listening = IO::Socket::INET->new(Listen => 9, LocalAddr => \"127.0.0.1\", LocalPort => $ARGV[0]) or die $!; \
    $SIG{CHLD} = \"IGNORE\"; \
    while (my $one = $listening->accept) { \
    next if fork; while (sysread $one, my $piece, 4096) { syswrite $one, $piece } exit }";

impl Step {
    // Whatever takes time runs in the background and is waited for: a shell runs its traps between commands only.
    // What it says of a background job that a signal ended is not the program's output.
    fn write_shell(&self, script: &mut String) -> std::fmt::Result {
        match self {
            Self::Out(bytes) => writeln!(script, "printf '{}'", octal(bytes)),
            Self::Err(bytes) => writeln!(script, "printf '{}' >&2", octal(bytes)),
            Self::Count(last) => writeln!(script, "seq 1 {last}"),
            Self::Fill(bytes) => writeln!(script, "head -c {bytes} /dev/zero | tr '\\000' x"),
            Self::Env(name) => writeln!(script, "printf '%s\\n' \"${{{name}}}\""),
            Self::Pwd => writeln!(script, "pwd"),
            Self::UserId => writeln!(script, "id -u"),
            Self::Tty => writeln!(script, "if [ -t 1 ]; then echo tty; else echo no tty; fi"),
            Self::Read(path) => writeln!(script, "cat '{path}' || exit 1"),
            Self::Write(path, text) => {
                writeln!(
                    script,
                    "( printf '{}' > '{path}' ) || exit 1",
                    octal(text.as_bytes())
                )
            }
            // The job's own standard input would be /dev/null.
            Self::Cat => writeln!(script, "exec 3<&0; {{ cat <&3 3<&- & wait $!; }} 2>/dev/null"),
            Self::Sleep(duration) => writeln!(
                script,
                "{{ sleep {} & wait $!; }} 2>/dev/null",
                duration.as_secs_f64()
            ),
            Self::Wait => writeln!(script, "while :; do sleep 3600 & wait $!; done 2>/dev/null"),
            Self::Echo(port) => writeln!(
                script,
                "if command -v busybox >/dev/null; then busybox nc -ll -p {port} -e cat & \
                 else perl -e '{ECHO}' {port} & fi; wait $!"
            ),
            Self::OnSignal { signal, after, code } => {
                writeln!(
                    script,
                    "trap 'sleep {}; exit {code}' {signal}",
                    after.as_secs_f64()
                )
            }
            Self::Ignore(signal) => writeln!(script, "trap '' {signal}"),
            Self::Exit(code) => writeln!(script, "exit {code}"),
            // Process 1 survives its own signal.
            Self::Kill(signal) => writeln!(script, "kill -{signal} $$; exit {}", 128 + signal),
            Self::OutOfMemory => writeln!(script, "exec tail /dev/zero"),
            Self::CannotStart => Ok(()),
        }
    }
}

fn octal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'.' | b':' | b'-' => {
                text.push(char::from(*byte));
            }
            _ => write!(text, "\\{byte:03o}").expect("a String takes all that is written"),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_script_quotes_every_byte_that_could_mean_something() {
        let shell = Program::new().out(b"it's 100%\n\xff").exit(3).to_shell();
        assert_eq!(shell[..2], ["sh", "-c"]);
        assert_eq!(
            shell[2],
            "trap 'exit 143' TERM\nprintf 'it\\047s 100\\045\\012\\377'\nexit 3\n"
        );
    }

    #[test]
    fn what_is_no_program_is_not_taken_for_one() {
        for command in [
            vec![],
            vec!["sh".to_string()],
            vec![MARKER.into(), "nonsense".into()],
        ] {
            assert_eq!(Program::from_command(&command), None);
        }
    }
}

//! Signals by their names.

use rustix::process::Signal;

/// A signal by its name, with or without `SIG`, or by its number.
pub(crate) fn parse(name: &str) -> Option<Signal> {
    let name = name.to_ascii_uppercase();
    if let Ok(number) = name.parse() {
        return Signal::from_named_raw(number);
    }
    let name = format!("SIG{}", name.strip_prefix("SIG").unwrap_or(&name));
    let signal: nix::sys::signal::Signal = name.parse().ok()?;
    Signal::from_named_raw(signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (name, expected) in [
            ("TERM", Some(Signal::TERM)),
            ("sigusr1", Some(Signal::USR1)),
            ("9", Some(Signal::KILL)),
            ("WINCH", Some(Signal::WINCH)),
            ("0", None),
            ("nonsense", None),
        ] {
            assert_eq!(parse(name), expected, "{name}");
        }
    }
}

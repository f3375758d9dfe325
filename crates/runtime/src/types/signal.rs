//! Signals by name and number.

use serde::{Deserialize, Serialize};

/// A signal of Linux, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signal(pub i32);

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// glibc keeps the first two real-time signals for itself.
const SIGRTMIN: i32 = 34;
const SIGRTMAX: i32 = 64;

impl Signal {
    /// `SIGTERM`.
    pub const TERM: Signal = Signal(15);
    /// `SIGKILL`.
    pub const KILL: Signal = Signal(9);

    /// Reads a stop signal as image configurations and `lifecycle.stopSignal` have it: `SIGTERM`, `TERM`, `15`,
    /// `SIGRTMIN+3`.
    pub fn parse(text: &str) -> Option<Signal> {
        if let Ok(number) = text.parse::<i32>() {
            return (1..=SIGRTMAX).contains(&number).then_some(Signal(number));
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(position) = NAMES.iter().position(|known| *known == name) {
            return Some(Signal(position as i32 + 1));
        }
        let number = match name {
            "IOT" => 6,
            "CLD" => 17,
            "POLL" => 29,
            _ => {
                let offset = |prefix: &str| match name.strip_prefix(prefix) {
                    Some("") => Some(0),
                    Some(rest) => rest.parse::<i32>().ok(),
                    None => None,
                };
                offset("RTMIN").map(|o| SIGRTMIN + o).or_else(|| offset("RTMAX").map(|o| SIGRTMAX + o))?
            }
        };
        (1..=SIGRTMAX).contains(&number).then_some(Signal(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_real_time() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGSYS", Some(31)),
            ("0", None),
            ("65", None),
            ("SIGNOPE", None),
            ("RTMIN+40", None),
        ] {
            assert_eq!(Signal::parse(text), number.map(Signal), "{text}");
        }
    }
}

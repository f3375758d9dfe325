//! The rules of a namespace, from its labels.

use std::fmt;

use cox_api::{FieldErrors, Path};

const PREFIX: &str = "pod-security.kubernetes.io/";
/// The version that `latest` stands for.
const LATEST: u32 = u32::MAX;

/// How strict a rule is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

/// A level as it was in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub level: Level,
    /// The minor version; the largest number for `latest`.
    pub minor: u32,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule { level: Level::Privileged, minor: LATEST }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        })?;
        if self.minor == LATEST { f.write_str(":latest") } else { write!(f, ":v1.{}", self.minor) }
    }
}

/// The rules of a namespace. What is only noted in the audit log has no effect on answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub enforce: Rule,
    pub warn: Rule,
}

impl Policy {
    /// From labels. What can't be read counts as restricted, as upstream has it.
    pub(super) fn of(label: impl Fn(&str) -> Option<String>, errors: &mut FieldErrors) -> Policy {
        let mut rule = |mode: &str| -> (Rule, bool) {
            let key = format!("{PREFIX}{mode}");
            let level = label(&key).map(|text| match text.as_str() {
                "privileged" => Level::Privileged,
                "baseline" => Level::Baseline,
                "restricted" => Level::Restricted,
                _ => {
                    let detail = "must be one of privileged, baseline, restricted";
                    errors.invalid(&Path::new("metadata.labels").key(&key), &text.clone().into(), detail);
                    Level::Restricted
                }
            });
            let key = format!("{PREFIX}{mode}-version");
            let minor = label(&key).map_or(LATEST, |text| match text.as_str() {
                "latest" => LATEST,
                text => text.strip_prefix("v1.").and_then(|minor| minor.parse().ok()).unwrap_or_else(|| {
                    let detail = "must be \"latest\" or \"v1.x\"";
                    errors.invalid(&Path::new("metadata.labels").key(&key), &text.into(), detail);
                    LATEST
                }),
            });
            (Rule { level: level.unwrap_or_default(), minor }, level.is_some())
        };
        let (enforce, _) = rule("enforce");
        let _ = rule("audit");
        let (mut warn, says) = rule("warn");
        if !says && enforce.level > warn.level {
            warn = enforce;
        }
        Policy { enforce, warn }
    }
}

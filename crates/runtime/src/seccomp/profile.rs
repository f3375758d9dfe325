//! Profiles in the JSON form of the OCI runtime specification (`linux.seccomp`).

use serde::Deserialize;

use super::compile::{Action, Compare, Condition, Profile, Rule};
use super::syscalls::SYSCALLS;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    syscalls: Vec<Entry>,
    #[serde(default)]
    listener_path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Reads a profile. Names the kernel doesn't have are passed over, as upstream does; the rest has to be right.
pub fn parse(bytes: &[u8]) -> Result<Profile, String> {
    let file: File = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if !file.listener_path.is_empty() {
        return Err("listenerPath: seccomp notification is not supported".to_owned());
    }
    let mut rules = Vec::new();
    for entry in file.syscalls {
        let known = |name: &String| SYSCALLS.iter().find(|(n, _)| n == name).map(|(_, number)| *number);
        let calls = entry.names.iter().filter_map(known).collect();
        let conditions =
            entry.args.unwrap_or_default().iter().map(condition).collect::<Result<Vec<_>, String>>()?;
        rules.push(Rule { calls, action: action(&entry.action, entry.errno_ret)?, conditions });
    }
    Ok(Profile { default: action(&file.default_action, file.default_errno_ret)?, rules })
}

fn action(name: &str, errno: Option<u16>) -> Result<Action, String> {
    match name {
        "SCMP_ACT_ALLOW" => Ok(Action::Allow),
        "SCMP_ACT_ERRNO" => Ok(Action::Errno(errno.unwrap_or(1))),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(Action::KillThread),
        "SCMP_ACT_KILL_PROCESS" => Ok(Action::KillProcess),
        "SCMP_ACT_TRAP" => Ok(Action::Trap),
        "SCMP_ACT_LOG" => Ok(Action::Log),
        other => Err(format!("action {other:?} is not supported")),
    }
}

fn condition(arg: &Arg) -> Result<Condition, String> {
    if arg.index > 5 {
        return Err(format!("args: index {} is greater than 5", arg.index));
    }
    let compare = match arg.op.as_str() {
        "SCMP_CMP_EQ" => Compare::Equal,
        "SCMP_CMP_NE" => Compare::NotEqual,
        "SCMP_CMP_LT" => Compare::Less,
        "SCMP_CMP_LE" => Compare::LessOrEqual,
        "SCMP_CMP_GT" => Compare::Greater,
        "SCMP_CMP_GE" => Compare::GreaterOrEqual,
        "SCMP_CMP_MASKED_EQ" => Compare::MaskedEqual(arg.value_two),
        other => return Err(format!("args: op {other:?} is not supported")),
    };
    Ok(Condition { index: arg.index, compare, value: arg.value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_and_a_wrong_one_refused() {
        let profile = parse(
            br#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5,
                 "args": [{"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}]}]}"#,
        )
        .unwrap();
        assert_eq!(profile.default, Action::Errno(1));
        assert_eq!(profile.rules[0].calls.len(), 1);
        assert_eq!(profile.rules[1].action, Action::Errno(5));
        assert!(parse(br#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#).unwrap_err().contains("SCMP_ACT_NOTIFY"));
        assert!(parse(b"{}").is_err());
    }
}

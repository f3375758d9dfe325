//! The default profile. It allows what docker's and containerd's allow: all system calls but those that reach into
//! the kernel or other processes, which come back with the capabilities that they are for.

use cox_sys::capability::Capabilities;

use super::compile::{Action, Compare, Condition, Profile, Rule};
use super::syscalls::SYSCALLS;

/// System calls nobody gets.
const NEVER: &[&str] = &[
    "_sysctl",
    "add_key",
    "afs_syscall",
    "create_module",
    "get_kernel_syms",
    "getpmsg",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "migrate_pages",
    "move_pages",
    "nfsservctl",
    "putpmsg",
    "query_module",
    "request_key",
    "security",
    "swapoff",
    "swapon",
    "sysfs",
    "tuxcall",
    "userfaultfd",
    "uselib",
    "ustat",
    "vserver",
];

/// System calls that come with a capability.
const WITH: &[(&str, &[&str])] = &[
    ("DAC_READ_SEARCH", &["open_by_handle_at"]),
    (
        "SYS_ADMIN",
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "open_tree_attr",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount2",
            "unshare",
        ],
    ),
    ("SYS_BOOT", &["reboot"]),
    ("SYS_CHROOT", &["chroot"]),
    ("SYS_MODULE", &["delete_module", "init_module", "finit_module"]),
    ("SYS_PACCT", &["acct"]),
    (
        "SYS_PTRACE",
        &["kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"],
    ),
    ("SYS_RAWIO", &["iopl", "ioperm"]),
    ("SYS_TIME", &["settimeofday", "clock_settime", "clock_adjtime", "adjtimex"]),
    ("SYS_TTY_CONFIG", &["vhangup"]),
    ("SYS_NICE", &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    ("SYSLOG", &["syslog"]),
    ("BPF", &["bpf"]),
    ("PERFMON", &["perf_event_open"]),
];

/// Of those, the ones that are harmless on every kernel this runs on, as upstream has it since 4.8; reading the
/// clock's state is what `adjtimex` does without its capability.
const ALWAYS: &[&str] = &[
    "adjtimex",
    "clock_adjtime",
    "pidfd_getfd",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
];

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;
/// All flags of `clone` that make namespaces.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;
const AF_VSOCK: u64 = 40;
/// `personality`: Linux with and without 32-bit addresses, and asking.
const PERSONALITIES: [u64; 5] = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

fn number(name: &str) -> Option<u32> {
    SYSCALLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The profile for a process with these capabilities.
pub fn profile(capabilities: Capabilities) -> Profile {
    let has = |name: &str| Capabilities::named(name).is_some_and(|c| capabilities.and(c) == c);
    let mut rules = Vec::new();
    let mut conditional = |name: &str, index: u32, compare: Compare, value: u64| {
        if let Some(call) = number(name) {
            let conditions = vec![Condition { index, compare, value }];
            rules.push(Rule { calls: vec![call], action: Action::Allow, conditions });
        }
    };
    for value in PERSONALITIES {
        conditional("personality", 0, Compare::Equal, value);
    }
    conditional("socket", 0, Compare::NotEqual, AF_VSOCK);
    if !has("SYS_ADMIN") {
        conditional("clone", 0, Compare::MaskedEqual(0), CLONE_NAMESPACES);
    }
    let conditional_only = |name: &str| matches!(name, "personality" | "socket");
    let gated = |name: &str| {
        let mut with = WITH.iter().filter(|(_, calls)| calls.contains(&name)).peekable();
        with.peek().is_some() && !ALWAYS.contains(&name) && !with.any(|(capability, _)| has(capability))
    };
    let allowed = |name: &str| !NEVER.contains(&name) && !conditional_only(name) && !gated(name);
    let calls = SYSCALLS.iter().filter(|(name, _)| allowed(name)).map(|(_, number)| *number).collect();
    rules.push(Rule { calls, action: Action::Allow, conditions: Vec::new() });
    // The C library takes this as "use clone instead", whose flags can be looked at.
    if !has("SYS_ADMIN") {
        rules.extend(number("clone3").map(|call| refuse(vec![call], ENOSYS)));
    }
    // So that programs fall back when they find a system call newer than this list.
    let known = SYSCALLS.iter().map(|(_, number)| *number).max().unwrap_or(0);
    rules.push(refuse((known + 1..known + 256).collect(), ENOSYS));
    Profile { default: Action::Errno(EPERM), rules }
}

fn refuse(calls: Vec<u32>, errno: u16) -> Rule {
    Rule { calls, action: Action::Errno(errno), conditions: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::compile::{compile, tests::allows};
    use super::*;

    fn may(capabilities: &[&str], name: &str, arg: u64) -> bool {
        let set = capabilities
            .iter()
            .filter_map(|name| Capabilities::named(name))
            .fold(Capabilities::default(), Capabilities::with);
        allows(&compile(&profile(set)), number(name).unwrap(), [arg, 0, 0, 0, 0, 0])
    }

    #[test]
    fn ordinary_calls_are_allowed_and_dangerous_ones_need_their_capability() {
        for name in ["read", "openat", "execve", "ptrace", "futex", "setuid", "capset", "seccomp", "prctl"] {
            assert!(may(&[], name, 0), "{name}");
        }
        for (name, capability) in [
            ("mount", "SYS_ADMIN"),
            ("unshare", "SYS_ADMIN"),
            ("bpf", "BPF"),
            ("chroot", "SYS_CHROOT"),
            ("reboot", "SYS_BOOT"),
            ("open_by_handle_at", "DAC_READ_SEARCH"),
        ] {
            assert!(!may(&[], name, 0), "{name}");
            assert!(may(&[capability], name, 0), "{name}");
        }
        for name in ["keyctl", "io_uring_setup", "kexec_load", "userfaultfd"] {
            assert!(!may(&["SYS_ADMIN", "SYS_BOOT"], name, 0), "{name}");
        }
    }

    #[test]
    fn arguments_count() {
        assert!(may(&[], "clone", 0x0011));
        assert!(!may(&[], "clone", 0x1000_0000));
        assert!(may(&["SYS_ADMIN"], "clone", 0x1000_0000));
        assert!(!may(&[], "socket", AF_VSOCK));
        assert!(may(&[], "socket", 2));
        assert!(may(&[], "personality", 0xffff_ffff));
        assert!(!may(&[], "personality", 1));
    }

    #[test]
    fn every_name_exists_on_some_architecture() {
        if cfg!(target_arch = "x86_64") {
            for name in NEVER.iter().chain(WITH.iter().flat_map(|(_, calls)| calls.iter())) {
                assert!(number(name).is_some(), "{name}");
            }
        }
    }
}

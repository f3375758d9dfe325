//! Capabilities by name, as sets of bits.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets};

/// Names without `CAP_`, by number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities: bit n is capability number n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// All that are known.
    pub const ALL: Capabilities = Capabilities((1 << NAMES.len()) - 1);

    /// The capability of that name, with or without `CAP_`, in any case. `None` if there is none.
    pub fn named(name: &str) -> Option<Capabilities> {
        let upper = name.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        NAMES.iter().position(|known| *known == name).map(|number| Capabilities(1 << number))
    }

    /// Those of either.
    pub fn with(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }

    /// Those not in `other`.
    pub fn without(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & !other.0)
    }

    /// Those of both.
    pub fn and(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }
}

/// What this process may use now.
pub fn permitted() -> io::Result<Capabilities> {
    Ok(Capabilities(rustix::thread::capabilities(None)?.permitted.bits()))
}

/// Takes everything outside `keep` from the bounding set, so that no program executed later can gain it.
pub fn limit_bounding_set(keep: Capabilities) -> io::Result<()> {
    for number in 0..64 {
        let bit = CapabilitySet::from_bits_retain(1 << number);
        if keep.0 & (1 << number) != 0 {
            continue;
        }
        match rustix::thread::capability_is_in_bounding_set(bit) {
            // Past the last one this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            Err(e) => return Err(e.into()),
            Ok(false) => {}
            Ok(true) => rustix::thread::remove_capability_from_bounding_set(bit)?,
        }
    }
    Ok(())
}

/// Makes `set` the permitted and effective set, with nothing inheritable or ambient.
pub fn set(set: Capabilities) -> io::Result<()> {
    let bits = CapabilitySet::from_bits_retain(set.0);
    let sets = CapabilitySets { effective: bits, permitted: bits, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)?;
    match rustix::thread::clear_ambient_capability_set() {
        // Kernels without ambient capabilities.
        Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Capabilities::named("CAP_CHOWN"), Some(Capabilities(1)));
        assert_eq!(Capabilities::named("net_admin"), Some(Capabilities(1 << 12)));
        assert_eq!(Capabilities::named("CHECKPOINT_RESTORE"), Some(Capabilities(1 << 40)));
        assert_eq!(Capabilities::named("NOPE"), None);
    }
}

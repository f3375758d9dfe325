//! Which devices may be used.

use std::fmt;

use super::{Cgroup, Result, Version, devices_bpf};

/// Kind of device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// Block device.
    Block,
    /// Character device.
    Char,
}

/// What may be done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Read.
    pub read: bool,
    /// Write.
    pub write: bool,
    /// Make a node for it.
    pub mknod: bool,
}

impl Access {
    /// Everything.
    pub const ALL: Access = Access { read: true, write: true, mknod: true };
    /// Making nodes only.
    pub const MKNOD: Access = Access { read: false, write: false, mknod: true };

    /// Reads `rwm` in any selection; other characters are no access.
    pub fn parse(text: &str) -> Access {
        Access { read: text.contains('r'), write: text.contains('w'), mknod: text.contains('m') }
    }
}

/// Devices that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Kind.
    pub kind: DeviceKind,
    /// Major number; `None`: any.
    pub major: Option<u32>,
    /// Minor number; `None`: any.
    pub minor: Option<u32>,
    /// How.
    pub access: Access,
}

impl DeviceRule {
    /// A character device with full access.
    pub const fn char(major: u32, minor: Option<u32>) -> Self {
        DeviceRule { kind: DeviceKind::Char, major: Some(major), minor, access: Access::ALL }
    }

    /// What every container may use, as OCI runtimes define it: make any node, use null, zero, full, random,
    /// urandom, tty, console, and pseudo terminals.
    pub const CONTAINER_DEFAULT: [DeviceRule; 10] = [
        DeviceRule { kind: DeviceKind::Char, major: None, minor: None, access: Access::MKNOD },
        DeviceRule { kind: DeviceKind::Block, major: None, minor: None, access: Access::MKNOD },
        DeviceRule::char(1, Some(3)),
        DeviceRule::char(1, Some(5)),
        DeviceRule::char(1, Some(7)),
        DeviceRule::char(1, Some(8)),
        DeviceRule::char(1, Some(9)),
        DeviceRule::char(5, Some(0)),
        DeviceRule::char(5, Some(2)),
        DeviceRule::char(136, None),
    ];
}

impl fmt::Display for DeviceRule {
    /// As version 1 takes it: `c 1:3 rwm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let kind = match self.kind {
            DeviceKind::Block => 'b',
            DeviceKind::Char => 'c',
        };
        write!(f, "{kind} {}:{} ", number(self.major), number(self.minor))?;
        for (may, letter) in [(self.access.read, 'r'), (self.access.write, 'w'), (self.access.mknod, 'm')] {
            if may {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

pub(super) fn set(group: &Cgroup, rules: &[DeviceRule]) -> Result<()> {
    match group.hierarchy.version() {
        Version::V1 => {
            group.write("devices", "devices.deny", "a")?;
            rules.iter().try_for_each(|rule| group.write("devices", "devices.allow", &rule.to_string()))
        }
        Version::V2 => {
            let Some(dir) = group.dir("") else { return Ok(()) };
            devices_bpf::attach(&dir, rules).map_err(|source| super::Error::File {
                what: "attach a device filter to",
                path: dir,
                source,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_the_kernel_reads_them() {
        assert_eq!(DeviceRule::char(1, Some(3)).to_string(), "c 1:3 rwm");
        let rule =
            DeviceRule { kind: DeviceKind::Block, major: Some(8), minor: None, access: Access::parse("rm") };
        assert_eq!(rule.to_string(), "b 8:* rm");
    }
}

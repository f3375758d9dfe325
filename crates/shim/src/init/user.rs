//! Who a container's process is: names and numbers looked up in the image's own files.

use std::io::Read;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat2};

use crate::protocol::{ResolvedUser, User};

/// The most that is read of `/etc/passwd` or `/etc/group`.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A resolved user with its home directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// The ids.
    pub user: ResolvedUser,
    /// `HOME`.
    pub home: String,
}

/// Looks a user up in the current root's files.
pub fn resolve(user: &User) -> Result<Identity, String> {
    resolve_in(user, &read("/etc/passwd"), &read("/etc/group"))
}

/// A missing or unreadable file is an empty one. The image's files aren't trusted: no device or pipe is opened.
fn read(path: &str) -> String {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut text = Vec::new();
    if let Ok(fd) = openat2(CWD, Path::new(path), flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
        && rustix::fs::fstat(&fd).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::RegularFile)
    {
        let _ = std::fs::File::from(fd).take(FILE_BYTES_MAX).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// `name:password:uid:gid:comment:home:shell`
fn entries(passwd: &str) -> impl Iterator<Item = Entry<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Entry { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

/// `name:password:gid:member,member`
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

fn resolve_in(user: &User, passwd: &str, group: &str) -> Result<Identity, String> {
    let (name, group_name) = match user.name.split_once(':') {
        Some((name, group_name)) => (name, Some(group_name)),
        None => (user.name.as_str(), None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let entry = match name.parse::<u32>() {
        Ok(uid) => entries(passwd).find(|e| e.uid == uid),
        Err(_) => entries(passwd).find(|e| e.name == name),
    };
    let uid = match (&entry, name.parse::<u32>()) {
        (Some(entry), _) => entry.uid,
        (None, Ok(uid)) => uid,
        (None, Err(_)) => {
            return Err(format!("unable to find user {name}: no matching entries in passwd file"));
        }
    };
    let gid = match group_name {
        None => entry.as_ref().map_or(0, |e| e.gid),
        Some(group_name) => match group_name.parse::<u32>() {
            Ok(gid) => gid,
            Err(_) => {
                groups(group).find(|(known, ..)| *known == group_name).map(|(_, gid, _)| gid).ok_or_else(
                    || format!("unable to find group {group_name}: no matching entries in group file"),
                )?
            }
        },
    };
    // The primary group is among the supplementary ones, as upstream has it.
    let mut all = vec![gid];
    if user.image_groups
        && let Some(entry) = &entry
    {
        all.extend(
            groups(group)
                .filter(|(_, _, members)| members.split(',').any(|member| member == entry.name))
                .map(|(_, gid, _)| gid),
        );
    }
    all.extend(&user.groups);
    let mut seen = Vec::new();
    all.retain(|gid| {
        !seen.contains(gid) && {
            seen.push(*gid);
            true
        }
    });
    let home = entry.map(|e| e.home).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    Ok(Identity { user: ResolvedUser { uid, gid, groups: all }, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:www:/var/www:/bin/false\nbroken\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\naudio:x:29:other,web\nvideo:x:44:webby\n";

    fn user(name: &str) -> User {
        User { name: name.to_owned(), groups: vec![7, 29], image_groups: true }
    }

    #[test]
    fn names_numbers_and_groups() {
        for (name, uid, gid, groups, home) in [
            ("", 0, 0, vec![0, 7, 29], "/root"),
            ("web", 33, 34, vec![34, 29, 7], "/var/www"),
            ("33", 33, 34, vec![34, 29, 7], "/var/www"),
            ("web:video", 33, 44, vec![44, 29, 7], "/var/www"),
            ("1000", 1000, 0, vec![0, 7, 29], "/"),
            ("1000:2000", 1000, 2000, vec![2000, 7, 29], "/"),
        ] {
            let found = resolve_in(&user(name), PASSWD, GROUP).unwrap();
            assert_eq!(found.user, ResolvedUser { uid, gid, groups }, "{name}");
            assert_eq!(found.home, home, "{name}");
        }
    }

    #[test]
    fn unknown_names_are_errors() {
        let error = resolve_in(&user("nobody"), PASSWD, GROUP).unwrap_err();
        assert_eq!(error, "unable to find user nobody: no matching entries in passwd file");
        assert!(resolve_in(&user("0:nogroup"), PASSWD, GROUP).unwrap_err().contains("group nogroup"));
    }

    #[test]
    fn groups_of_the_image_can_be_left_out() {
        let strict = User { image_groups: false, ..user("web") };
        assert_eq!(resolve_in(&strict, PASSWD, GROUP).unwrap().user.groups, [34, 7, 29]);
    }
}

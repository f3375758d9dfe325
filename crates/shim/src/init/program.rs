//! The last steps: giving up privileges and becoming the program.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cox_sys::capability::{self, Capabilities};
use cox_sys::process::{execve, new_session_keyring};
use cox_sys::seccomp::{self, Instruction};
use rustix::fs::{Access, AtFlags, CWD, FileType, Gid, Uid, accessat};
use rustix::io::Errno;
use rustix::process::Signal;

use super::error::{Context, error_text};
use crate::protocol::{Process, ResolvedUser};

/// The search path of a process whose environment has none.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether the program should die with the supervisor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// Yes.
    DieWithSupervisor,
}

/// Becomes the program; comes back only with the reason why not.
pub fn execute(process: &Process, user: &ResolvedUser, home: &str, tie: Tie) -> String {
    match prepare(process, user, tie) {
        Ok(()) => {}
        Err(e) => return e,
    }
    let path = match look_up(process) {
        Ok(path) => path,
        Err(e) => return e,
    };
    let null = |_| "a null byte in arguments or environment".to_owned();
    let strings = |list: &[String]| -> Result<Vec<CString>, String> {
        list.iter().map(|s| CString::new(s.as_str()).map_err(null)).collect()
    };
    let mut env = process.env.clone();
    if !env.iter().any(|e| e.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
    match (CString::new(path.as_os_str().as_bytes()).map_err(null), strings(&process.args), strings(&env)) {
        (Ok(c_path), Ok(args), Ok(env)) => {
            let error = execve(&c_path, &args, &env);
            format!("exec {}: {}", path.display(), error_text(&error))
        }
        (Err(e), ..) | (_, Err(e), _) | (.., Err(e)) => e,
    }
}

fn prepare(process: &Process, user: &ResolvedUser, tie: Tie) -> Result<(), String> {
    rustix::process::umask(rustix::fs::Mode::from(0o022));
    new_session_keyring().context(|| "join a session keyring".to_owned())?;
    // What this process doesn't have itself it can't give.
    let permitted = capability::permitted().context(|| "read capabilities".to_owned())?;
    let capabilities = Capabilities(process.capabilities).and(permitted);
    capability::limit_bounding_set(capabilities).context(|| "limit capabilities".to_owned())?;
    let filter = || -> Result<(), String> {
        if process.seccomp.is_empty() {
            return Ok(());
        }
        let program: Vec<Instruction> = process.seccomp.iter().map(|i| Instruction::unpack(*i)).collect();
        seccomp::install(&program).context(|| "install the seccomp filter".to_owned())
    };
    // As root the directory may be reachable where it isn't as the user; either will do.
    let early = rustix::process::chdir(process.cwd.as_str());
    // Without no_new_privs a filter can only be installed while there are privileges.
    if !process.no_new_privs {
        filter()?;
    }
    rustix::thread::set_keep_capabilities(true).context(|| "keep capabilities".to_owned())?;
    let groups: Vec<Gid> = user.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_groups(&groups).context(|| format!("setgroups {:?}", user.groups))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).context(|| format!("setgid {}", user.gid))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).context(|| format!("setuid {}", user.uid))?;
    if early.is_err() {
        rustix::process::chdir(process.cwd.as_str())
            .context(|| format!("chdir to cwd ({:?}) set in config.json failed", process.cwd))?;
    }
    capability::set(capabilities).context(|| "set capabilities".to_owned())?;
    if process.no_new_privs {
        rustix::thread::set_no_new_privs(true).context(|| "set no_new_privs".to_owned())?;
        filter()?;
    }
    // Only now, since changing the user clears it.
    match tie {
        Tie::DieWithSupervisor => rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .context(|| "set the parent death signal".to_owned()),
    }
}

/// Finds the program as a shell would, with the errors that upstream's runtimes give.
fn look_up(process: &Process) -> Result<PathBuf, String> {
    let Some(name) = process.args.first().filter(|name| !name.is_empty()) else {
        return Err("no command specified".to_owned());
    };
    if name.contains('/') {
        return match check(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(Errno::NOENT) => Err(format!("exec: {name:?}: stat {name}: no such file or directory")),
            Err(e) => Err(format!("exec: {name:?}: {}", error_text(&e.into()))),
        };
    }
    let path = process.env.iter().rev().find_map(|e| e.strip_prefix("PATH=")).unwrap_or(PATH_DEFAULT);
    let mut denied = None;
    for dir in path.split(':') {
        let candidate = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::ACCESS) => denied = Some(candidate),
            Err(_) => {}
        }
    }
    match denied {
        Some(_) => Err(format!("exec: {name:?}: permission denied")),
        None => Err(format!("exec: {name:?}: executable file not found in $PATH")),
    }
}

fn check(path: &Path) -> Result<(), Errno> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    // Root may "execute" what nobody can, until exec says otherwise.
    if stat.st_mode & 0o111 == 0 {
        return Err(Errno::ACCESS);
    }
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(args: &[&str], env: &[&str]) -> Process {
        let strings = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
        Process { args: strings(args), env: strings(env), ..Process::default() }
    }

    #[test]
    fn programs_are_found_or_named() {
        assert_eq!(look_up(&process(&["sh"], &["PATH=/nowhere:/bin"])), Ok(PathBuf::from("/bin/sh")));
        assert_eq!(look_up(&process(&["/bin/sh"], &[])), Ok(PathBuf::from("/bin/sh")));
        for (args, message) in [
            (vec!["nope-nope"], "exec: \"nope-nope\": executable file not found in $PATH"),
            (vec!["/nope"], "exec: \"/nope\": stat /nope: no such file or directory"),
            (vec!["/etc"], "exec: \"/etc\": is a directory"),
            (vec!["/etc/passwd"], "exec: \"/etc/passwd\": permission denied"),
            (vec![], "no command specified"),
        ] {
            assert_eq!(look_up(&process(&args, &[])).unwrap_err(), message);
        }
    }
}

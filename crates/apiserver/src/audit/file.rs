//! The file of the log: a new one begins where it is full, old ones go.
//! Names and limits are those of upstream's `--audit-log-maxsize`, `--audit-log-maxbackup` and `--audit-log-maxage`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

/// Where the log is written, and how much of it is kept.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// `-` is the standard output.
    pub path: PathBuf,
    /// Bytes of a file.
    pub bytes_max: u64,
    /// Old files; 0 is no limit.
    pub backups_max: usize,
    /// How long old files are kept; zero is no limit.
    pub age_max: Duration,
}

/// The log as it is written.
pub(super) struct Rotating {
    settings: LogFile,
    /// None is the standard output.
    file: Option<File>,
    bytes: u64,
}

impl Rotating {
    /// Opens the log; what is there stays.
    pub(super) fn open(settings: LogFile) -> io::Result<Rotating> {
        if settings.path == Path::new("-") {
            return Ok(Rotating { settings, file: None, bytes: 0 });
        }
        if let Some(parent) = settings.path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let file = append(&settings.path)?;
        let bytes = file.metadata()?.len();
        Ok(Rotating { settings, file: Some(file), bytes })
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        if self.file.is_none() {
            let mut out = io::stdout().lock();
            return out.write_all(lines).and_then(|()| out.flush());
        }
        let length = lines.len() as u64;
        if self.bytes > 0 && self.bytes + length > self.settings.bytes_max {
            self.begin_anew(now)?;
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(lines)
        {
            // A full disk takes half of them: what follows shall not stand in the middle of a line.
            let _ = file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += length;
        Ok(())
    }

    fn begin_anew(&mut self, now: Timestamp) -> io::Result<()> {
        match std::fs::rename(&self.settings.path, backup(&self.settings.path, now)) {
            // Somebody else put it aside, or an earlier attempt got no further than here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
        self.file = Some(append(&self.settings.path)?);
        self.bytes = 0;
        self.forget(now)
    }

    /// Removes what is too old or too much.
    fn forget(&self, now: Timestamp) -> io::Result<()> {
        let mut old = backups(&self.settings.path)?;
        old.sort_by(|a, b| b.cmp(a));
        for (at, (time, path)) in old.into_iter().enumerate() {
            let too_many = self.settings.backups_max > 0 && at >= self.settings.backups_max;
            let age = now.duration_since(time).unsigned_abs();
            if too_many || (!self.settings.age_max.is_zero() && age > self.settings.age_max) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

const TIME: &str = "%Y-%m-%dT%H-%M-%S";

fn stem_and_end(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let end = text(path.extension());
    (text(path.file_stem()), if end.is_empty() { end } else { format!(".{end}") })
}

/// `audit-2006-01-02T15-04-05.000.log`
fn backup(path: &Path, now: Timestamp) -> PathBuf {
    let (stem, end) = stem_and_end(path);
    path.with_file_name(format!("{stem}-{}{end}", now.strftime(&format!("{TIME}.%3f"))))
}

fn backups(path: &Path) -> io::Result<Vec<(Timestamp, PathBuf)>> {
    let (stem, end) = stem_and_end(path);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let middle = name.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(&end));
        let Some(middle) = middle else { continue };
        if let Ok(time) = jiff::civil::DateTime::strptime(format!("{TIME}.%f"), middle)
            && let Ok(time) = time.to_zoned(jiff::tz::TimeZone::UTC)
        {
            found.push((time.timestamp(), parent.join(&name)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/audit.log");
        let settings =
            LogFile { path: path.clone(), bytes_max: 10, backups_max: 2, age_max: Duration::from_secs(1000) };
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let mut log = Rotating::open(settings.clone()).unwrap();
        for second in 0..5 {
            log.write(b"1234567\n", at(second)).unwrap();
        }
        let names = || {
            let mut names: Vec<String> = std::fs::read_dir(path.parent().unwrap())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(
            names(),
            ["audit-2027-01-15T08-00-03.000.log", "audit-2027-01-15T08-00-04.000.log", "audit.log"]
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"1234567\n");
        // Opened again it goes on where it was.
        let mut log = Rotating::open(settings).unwrap();
        log.write(b"9\n", at(5)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1234567\n9\n");
        log.write(b"1234567\n", at(2000)).unwrap();
        assert_eq!(names(), ["audit-2027-01-15T08-33-20.000.log", "audit.log"], "the others are too old");
        std::fs::remove_file(&path).unwrap();
        log.write(b"1234568\n", at(2001)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1234568\n", "it goes on after somebody took it away");
    }
}

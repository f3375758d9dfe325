//! Container logs in the format of the Container Runtime Interface: `<time> <stream> <F or P> <line>`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::clock::{TEXT_BYTES, now_ns, rfc3339_nano};

/// Longer lines are split; all pieces but the last are marked partial. Upstream's limit.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// One of a container's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The log file of a container.
pub struct Log {
    path: PathBuf,
    file: File,
    /// What came without an end of line yet.
    rest: [Vec<u8>; 2],
}

impl Log {
    /// Opens the file for appending, making it and its directory if they are missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Log { path: path.to_owned(), file: open(path)?, rest: Default::default() })
    }

    /// Opens it anew by its name.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    /// Appends output. Lines are written when they are whole. A full disk loses lines, not the container.
    pub fn write(&mut self, stream: Stream, data: &[u8]) {
        let mut out = Vec::with_capacity(data.len() + 64);
        split(&mut self.rest[stream as usize], data, |line, whole| append(&mut out, stream, line, whole));
        let _ = self.file.write_all(&out);
    }

    /// The stream has ended: what is left is a partial line.
    pub fn end(&mut self, stream: Stream) {
        let rest = std::mem::take(&mut self.rest[stream as usize]);
        if !rest.is_empty() {
            let mut out = Vec::with_capacity(rest.len() + 64);
            append(&mut out, stream, &rest, false);
            let _ = self.file.write_all(&out);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    match (open(), path.parent()) {
        (Err(e), Some(parent)) if e.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(parent)?;
            open()
        }
        (result, _) => result,
    }
}

/// Calls `emit` with each whole line (without its end) or full piece of one; keeps the rest.
fn split(rest: &mut Vec<u8>, mut data: &[u8], mut emit: impl FnMut(&[u8], bool)) {
    while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&data[..end], &data[end + 1..]);
        data = after;
        if rest.is_empty() {
            pieces(line, &mut emit);
        } else {
            rest.extend_from_slice(line);
            pieces(rest, &mut emit);
            // Also gives its memory back: most lines come whole.
            *rest = Vec::new();
        }
    }
    rest.extend_from_slice(data);
    while rest.len() > LINE_BYTES_MAX {
        emit(&rest[..LINE_BYTES_MAX], false);
        rest.drain(..LINE_BYTES_MAX);
    }
}

fn pieces(mut line: &[u8], emit: &mut impl FnMut(&[u8], bool)) {
    while line.len() > LINE_BYTES_MAX {
        let (piece, after) = line.split_at(LINE_BYTES_MAX);
        emit(piece, false);
        line = after;
    }
    emit(line, true);
}

fn append(out: &mut Vec<u8>, stream: Stream, line: &[u8], whole: bool) {
    const { assert!(TEXT_BYTES < 64) };
    out.extend_from_slice(&rfc3339_nano(now_ns()));
    out.extend_from_slice(match stream {
        Stream::Stdout => b" stdout ",
        Stream::Stderr => b" stderr ",
    });
    out.extend_from_slice(if whole { b"F " } else { b"P " });
    out.extend_from_slice(line);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> (Vec<(usize, bool)>, usize) {
        let (mut rest, mut found) = (Vec::new(), Vec::new());
        for chunk in chunks {
            split(&mut rest, chunk, |line, whole| found.push((line.len(), whole)));
        }
        (found, rest.len())
    }

    #[test]
    fn lines_are_put_together_and_split() {
        assert_eq!(lines(&[b"ab", b"c\n\nd"]), (vec![(3, true), (0, true)], 1));
        let long = vec![b'x'; LINE_BYTES_MAX + 5];
        assert_eq!(lines(&[&long, b"\n"]), (vec![(LINE_BYTES_MAX, false), (5, true)], 0));
        // Exactly the limit is one line.
        assert_eq!(lines(&[&long[5..], b"\n"]), (vec![(LINE_BYTES_MAX, true)], 0));
        let mut whole = vec![b'y'; 2 * LINE_BYTES_MAX + 1];
        whole.push(b'\n');
        assert_eq!(lines(&[&whole]), (vec![(LINE_BYTES_MAX, false), (LINE_BYTES_MAX, false), (1, true)], 0));
    }

    #[test]
    fn the_format_is_cri() {
        let mut out = Vec::new();
        append(&mut out, Stream::Stderr, b"hello", true);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("Z stderr F hello\n"), "{text}");
        assert_eq!(text.len(), 30 + " stderr F hello\n".len());
    }
}

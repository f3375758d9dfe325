//! Names of kinds that come and go at run time, kept for as long as the process lives: everything that knows a kind
//! holds its facts by plain references. What is kept is kept once, and there is a limit to it.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::kind::{Column, KindInfo, Subresource};

/// All names of definitions that a process has ever seen may take so much, in bytes.
pub const BYTES_MAX: usize = 16 << 20;

#[derive(Default)]
struct Pool {
    bytes: usize,
    texts: BTreeSet<&'static str>,
    lists: Vec<&'static [&'static str]>,
    infos: Vec<&'static KindInfo>,
    columns: Vec<&'static [Column]>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    bytes: 0,
    texts: BTreeSet::new(),
    lists: Vec::new(),
    infos: Vec::new(),
    columns: Vec::new(),
});

/// A process has seen too many different definitions.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("the names of all definitions seen so far take more than {BYTES_MAX} bytes; restart the server")]
pub struct Full;

impl Pool {
    fn charge(&mut self, bytes: usize) -> Result<(), Full> {
        if self.bytes + bytes > BYTES_MAX {
            return Err(Full);
        }
        self.bytes += bytes;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<&'static str, Full> {
        if let Some(known) = self.texts.get(text) {
            return Ok(known);
        }
        self.charge(text.len() + 64)?;
        let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
        self.texts.insert(kept);
        Ok(kept)
    }
}

/// Keeps a text.
///
/// # Errors
/// [`Full`].
pub fn text(text: &str) -> Result<&'static str, Full> {
    POOL.lock().text(text)
}

/// Keeps texts.
///
/// # Errors
/// [`Full`].
pub fn texts(texts: &[String]) -> Result<&'static [&'static str], Full> {
    let mut pool = POOL.lock();
    let kept = texts.iter().map(|text| pool.text(text)).collect::<Result<Vec<_>, Full>>()?;
    if let Some(known) = pool.lists.iter().find(|known| ***known == *kept) {
        return Ok(known);
    }
    pool.charge(size_of::<&str>() * kept.len())?;
    let kept: &'static [&'static str] = Box::leak(kept.into_boxed_slice());
    pool.lists.push(kept);
    Ok(kept)
}

/// Keeps the facts of a kind.
///
/// # Errors
/// [`Full`].
pub fn info(info: KindInfo) -> Result<&'static KindInfo, Full> {
    let mut pool = POOL.lock();
    if let Some(known) = pool.infos.iter().find(|known| ***known == info) {
        return Ok(known);
    }
    pool.charge(size_of::<KindInfo>())?;
    let kept: &'static KindInfo = Box::leak(Box::new(info));
    pool.infos.push(kept);
    Ok(kept)
}

/// Keeps columns.
///
/// # Errors
/// [`Full`].
pub fn columns(columns: Vec<Column>) -> Result<&'static [Column], Full> {
    let mut pool = POOL.lock();
    if let Some(known) = pool.columns.iter().find(|known| ***known == *columns) {
        return Ok(known);
    }
    pool.charge(size_of::<Column>() * columns.len())?;
    let kept: &'static [Column] = Box::leak(columns.into_boxed_slice());
    pool.columns.push(kept);
    Ok(kept)
}

/// The subresources of custom resources.
pub fn subresources(kind: &'static str, status: bool, scale: bool) -> Result<&'static [Subresource], Full> {
    let mut subs = Vec::new();
    if status {
        let verbs = &["get", "patch", "update"];
        subs.push(Subresource { name: "status", kind, group: "", version: "", verbs });
    }
    if scale {
        let verbs = &["get", "patch", "update"];
        subs.push(Subresource { name: "scale", kind: "Scale", group: "autoscaling", version: "v1", verbs });
    }
    let mut pool = POOL.lock();
    if let Some(known) = pool.infos.iter().find(|known| known.subresources == subs.as_slice()) {
        return Ok(known.subresources);
    }
    pool.charge(size_of::<Subresource>() * subs.len())?;
    Ok(Box::leak(subs.into_boxed_slice()))
}

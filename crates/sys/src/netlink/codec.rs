//! Netlink messages and their attributes, written into one buffer and read from one.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::{Error, Result};

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// Requests to be sent together, in order.
#[derive(Default)]
pub struct Batch {
    buffer: Vec<u8>,
    starts: Vec<usize>,
    whats: Vec<Cow<'static, str>>,
}

/// One message of a [`Batch`] while its attributes are written.
pub struct Message<'a> {
    buffer: &'a mut Vec<u8>,
}

// === impl Batch ===

impl Batch {
    /// A batch without requests.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Appends a request of type `kind` with the protocol's fixed `header`; `what` names it in errors.
    pub(super) fn push(
        &mut self,
        kind: u16,
        flags: u16,
        what: impl Into<Cow<'static, str>>,
        header: &[u8],
        write: impl FnOnce(&mut Message<'_>),
    ) {
        let start = self.buffer.len();
        self.starts.push(start);
        self.whats.push(what.into());
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.buffer.extend_from_slice(&[0; 8]);
        self.buffer.extend_from_slice(header);
        write(&mut Message { buffer: &mut self.buffer });
        let length = (self.buffer.len() - start) as u32;
        self.buffer[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Numbers the requests from `first`, and asks for an acknowledgement of the one at `acked`: an error
    /// is reported for any of them anyway, so one acknowledgement is enough for all.
    pub(super) fn seal(&mut self, first: u32, acked: Option<usize>) -> &[u8] {
        for (index, start) in self.starts.iter().copied().enumerate() {
            let number = first.wrapping_add(index as u32);
            self.buffer[start + 8..start + 12].copy_from_slice(&number.to_ne_bytes());
            if acked == Some(index) {
                let flags = u16::from_ne_bytes([self.buffer[start + 6], self.buffer[start + 7]]) | NLM_F_ACK;
                self.buffer[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
            }
        }
        &self.buffer
    }

    pub(super) fn what(&self, index: usize) -> String {
        self.whats.get(index).map(|w| w.to_string()).unwrap_or_default()
    }
}

// === impl Message ===

impl Message<'_> {
    /// An attribute of any bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = value.len() + 4;
        debug_assert!(length <= usize::from(u16::MAX), "attribute {kind} is too long");
        self.buffer.extend_from_slice(&(length as u16).to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(value);
        self.pad();
    }

    /// A byte.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// A number in the machine's byte order (rtnetlink).
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A number in network byte order (netfilter).
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// A number in network byte order (netfilter).
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// An IPv4 address.
    pub fn ipv4(&mut self, kind: u16, value: Ipv4Addr) {
        self.bytes(kind, &value.octets());
    }

    /// Text, ended by a zero byte.
    pub fn text(&mut self, kind: u16, value: &str) {
        let length = value.len() + 5;
        self.buffer.extend_from_slice(&(length as u16).to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(value.as_bytes());
        self.buffer.push(0);
        self.pad();
    }

    /// An attribute made of attributes.
    pub fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Message<'_>)) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 2]);
        self.buffer.extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        write(self);
        let length = self.buffer.len() - start;
        debug_assert!(length <= usize::from(u16::MAX), "nest {kind} is too long");
        self.buffer[start..start + 2].copy_from_slice(&(length as u16).to_ne_bytes());
    }

    /// Bytes that are no attribute (a fixed header inside an attribute).
    pub fn raw(&mut self, value: &[u8]) {
        self.buffer.extend_from_slice(value);
        self.pad();
    }

    fn pad(&mut self) {
        while !self.buffer.len().is_multiple_of(4) {
            self.buffer.push(0);
        }
    }
}

/// One message as received.
pub(super) struct Received<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// What follows the netlink header.
    pub payload: &'a [u8],
}

/// The messages in a datagram.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Result<Received<'_>>> {
    std::iter::from_fn(move || {
        if datagram.len() < HEADER {
            return None;
        }
        let length = ne32(datagram, 0) as usize;
        if length < HEADER || length > datagram.len() {
            datagram = &[];
            return Some(Err(Error::Malformed("message length")));
        }
        let message = Received {
            kind: u16::from_ne_bytes([datagram[4], datagram[5]]),
            flags: u16::from_ne_bytes([datagram[6], datagram[7]]),
            sequence: ne32(datagram, 8),
            payload: &datagram[HEADER..length],
        };
        datagram = &datagram[length.next_multiple_of(4).min(datagram.len())..];
        Some(Ok(message))
    })
}

/// The attributes in `bytes`; what is malformed ends the walk.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        if bytes.len() < 4 {
            return None;
        }
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        if length < 4 || length > bytes.len() {
            return None;
        }
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & NLA_TYPE_MASK;
        let value = &bytes[4..length];
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        Some((kind, value))
    })
}

/// The attribute `kind` in `bytes`.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(k, _)| *k == kind).map(|(_, value)| value)
}

/// Text up to its zero byte.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// A number in the machine's byte order; 0 where the bytes end.
pub(super) fn ne32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}

/// An IPv4 address, when the value is one.
pub(super) fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut batch = Batch::new();
        batch.push(16, 0x600, "first", &[1, 2, 3, 4], |m| {
            m.text(3, "eth0");
            m.nest(18, |m| m.u32(1, 7));
        });
        batch.push(17, 0, "second", &[], |m| m.u8(9, 5));
        let bytes = batch.seal(40, Some(1)).to_vec();
        let got: Vec<_> = messages(&bytes).map(|m| m.unwrap()).collect();
        assert_eq!((got[0].kind, got[0].sequence, got[0].flags), (16, 40, 0x601));
        assert_eq!((got[1].kind, got[1].sequence, got[1].flags), (17, 41, NLM_F_REQUEST | NLM_F_ACK));
        assert_eq!(text(attribute(&got[0].payload[4..], 3).unwrap()), "eth0");
        assert_eq!(ne32(attribute(attribute(&got[0].payload[4..], 18).unwrap(), 1).unwrap(), 0), 7);
        assert_eq!(attribute(got[1].payload, 9), Some(&[5][..]));
    }

    #[test]
    fn malformed_input_ends_quietly() {
        for cut in 0..40 {
            let mut bytes = vec![0xffu8; cut];
            assert!(attributes(&bytes).count() <= 1);
            assert!(messages(&bytes).all(|m| m.is_err()));
            if cut >= 16 {
                bytes[0..4].copy_from_slice(&3u32.to_ne_bytes());
                assert_eq!(messages(&bytes).filter(|m| m.is_err()).count(), 1);
            }
        }
    }
}

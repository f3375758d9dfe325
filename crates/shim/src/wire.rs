//! Frames on a Unix stream socket: four bytes of length, four of the number of descriptors that come along (both
//! little endian), then JSON. Descriptors travel with the first byte of their frame.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame: room for the environment of a container made from full ConfigMaps.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most descriptors in a frame: three streams.
pub const FDS_MAX: usize = 3;

const HEADER_BYTES: usize = 8;

/// The bytes of a frame with `message`, to which `fds` descriptors belong.
pub fn encode<T: Serialize>(message: &T, fds: usize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - HEADER_BYTES;
    if length > FRAME_BYTES_MAX || fds > FDS_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {length} bytes is too long"),
        ));
    }
    frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
    frame[4..8].copy_from_slice(&(fds as u32).to_le_bytes());
    Ok(frame)
}

/// Sends some of `bytes`, with descriptors if there are any; gives how many bytes went.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives some bytes and descriptors (close-on-exec); gives the number of bytes, 0 at the end.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], fds: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(buffer)];
    let received = recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(received.bytes)
}

/// Puts received pieces together.
#[derive(Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Decoder {
    /// Receives once from `socket`; gives the number of bytes, 0 at the end.
    pub fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let count = receive(socket, &mut buffer, &mut self.fds)?;
        self.bytes.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// The next whole frame, if it is there.
    pub fn take<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let Some(header) = self.bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (length, fds) = (number(0) as usize, number(4) as usize);
        if length > FRAME_BYTES_MAX || fds > FDS_MAX {
            return Err(invalid("frame too long"));
        }
        let Some(body) = self.bytes.get(HEADER_BYTES..HEADER_BYTES + length) else { return Ok(None) };
        if self.fds.len() < fds {
            return Err(invalid("descriptors are missing"));
        }
        let message = serde_json::from_slice(body)?;
        self.bytes.drain(..HEADER_BYTES + length);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Ok(Some((message, self.fds.drain(..fds).collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn frames_in_pieces_with_descriptors() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut decoder = Decoder::default();
        let first = encode(&"first", 1).unwrap();
        let second = encode(&vec![1, 2, 3], 0).unwrap();
        assert_eq!(send(&a, &first[..3], &[writer.as_fd()]).unwrap(), 3);
        decoder.fill(&b).unwrap();
        assert!(decoder.take::<String>().unwrap().is_none());
        send(&a, &first[3..], &[]).unwrap();
        send(&a, &second, &[]).unwrap();
        while decoder.bytes.len() < first.len() + second.len() {
            decoder.fill(&b).unwrap();
        }
        let (text, fds) = decoder.take::<String>().unwrap().unwrap();
        assert_eq!((text.as_str(), fds.len()), ("first", 1));
        let (numbers, none) = decoder.take::<Vec<u8>>().unwrap().unwrap();
        assert_eq!((numbers, none.len()), (vec![1, 2, 3], 0));
        drop(writer);
        let mut passed = std::fs::File::from(fds.into_iter().next().unwrap());
        passed.write_all(b"through").unwrap();
        drop(passed);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn nonsense_is_refused() {
        let mut decoder = Decoder { bytes: vec![0xff; 64], fds: VecDeque::new() };
        assert!(decoder.take::<String>().is_err());
        let mut decoder = Decoder { bytes: encode(&"x", 2).unwrap(), fds: VecDeque::new() };
        assert!(decoder.take::<String>().is_err());
    }
}

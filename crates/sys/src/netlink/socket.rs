//! A blocking netlink socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

use super::codec::{self, Batch, Received};
use super::{Error, Result};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
/// Answers are read in pieces of this size: the kernel makes no dump larger than 32 KiB.
const RECEIVE_BYTES: usize = 64 << 10;
/// A dump that changes under the reader is read again this often at most.
const DUMP_TRIES_MAX: usize = 8;

/// The families that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Route,
    Netfilter,
}

/// A socket bound to the network namespace of the thread that opened it.
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    send_buffer: usize,
    receive: Vec<u8>,
}

// === impl Socket ===

impl Socket {
    pub fn open(family: Family) -> Result<Self> {
        let protocol = match family {
            // NETLINK_ROUTE is protocol 0.
            Family::Route => None,
            Family::Netfilter => Some(netlink::NETFILTER),
        };
        let fd =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
                .map_err(Error::io("socket(AF_NETLINK)"))?;
        // Explanations with errors, and errors without a copy of the request.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            enable(&fd, option)?;
        }
        Ok(Socket { fd, sequence: 1, send_buffer: 0, receive: vec![0; RECEIVE_BYTES] })
    }

    /// Sends the whole batch and reads every error it caused. `acked` is the request whose acknowledgement
    /// proves that the kernel saw them all.
    pub fn execute(&mut self, batch: &mut Batch, acked: usize) -> Result<()> {
        let mut failures = self.execute_all(batch, acked)?;
        if failures.is_empty() { Ok(()) } else { Err(failures.remove(0)) }
    }

    /// As [`Socket::execute`], but hands out every request's failure, in order.
    pub fn execute_all(&mut self, batch: &mut Batch, acked: usize) -> Result<Vec<Error>> {
        let first = self.sequence;
        let count = batch.len() as u32;
        self.sequence = self.sequence.wrapping_add(count);
        self.send(batch.seal(first, Some(acked)))?;
        let mut failures = Vec::new();
        let mut acknowledged = false;
        // The kernel has answered by the time `send` returns: nothing to wait for.
        while let Some(length) = self.receive(RecvFlags::DONTWAIT)? {
            for message in codec::messages(&self.receive[..length]) {
                let message = message?;
                let index = message.sequence.wrapping_sub(first);
                if message.kind != NLMSG_ERROR || index >= count {
                    continue;
                }
                let (code, explanation) = error_of(&message);
                if code != 0 {
                    failures.push(Error::Refused {
                        index: index as usize,
                        what: batch.what(index as usize),
                        message: explanation,
                        source: io::Error::from_raw_os_error(code),
                    });
                }
                acknowledged |= index as usize == acked;
            }
        }
        if failures.is_empty() && !acknowledged {
            return Err(Error::Malformed("no acknowledgement"));
        }
        Ok(failures)
    }

    /// Sends one request for a dump and hands every entry (type, payload) to `each`.
    pub fn dump<T>(
        &mut self,
        request: impl Fn(&mut Batch, u16),
        mut each: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>> {
        for _ in 0..DUMP_TRIES_MAX {
            let mut batch = Batch::new();
            request(&mut batch, NLM_F_DUMP);
            let sequence = self.sequence;
            self.sequence = self.sequence.wrapping_add(1);
            self.send(batch.seal(sequence, None))?;
            let mut found = Vec::new();
            let mut interrupted = false;
            let mut done = false;
            while !done {
                let Some(length) = self.receive(RecvFlags::empty())? else {
                    return Err(Error::Malformed("dump without end"));
                };
                for message in codec::messages(&self.receive[..length]) {
                    let message = message?;
                    if message.sequence != sequence {
                        continue;
                    }
                    interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                    match message.kind {
                        NLMSG_DONE => done = true,
                        NLMSG_ERROR => {
                            let (code, explanation) = error_of(&message);
                            return Err(Error::Refused {
                                index: 0,
                                what: batch.what(0),
                                message: explanation,
                                source: io::Error::from_raw_os_error(code),
                            });
                        }
                        kind => found.extend(each(kind, message.payload)),
                    }
                }
            }
            if !interrupted {
                return Ok(found);
            }
        }
        Err(Error::Malformed("dump interrupted again and again"))
    }

    /// Sends one request that is answered by one message, and reads that.
    pub fn get<T>(
        &mut self,
        batch: &mut Batch,
        mut read: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        self.send(batch.seal(sequence, None))?;
        let mut found = None;
        while let Some(length) = self.receive(RecvFlags::DONTWAIT)? {
            for message in codec::messages(&self.receive[..length]) {
                let message = message?;
                if message.sequence != sequence {
                    continue;
                }
                if message.kind != NLMSG_ERROR {
                    found = read(message.kind, message.payload);
                    continue;
                }
                let (code, explanation) = error_of(&message);
                if code != 0 {
                    return Err(Error::Refused {
                        index: 0,
                        what: batch.what(0),
                        message: explanation,
                        source: io::Error::from_raw_os_error(code),
                    });
                }
            }
        }
        Ok(found)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        // A message must fit into the send buffer as a whole, with some room for the kernel's bookkeeping.
        let needed = bytes.len() + 4096;
        if needed > self.send_buffer {
            sockopt::set_socket_send_buffer_size_force(&self.fd, needed)
                .map_err(Error::io("setsockopt(SO_SNDBUFFORCE)"))?;
            self.send_buffer = needed;
        }
        let sent =
            rustix::net::send(&self.fd, bytes, SendFlags::empty()).map_err(Error::io("send(netlink)"))?;
        if sent != bytes.len() {
            return Err(Error::Malformed("short send"));
        }
        Ok(())
    }

    fn receive(&mut self, flags: RecvFlags) -> Result<Option<usize>> {
        loop {
            match rustix::net::recv(&self.fd, &mut self.receive[..], flags | RecvFlags::TRUNC) {
                Ok((length, whole)) if whole > length => return Err(Error::Malformed("truncated answer")),
                Ok((length, _)) => return Ok(Some(length)),
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::io("recv(netlink)")(errno)),
            }
        }
    }
}

/// The (positive) error number of an error message, 0 for an acknowledgement, and its explanation.
fn error_of(message: &Received<'_>) -> (i32, String) {
    let code = (codec::ne32(message.payload, 0) as i32).wrapping_neg();
    let mut explanation = String::new();
    if message.flags & NLM_F_ACK_TLVS != 0 {
        let echoed = if message.flags & NLM_F_CAPPED != 0 {
            16
        } else {
            (codec::ne32(message.payload, 4) as usize).next_multiple_of(4)
        };
        if let Some(text) =
            message.payload.get(4 + echoed..).and_then(|b| codec::attribute(b, NLMSGERR_ATTR_MSG))
        {
            explanation = codec::text(text);
        }
    }
    (code, explanation)
}

fn enable(fd: impl AsFd, option: libc::c_int) -> Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open for the duration of the call, and the value is a live c_int whose size
    // is what is passed.
    let answer = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if answer == 0 { Ok(()) } else { Err(Error::io("setsockopt(SOL_NETLINK)")(io::Error::last_os_error())) }
}

//! Waiting for whatever comes first.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// Names a watched descriptor.
pub type Token = u64;

/// What a descriptor is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    Both,
}

/// The set of watched descriptors, each with what it means.
pub struct Poll<S> {
    epoll: OwnedFd,
    sources: BTreeMap<Token, S>,
    next: Token,
}

impl<S: Copy> Poll<S> {
    pub fn new() -> io::Result<Self> {
        Ok(Poll { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, sources: BTreeMap::new(), next: 0 })
    }

    /// Starts watching.
    pub fn add(&mut self, fd: impl AsFd, interest: Interest, source: S) -> io::Result<Token> {
        let token = self.next;
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), flags(interest))?;
        self.next += 1;
        self.sources.insert(token, source);
        Ok(token)
    }

    /// Changes what is watched for.
    pub fn change(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(token), flags(interest))?)
    }

    /// Stops watching; to be called before the descriptor is closed, since a forked child may have it open still.
    pub fn remove(&mut self, fd: impl AsFd, token: Token) {
        if self.sources.remove(&token).is_some() {
            let _ = epoll::delete(&self.epoll, fd);
        }
    }

    /// Waits; gives tokens that are ready. Ask [`source`](Self::source) for each when its turn comes, since
    /// handling an earlier one may have ended it.
    pub fn wait(&self) -> io::Result<Vec<Token>> {
        let mut events = Vec::with_capacity(32);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
            Ok(_) => Ok(events.iter().map(|event: &epoll::Event| event.data.u64()).collect()),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(e) => Err(e.into()),
        }
    }

    /// What a token means, if it is still watched.
    pub fn source(&self, token: Token) -> Option<S> {
        self.sources.get(&token).copied()
    }
}

fn flags(interest: Interest) -> epoll::EventFlags {
    match interest {
        Interest::Read => epoll::EventFlags::IN,
        Interest::Write => epoll::EventFlags::OUT,
        Interest::Both => epoll::EventFlags::IN | epoll::EventFlags::OUT,
    }
}

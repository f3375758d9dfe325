//! The thread that makes and unmakes slots, so that no request waits behind that work.

use std::sync::mpsc::{Receiver, Sender};

use crate::Result;
use crate::core::Message;
use crate::slot::{SlotMaker, SlotSpec};

/// Work for the thread.
pub(crate) enum Job {
    /// Make the slot at this offset.
    Build(u32),
    /// Unmake it.
    Dispose(u32),
    /// Do what was asked so far, but build no more, and end.
    Stop,
}

/// Runs on a thread of its own, which is in the node's network namespace. Slots that are waited for come
/// first; those to be unmade are collected meanwhile, because many cost little more than one.
pub(crate) fn run(spec: SlotSpec, jobs: &Receiver<Job>, done: &Sender<Message>) -> Result<()> {
    let mut maker = SlotMaker::new(spec)?;
    let mut build = std::collections::VecDeque::new();
    let mut dispose = Vec::new();
    let mut stop = false;
    loop {
        if build.is_empty() && dispose.is_empty() {
            if stop {
                return Ok(());
            }
            let Ok(job) = jobs.recv() else { return Ok(()) };
            sort(job, &mut build, &mut dispose, &mut stop);
        }
        while let Ok(job) = jobs.try_recv() {
            sort(job, &mut build, &mut dispose, &mut stop);
        }
        if stop {
            build.clear();
        }
        let message = if let Some(offset) = build.pop_front() {
            Message::Built(offset, maker.build(offset))
        } else if !dispose.is_empty() {
            let result = maker.dispose(&dispose);
            Message::Disposed(std::mem::take(&mut dispose), result)
        } else {
            continue;
        };
        if done.send(message).is_err() {
            return Ok(());
        }
    }
}

fn sort(job: Job, build: &mut std::collections::VecDeque<u32>, dispose: &mut Vec<u32>, stop: &mut bool) {
    match job {
        Job::Build(offset) => build.push_back(offset),
        Job::Dispose(offset) => dispose.push(offset),
        Job::Stop => *stop = true,
    }
}

//! Tasks in groups: ending a group drops every future in it, as a crash would.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks; a child group ends with its parent.
#[derive(Clone)]
pub struct Tasks {
    name: &'static str,
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// A group that nothing above can end.
    pub fn root() -> Self {
        Tasks { name: "root", token: CancellationToken::new(), tracker: TaskTracker::new() }
    }

    /// A group of its own that ends when this one does.
    pub fn child(&self, name: &'static str) -> Self {
        Tasks { name, token: self.token.child_token(), tracker: TaskTracker::new() }
    }

    /// The group's name, for logs.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Starts a task in this group.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let token = self.token.clone();
        Task(self.tracker.spawn(async move { token.run_until_cancelled_owned(future).await }))
    }

    /// Drops every task of this group and of its children at their next step.
    pub fn end(&self) {
        self.token.cancel();
    }

    /// Whether [`Tasks::end`] was called here or above.
    pub fn ended(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Resolves when the group was told to end.
    pub async fn until_ended(&self) {
        self.token.cancelled().await;
    }

    /// Ends the group and waits until its tasks are gone.
    pub async fn end_and_wait(&self) {
        self.end();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// A started task. Dropping it leaves the task running.
pub struct Task<T>(JoinHandle<Option<T>>);

impl<T> Task<T> {
    /// Drops the task at its next step.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Whether the task has ended, in whichever way.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for Task<T> {
    /// The task's result, or nothing where it was ended or panicked.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|joined| joined.ok().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_group_ends_with_its_children() {
        let root = Tasks::root();
        let child = root.child("child");
        let forever = child.spawn(std::future::pending::<()>());
        let done = child.spawn(async { 3 });
        assert_eq!(done.await, Some(3));
        root.end();
        assert_eq!(forever.await, None);
        assert!(child.ended());
    }
}

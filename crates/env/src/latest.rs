//! A value that others wait for. Who waits longest is woken first: tokio's `watch` wakes in an order of chance, by
//! which no world could be replayed.

use parking_lot::RwLock;
use tokio::sync::Notify;

/// A value that others wait for.
pub struct Latest<T> {
    value: RwLock<T>,
    changed: Notify,
}

impl<T: Copy> Latest<T> {
    /// Starts with `value`.
    pub fn new(value: T) -> Self {
        Latest { value: RwLock::new(value), changed: Notify::new() }
    }

    /// The value now.
    pub fn get(&self) -> T {
        *self.value.read()
    }

    /// Changes the value and wakes everybody who waits, also where it stays the same.
    pub fn modify(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.value.write());
        self.changed.notify_waiters();
    }

    /// Waits until the value is as wanted. `wanted` is asked now and after every change that is seen; of several
    /// changes in a row only the last one may be.
    pub async fn wait_for(&self, mut wanted: impl FnMut(T) -> bool) {
        loop {
            // Made before the look: a change after it ends the wait.
            let changed = self.changed.notified();
            if wanted(self.get()) {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    #[tokio::test]
    async fn who_waits_longest_is_woken_first() {
        let (latest, woken) = (Arc::new(Latest::new(0)), Arc::new(Mutex::new(Vec::new())));
        let waiting: Vec<_> = (0..50)
            .map(|number| {
                let (latest, woken) = (latest.clone(), woken.clone());
                tokio::spawn(async move {
                    latest.wait_for(|value| value == 2).await;
                    woken.lock().push(number);
                })
            })
            .collect();
        for _ in 0..2 {
            tokio::task::yield_now().await;
            latest.modify(|value| *value += 1);
        }
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(*woken.lock(), (0..50).collect::<Vec<_>>());
        assert_eq!(latest.get(), 2);
    }
}

//! Writes in batches that double: a write that can't succeed fails a few times, not hundreds of times.

use std::future::Future;

use futures::future::join_all;

/// Runs `calls` in batches of 1, 2, 4, ... and stops after a batch with a failure (upstream's `slowStartBatch`).
/// Brings the results of the successes, and the first failure.
pub(crate) async fn slow_start<T, E, F, Fut>(count: usize, call: F) -> (Vec<T>, Option<E>)
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let (mut done, mut failure) = (Vec::new(), None);
    let (mut next, mut batch) = (0, 1);
    while next < count && failure.is_none() {
        let size = batch.min(count - next);
        for outcome in join_all((next..next + size).map(&call)).await {
            match outcome {
                Ok(result) => done.push(result),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        next += size;
        batch *= 2;
    }
    (done, failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_failure_ends_the_series() {
        let calls = Cell::new(0);
        let (done, failure) = slow_start(100, |number| {
            calls.set(calls.get() + 1);
            async move { if number < 4 { Ok(number) } else { Err(number) } }
        })
        .await;
        assert_eq!((done, failure, calls.get()), (vec![0, 1, 2, 3], Some(4), 7));
    }
}

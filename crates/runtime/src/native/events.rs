//! Events as a stream.

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::types::RuntimeEvent;

/// Ends when the runtime is dropped.
pub fn stream(receiver: Receiver<RuntimeEvent>) -> BoxStream<'static, RuntimeEvent> {
    stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(event) => Some((event, receiver)),
            Err(RecvError::Lagged(_)) => Some((RuntimeEvent::Missed, receiver)),
            Err(RecvError::Closed) => None,
        }
    })
    .boxed()
}

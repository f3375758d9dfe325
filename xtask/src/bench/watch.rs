//! A watch, an object at a time, each with when it came.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::mpsc;

use super::load::{WITHIN, call};
use crate::server::{Call, Target};

/// An object that changed.
pub(super) struct Changed {
    pub(super) object: Value,
    pub(super) at: Instant,
}

/// Changes that a watch tells of, as they come.
pub(super) struct Watch(mpsc::UnboundedReceiver<Changed>);

impl Watch {
    /// Watches what a path lists, from now on. Returns once the server has answered.
    pub(super) async fn begin(target: &Arc<Target>, path: &str) -> Result<Watch> {
        let query = vec![("watch".into(), "1".into()), ("resourceVersion".into(), "0".into())];
        let response = target.begin(Call { path: path.into(), query, ..call() }).await?;
        if response.status() != 200 {
            bail!("the watch of {path} is answered with {}", response.status());
        }
        let (send, receive) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut body = response.into_body();
            let mut rest: Vec<u8> = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                let at = Instant::now();
                rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                let mut begin = 0;
                while let Some(end) = rest[begin..].iter().position(|byte| *byte == b'\n') {
                    if let Ok(mut event) = serde_json::from_slice::<Value>(&rest[begin..begin + end]) {
                        let _ = send.send(Changed { object: event["object"].take(), at });
                    }
                    begin += end + 1;
                }
                rest.drain(..begin);
            }
        });
        Ok(Watch(receive))
    }

    /// The next change.
    pub(super) async fn next(&mut self) -> Result<Changed> {
        let next =
            tokio::time::timeout(WITHIN, self.0.recv()).await.context("nothing changed in a minute")?;
        next.context("the watch ended")
    }
}

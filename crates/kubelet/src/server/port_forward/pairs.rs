//! The protocol `portforward.k8s.io`: for every connection a stream of data and one of errors, told to belong together
//! by an id.

use std::collections::HashMap;
use std::time::Duration;

use cox_env::Env;
use hyper::body::Bytes;

use super::super::spdy::{Opened, Session};
use super::{Target, number};

/// How long a client may take to open the second stream. Source: upstream's `DefaultStreamCreationTimeout`.
const PAIR_TIME_MAX: Duration = Duration::from_secs(30);

/// Serves a client until it goes.
pub(super) async fn serve(target: Target, session: Session) {
    let Session { mut opened, carry, .. } = session;
    let env = target.node.env.clone();
    let pair = async {
        let mut waiting: HashMap<String, (Opened, Duration)> = HashMap::new();
        loop {
            let stream = tokio::select! {
                biased;
                stream = opened.recv() => stream,
                () = env.sleep(PAIR_TIME_MAX), if !waiting.is_empty() => {
                    give_up(&env, &mut waiting).await;
                    continue;
                }
            };
            let Some(stream) = stream else { return };
            let (id, sort) = match told(&stream) {
                Ok(told) => told,
                Err(why) => {
                    tracing::debug!(%why, "a stream of port-forward");
                    stream.output.refuse().await;
                    continue;
                }
            };
            give_up(&env, &mut waiting).await;
            match waiting.remove(&id) {
                Some((other, _)) if sort_of(&other) != Some(sort) => {
                    stream.output.accept().await;
                    let (data, error) = if sort == Sort::Data { (stream, other) } else { (other, stream) };
                    let target = target.clone();
                    env.spawn(async move { forward(target, data, error).await });
                }
                Some(first) => {
                    // The same half twice.
                    stream.output.refuse().await;
                    waiting.insert(id, first);
                }
                None => {
                    stream.output.accept().await;
                    waiting.insert(id, (stream, env.elapsed()));
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = carry => {}
        () = pair => {}
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Data,
    Error,
}

fn sort_of(stream: &Opened) -> Option<Sort> {
    match stream.header("streamtype") {
        Some("data") => Some(Sort::Data),
        Some("error") => Some(Sort::Error),
        _ => None,
    }
}

/// What a new stream says of itself: the connection it belongs to and which half it is. Its port is looked at as well.
fn told(stream: &Opened) -> Result<(String, Sort), String> {
    let port = stream.header("port").ok_or("\"port\" header is required")?;
    number(port)?;
    let text = stream.header("streamtype").ok_or("\"streamType\" header is required")?;
    let sort = sort_of(stream).ok_or_else(|| format!("invalid stream type {text:?}"))?;
    let id = match stream.header("requestid") {
        Some(id) => id.to_owned(),
        // Old clients name none: the stream of data is the next after that of errors.
        None if sort == Sort::Error => stream.id.to_string(),
        None => stream.id.saturating_sub(2).to_string(),
    };
    Ok((id, sort))
}

/// Ends what was not completed in time.
async fn give_up(env: &Env, waiting: &mut HashMap<String, (Opened, Duration)>) {
    let now = env.elapsed();
    let late: Vec<String> = waiting
        .iter()
        .filter(|(_, (_, since))| now.saturating_sub(*since) >= PAIR_TIME_MAX)
        .map(|(id, _)| id.clone())
        .collect();
    for id in late {
        if let Some((stream, _)) = waiting.remove(&id) {
            if sort_of(&stream) == Some(Sort::Error) {
                let text = format!("error forwarding port: timed out waiting for streams of request {id}");
                stream.output.send(text.into()).await;
            }
            stream.output.close().await;
        }
    }
}

async fn forward(target: Target, data: Opened, error: Opened) {
    let port = data.header("port").and_then(|port| number(port).ok()).unwrap_or_default();
    let Opened { mut input, output, gone, .. } = data;
    let result = tokio::select! {
        biased;
        _ = gone => Ok(()),
        result = target.forward(port, &mut input, |bytes: Bytes| { let output = output.clone(); async move { output.send(bytes).await } }) => result,
    };
    if let Err(text) = result {
        tracing::debug!(%text, "port-forward");
        error.output.send(text.into()).await;
    }
    error.output.close().await;
    output.close().await;
}

//! Cuts a body into lines.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};

/// Bytes of one line: an object of etcd's largest size, escaped, with room.
const LINE_BYTES_MAX: usize = 64 << 20;

/// The lines of a body, without the line feeds; empty lines are left out. An unfinished last line is left out
/// too: the connection broke.
pub(super) fn split<S, E>(body: S) -> impl Stream<Item = Result<Bytes, String>> + Send + 'static
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    E: std::fmt::Display + Send + 'static,
{
    futures::stream::unfold((body, BytesMut::new(), 0), |(mut body, mut held, mut looked)| async move {
        loop {
            if let Some(at) = held[looked..].iter().position(|byte| *byte == b'\n') {
                let line = held.split_to(looked + at + 1).freeze();
                looked = 0;
                if line.len() > 1 {
                    return Some((Ok(line.slice(..line.len() - 1)), (body, held, looked)));
                }
                continue;
            }
            looked = held.len();
            if looked > LINE_BYTES_MAX {
                let why = format!("a line of the watch is longer than {LINE_BYTES_MAX} bytes");
                return Some((Err(why), (body, BytesMut::new(), 0)));
            }
            match body.next().await {
                Some(Ok(chunk)) => held.extend_from_slice(&chunk),
                Some(Err(error)) => return Some((Err(error.to_string()), (body, BytesMut::new(), 0))),
                None => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_across_chunks() {
        let chunks = ["{\"a\"", ":1}\n{\"b\":2}\n\n{\"c", "\":3}\n{\"cut"];
        let body = futures::stream::iter(chunks.map(|chunk| Ok::<_, String>(Bytes::from(chunk))));
        let lines: Vec<_> = split(body).map(Result::unwrap).collect().await;
        assert_eq!(lines, ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
    }
}

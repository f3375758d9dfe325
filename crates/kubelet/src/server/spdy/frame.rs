//! Frames as they stand on the wire.

use std::io;

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::headers::{Headers, Packer, Unpacker};

/// Bytes of a frame that isn't data.
const CONTROL_BYTES_MAX: usize = 64 * 1024;
const VERSION: u16 = 3;
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// Why a stream is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// What was sent breaks the rules.
    ProtocolError = 1,
    /// There is no such stream.
    InvalidStream = 2,
    /// The stream isn't wanted.
    Refused = 3,
}

/// What a client sends.
#[derive(Debug, PartialEq)]
pub(super) enum Received {
    /// A new stream.
    Open { id: u32, headers: Headers, fin: bool },
    /// More headers of a stream.
    Headers { id: u32, fin: bool },
    /// So many bytes follow, to be read by the caller.
    Data { id: u32, length: usize, fin: bool },
    /// A stream that has come to an end before its time.
    Reset { id: u32 },
    /// To be sent back.
    Ping(u32),
    /// Nothing new will come.
    GoAway,
    /// What means nothing here: settings, windows, answers to streams that this side never opens.
    Other,
}

/// Reads a frame, all of it but the bytes of data. None at the end of the connection.
///
/// # Errors
/// The connection's, and `InvalidData` for what isn't SPDY; nothing can be read afterwards.
pub(super) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    unpacker: &mut Unpacker,
) -> io::Result<Option<Received>> {
    let mut head = [0; 8];
    match from.read_exact(&mut head).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let [a, b, c, d, flags, length @ ..] = head;
    let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
    let fin = flags & FIN != 0;
    if a & 0x80 == 0 {
        return Ok(Some(Received::Data { id: u32::from_be_bytes([a, b, c, d]), length, fin }));
    }
    let (version, sort) = (u16::from_be_bytes([a & 0x7f, b]), u16::from_be_bytes([c, d]));
    if version != VERSION {
        return Err(malformed(&format!("version {version}")));
    }
    if length > CONTROL_BYTES_MAX {
        return Err(malformed("a frame is too large"));
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload).await?;
    let first = payload.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
    let first = first.ok_or_else(|| malformed("a frame is cut off"));
    let id = first.map(|number| number & 0x7fff_ffff);
    let mut headers = |from: usize| {
        let packed = payload.get(from..).ok_or_else(|| malformed("a frame is cut off"))?;
        unpacker.unpack(packed)
    };
    Ok(Some(match sort {
        // Between them are the stream it belongs to, priority and slot.
        SYN_STREAM => Received::Open { id: id?, headers: headers(10)?, fin },
        // Every block counts for those that follow.
        SYN_REPLY => {
            headers(4)?;
            Received::Other
        }
        HEADERS => {
            headers(4)?;
            Received::Headers { id: id?, fin }
        }
        RST_STREAM => Received::Reset { id: id? },
        PING => Received::Ping(u32::from_be_bytes(
            *payload.first_chunk().ok_or_else(|| malformed("a frame is cut off"))?,
        )),
        GOAWAY => Received::GoAway,
        _ => Received::Other,
    }))
}

/// What this side sends.
#[derive(Debug, PartialEq)]
pub(super) enum Sent {
    /// A stream is taken.
    Reply(u32),
    /// Data, and whether it is the last.
    Data { id: u32, bytes: Bytes, fin: bool },
    /// A stream is not taken, or has come to an end.
    Reset { id: u32, why: Reset },
    /// The answer to a ping.
    Ping(u32),
    /// Nothing new will be taken after this stream.
    GoAway { last: u32 },
}

/// Appends a frame.
///
/// # Errors
/// Headers that can't be packed.
pub(super) fn write(frame: &Sent, packer: &mut Packer, out: &mut Vec<u8>) -> io::Result<()> {
    match frame {
        Sent::Reply(id) => {
            let packed = packer.pack(&[])?;
            control(SYN_REPLY, &[&id.to_be_bytes(), &packed], out);
        }
        Sent::Data { id, bytes, fin } => {
            out.extend_from_slice(&id.to_be_bytes());
            out.push(if *fin { FIN } else { 0 });
            put_length(bytes.len(), out);
            out.extend_from_slice(bytes);
        }
        Sent::Reset { id, why } => {
            control(RST_STREAM, &[&id.to_be_bytes(), &(*why as u32).to_be_bytes()], out)
        }
        Sent::Ping(id) => control(PING, &[&id.to_be_bytes()], out),
        Sent::GoAway { last } => control(GOAWAY, &[&last.to_be_bytes(), &[0; 4]], out),
    }
    Ok(())
}

fn control(sort: u16, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(&(VERSION | 0x8000).to_be_bytes());
    out.extend_from_slice(&sort.to_be_bytes());
    out.push(0);
    put_length(parts.iter().map(|part| part.len()).sum(), out);
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    // Senders stay far below 16 MiB.
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY: {what}"))
}

#[cfg(test)]
pub(super) use tests::open;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client sends to open a stream.
    pub(in super::super) fn open(
        id: u32,
        headers: &[(&str, &str)],
        fin: bool,
        packer: &mut Packer,
    ) -> Vec<u8> {
        let headers: Headers =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let packed = packer.pack(&headers).unwrap();
        let mut out = Vec::new();
        control(SYN_STREAM, &[&id.to_be_bytes(), &[0; 6], &packed], &mut out);
        out[4] = u8::from(fin);
        out
    }

    fn all(bytes: &[u8]) -> io::Result<Vec<Received>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut from, mut unpacker, mut out) = (bytes, Unpacker::new(), Vec::new());
            while let Some(frame) = read(&mut from, &mut unpacker).await? {
                if let Received::Data { length, .. } = frame {
                    from = &from[length..];
                }
                out.push(frame);
            }
            Ok(out)
        })
    }

    #[test]
    fn frames_are_read() {
        let mut packer = Packer::new();
        let mut bytes = open(1, &[("streamType", "error")], true, &mut packer);
        bytes.extend(open(3, &[("streamtype", "data")], false, &mut packer));
        bytes.extend([0, 0, 0, 3, 1, 0, 0, 2, b'h', b'i']);
        bytes.extend([0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 9]);
        // WINDOW_UPDATE, RST_STREAM, GOAWAY.
        bytes.extend([0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 1]);
        bytes.extend([0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 5]);
        bytes.extend([0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 0]);
        let headers = |value: &str| vec![("streamtype".to_owned(), value.to_owned())];
        let expected = vec![
            Received::Open { id: 1, headers: headers("error"), fin: true },
            Received::Open { id: 3, headers: headers("data"), fin: false },
            Received::Data { id: 3, length: 2, fin: true },
            Received::Ping(9),
            Received::Other,
            Received::Reset { id: 3 },
            Received::GoAway,
        ];
        assert_eq!(all(&bytes).unwrap(), expected);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\x80\x02\x00\x01\x00\x00\x00\x00"[..],
            &[0x80, 2, 0, 1, 0, 0, 0, 0],
            &[0x80, 3, 0, 1, 0, 255, 255, 255],
            &[0x80, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1],
            &[0x80, 3, 0, 6, 0, 0, 0, 0],
            &[0x80, 3, 0, 6, 0, 0, 0, 4, 0],
        ] {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (mut from, mut unpacker) = (bytes, Unpacker::new());
            let read = runtime.block_on(read(&mut from, &mut unpacker));
            // The first begins like data of a stream with a long name.
            assert!(read.is_err() || matches!(read, Ok(Some(Received::Data { .. }))), "{bytes:?}");
        }
    }

    #[test]
    fn frames_are_written() {
        let mut out = Vec::new();
        let mut packer = Packer::new();
        write(&Sent::Data { id: 5, bytes: Bytes::from_static(b"abc"), fin: true }, &mut packer, &mut out)
            .unwrap();
        write(&Sent::Reset { id: 5, why: Reset::Refused }, &mut packer, &mut out).unwrap();
        write(&Sent::GoAway { last: 5 }, &mut packer, &mut out).unwrap();
        let expected = [
            &[0, 0, 0, 5, 1, 0, 0, 3, b'a', b'b', b'c'][..],
            &[0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 0, 3],
            &[0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 0, 0],
        ];
        assert_eq!(out, expected.concat());
    }
}

//! Header blocks: names and values, compressed by zlib with a dictionary and a state that lasts as long as the
//! connection.

use std::io;
use std::sync::LazyLock;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Bytes of a block once it is unpacked.
const BLOCK_BYTES_MAX: usize = 64 * 1024;

/// Names and values; names in lower case.
pub(crate) type Headers = Vec<(String, String)>;

/// Words of the dictionary that stand in it with their length before them.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
    accept-ranges age allow authorization cache-control connection content-base content-encoding content-language \
    content-length content-location content-md5 content-range content-type date etag expect expires from host if-match \
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
    keep-alive origin";

/// What follows them.
const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden\
    404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
    Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
    chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,\
    publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// The dictionary of SPDY/3.
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = Vec::new();
    for word in WORDS.split(' ') {
        put_text(&mut out, &word.replace('_', " "));
    }
    out.extend_from_slice(REST.as_bytes());
    out
});

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Nothing here is as long as 4 GiB.
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY headers: {what}"))
}

/// Unpacks the blocks of one side, in the order in which they come.
pub(super) struct Unpacker(Decompress);

impl Unpacker {
    pub(super) fn new() -> Unpacker {
        Unpacker(Decompress::new(true))
    }

    /// # Errors
    /// What isn't a block, or one that gets too large. The connection can't go on after it.
    pub(super) fn unpack(&mut self, packed: &[u8]) -> io::Result<Headers> {
        let mut block = Vec::with_capacity(1024);
        let started = self.0.total_in();
        loop {
            let read = usize::try_from(self.0.total_in() - started).unwrap_or(packed.len());
            let rest = packed.get(read..).unwrap_or_default();
            if block.len() == block.capacity() {
                if block.len() >= BLOCK_BYTES_MAX {
                    return Err(malformed("a block is too large"));
                }
                block.reserve(block.len());
            }
            match self.0.decompress_vec(rest, &mut block, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err(malformed("the compressed data ends")),
                // All is read and there was room left: this is all of it.
                Ok(_) if rest.is_empty() && block.len() < block.capacity() => return parse(&block),
                Ok(Status::BufError) if block.len() < block.capacity() => return parse(&block),
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&DICTIONARY).map_err(|_| malformed("another dictionary"))?;
                }
                Err(_) => return Err(malformed("the compression is broken")),
            }
        }
    }
}

/// Packs the blocks of this side.
pub(super) struct Packer(Compress);

impl Packer {
    pub(super) fn new() -> Packer {
        let mut compress = Compress::new(Compression::fast(), true);
        // A new compressor takes any dictionary.
        let _ = compress.set_dictionary(&DICTIONARY);
        Packer(compress)
    }

    pub(super) fn pack(&mut self, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
        let mut block = Vec::new();
        block.extend_from_slice(&(headers.len() as u32).to_be_bytes());
        for (name, value) in headers {
            put_text(&mut block, name);
            put_text(&mut block, value);
        }
        // More than deflate makes of what can't be packed.
        let mut packed = Vec::with_capacity(block.len() + block.len() / 100 + 64);
        self.0.compress_vec(&block, &mut packed, FlushCompress::Sync).map_err(io::Error::other)?;
        Ok(packed)
    }
}

fn parse(mut block: &[u8]) -> io::Result<Headers> {
    let count = number(&mut block)?;
    // Each has two lengths at least.
    if count > block.len() / 8 {
        return Err(malformed("more of them than there are bytes"));
    }
    let mut headers = Headers::with_capacity(count);
    for _ in 0..count {
        let name = text(&mut block)?.to_ascii_lowercase();
        headers.push((name, text(&mut block)?));
    }
    Ok(headers)
}

fn number(block: &mut &[u8]) -> io::Result<usize> {
    let (bytes, rest) = block.split_first_chunk::<4>().ok_or_else(|| malformed("a length is cut off"))?;
    *block = rest;
    Ok(u32::from_be_bytes(*bytes) as usize)
}

fn text(block: &mut &[u8]) -> io::Result<String> {
    let length = number(block)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or_else(|| malformed("a text is cut off"))?;
    *block = rest;
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn the_dictionary_is_spdys() {
        // Its checksum is what a compressed block names it by.
        let (mut a, mut b) = (1u32, 0u32);
        for byte in DICTIONARY.iter() {
            a = (a + u32::from(*byte)) % 65_521;
            b = (b + a) % 65_521;
        }
        assert_eq!((DICTIONARY.len(), (b << 16) | a), (1_423, 0xe3c6_a7c2));
    }

    #[test]
    fn blocks_are_unpacked_in_order() {
        let (mut packer, mut unpacker) = (Packer::new(), Unpacker::new());
        let long = "x".repeat(5_000);
        for pairs in
            [&[("streamtype", "error"), ("port", "80")][..], &[], &[("streamtype", "data"), ("a", &long)]]
        {
            let packed = packer.pack(&headers(pairs)).unwrap();
            assert_eq!(unpacker.unpack(&packed).unwrap(), headers(pairs));
        }
    }

    #[test]
    fn what_is_broken_is_an_error() {
        let packed = Packer::new().pack(&headers(&[("port", "80")])).unwrap();
        for length in 0..packed.len() - 6 {
            assert!(Unpacker::new().unpack(&packed[..length]).is_err(), "{length}");
        }
        assert!(Unpacker::new().unpack(b"no zlib at all").is_err());
        // A small block that unpacks to a large one.
        let bomb = Packer::new().pack(&headers(&[("a", &"x".repeat(1 << 20))]));
        assert!(Unpacker::new().unpack(&bomb.unwrap()).is_err());
        for block in [
            &b""[..],
            &[0, 0, 0, 1],
            &[255, 255, 255, 255, 0, 0, 0, 0],
            &[0, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4],
        ] {
            assert!(parse(block).is_err(), "{block:?}");
        }
    }
}

//! Many informers as Go's client runs them: streaming lists in protobuf over HTTP/1.1 and HTTP/2, with its own
//! parameters and headers.

use std::collections::BTreeMap;
use std::time::Duration;

use cox_api::Options;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde_json::json;

use crate::web::{TOKEN, Web};

const INFORMERS: usize = 40;
const OBJECTS: usize = 500;
const CHANGES: usize = 600;

/// The request of a reflector of client-go 0.36 with `WatchListClient`, as recorded from kube-controller-manager.
const PATH: &str = "/api/v1/configmaps?allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeout=9m37s&timeoutSeconds=577&watch=true";
const HEADERS: [(&str, &str); 3] = [
    ("accept", "application/vnd.kubernetes.protobuf,application/json"),
    ("user-agent", "kube-controller-manager/v1.36.2 (linux/amd64) kubernetes/abcdef0/metadata-informers"),
    ("accept-encoding", "gzip"),
];

/// A field of protobuf: its number and bytes. Enough for frames of watches, which have nothing else.
fn field(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let varint = |bytes: &[u8]| {
        let mut value = 0u64;
        for (at, byte) in bytes.iter().enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Some((value, at + 1));
            }
        }
        None
    };
    let (key, length) = varint(bytes)?;
    assert_eq!(key & 7, 2, "a field of bytes");
    let bytes = &bytes[length..];
    let (size, length) = varint(bytes)?;
    let (content, rest) = bytes[length..].split_at(usize::try_from(size).ok()?);
    Some((key >> 3, content, rest))
}

/// What an informer has in its cache: names and resourceVersions.
#[derive(Default)]
struct Informer {
    buffered: Vec<u8>,
    cache: BTreeMap<String, u64>,
    synced: bool,
    /// The last version that an event or a bookmark told.
    last: u64,
}

impl Informer {
    fn take(&mut self, bytes: &[u8]) {
        self.buffered.extend_from_slice(bytes);
        while let Some((length, rest)) = self.buffered.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(frame) = rest.get(..length) else { return };
            let (number, kind, rest) = field(frame).expect("the type");
            assert_eq!(number, 1);
            let (number, raw, rest) = field(rest).expect("the object");
            assert_eq!((number, rest), (2, &b""[..]));
            let (_, envelope, _) = field(raw).expect("its bytes");
            let (api_version, of, object) = cox_api::protobuf::decode(envelope).expect("an object");
            assert_eq!((api_version.as_str(), of.as_str()), ("v1", "ConfigMap"));
            let metadata = &object["metadata"];
            let version: u64 = metadata["resourceVersion"].as_str().unwrap().parse().unwrap();
            let name = metadata["name"].as_str().unwrap_or_default().to_owned();
            assert!(!self.synced || version >= self.last, "{version} after {}", self.last);
            match kind {
                b"BOOKMARK" => self.synced |= metadata["annotations"]["k8s.io/initial-events-end"] == "true",
                b"DELETED" => assert!(self.cache.remove(&name).is_some(), "{name} wasn't there"),
                b"ADDED" => assert!(self.cache.insert(name, version).is_none(), "added twice"),
                b"MODIFIED" => {
                    assert!(self.cache.insert(name, version).is_some(), "changed before it was added")
                }
                other => panic!("{}", String::from_utf8_lossy(other)),
            }
            self.last = version;
            self.buffered.drain(..4 + length);
        }
    }

    /// Reads until the cache is complete, or has reached a version.
    async fn until(&mut self, body: &mut Incoming, done: impl Fn(&Informer) -> bool) {
        while !done(self) {
            let frame = tokio::time::timeout(Duration::from_secs(60), body.frame()).await.expect("in time");
            if let Ok(data) = frame.expect("the watch goes on").expect("no fault").into_data() {
                self.take(&data);
            }
        }
    }
}

async fn start(web: &Web, http2: bool) -> Incoming {
    let mut request = http::Request::builder().uri(format!("https://localhost{PATH}"));
    if !http2 {
        request = http::Request::builder().uri(PATH).header("host", "localhost");
    }
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    let request =
        request.header("authorization", format!("Bearer {TOKEN}")).body(Full::<Bytes>::default()).unwrap();
    let answer = if http2 { web.send_http2(request).await } else { web.send(request).await };
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("content-type"), Some("application/vnd.kubernetes.protobuf;stream=watch"));
    assert_eq!(header("content-encoding"), None, "watches aren't compressed");
    answer.into_body()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_informer_ends_with_what_is_there() {
    let web = Web::new().await;
    let map = |at: usize, word: &str| json!({"metadata": {"name": format!("m{at}")}, "data": {"k": word.repeat(100)}});
    for at in 0..OBJECTS {
        web.world.create("configmaps", "n", map(at, "a")).await.unwrap();
    }
    let mut informers = Vec::new();
    for at in 0..INFORMERS {
        let mut body = start(&web, at % 2 == 0).await;
        informers.push(tokio::spawn(async move {
            let mut informer = Informer::default();
            informer.until(&mut body, |informer| informer.synced).await;
            (informer, body)
        }));
    }
    // Changes while they list.
    for at in 0..CHANGES {
        let name = at % OBJECTS;
        match at % 3 {
            0 => drop(web.world.delete("configmaps", "n", &format!("m{name}"), json!({})).await.unwrap()),
            1 => drop(
                web.world
                    .merge("configmaps", "n", &format!("m{name}"), json!({"data": {"at": at.to_string()}}))
                    .await
                    .ok(),
            ),
            _ => drop(web.world.create("configmaps", "n", map(OBJECTS + at, "b")).await.unwrap()),
        }
    }
    let list = web.world.list("configmaps", "", Options::default()).await.unwrap();
    let expected: BTreeMap<String, u64> =
        list.items.iter().map(|object| (object.name().to_owned(), object.revision())).collect();
    // One more, so that everybody hears of the end.
    web.world.create("configmaps", "n", json!({"metadata": {"name": "end"}})).await.unwrap();
    for informer in informers {
        let (mut informer, mut body) = informer.await.expect("no panic");
        informer.until(&mut body, |informer| informer.cache.contains_key("end")).await;
        informer.cache.remove("end");
        assert_eq!(informer.cache, expected);
    }
}

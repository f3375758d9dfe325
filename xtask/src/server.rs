//! A server to talk to: a fresh `cox up` in a directory of its own, and plain HTTP calls to it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// How long a fresh server may take to be ready, in a build without optimisation.
const READY_SECONDS_MAX: u64 = 60;

/// One request.
pub struct Call {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    /// Whether the administrator's token goes with it.
    pub authorize: bool,
}

/// One answer.
pub struct Raw {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Raw {
    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Every header of a name.
    pub fn headers_all(&self, name: &str) -> Vec<String> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    /// The body as JSON: an object, the list of a watch's events, or the text as it is.
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        let stream: Result<Vec<Value>, _> =
            serde_json::Deserializer::from_slice(&self.body).into_iter::<Value>().collect();
        match stream {
            Ok(mut values)
                if values.len() == 1
                    && values[0].get("type").is_none_or(|_| values[0].get("object").is_none()) =>
            {
                values.remove(0)
            }
            Ok(values) if values.iter().all(|value| value.get("object").is_some()) => Value::Array(values),
            _ => Value::String(String::from_utf8_lossy(&self.body).into_owned()),
        }
    }
}

/// Where requests go.
pub struct Target {
    base: String,
    token: String,
    client: Client<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Target {
    /// `base` as in `https://127.0.0.1:6443`; `ca` is a PEM file.
    pub fn new(base: &str, token: &str, ca: &Path) -> Result<Target> {
        let pem = std::fs::read(ca).with_context(|| format!("reading {}", ca.display()))?;
        let mut roots = rustls::RootCertStore::empty();
        for certificate in rustls_pki_types::pem::PemObject::pem_slice_iter(&pem) {
            let certificate: rustls_pki_types::CertificateDer<'static> = certificate?;
            roots.add(certificate)?;
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Target { base: base.trim_end_matches('/').to_owned(), token: token.to_owned(), client })
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, call: Call, within: Duration) -> Result<Raw> {
        let answer = async {
            let (parts, body) = self.begin(call).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Raw { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        tokio::time::timeout(within, answer).await.context("no whole answer in time")?
    }

    /// Sends a request and brings the answer as it begins: its body may be a watch.
    pub async fn begin(&self, call: Call) -> Result<http::Response<hyper::body::Incoming>> {
        let mut uri = format!("{}{}", self.base, encode(&call.path, b"/%:@!$&'()*+,;=?#-._~"));
        for (i, (key, value)) in call.query.iter().enumerate() {
            uri.push(if i == 0 { '?' } else { '&' });
            uri.push_str(&encode(key, b"-._~"));
            uri.push('=');
            uri.push_str(&encode(value, b"-._~"));
        }
        let mut request = http::Request::builder().method(call.method.as_str()).uri(uri);
        for (key, value) in &call.headers {
            request = request.header(key, value);
        }
        if call.authorize {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if call.body.is_none() && matches!(call.method.as_str(), "POST" | "PUT" | "PATCH") {
            request = request.header("content-length", "0");
        }
        let request = request.body(Full::new(call.body.unwrap_or_default().into()))?;
        Ok(self.client.request(request).await?)
    }
}

fn encode(text: &str, keep: &[u8]) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || keep.contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// A `cox up` of our own; ended and cleaned up when dropped.
pub struct Running {
    command: Command,
    child: Child,
    data: tempfile::TempDir,
    /// As in `https://127.0.0.1:PORT`.
    pub url: String,
}

impl Running {
    /// Starts `cox up` with these flags besides its own directory and a free port, and waits until it is ready.
    pub async fn start(binary: Option<&Path>, flags: &[&str]) -> Result<Running> {
        Running::command(binary, "up", flags).await
    }

    /// The same with another of its commands (`server`).
    pub async fn command(binary: Option<&Path>, command: &str, flags: &[&str]) -> Result<Running> {
        let binary = match binary {
            Some(binary) => binary.to_owned(),
            None => build(false)?,
        };
        let data = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = std::fs::File::create(data.path().join("cox.log"))?;
        let mut command_line = Command::new(&binary);
        command_line
            .arg(command)
            .arg("--data-dir")
            .arg(data.path())
            .args(["--listen", &format!("127.0.0.1:{port}"), "--no-merge"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command_line.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let url = format!("https://127.0.0.1:{port}");
        let mut running = Running { command: command_line, child, data, url };
        running.until_ready(Duration::from_millis(10)).await?;
        Ok(running)
    }

    /// Ends it, by `signal` as kill(1) names it, and starts it over the same data. Brings the time from then until it
    /// is ready, to the millisecond.
    pub async fn restart(&mut self, signal: &str) -> Result<Duration> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().context("kill")?;
        if !sent.success() {
            bail!("cox could not be ended");
        }
        self.child.wait()?;
        let begun = Instant::now();
        self.child = self.command.spawn().context("starting cox again")?;
        self.until_ready(Duration::from_millis(1)).await?;
        Ok(begun.elapsed())
    }

    async fn until_ready(&mut self, every: Duration) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(READY_SECONDS_MAX);
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("cox ended with {status}:\n{}", self.log());
            }
            if let Ok(target) = self.target() {
                let call = Call {
                    method: "GET".into(),
                    path: "/readyz".into(),
                    query: Vec::new(),
                    headers: Vec::new(),
                    body: None,
                    authorize: true,
                };
                if target.send(call, Duration::from_secs(2)).await.is_ok_and(|answer| answer.status == 200) {
                    return Ok(());
                }
            }
            if Instant::now() > until {
                bail!("cox was not ready within {READY_SECONDS_MAX} s:\n{}", self.log());
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Where to send requests.
    pub fn target(&self) -> Result<Target> {
        let token = std::fs::read_to_string(self.data.path().join("admin.token"))?;
        Target::new(&self.url, token.trim(), &self.data.path().join("pki/ca.crt"))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.data.path()
    }

    /// What it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("cox.log")).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the binary and tells where it is.
pub fn build(release: bool) -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--package", "cox", "--bin", "cox"]);
    if release {
        command.arg("--release");
    }
    if !command.status().context("running cargo build")?.success() {
        bail!("cargo build failed");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Ok(target.join(if release { "release" } else { "debug" }).join("cox"))
}

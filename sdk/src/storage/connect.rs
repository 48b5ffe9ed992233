//! Connections to stores: names are looked up here, so that no address is asked that the rules forbid, whoever named it. A proxy
//! is used where the environment names one.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::StorageError;
use super::place::{shown, unescaped};
use super::policy::Policy;
use super::settings::Settings;

/// The longest answer of a proxy before it passes bytes on.
const PROXY_HEAD: usize = 8 << 10;

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    policy: Arc<Policy>,
    tls: Arc<ClientConfig>,
    proxies: Arc<Proxies>,
    patience: Duration,
}

impl Connector {
    pub(super) fn new(
        settings: &Settings,
        policy: Arc<Policy>,
        tls: ClientConfig,
    ) -> Result<Self, StorageError> {
        Ok(Self {
            policy,
            tls: Arc::new(tls),
            proxies: Arc::new(Proxies::of(settings)?),
            patience: settings.transfer.connect,
        })
    }

    async fn connect(self, uri: Uri) -> Result<Wire, StorageError> {
        let address = shown(&uri.to_string());
        let patience = self.patience;
        let connected = tokio::time::timeout(patience, self.connect_to(uri)).await;
        connected.unwrap_or_else(|_| {
            Err(StorageError::passing(address, format!("no connection within {} s", patience.as_secs())))
        })
    }

    async fn connect_to(&self, uri: Uri) -> Result<Wire, StorageError> {
        let text = uri.to_string();
        let url =
            Url::parse(&text).map_err(|error| StorageError::refused(shown(&text), error.to_string()))?;
        let is_https = url.scheme() == "https";
        let stream = match self.proxies.of_url(&url) {
            None => self.open(&url).await?,
            Some(proxy) => {
                let stream = self.open(proxy).await?;
                if !is_https {
                    return Ok(Wire { io: TokioIo::new(Box::new(stream)), proxied: true });
                }
                tunnel(stream, proxy, &url).await?
            }
        };
        if !is_https {
            return Ok(Wire { io: TokioIo::new(Box::new(stream)), proxied: false });
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| StorageError::refused(shown(&text), "its host is no name that a certificate has"))?;
        let secured = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        let secured = secured.map_err(|error| broken_tls(&shown(&text), &error))?;
        Ok(Wire { io: TokioIo::new(Box::new(secured)), proxied: false })
    }

    /// Opens a connection to the first address of the host that takes it, once all of them are allowed.
    async fn open(&self, url: &Url) -> Result<TcpStream, StorageError> {
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_matches(['[', ']']);
        let port = url.port_or_known_default().unwrap_or(80);
        let told = |what: &str, error: &io::Error| {
            StorageError::passing(shown(url.as_str()), format!("{what}: {error}"))
        };
        let found = tokio::net::lookup_host((bare, port)).await;
        let found: Vec<_> = found.map_err(|error| told("its host is not found", &error))?.collect();
        for it in &found {
            self.policy.address(url, host, it.ip())?;
        }
        let mut last = io::Error::other("its name has no address");
        for it in found {
            match TcpStream::connect(it).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(told("no connection", &last))
    }
}

/// A certificate that is not trusted stays so; a connection that breaks may do better.
fn broken_tls(address: &str, error: &io::Error) -> StorageError {
    let inner = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => StorageError::answer(
            address,
            format!(
                "its certificate is not trusted: {error}; name the authority's file by AWS_CA_BUNDLE or SSL_CERT_FILE"
            ),
        ),
        Some(_) | None => StorageError::passing(address, format!("no TLS: {error}")),
    }
}

/// Asks a proxy for a connection to the host.
async fn tunnel(mut stream: TcpStream, proxy: &Url, url: &Url) -> Result<TcpStream, StorageError> {
    let told = |reason: String| StorageError::passing(shown(proxy.as_str()), format!("as a proxy: {reason}"));
    let target =
        format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    let login = login(proxy).map(|it| format!("proxy-authorization: {it}\r\n")).unwrap_or_default();
    let head = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{login}\r\n");
    stream.write_all(head.as_bytes()).await.map_err(|error| told(error.to_string()))?;
    let mut answer = Vec::new();
    // Byte by byte: what comes after the head is the host's.
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.map_err(|error| told(error.to_string()))?;
        answer.push(byte);
        if answer.len() > PROXY_HEAD {
            return Err(told("its answer has no end".to_owned()));
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    if line.split(' ').nth(1) == Some("200") { Ok(stream) } else { Err(told(format!("it answers `{line}`"))) }
}

fn login(url: &Url) -> Option<String> {
    let (user, password) = (unescaped(url.username()), unescaped(url.password().unwrap_or_default()));
    (!user.is_empty()).then(|| format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// The proxies that the environment names.
#[derive(Debug, Default)]
struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    /// Hosts that are asked directly.
    direct: Vec<String>,
}

impl Proxies {
    fn of(settings: &Settings) -> Result<Self, StorageError> {
        let read = |names: &[&str]| {
            let Some(text) = settings.first(names) else { return Ok(None) };
            let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
            match Url::parse(&text) {
                Ok(url) if url.scheme() == "http" => Ok(Some(url)),
                Ok(_) | Err(_) => {
                    let reason = "expected the address of a proxy, such as `http://proxy:3128`";
                    Err(StorageError::Settings(format!("variable {}: {reason}", names[0])))
                }
            }
        };
        let direct = settings.first(&["NO_PROXY", "no_proxy"]).unwrap_or_default().split(',');
        Ok(Self {
            // In capitals it may be a header of a CGI script's caller.
            http: read(&["http_proxy", "ALL_PROXY", "all_proxy"])?,
            https: read(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])?,
            direct: direct.map(|it| it.trim().to_ascii_lowercase()).filter(|it| !it.is_empty()).collect(),
        })
    }

    fn of_url(&self, url: &Url) -> Option<&Url> {
        let host = url.host_str()?.trim_matches(['[', ']']).to_ascii_lowercase();
        let on_this_machine = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
        let fits = |it: &String| {
            let bare = it.trim_start_matches("*.").trim_start_matches('.');
            it == "*" || host == bare || host.strip_suffix(bare).is_some_and(|it| it.ends_with('.'))
        };
        if on_this_machine || self.direct.iter().any(fits) {
            return None;
        }
        if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection, in the clear or not.
pub(super) struct Wire {
    io: TokioIo<Box<dyn Stream>>,
    proxied: bool,
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl hyper::rt::Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Wire;
    type Error = StorageError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, StorageError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StorageError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

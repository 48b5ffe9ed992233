//! A server of HTTP that does what a test wants it to, faults included: it breaks off, lies, and says how many bytes it sent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::harness::root;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// A parameter of the query, its escapes read.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let url = url::Url::parse(&format!("http://h{}", self.target)).unwrap();
        url.query_pairs().find(|it| it.0 == name).map(|it| it.1.into_owned())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub(super) cut: Option<usize>,
    /// What it says of the body's length, where that is a lie.
    pub(super) claims: Option<usize>,
}

impl Answer {
    pub(super) fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None, claims: None }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file, or the part of it that is asked for; 412 where it is another one by now.
    pub(super) fn file(asked: &Asked, bytes: &[u8], etag: &str) -> Self {
        let quoted = format!("\"{etag}\"");
        if asked.header("if-match").is_some_and(|it| it != quoted) {
            return Self::of(412, "");
        }
        let range = asked.header("range").and_then(|it| it.strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|it| it.split_once('-')) else {
            return Self::of(200, bytes).with("etag", &quoted).with("accept-ranges", "bytes");
        };
        let first: usize = first.parse().unwrap();
        let last = last.parse::<usize>().map_or(bytes.len(), |it| it + 1).min(bytes.len());
        if first >= bytes.len() {
            return Self::of(416, "");
        }
        let range = format!("bytes {first}-{}/{}", last - 1, bytes.len());
        Self::of(206, &bytes[first..last]).with("etag", &quoted).with("content-range", &range)
    }
}

/// A server. It ends with the process of the tests.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) at: SocketAddr,
    log: Arc<Mutex<Vec<Asked>>>,
    sent: Arc<AtomicU64>,
}

type Handler = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

impl Server {
    /// Starts one on a free port of the loopback interface.
    pub(super) fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(Arc::new(handler), None)
    }

    /// The same with TLS, by the certificate of `tests/storage/tls`.
    pub(super) fn with_tls(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let chain =
            CertificateDer::pem_file_iter(tls("cert.pem")).unwrap().collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(tls("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::serve(Arc::new(handler), Some(Arc::new(config)))
    }

    fn serve(handler: Handler, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { at: listener.local_addr().unwrap(), log: Arc::default(), sent: Arc::default() };
        let this = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (this, handler, tls) = (this.clone(), Arc::clone(&handler), tls.clone());
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    match tls {
                        None => this.talk(stream, &handler),
                        Some(config) => {
                            let session = rustls::ServerConnection::new(config).unwrap();
                            this.talk(rustls::StreamOwned::new(session, stream), &handler)
                        }
                    }
                });
            }
        });
        server
    }

    /// What was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// The bytes of bodies that were sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    /// Answers until somebody ends the connection.
    fn talk(&self, mut stream: impl Connection, handler: &Handler) -> Option<()> {
        loop {
            let asked = read(&mut stream)?;
            self.log.lock().unwrap().push(asked.clone());
            let answer = handler(&asked);
            let length = answer.claims.unwrap_or(answer.body.len());
            let mut head = format!("HTTP/1.1 {} It\r\ncontent-length: {length}\r\n", answer.status);
            answer.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
            let body = if asked.method == "HEAD" { &[][..] } else { &answer.body };
            let end = answer.cut.unwrap_or(body.len()).min(body.len());
            let head = format!("{head}\r\n");
            // In pieces, so that what was taken is counted and not what fits into a buffer; each is counted first, for whoever
            // has it, or its head, may look at once.
            let pieces = body[..end].chunks(16 << 10);
            let first = pieces.clone().next().unwrap_or_default().len() as u64;
            self.sent.fetch_add(first, Ordering::SeqCst);
            stream.write_all(head.as_bytes()).ok()?;
            for (at, piece) in pieces.enumerate() {
                if at > 0 {
                    self.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
                }
                stream.write_all(piece).ok()?;
            }
            stream.flush().ok()?;
            if answer.cut.is_some() || answer.claims.is_some() {
                stream.end();
                return None;
            }
        }
    }
}

/// A connection, in the clear or not.
trait Connection: Read + Write {
    fn end(&mut self);
}

impl Connection for TcpStream {
    fn end(&mut self) {
        let _ = self.shutdown(std::net::Shutdown::Both);
    }
}

impl Connection for rustls::StreamOwned<rustls::ServerConnection, TcpStream> {
    fn end(&mut self) {
        self.sock.end();
    }
}

fn read(stream: &mut impl Connection) -> Option<Asked> {
    // One byte at a time where it must be: a connection has more than one request.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let mut lines = BufReader::new(head.as_slice()).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: BTreeMap<_, _> = lines
        .filter_map(|it| {
            it.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect();
    let length = headers.get("content-length").map_or(0, |it| it.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Asked { method, target, headers, body })
}

/// A file of the tests' certificates.
pub(super) fn tls(name: &str) -> PathBuf {
    root().join("tests/storage/tls").join(name)
}

/// The files below a folder, with what is in them.
pub(super) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    if folder.exists() {
        walk(folder, folder, &mut found);
    }
    found
}

/// Bytes that look like nothing, the same each time.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

//! Where a peer is: a host and port, or a Unix socket.

use std::fmt;
use std::path::PathBuf;

use http::uri::Authority;
use weir_proto::Error;

/// A peer's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host name or address, and a port. Resolved at each connection: a replaced pod has a new address.
    Tcp(String, u16),
    /// A Unix socket, for peers on one host.
    Unix(PathBuf),
}

impl Target {
    /// Reads `host`, `host:port`, `http://host:port` or `unix:/path`. Without a port it is `default_port`.
    ///
    /// # Errors
    /// `InvalidInput` telling what was met.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let wrong =
            || Error::invalid(format!("`{text}` is no address; expected host, host:port or unix:/path"));
        if rest.is_empty() || rest.contains('/') {
            return Err(wrong());
        }
        match rest.rsplit_once(':') {
            // A bare IPv6 address has colons, but its port stands behind a bracket.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                let port = port.parse().map_err(|_| wrong())?;
                Ok(Self::Tcp(host.trim_matches(['[', ']']).to_owned(), port))
            }
            _ => Ok(Self::Tcp(rest.trim_matches(['[', ']']).to_owned(), default_port)),
        }
    }

    /// Returns what stands in the `:authority` of requests.
    pub(crate) fn authority(&self) -> Authority {
        let text = match self {
            Self::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp(host, port) => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        };
        text.parse().unwrap_or_else(|_| Authority::from_static("peer"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let tcp = |host: &str, port| Ok(Target::Tcp(host.to_owned(), port));
        assert_eq!(Target::parse("predictor", 80), tcp("predictor", 80));
        assert_eq!(Target::parse("http://127.0.0.1:8080/", 80), tcp("127.0.0.1", 8080));
        assert_eq!(Target::parse("[::1]:8080", 80), tcp("::1", 8080));
        assert_eq!(Target::parse("::1", 80), tcp("::1", 80));
        assert_eq!(Target::parse("unix:/run/p.sock", 80), Ok(Target::Unix("/run/p.sock".into())));
        for text in ["", "http://", "host/path", "host:port"] {
            assert!(Target::parse(text, 80).is_err(), "{text}");
        }
    }
}

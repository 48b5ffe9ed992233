//! Whom a download may talk to: schemes and hosts that are allowed, and addresses that never are unless somebody says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Url;

use super::StorageError;
use super::patterns::matches;
use super::place::shown;

/// Whom a download may talk to.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The schemes of URIs; all where it is empty.
    pub schemes: Vec<String>,
    /// The hosts, `*` standing for any part of a name; all where it is empty.
    pub hosts: Vec<String>,
    /// Whether link-local addresses and those of clouds' metadata services may be asked.
    pub link_local: bool,
    /// Hosts of credentials that the user named: they may be anywhere.
    pub(super) named: Vec<String>,
}

/// Names of metadata services, for where a proxy looks names up.
const METADATA_NAMES: [&str; 4] =
    ["metadata", "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"];

impl Policy {
    /// Whether URIs of the scheme may be fetched.
    ///
    /// # Errors
    /// [`StorageError::Refused`].
    pub(super) fn scheme(&self, uri: &str, scheme: &str) -> Result<(), StorageError> {
        if self.schemes.is_empty() || self.schemes.iter().any(|it| it == scheme) {
            return Ok(());
        }
        let allowed = self.schemes.join(", ");
        let reason =
            format!("the scheme `{scheme}` is not allowed; allowed are {allowed} (--storage_allow_schemes)");
        Err(StorageError::refused(uri, reason))
    }

    /// Whether the address may be asked, as far as its text tells.
    ///
    /// # Errors
    /// [`StorageError::Refused`].
    pub(super) fn url(&self, url: &Url) -> Result<(), StorageError> {
        let refused = |reason: String| Err(StorageError::refused(shown(url.as_str()), reason));
        if !matches!(url.scheme(), "http" | "https") {
            return refused(format!("`{}` is no scheme of HTTP; expected `https` or `http`", url.scheme()));
        }
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        if self.named.contains(&host) {
            return Ok(());
        }
        if !self.hosts.is_empty() && !self.hosts.iter().any(|it| matches(it, &host)) {
            let allowed = self.hosts.join(", ");
            return refused(format!(
                "the host `{host}` is not allowed; allowed are {allowed} (--storage_allow_hosts)"
            ));
        }
        let name = host.trim_end_matches('.');
        if !self.link_local && METADATA_NAMES.contains(&name) {
            return refused(format!("`{host}` is a metadata service; {ALLOW}"));
        }
        match url.host() {
            Some(url::Host::Ipv4(it)) => self.address(url, &host, it.into()),
            Some(url::Host::Ipv6(it)) => self.address(url, &host, it.into()),
            Some(url::Host::Domain(_)) => Ok(()),
            None => refused("it names no host".to_owned()),
        }
    }

    /// Whether the address that a name stands for may be asked.
    ///
    /// # Errors
    /// [`StorageError::Refused`].
    pub(super) fn address(&self, url: &Url, host: &str, ip: IpAddr) -> Result<(), StorageError> {
        if self.link_local || self.named.iter().any(|it| it == host) || !is_forbidden(ip) {
            return Ok(());
        }
        let reason = format!("`{host}` is at {ip}, a link-local, metadata or multicast address; {ALLOW}");
        Err(StorageError::refused(shown(url.as_str()), reason))
    }
}

const ALLOW: &str = "refused unless --storage_allow_link_local says otherwise";

/// Link-local addresses, those of the clouds' metadata services, and those that no store has.
fn is_forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(it) => is_forbidden_v4(it),
        IpAddr::V6(it) => is_forbidden_v6(it),
    }
}

fn is_forbidden_v4(ip: Ipv4Addr) -> bool {
    // Of Azure, Alibaba and Oracle, which are not link-local.
    const METADATA: [[u8; 4]; 3] = [[168, 63, 129, 16], [100, 100, 100, 200], [192, 0, 0, 192]];
    ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_broadcast()
        || ip.is_multicast()
        || METADATA.contains(&ip.octets())
}

fn is_forbidden_v6(ip: Ipv6Addr) -> bool {
    // Of AWS and Google.
    const METADATA: [[u16; 8]; 3] = [
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254],
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023],
        [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254],
    ];
    let parts = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_forbidden_v4(Ipv4Addr::new(a, b, c, d))
    };
    // Addresses of the older kind within: mapped or compatible, translated (RFC 6052), 6to4.
    let within = match parts {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => !ip.is_loopback() && v4(high, low),
        [0x64, 0xff9b, .., high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => false,
    };
    within
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unicast_link_local()
        || METADATA.contains(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn metadata_is_refused_however_it_is_written() {
        let policy = Policy::default();
        for text in [
            "http://169.254.169.254/latest",
            "http://2852039166/latest",
            "http://0xa9fea9fe/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://168.63.129.16/",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal./",
            "http://0.0.0.0/",
            "ftp://host/a",
        ] {
            assert!(policy.url(&url(text)).is_err(), "{text}");
        }
        for text in ["http://127.0.0.1:1/a", "http://[::1]/", "https://10.0.0.1/", "https://example.org/"] {
            policy.url(&url(text)).unwrap();
        }
        let policy = Policy { link_local: true, ..Policy::default() };
        policy.url(&url("http://169.254.169.254/")).unwrap();
    }

    #[test]
    fn lists_name_what_is_allowed() {
        let policy =
            Policy { schemes: vec!["s3".into()], hosts: vec!["*.example.org".into()], ..Policy::default() };
        policy.scheme("s3://b/m", "s3").unwrap();
        let text = policy.scheme("gs://b/m", "gs").unwrap_err().to_string();
        assert!(text.contains("`gs` is not allowed; allowed are s3"), "{text}");
        policy.url(&url("https://a.example.org/")).unwrap();
        assert!(policy.url(&url("https://example.org.evil.net/")).is_err());
    }
}

//! TLS for stores: whom it trusts, and the certificate that it shows where a store wants one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::StorageError;
use super::settings::Settings;

/// What a store's TLS needs beyond the public authorities.
#[derive(Debug, Clone, Default)]
pub(super) struct Tls {
    /// A file of authorities to trust as well.
    pub(super) authorities: Option<PathBuf>,
    /// The client's own certificate and key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    /// Whether the store's certificate is not looked at, since the user said so.
    pub(super) unverified: bool,
}

impl Tls {
    /// The usual one: authorities where KServe and others name them.
    pub(super) fn of(settings: &Settings) -> Self {
        let mounted = settings.var("CA_BUNDLE_CONFIGMAP_NAME").and_then(|_| {
            Some(Path::new(settings.var("CA_BUNDLE_VOLUME_MOUNT_POINT")?).join("cabundle.crt"))
        });
        let named = settings.first(&["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]);
        Self { authorities: named.map(PathBuf::from).or(mounted), ..Self::default() }
    }

    /// Makes the client's side of it.
    ///
    /// # Errors
    /// [`StorageError::Settings`] when a file cannot be read or holds no certificate.
    pub(super) fn client(&self) -> Result<ClientConfig, StorageError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| StorageError::Settings(format!("TLS cannot be set up: {error}")))?;
        let builder = if self.unverified {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some((certificate, key)) => {
                let wrong = |path: &Path, error: String| {
                    StorageError::Settings(format!("{}: no certificate or key: {error}", path.display()))
                };
                let chain = certificates(certificate)?;
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| wrong(certificate, error.to_string()))
            }
        }
    }

    fn roots(&self) -> Result<RootCertStore, StorageError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &self.authorities {
            roots.add_parsable_certificates(certificates(path)?);
        }
        // What the machine's owner has added to it; images from scratch have no such file.
        let machine = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if machine.exists()
            && let Ok(found) = certificates(machine)
        {
            roots.add_parsable_certificates(found);
        }
        Ok(roots)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StorageError> {
    let wrong = |error: String| {
        StorageError::Settings(format!("{}: expected certificates in PEM form: {error}", path.display()))
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("there is none in it".to_owned())) } else { Ok(found) }
}

/// Trusts whoever answers, as `S3_VERIFY_SSL=0` asks for.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

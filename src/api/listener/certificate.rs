//! The certificate of both listeners: read from files, and again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain as PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key as PEM.
    pub key: PathBuf,
}

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file that can't be read, or is no PEM of what it should be.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: pem::Error,
    },
    /// There is none in the file.
    #[error("{0} holds no certificate")]
    Empty(String),
    /// Certificate and key don't belong together, or are of a kind that TLS does not use.
    #[error("certificate and key can't be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate that is in use. Connections begun after a change get the new one.
#[derive(Debug)]
pub struct Certificate {
    files: CertificateFiles,
    current: RwLock<(Arc<CertifiedKey>, Stamp)>,
}

/// What tells one state of the files from another.
type Stamp = [Option<SystemTime>; 2];

impl Certificate {
    /// Reads the files.
    pub fn read(files: CertificateFiles) -> Result<Arc<Self>, CertificateError> {
        // Before the files, so that a change in between is seen later.
        let stamp = files.stamp();
        let current = RwLock::new((Arc::new(files.read()?), stamp));
        Ok(Arc::new(Self { files, current }))
    }

    /// TLS 1.2 and 1.3 with this certificate, for HTTP/2 and HTTP/1.1.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks at the files again and again. What can't be used leaves the certificate as it is.
    pub async fn keep_current(self: Arc<Self>, stop: CancellationToken) {
        while tokio::time::timeout(LOOK, stop.cancelled()).await.is_err() {
            self.look();
        }
    }

    fn look(&self) {
        let stamp = self.files.stamp();
        if stamp == self.current.read().unwrap_or_else(PoisonError::into_inner).1 {
            return;
        }
        let read = self.files.read();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.1 = stamp;
        match read {
            Ok(key) => {
                current.0 = Arc::new(key);
                tracing::info!("the certificate has changed, new connections get the new one");
            }
            Err(error) => tracing::error!(%error, "the changed certificate can't be used, the last one stays"),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone())
    }
}

impl CertificateFiles {
    fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| CertificateError::File { path, source }
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(failed(&self.certificate))?;
        if chain.is_empty() {
            return Err(CertificateError::Empty(self.certificate.display().to_string()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(failed(&self.key))?;
        Ok(CertifiedKey::from_der(chain, key, &provider())?)
    }

    fn stamp(&self) -> Stamp {
        let changed = |path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        [changed(&self.certificate), changed(&self.key)]
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, name: &str) -> CertificateFiles {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let files = CertificateFiles { certificate: directory.join("tls.crt"), key: directory.join("tls.key") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    fn in_use(certificate: &Certificate) -> CertificateDer<'static> {
        certificate.current.read().unwrap().0.cert[0].clone()
    }

    /// A change is told by the time of the file, which a fast machine could leave the same.
    fn touch(path: &Path) {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let later = file.metadata().unwrap().modified().unwrap() + Duration::from_secs(60);
        file.set_modified(later).unwrap();
    }

    #[test]
    fn a_certificate_that_is_replaced_is_used_and_one_that_is_broken_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let certificate = Certificate::read(write(directory.path(), "one.example")).unwrap();
        certificate.acceptor().unwrap();
        let first = in_use(&certificate);
        certificate.look();
        assert_eq!(in_use(&certificate), first);

        let files = write(directory.path(), "two.example");
        touch(&files.certificate);
        certificate.look();
        let second = in_use(&certificate);
        assert_ne!(second, first);

        std::fs::write(&files.key, "no key").unwrap();
        certificate.look();
        assert_eq!(in_use(&certificate), second);
    }

    #[test]
    fn files_that_are_no_certificate_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let files = write(directory.path(), "one.example");
        let other = tempfile::tempdir().unwrap();
        let strange = CertificateFiles { key: write(other.path(), "two.example").key, ..files.clone() };
        assert!(matches!(Certificate::read(strange), Err(CertificateError::Unusable(_))));
        let swapped = CertificateFiles { certificate: files.key.clone(), key: files.certificate.clone() };
        assert!(matches!(Certificate::read(swapped), Err(CertificateError::Empty(path)) if path.ends_with("tls.key")));
        let missing = CertificateFiles { key: directory.path().join("missing"), ..files };
        let error = Certificate::read(missing).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}

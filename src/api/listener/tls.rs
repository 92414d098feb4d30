//! TLS of both listeners: read from files, and read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::secret_file::{self, SecretFileError};

/// How often the files are checked for changes.
const LOOK: Duration = Duration::from_secs(5);

/// The files of certificates and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain as PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key as PEM.
    pub key: PathBuf,
    /// The CAs of client certificates as PEM. Without this file, no caller is asked for a certificate.
    pub client_ca: Option<PathBuf>,
}

/// The reason why TLS can't be used.
#[allow(missing_docs, reason = "the messages say it")]
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or does not hold the PEM items that it should.
    #[error("{path}: {source}")]
    File { path: String, source: pem::Error },
    /// The private key's file can't be read, or others may read it, too.
    #[error("{path}: {source}")]
    KeyFile { path: String, source: SecretFileError },
    #[error("{0} holds no certificate")]
    Empty(String),
    #[error("{path} holds a certificate that can't be used: {source}")]
    Authority { path: String, source: rustls::Error },
    /// Client certificates can't be verified with these CAs.
    #[error("the authorities of callers can't be used: {0}")]
    Authorities(#[from] VerifierBuilderError),
    /// Certificate and key don't belong together, or are of a kind that TLS does not use.
    #[error("certificate and key can't be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// TLS with the files as they were last read. A change counts for connections that begin after it.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: RwLock<(Arc<ServerConfig>, Stamp)>,
}

/// The times of the last changes, which tell a new state of the files from an old one.
type Stamp = [Option<SystemTime>; 3];

impl Tls {
    /// Reads the files once; `keep_current` reads them again.
    pub fn read(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        // Taken before the files are read, so that a change in between is noticed later.
        let stamp = files.stamp();
        let current = RwLock::new((Arc::new(files.read()?), stamp));
        Ok(Arc::new(Self { files, current }))
    }

    /// The acceptor for the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone().into()
    }

    /// Checks the files periodically. If changed files can't be used, the last good ones stay.
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
            Ok(config) => {
                current.0 = Arc::new(config);
                tracing::info!("the certificates have changed: new connections use the new ones");
            }
            Err(error) => {
                tracing::error!(%error, "the changed certificates can't be used: the previous ones stay in use")
            }
        }
    }
}

impl TlsFiles {
    /// TLS 1.2 and 1.3, for HTTP/2 and HTTP/1.1.
    fn read(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let path = || self.key.display().to_string();
        let key = secret_file::read(&self.key).map_err(|source| TlsError::KeyFile { path: path(), source })?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|source| failed(&self.key, source))?;
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(self.verifier(provider)?)
            .with_single_cert(certificates(&self.certificate)?, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.client_ca.is_some() {
            // Resumed sessions bring their certificate along unchecked, even if it has expired meanwhile.
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        Ok(config)
    }

    /// The check of client certificates. A caller may have none; one that does not verify ends the handshake.
    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(file) = &self.client_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(file)? {
            let path = || file.display().to_string();
            authorities.add(certificate).map_err(|source| TlsError::Authority { path: path(), source })?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(authorities.into(), provider);
        Ok(verifier.allow_unauthenticated().build()?)
    }

    fn stamp(&self) -> Stamp {
        let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        [changed(&self.certificate), changed(&self.key), self.client_ca.as_ref().and_then(changed)]
    }
}

/// The certificates in a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates = read.map_err(|source| failed(path, source))?;
    if certificates.is_empty() { Err(TlsError::Empty(path.display().to_string())) } else { Ok(certificates) }
}

fn failed(path: &Path, source: pem::Error) -> TlsError {
    TlsError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
    use tokio::io::AsyncReadExt;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::ClientConfig;
    use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};

    use super::*;

    const NAME: &str = "users.example";
    type Authority = CertifiedIssuer<'static, KeyPair>;
    type Own = (CertificateDer<'static>, KeyPair);

    fn write(directory: &Path) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let files =
            TlsFiles { certificate: directory.join("tls.crt"), key: directory.join("tls.key"), client_ca: None };
        write_key(&files.certificate, &made.cert.pem());
        write_key(&files.key, &made.signing_key.serialize_pem());
        files
    }

    fn write_with_authority(directory: &Path) -> (TlsFiles, Authority) {
        let authority = authority();
        let client_ca = directory.join("callers.crt");
        std::fs::write(&client_ca, authority.pem()).unwrap();
        (TlsFiles { client_ca: Some(client_ca), ..write(directory) }, authority)
    }

    fn authority() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// A certificate with its private key.
    fn own(authority: &Authority, adjust: impl FnOnce(&mut CertificateParams)) -> Own {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["caller.example".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        adjust(&mut params);
        (params.signed_by(&key, authority).unwrap().der().clone(), key)
    }

    /// A caller that trusts the server's certificate as it is in its file.
    fn caller(files: &TlsFiles, own: Option<&Own>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&files.certificate).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let key = |key: &KeyPair| PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Arc::new(match own {
            Some((certificate, own)) => builder.with_client_auth_cert(vec![certificate.clone()], key(own)).unwrap(),
            None => builder.with_no_client_auth(),
        })
    }

    /// The client certificate that the server knows after the handshake; the outer option is absent if the handshake
    /// failed.
    async fn shown(tls: &Tls, caller: &Arc<ClientConfig>) -> Option<Option<CertificateDer<'static>>> {
        let (here, there) = tokio::io::duplex(64 * 1024);
        let connector = TlsConnector::from(caller.clone());
        let connected = connector.connect(ServerName::try_from(NAME).unwrap(), there);
        let (accepted, connected) = tokio::join!(tls.acceptor().accept(here), connected);
        let (accepted, mut connected) = (accepted.ok()?, connected.ok()?);
        let shown = accepted.get_ref().1.peer_certificates().map(|chain| chain[0].clone());
        // The caller reads to the end, so that it has what it needs to resume.
        drop(accepted);
        let _ = connected.read_to_end(&mut Vec::new()).await;
        Some(shown)
    }

    /// Moves the file's time forward: changes are noticed by it, and a fast machine could leave it the same.
    fn touch(path: &Path) {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let later = file.metadata().unwrap().modified().unwrap() + Duration::from_secs(60);
        file.set_modified(later).unwrap();
    }

    #[tokio::test]
    async fn a_certificate_that_is_replaced_is_used_and_one_that_is_broken_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let files = write(directory.path());
        let tls = Tls::read(files.clone()).unwrap();
        let first = caller(&files, None);
        tls.look();
        assert_eq!(shown(&tls, &first).await, Some(None));

        let second = caller(&write(directory.path()), None);
        assert_eq!(shown(&tls, &second).await, None);
        touch(&files.certificate);
        tls.look();
        assert_eq!(shown(&tls, &second).await, Some(None));
        assert_eq!(shown(&tls, &caller(&files, None)).await, Some(None));

        write_key(&files.key, "no key");
        touch(&files.key);
        tls.look();
        assert_eq!(shown(&tls, &second).await, Some(None));
    }

    #[tokio::test]
    async fn callers_may_have_a_certificate_and_one_that_does_not_verify_ends_the_handshake() {
        let directory = tempfile::tempdir().unwrap();
        let (files, authority) = write_with_authority(directory.path());
        let tls = Tls::read(files.clone()).unwrap();
        assert_eq!(shown(&tls, &caller(&files, None)).await, Some(None));
        let good = own(&authority, |_| {});
        assert_eq!(shown(&tls, &caller(&files, Some(&good))).await, Some(Some(good.0.clone())));
        for bad in [
            own(&self::authority(), |_| {}),
            own(&authority, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)),
            own(&authority, |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1)),
            own(&authority, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        ] {
            assert_eq!(shown(&tls, &caller(&files, Some(&bad))).await, None);
        }
        // If no caller is asked for a certificate, none is refused.
        let unasked = Tls::read(TlsFiles { client_ca: None, ..files.clone() }).unwrap();
        assert_eq!(shown(&unasked, &caller(&files, Some(&good))).await, Some(None));
    }

    #[tokio::test]
    async fn replaced_authorities_apply_to_earlier_callers_too() {
        let directory = tempfile::tempdir().unwrap();
        let (files, authority) = write_with_authority(directory.path());
        let tls = Tls::read(files.clone()).unwrap();
        let own = own(&authority, |_| {});
        let caller = caller(&files, Some(&own));
        for _ in 0..2 {
            assert_eq!(shown(&tls, &caller).await, Some(Some(own.0.clone())));
        }
        let client_ca = files.client_ca.clone().unwrap();
        std::fs::write(&client_ca, self::authority().pem()).unwrap();
        touch(&client_ca);
        tls.look();
        assert_eq!(shown(&tls, &caller).await, None);
    }

    #[tokio::test]
    async fn sessions_are_resumed_only_without_client_certificates() {
        let directory = tempfile::tempdir().unwrap();
        let (files, authority) = write_with_authority(directory.path());
        let own = own(&authority, |_| {});
        for (files, resumed) in [(TlsFiles { client_ca: None, ..files.clone() }, true), (files, false)] {
            let tls = Tls::read(files.clone()).unwrap();
            let caller = caller(&files, Some(&own));
            assert!(shown(&tls, &caller).await.is_some());
            let (here, there) = tokio::io::duplex(64 * 1024);
            let connector = TlsConnector::from(caller);
            let connected = connector.connect(ServerName::try_from(NAME).unwrap(), there);
            let (accepted, connected) = tokio::join!(tls.acceptor().accept(here), connected);
            let kind = accepted.unwrap().get_ref().1.handshake_kind().unwrap();
            assert_eq!(kind == rustls::HandshakeKind::Resumed, resumed, "{kind:?}");
            drop(connected);
        }
    }

    /// Writes a secret file in place of the old one.
    fn write_key(path: &Path, text: &str) {
        let _ = std::fs::remove_file(path);
        secret_file::create(path, text.as_bytes()).unwrap();
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_at_start_and_after_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let files = write(directory.path());
        let tls = Tls::read(files.clone()).unwrap();
        let before = Arc::as_ptr(&tls.current.read().unwrap().0);
        std::fs::set_permissions(&files.key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let told = Tls::read(files.clone()).unwrap_err().to_string();
        assert!(told.contains("tls.key") && told.contains("mode 0644"), "{told}");
        touch(&files.key);
        tls.look();
        assert_eq!(Arc::as_ptr(&tls.current.read().unwrap().0), before);
    }

    #[test]
    fn files_that_are_no_certificate_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let (files, _) = write_with_authority(directory.path());
        let other = tempfile::tempdir().unwrap();
        let strange = TlsFiles { key: write(other.path()).key, ..files.clone() };
        assert!(matches!(Tls::read(strange), Err(TlsError::Unusable(_))));
        let swapped = TlsFiles { certificate: files.key.clone(), key: files.certificate.clone(), client_ca: None };
        let error = Tls::read(swapped).unwrap_err();
        assert!(error.to_string().contains("tls.crt"), "{error}");
        let keys = TlsFiles { certificate: files.key.clone(), ..files.clone() };
        assert!(matches!(Tls::read(keys), Err(TlsError::Empty(path)) if path.ends_with("tls.key")));
        let missing = TlsFiles { key: directory.path().join("missing"), ..files.clone() };
        let error = Tls::read(missing).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");

        let authorities = |text: &str| {
            let file = directory.path().join("authorities");
            std::fs::write(&file, text).unwrap();
            Tls::read(TlsFiles { client_ca: Some(file), ..files.clone() }).unwrap_err()
        };
        assert!(matches!(authorities(""), TlsError::Empty(_)));
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(authorities(garbage), TlsError::Authority { .. }));
    }
}

//! `userpool service-account`: works on the database and needs no server.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::server::ParsedCertificate;

use crate::cli::database::{DatabaseArguments, operator_origin};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{AccessKeyId, UserPoolId};
use crate::store::account_certificates::Binding;
use crate::store::service_accounts::{Role, ServiceAccount};

/// What to do with service accounts.
#[derive(Debug, Args)]
pub struct ServiceAccountArguments {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates a service account and prints its secret, once.
    Create {
        /// A name that says what the account is for.
        #[arg(long)]
        name: String,
        /// The account's role: admin, pool-admin or read-only.
        #[arg(long, value_parser = role)]
        role: Role,
        /// A pool that a pool-admin administers; may be given several times.
        #[arg(long = "pool")]
        pools: Vec<String>,
    },
    /// Lists service accounts, each with the certificates that are bound to it.
    List,
    /// Revokes a service account and its certificates at once.
    Revoke {
        /// The access key id of the account.
        access_key_id: String,
    },
    /// Lets a service account call over gRPC with a client certificate, without its secret.
    Bind {
        /// The access key id of the account.
        access_key_id: String,
        #[command(flatten)]
        certificate: CertificateArguments,
    },
    /// Removes a certificate from a service account at once.
    Unbind {
        /// The access key id of the account.
        access_key_id: String,
        #[command(flatten)]
        certificate: CertificateArguments,
    },
}

/// The certificate, given in one of two ways.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct CertificateArguments {
    /// The certificate as PEM; in a chain, the first one counts.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The certificate's SHA-256 in hexadecimal, as `list` shows it.
    #[arg(long, value_name = "SHA-256")]
    fingerprint: Option<Fingerprint>,
}

impl CertificateArguments {
    fn fingerprint(&self) -> anyhow::Result<Fingerprint> {
        let Some(file) = &self.certificate else {
            return self.fingerprint.context("name the certificate by --certificate or --fingerprint");
        };
        let pem = std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
        fingerprint_of(&pem).with_context(|| format!("{} holds no certificate that could be bound", file.display()))
    }
}

/// The reason why a file has no certificate.
#[derive(Debug, thiserror::Error)]
enum NoCertificate {
    #[error("no certificate as PEM: {0}")]
    Pem(#[from] pem::Error),
    #[error("no certificate of X.509: {0}")]
    X509(#[from] rustls::Error),
}

/// The fingerprint of the first certificate: in a chain, the holder's own.
fn fingerprint_of(pem: &[u8]) -> Result<Fingerprint, NoCertificate> {
    let certificate = CertificateDer::from_pem_slice(pem)?;
    ParsedCertificate::try_from(&certificate)?;
    Ok(Fingerprint::of(&certificate))
}

fn role(name: &str) -> Result<Role, String> {
    Role::ALL
        .into_iter()
        .find(|role| role.name() == name)
        .ok_or_else(|| "a role is admin, pool-admin or read-only".to_owned())
}

/// Runs the chosen subcommand.
pub async fn run(arguments: ServiceAccountArguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Create { name, role, pools } => {
            ensure!(
                (role == Role::PoolAdmin) != pools.is_empty(),
                "a pool-admin names its pools with --pool, other roles name none"
            );
            let store = arguments.database.store().await?;
            let pools = pools.into_iter().map(UserPoolId::new).collect();
            let (account, secret) =
                store.create_service_account(&name, role, pools, &operator_origin("service-account create")).await?;
            println!("access key id      {}", account.access_key_id);
            println!("secret access key  {}", secret.0);
            println!("bearer token       {}.{}", account.access_key_id, secret.0);
        }
        Command::List => {
            let store = arguments.database.store_without_keys().await?;
            for (account, certificates) in store.list_service_accounts().await? {
                println!("{}", line(&account));
                for fingerprint in certificates {
                    println!("    certificate  {fingerprint}");
                }
            }
        }
        Command::Revoke { access_key_id } => {
            let store = arguments.database.store_without_keys().await?;
            let id = AccessKeyId::new(access_key_id);
            if !store.revoke_service_account(&id, &operator_origin("service-account revoke")).await? {
                bail!("there is no service account {id} in use");
            }
            println!("{id} is revoked.");
        }
        Command::Bind { access_key_id, certificate } => {
            let fingerprint = certificate.fingerprint()?;
            let store = arguments.database.store_without_keys().await?;
            let id = AccessKeyId::new(access_key_id);
            match store.bind_certificate(&id, fingerprint, &operator_origin("service-account bind")).await? {
                Binding::Bound => println!("{id} can call by the certificate {fingerprint}."),
                Binding::Taken(owner) => bail!("the certificate {fingerprint} is bound to {owner} already"),
                Binding::NoAccount => bail!("there is no service account {id} in use"),
            }
        }
        Command::Unbind { access_key_id, certificate } => {
            let fingerprint = certificate.fingerprint()?;
            let store = arguments.database.store_without_keys().await?;
            let id = AccessKeyId::new(access_key_id);
            if !store.unbind_certificate(&id, fingerprint, &operator_origin("service-account unbind")).await? {
                bail!("the certificate {fingerprint} is not bound to {id}");
            }
            println!("{id} can't call by the certificate {fingerprint} any more.");
        }
    }
    Ok(())
}

/// A service account as a line of text.
fn line(account: &ServiceAccount) -> String {
    let state = if account.revoked_at.is_some() { "revoked" } else { "in use" };
    let pools: Vec<_> = account.user_pool_ids.iter().map(UserPoolId::as_str).collect();
    let (id, role) = (&account.access_key_id, account.role.name());
    format!("{id}  {role:10}  {state}  {}  {}", account.name, pools.join(","))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn pem(body: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn the_first_certificate_of_a_chain_counts() {
        let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (own, authority) = (made("caller.example"), made("authority.example"));
        let expected = Fingerprint::of(own.cert.der());
        assert_eq!(fingerprint_of(own.cert.pem().as_bytes()).unwrap(), expected);
        let key = own.signing_key.serialize_pem();
        let chain = format!("Of the caller:\n{key}{}{}", own.cert.pem(), authority.cert.pem());
        assert_eq!(fingerprint_of(chain.as_bytes()).unwrap(), expected);
        assert_eq!(fingerprint_of(chain.replace('\n', "\r\n").as_bytes()).unwrap(), expected);
    }

    #[test]
    fn files_without_a_certificate_are_refused() {
        let made = rcgen::generate_simple_self_signed(["caller.example".to_owned()]).unwrap();
        let whole = made.cert.pem();
        for wrong in ["", "text", &made.signing_key.serialize_pem(), &whole[..whole.len() / 2]] {
            assert!(matches!(fingerprint_of(wrong.as_bytes()), Err(NoCertificate::Pem(_))), "{wrong}");
        }
        assert!(matches!(fingerprint_of(pem("AAAA").as_bytes()), Err(NoCertificate::X509(_))));
        assert!(matches!(fingerprint_of(made.cert.der()), Err(NoCertificate::Pem(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_certificate_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(fingerprint_of(&bytes).is_err());
            prop_assert!(fingerprint_of(pem(&STANDARD.encode(&bytes)).as_bytes()).is_err());
            let _ = fingerprint_of(pem(&String::from_utf8_lossy(&bytes)).as_bytes());
        }

        #[test]
        fn a_changed_byte_makes_another_certificate(at in any::<prop::sample::Index>(), byte: u8) {
            let own = rcgen::generate_simple_self_signed(["caller.example".to_owned()]).unwrap().cert;
            let mut changed = own.der().to_vec();
            let at = at.index(changed.len());
            changed[at] = byte;
            let read = fingerprint_of(pem(&STANDARD.encode(&changed)).as_bytes());
            let is_own = changed == own.der().to_vec();
            prop_assert_eq!(read.is_ok_and(|read| read == Fingerprint::of(own.der())), is_own);
        }
    }
}

//! The certificates with which service accounts call.

use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::AccessKeyId;
use crate::proto::events::service_account_activity::Activity;
use crate::proto::events::{ServiceAccountCertificateBound, ServiceAccountCertificateUnbound};
use crate::store::error::StoreError;
use crate::store::metadata::Origin;
use crate::store::service_accounts::{ServiceAccount, account};
use crate::store::{Store, to_database};

/// The result of binding a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The certificate is bound to the account now.
    Bound,
    /// The certificate was already bound, to this account.
    Taken(AccessKeyId),
    /// The account does not exist or is revoked.
    NoAccount,
}

impl Store {
    /// Binds a certificate to a service account.
    pub async fn bind_certificate(
        &self,
        id: &AccessKeyId,
        fingerprint: Fingerprint,
        origin: &Origin,
    ) -> Result<Binding, StoreError> {
        self.make_partitions(self.clock.now()).await?;
        // The account's row stays locked until the certificate is bound, so that a revocation meanwhile finds it.
        let bound = sqlx::query(
            "insert into service_account_certificates (fingerprint, access_key_id, bound_at)
             select $1, access_key_id, $3 from service_accounts where access_key_id = $2 and revoked_at is null for share
             on conflict (fingerprint) do nothing",
        )
        .bind(fingerprint.as_bytes())
        .bind(id.as_str())
        .bind(to_database(self.clock.now()))
        .execute(&self.database)
        .await?;
        if bound.rows_affected() == 0 {
            let owner: Option<String> =
                sqlx::query_scalar("select access_key_id from service_account_certificates where fingerprint = $1")
                    .bind(fingerprint.as_bytes())
                    .fetch_optional(&self.database)
                    .await?;
            return Ok(owner.map_or(Binding::NoAccount, |owner| Binding::Taken(AccessKeyId::new(owner))));
        }
        let fact = Activity::CertificateBound(ServiceAccountCertificateBound {
            access_key_id: id.to_string(),
            fingerprint: fingerprint.to_string(),
        });
        self.record(id.as_str(), origin, &fact).await?;
        Ok(Binding::Bound)
    }

    /// Unbinds a certificate from its service account. Returns whether it was bound to it.
    pub async fn unbind_certificate(
        &self,
        id: &AccessKeyId,
        fingerprint: Fingerprint,
        origin: &Origin,
    ) -> Result<bool, StoreError> {
        self.make_partitions(self.clock.now()).await?;
        let unbound =
            sqlx::query("delete from service_account_certificates where fingerprint = $1 and access_key_id = $2")
                .bind(fingerprint.as_bytes())
                .bind(id.as_str())
                .execute(&self.database)
                .await?;
        if unbound.rows_affected() == 0 {
            return Ok(false);
        }
        let fact = Activity::CertificateUnbound(ServiceAccountCertificateUnbound {
            access_key_id: id.to_string(),
            fingerprint: fingerprint.to_string(),
        });
        self.record(id.as_str(), origin, &fact).await?;
        Ok(true)
    }

    /// The account to which a certificate is bound; `None` if the account is revoked.
    pub async fn account_of_certificate(&self, fingerprint: Fingerprint) -> Result<Option<ServiceAccount>, StoreError> {
        let query = || {
            sqlx::query(
                "select a.* from service_account_certificates c join service_accounts a using (access_key_id)
                 where c.fingerprint = $1 and a.revoked_at is null",
            )
            .bind(fingerprint.as_bytes().to_vec())
        };
        self.connections.fetch_optional(query).await?.as_ref().map(account).transpose()
    }
}

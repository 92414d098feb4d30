//! Service accounts: the callers of developer operations.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{AccessKeyId, StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::proto::events::service_account_activity::Activity;
use crate::proto::events::{ServiceAccountCreated, ServiceAccountRevoked};
use crate::store::connections::Lent;
use crate::store::error::StoreError;
use crate::store::metadata::Origin;
use crate::store::seal::{FieldClass, Place};
use crate::store::{Store, from_database, to_database};

/// What a service account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All operations on all pools.
    Admin,
    /// All operations on the pools that it names.
    PoolAdmin,
    /// Reading operations on all pools.
    ReadOnly,
}

impl Role {
    /// Every role, the most powerful first.
    pub const ALL: [Self; 3] = [Self::Admin, Self::PoolAdmin, Self::ReadOnly];

    /// The name in the table and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::PoolAdmin => "pool-admin",
            Self::ReadOnly => "read-only",
        }
    }
}

/// A caller of developer operations.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    /// Its public identifier, by which callers name it in signatures.
    pub access_key_id: AccessKeyId,
    /// A note by the operator about its purpose.
    pub name: String,
    /// The operations that it may call.
    pub role: Role,
    /// The pools that a `pool-admin` administers.
    pub user_pool_ids: Vec<UserPoolId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked; `None` if it is active.
    pub revoked_at: Option<Timestamp>,
}

/// The secret of a service account, which is shown only once.
#[derive(Clone)]
pub struct AccountSecret(pub String);

impl std::fmt::Debug for AccountSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountSecret")
    }
}

const KEY_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Store {
    /// Creates a service account. Its secret can't be shown again.
    pub async fn create_service_account(
        &self,
        name: &str,
        role: Role,
        user_pool_ids: Vec<UserPoolId>,
        origin: &Origin,
    ) -> Result<(ServiceAccount, AccountSecret), StoreError> {
        // A command may be the first to write in this month, before any server runs.
        self.make_partitions(self.clock.now()).await?;
        let access_key_id = AccessKeyId::new(format!("UP{}", self.random.text(KEY_ALPHABET, 18)));
        let secret = self.random.text(SECRET_ALPHABET, 40);
        let now = self.clock.now();
        let sealed = self.master.seal(secret_place(&access_key_id).place(), self.random.uuid(), secret.as_bytes());
        let pools: Vec<String> = user_pool_ids.iter().map(ToString::to_string).collect();
        sqlx::query(
            "insert into service_accounts (access_key_id, name, role, user_pool_ids, sealed_secret, created_at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(access_key_id.as_str())
        .bind(name)
        .bind(role.name())
        .bind(&pools)
        .bind(&sealed.0)
        .bind(to_database(now))
        .execute(&self.database)
        .await?;
        let fact = Activity::Created(ServiceAccountCreated {
            access_key_id: access_key_id.to_string(),
            role: role.name().to_owned(),
            user_pool_ids: pools,
        });
        self.record(access_key_id.as_str(), origin, &fact).await?;
        let account = ServiceAccount {
            access_key_id,
            name: name.to_owned(),
            role,
            user_pool_ids,
            created_at: now,
            revoked_at: None,
        };
        Ok((account, AccountSecret(secret)))
    }

    /// All service accounts with their certificates, oldest first.
    pub async fn list_service_accounts(&self) -> Result<Vec<(ServiceAccount, Vec<Fingerprint>)>, StoreError> {
        let rows = sqlx::query(
            "select a.*, array(select c.fingerprint from service_account_certificates c
                 where c.access_key_id = a.access_key_id order by c.bound_at, c.fingerprint) as certificates
             from service_accounts a order by a.created_at, a.access_key_id",
        )
        .fetch_all(&self.database)
        .await?;
        let listed = |row: &PgRow| {
            let certificates: Vec<Vec<u8>> = row.try_get("certificates")?;
            // The table's check allows no other length.
            let certificates = certificates.iter().filter_map(|bytes| Fingerprint::try_from(bytes.as_slice()).ok());
            Ok((account(row)?, certificates.collect()))
        };
        rows.iter().map(listed).collect()
    }

    /// Revokes a service account and unbinds its certificates. Returns whether it was active before.
    pub async fn revoke_service_account(&self, id: &AccessKeyId, origin: &Origin) -> Result<bool, StoreError> {
        self.make_partitions(self.clock.now()).await?;
        let mut lent = self.database.lend().await?;
        let revoked = revoke(&mut lent, id, self.clock.now()).await;
        if !lent.settled(revoked)? {
            return Ok(false);
        }
        let fact = Activity::Revoked(ServiceAccountRevoked { access_key_id: id.to_string() });
        self.record(id.as_str(), origin, &fact).await?;
        Ok(true)
    }

    /// The account of an access key, with its secret; `None` if it does not exist or is revoked.
    pub async fn service_account(
        &self,
        id: &AccessKeyId,
    ) -> Result<Option<(ServiceAccount, AccountSecret)>, StoreError> {
        let query = || {
            sqlx::query("select * from service_accounts where access_key_id = $1 and revoked_at is null")
                .bind(id.as_str())
        };
        let row = self.connections.fetch_optional(query).await?;
        let Some(row) = row else { return Ok(None) };
        let secret = self.master.open(secret_place(id).place(), &Sealed(row.try_get("sealed_secret")?))?;
        // Secrets are ASCII; no release of ours has sealed anything else.
        let secret = String::from_utf8(secret).map_err(|_| crate::store::seal::Unsealable)?;
        Ok(Some((account(&row)?, AccountSecret(secret))))
    }
}

struct SecretPlace {
    pool: UserPoolId,
    stream: StreamId,
}

fn secret_place(id: &AccessKeyId) -> SecretPlace {
    SecretPlace { pool: UserPoolId::none(), stream: StreamId::new(format!("service-accounts/{id}")) }
}

impl SecretPlace {
    fn place(&self) -> Place<'_> {
        Place { pool: &self.pool, stream: &self.stream, class: FieldClass::ServiceAccountSecret }
    }
}

/// Revokes an account. Returns whether it was active before.
async fn revoke(lent: &mut Lent<'_>, id: &AccessKeyId, at: Timestamp) -> Result<bool, StoreError> {
    let mut transaction = lent.begin().await?;
    let changed =
        sqlx::query("update service_accounts set revoked_at = $2 where access_key_id = $1 and revoked_at is null")
            .bind(id.as_str())
            .bind(to_database(at))
            .execute(&mut *transaction)
            .await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("delete from service_account_certificates where access_key_id = $1")
        .bind(id.as_str())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) fn account(row: &PgRow) -> Result<ServiceAccount, StoreError> {
    let role: String = row.try_get("role")?;
    // The column's check allows only these three names; the least powerful role stands for any other.
    let role = Role::ALL.into_iter().find(|known| known.name() == role).unwrap_or(Role::ReadOnly);
    let pools: Vec<String> = row.try_get("user_pool_ids")?;
    Ok(ServiceAccount {
        access_key_id: AccessKeyId::new(row.try_get::<String, _>("access_key_id")?),
        name: row.try_get("name")?,
        role,
        user_pool_ids: pools.into_iter().map(UserPoolId::new).collect(),
        created_at: from_database(row.try_get("created_at")?),
        revoked_at: row.try_get::<Option<time::OffsetDateTime>, _>("revoked_at")?.map(from_database),
    })
}

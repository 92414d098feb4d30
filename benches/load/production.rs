//! Checks that the run measures what production does: the database's durability and the cost of a stored hash.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use sqlx::PgPool;
use userpool::app::hashing::Cost;
use userpool::domain::ids::{StreamId, UserPoolId};
use userpool::store::Store;
use userpool::store::read::Wanted;
use userpool::store::seal::{FieldClass, Place};

/// Settings with which a commit survives a crash of the machine.
pub const REQUIRED: [(&str, &str); 3] = [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")];
/// Settings that the report shows beside the required ones.
const TOLD: [&str; 4] = ["server_version", "shared_buffers", "wal_level", "max_connections"];

/// The beginning of every stored hash of production's cost (OWASP).
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

/// The database's settings, by name.
pub async fn settings(database: &PgPool) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let mut settings = BTreeMap::new();
    for name in REQUIRED.map(|(name, _)| name).into_iter().chain(TOLD) {
        let value = sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(database).await?;
        settings.insert(name, value);
    }
    Ok(settings)
}

/// Fails unless the settings are production's.
pub fn check_settings(settings: &BTreeMap<&'static str, String>) -> anyhow::Result<()> {
    for (name, required) in REQUIRED {
        let value = settings.get(name).map_or("unknown", String::as_str);
        ensure!(value == required, "{name} is {value}: numbers count only with {required}");
    }
    Ok(())
}

/// The parameters of the hash that the server stored of a user, and a failure unless they are production's.
pub fn check_hash(stored: &str) -> anyhow::Result<&str> {
    // Salt and hash follow the parameters; they must not be shown.
    let parameters = stored.rsplitn(3, '$').nth(2).unwrap_or_default();
    ensure!(stored.starts_with(HASH), "a stored hash has the parameters {parameters}: numbers count only with {HASH}");
    let Cost { memory, passes, lanes } = Cost::default();
    ensure!(HASH == format!("$argon2id$v=19$m={memory},t={passes},p={lanes}$"), "the server's own cost is another");
    Ok(parameters)
}

/// The hash that the server stored of a user.
pub async fn stored_hash(store: &Store, pool: &UserPoolId, username: &str) -> anyhow::Result<String> {
    let found = store.read(pool, None, Wanted { name: Some(username), ..Wanted::default() }).await;
    let user = found.map_err(|error| anyhow::anyhow!("{error:?}"))?.user.context("the user is there")?;
    let password = user.state.password.as_ref().context("the user has a password")?;
    let stream = StreamId::user(user.state.sub);
    let opened = user.key.open(Place { pool, stream: &stream, class: FieldClass::PasswordHash }, &password.hash)?;
    Ok(String::from_utf8(opened)?)
}

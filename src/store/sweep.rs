//! Operational rows whose time is over: sessions, codes, attempts, spent challenge tokens, answers, messages that were given up.
//! They decide nothing any more; sweeping keeps tables small.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::auth::lockout::FORGET_SECONDS;
use crate::domain::time::Timestamp;
use crate::domain::user::codes::COUNTS_SECONDS;
use crate::store::error::StoreError;
use crate::store::{Store, to_database};

/// So many rows go at once: a long transaction would hold the feed up.
const BATCH: i64 = 1_000;
const PAUSE: Duration = Duration::from_secs(60);
/// A network from which a user has not signed in for so long is strange again.
const FAMILIAR_SECONDS: i64 = 30 * 24 * 60 * 60;
/// More than the clocks of replicas differ by.
const CLOCKS_DIFFER_SECONDS: i64 = 60 * 60;

const SESSIONS: &str = "delete from sessions where (user_pool_id, event_id) in
    (select user_pool_id, event_id from sessions where expires_at < $1 order by expires_at limit $2)";
const CODES: &str = "delete from codes where (user_pool_id, sub, purpose) in
    (select user_pool_id, sub, purpose from codes where expires_at < $1 order by expires_at limit $2)";
const ATTEMPTS: &str = "delete from attempts where (user_pool_id, name_hash) in
    (select user_pool_id, name_hash from attempts
     where last_at < $1 and (locked_until is null or locked_until < $1) order by last_at limit $2)";
const FAILURES: &str = "delete from sign_in_failures where (user_pool_id, sub, source) in
    (select user_pool_id, sub, source from sign_in_failures
     where last_at < $1 and (locked_until is null or locked_until < $1) order by last_at limit $2)";
const NETWORKS: &str = "delete from familiar_networks where (user_pool_id, sub, network) in
    (select user_pool_id, sub, network from familiar_networks where last_at < $1 order by last_at limit $2)";
const RATES: &str = "delete from rates where (user_pool_id, kind, key) in
    (select user_pool_id, kind, key from rates where arrival < $1 order by arrival limit $2)";
const DEAD_MESSAGES: &str = "delete from outbox where (user_pool_id, id) in
    (select user_pool_id, id from outbox where dead and expires_at < $1 order by expires_at limit $2)";
/// So long after its end a message that was given up can still be looked at.
const DEAD_MESSAGE_SECONDS: i64 = 30 * 24 * 60 * 60;

const ANSWERS: &str = "delete from stored_answers where (access_key_id, operation, idempotency_key) in
    (select access_key_id, operation, idempotency_key from stored_answers where expires_at < $1 order by expires_at limit $2)";
const USED_NONCES: &str = "delete from used_nonces where (user_pool_id, nonce) in
    (select user_pool_id, nonce from used_nonces where expires_at < $1 order by expires_at limit $2)";

impl Store {
    /// Drops one batch of each kind. Answers how many rows went.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut swept = 0;
        for (statement, before) in [
            (SESSIONS, now),
            // A code that is over answers as one that is not there, but counts among those that were sent.
            (CODES, now.plus_seconds(-COUNTS_SECONDS)),
            (ATTEMPTS, now.plus_seconds(-FORGET_SECONDS)),
            (FAILURES, now.plus_seconds(-FORGET_SECONDS)),
            (NETWORKS, now.plus_seconds(-FAMILIAR_SECONDS)),
            (RATES, now.plus_seconds(-CLOCKS_DIFFER_SECONDS)),
            (DEAD_MESSAGES, now.plus_seconds(-DEAD_MESSAGE_SECONDS)),
            (ANSWERS, now),
            // A challenge token whose time is over is refused for that, spent or not. Other replicas' clocks may differ.
            (USED_NONCES, now.plus_seconds(-CLOCKS_DIFFER_SECONDS)),
        ] {
            let done = sqlx::query(statement).bind(to_database(before)).bind(BATCH).execute(&self.database).await?;
            swept += done.rows_affected();
        }
        Ok(swept)
    }

    /// Sweeps until it is told to stop.
    pub async fn keep_sweeping(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.sweep(self.clock.now()).await {
                Ok(swept) if swept >= BATCH.unsigned_abs() => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "rows whose time is over can't be dropped"),
            }
            let _ = tokio::time::timeout(PAUSE, stop.cancelled()).await;
        }
    }
}

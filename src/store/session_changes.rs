//! Changes of a session after it began: the next refresh token, and its end.

use uuid::Uuid;

use crate::domain::auth::session::Session;
use crate::domain::ids::UserPoolId;
use crate::domain::time::Timestamp;
use crate::proto::events::user_activity::Activity;
use crate::store::cache::PoolView;
use crate::store::commit::{ActivityRow, NewFact, append_activity};
use crate::store::connections::Lent;
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;
use crate::store::outcome::find_out;
use crate::store::wake::News;
use crate::store::{Store, to_database};

/// Replaces the refresh token of a session by the next one; sent again, it also accepts the result of the first time.
const ROTATE: &str = "
update sessions set refresh_counter = $3 + 1, replaced_at = $4
where user_pool_id = $1 and event_id = $2
    and (refresh_counter = $3 or $5 and refresh_counter = $3 + 1 and replaced_at = $4)";

/// Whether a statement is sent a second time, because the answer to the first one was lost.
#[derive(Clone, Copy)]
struct Again(bool);

impl Store {
    /// Replaces the refresh token of a session by the next one. Collides if it was replaced meanwhile.
    ///
    /// If the answer is lost on the way, the statement is sent again: it finds the result of the first one, or makes
    /// the change itself and leaves nothing to do for a first one that arrives late. A caller who is told of a failure
    /// would come back with the old token, and lose the session.
    pub async fn rotate_refresh_token(
        &self,
        pool: &UserPoolId,
        session: &Session,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (pool, session) = (pool.clone(), session.clone());
        let store = self.clone();
        self.to_its_end(News::Events, async move {
            let rotated = match store.rotate(&pool, &session, at, Again(false)).await {
                Err(error) if error.is_connection_lost() => {
                    store.connections.look_at_all();
                    find_out(None, || store.rotate(&pool, &session, at, Again(true))).await?
                }
                rotated => rotated?,
            };
            if rotated { Ok(()) } else { Err(StoreError::Stale) }
        })
        .await
    }

    async fn rotate(
        &self,
        pool: &UserPoolId,
        session: &Session,
        at: Timestamp,
        Again(again): Again,
    ) -> Result<bool, StoreError> {
        let mut lent = self.connections.lend().await?;
        let rotated = sqlx::query(ROTATE)
            .bind(pool.as_str())
            .bind(session.event_id)
            .bind(session.refresh_counter)
            .bind(to_database(at))
            .bind(again)
            .execute(lent.connection())
            .await;
        lent.settled(rotated.map(|rotated| rotated.rows_affected() == 1).map_err(StoreError::from))
    }

    /// Ends a session and records why.
    pub async fn end_session(
        &self,
        pool: &PoolView,
        origin: &Origin,
        user: &LoadedUser,
        session: Uuid,
        fact: &Activity,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (owner, key) = (&*user.state.sub.to_string(), Some(&*user.key));
        let row = self.fact_row(NewFact { pool: &pool.id, owner, origin, key, fact, at }).await?;
        let (store, pool, patience) = (self.clone(), pool.id.clone(), origin.patience);
        self.to_its_end(News::Events, async move {
            let mut lent = store.connections.lend().await?;
            let ended = end(&mut lent, &pool, session, &row).await;
            match lent.settled(ended) {
                // The answer was lost on the way. Sent again, the statement finds nothing to end if the first one did
                // it.
                Err(error) if error.is_connection_lost() => {
                    store.connections.look_at_all();
                    find_out(patience, || store.end_once_more(&pool, session, &row)).await
                }
                ended => ended,
            }
        })
        .await
    }

    async fn end_once_more(&self, pool: &UserPoolId, session: Uuid, row: &ActivityRow) -> Result<(), StoreError> {
        let mut lent = self.connections.lend().await?;
        let ended = end(&mut lent, pool, session, row).await;
        lent.settled(ended)
    }
}

/// Ends a session and records why, if it exists.
async fn end(lent: &mut Lent<'_>, pool: &UserPoolId, session: Uuid, row: &ActivityRow) -> Result<(), StoreError> {
    let mut transaction = lent.begin().await?;
    let ended = sqlx::query("delete from sessions where user_pool_id = $1 and event_id = $2")
        .bind(pool.as_str())
        .bind(session)
        .execute(&mut *transaction)
        .await?;
    if ended.rows_affected() == 1 {
        append_activity(&mut transaction, pool, std::slice::from_ref(row)).await?;
    }
    transaction.commit().await?;
    Ok(())
}

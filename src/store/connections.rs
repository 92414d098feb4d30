//! Connections that are kept from one read or commit to the next.
//!
//! The pool asks each connection that comes back whether it still lives. That is a round trip, which costs as much as a
//! point read itself; so a connection whose work was done goes to the next caller instead, and back to the pool only now and
//! then.
//!
//! What becomes of a connection whose work did not come to a good end:
//!
//! - The server refused: it is as good as before. It goes back to the pool, and a transaction is rolled back on the way.
//! - The work was done, but a transaction was dropped without an end: its rollback is not sent yet, and what it locked would
//!   stay locked for as long as the connection is kept. So it is not kept: the pool sends the rollback when it takes the
//!   connection back.
//! - The caller went away, and the future was dropped in the middle of a statement: the driver has counted what it asked, and
//!   reads the answers to it before the pool takes the connection back. Should one of them be an error, the connection ends.
//! - The future was dropped in the middle of a `BEGIN`: the driver does not know yet that there is a transaction, would not
//!   roll it back, and whatever came next would be part of it. So the connection ends. All transactions begin by
//!   [`Lent::begin`], which sees to that.
//! - It broke, or the driver did not understand it: it ends, and all that are idle are looked at, for it is seldom one alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{Connection, Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr, Transaction};

use crate::store::error::{StoreError, ends_connection};

/// A connection is kept for so long: then the pool may look at it, and end it for its age.
const LONGEST: Duration = Duration::from_secs(10);

/// Some of a pool's connections, kept.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: PgPool,
    kept: Mutex<Vec<Kept>>,
    /// At most so many: the others are the pool's own, for workers and whatever else asks it.
    most: usize,
    /// So many wait for a connection of the pool.
    waiting: AtomicUsize,
}

/// Somebody who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

impl Kept {
    fn is_young(&self) -> bool {
        self.since.elapsed() < LONGEST
    }
}

/// A connection for one statement or transaction. Dropped in the middle of its work, it goes back to the pool.
pub(crate) struct Lent<'a> {
    from: &'a Connections,
    /// There until it is given back.
    kept: Option<Kept>,
    /// Whether it is known what the connection is in: not while a transaction begins.
    is_settled: bool,
}

/// What statements that stand alone are asked of: the pool's own connections, one for each. Each goes back at its end.
#[derive(Clone, Debug)]
pub(crate) struct Database(Arc<Connections>);

impl Connections {
    /// Keeps none yet.
    pub fn new(pool: PgPool) -> Self {
        let most = pool.options().get_max_connections() / 2;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { pool, kept: Mutex::default(), most, waiting: AtomicUsize::default() }
    }

    /// The first row that a query finds, if any.
    pub async fn fetch_optional<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        Ok(self.fetch_all(query).await?.into_iter().next())
    }

    /// The rows that a query finds.
    ///
    /// The server may have ended connections while nobody looked: a query that fails by that is sent once more, over a
    /// connection that was looked at. So it may only read.
    pub async fn fetch_all<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        match self.fetch_once(query()).await {
            Err(error) if error.is_connection_lost() => {
                tracing::debug!(%error, "a read is sent once more");
                self.fetch_once(query()).await
            }
            fetched => fetched,
        }
    }

    async fn fetch_once(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreError> {
        let mut lent = self.lend().await?;
        let rows = query.fetch_all(lent.connection()).await;
        lent.settled(rows.map_err(StoreError::from))
    }

    /// A connection: one that is kept, or one of the pool.
    pub async fn lend(&self) -> Result<Lent<'_>, StoreError> {
        match self.young() {
            Some(kept) => Ok(Lent { from: self, kept: Some(kept), is_settled: true }),
            None => self.draw().await,
        }
    }

    /// A connection of the pool.
    async fn draw(&self) -> Result<Lent<'_>, StoreError> {
        let kept = Kept { connection: self.acquire().await?, since: Instant::now() };
        Ok(Lent { from: self, kept: Some(kept), is_settled: true })
    }

    /// A connection that is kept. Those that nobody wanted for a while go back to the pool.
    fn young(&self) -> Option<Kept> {
        let mut kept = self.kept();
        std::iter::from_fn(|| kept.pop()).find(Kept::is_young)
    }

    /// A connection of the pool. Nothing is kept from one who waits for it.
    async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        if let Some(connection) = self.pool.try_acquire() {
            return Ok(connection);
        }
        let _waiting = Waiting::begin(&self.waiting);
        // From now on those that are done go back to the pool; one that was kept a moment ago does as well.
        if self.pool.size() >= self.pool.options().get_max_connections() {
            drop(self.kept().pop());
        }
        self.pool.acquire().await.map_err(StoreError::NoConnection)
    }

    /// Gives back all that nobody uses, kept or not: the pool looks at each and drops those that are dead.
    pub fn look_at_all(&self) {
        let idle: Vec<_> = std::iter::from_fn(|| self.pool.try_acquire()).collect();
        drop(idle);
        self.kept().clear();
    }

    /// Gives back what is kept, and closes the pool.
    pub async fn close(&self) {
        self.kept().clear();
        self.pool.close().await;
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // A panic while the lock is held leaves a list that is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connections {
    /// There may be no runtime any more in which a connection could go back to the pool.
    fn drop(&mut self) {
        for kept in self.kept().drain(..) {
            drop(kept.connection.detach());
        }
    }
}

impl Lent<'_> {
    /// The connection.
    #[expect(clippy::expect_used, reason = "what takes the connection out consumes this")]
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.kept.as_mut().expect("a connection until it is given back").connection
    }

    /// Begins a transaction. Dropped, it is rolled back before anybody else gets the connection.
    #[expect(clippy::disallowed_methods, reason = "a connection on which no transaction begins whole ends here")]
    pub async fn begin(&mut self) -> Result<Transaction<'_, Postgres>, StoreError> {
        let Self { kept, is_settled, .. } = self;
        *is_settled = false;
        #[expect(clippy::expect_used, reason = "what takes the connection out consumes this")]
        let connection = &mut kept.as_mut().expect("a connection until it is given back").connection;
        let transaction = connection.begin().await?;
        *is_settled = true;
        Ok(transaction)
    }

    /// The work has come to an end: the connection goes where it belongs after that.
    pub fn settled<T>(self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match &result {
            Ok(_) => self.done(),
            Err(error) => self.failed(error.is_connection_lost()),
        }
        result
    }

    /// The work is done: the next caller may have the connection.
    fn done(mut self) {
        let Some(kept) = self.kept.take() else { return };
        if kept.connection.should_flush() {
            return;
        }
        let mut all = self.from.kept();
        let is_wanted = self.from.waiting.load(Ordering::SeqCst) > 0;
        if kept.is_young() && all.len() < self.from.most && !is_wanted && !self.from.pool.is_closed() {
            all.push(kept);
        }
    }

    fn failed(mut self, is_lost: bool) {
        self.is_settled &= !is_lost;
        let from = self.from;
        drop(self);
        if is_lost {
            from.look_at_all();
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let (Some(kept), false) = (&mut self.kept, self.is_settled) {
            kept.connection.close_on_drop();
        }
    }
}

impl Database {
    /// Over these connections.
    pub fn new(connections: Arc<Connections>) -> Self {
        Self(connections)
    }

    /// The pool itself.
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// For several statements, or a transaction.
    pub async fn lend(&self) -> Result<Lent<'_>, StoreError> {
        self.0.draw().await
    }
}

/// The errors of those that ask statements are the driver's.
fn of_driver(error: StoreError) -> sqlx::Error {
    match error {
        StoreError::Database(error) | StoreError::NoConnection(error) => error,
        // A connection that can't be had fails by nothing else.
        other => sqlx::Error::Protocol(other.to_string()),
    }
}

impl<'p> Executor<'p> for &'p Database {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let found = async move {
            let mut lent = self.lend().await.map_err(of_driver)?;
            let found = lent.connection().fetch_many(query).try_collect::<Vec<_>>().await;
            lent.failed(found.as_ref().is_err_and(ends_connection));
            found.map(|found| stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(found).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut lent = self.lend().await.map_err(of_driver)?;
            let found = lent.connection().fetch_optional(query).await;
            lent.failed(found.as_ref().is_err_and(ends_connection));
            found
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut lent = self.lend().await.map_err(of_driver)?;
            let prepared = lent.connection().prepare_with(sql, parameters).await;
            lent.failed(prepared.as_ref().is_err_and(ends_connection));
            prepared
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut lent = self.lend().await.map_err(of_driver)?;
            let described = lent.connection().describe(sql).await;
            lent.failed(described.as_ref().is_err_and(ends_connection));
            described
        })
    }
}

//! Connections that are kept from one read or commit to the next.
//!
//! The pool checks each returned connection. That is a round trip, which costs as much as a point read; so a connection
//! whose work succeeded goes to the next caller directly, and back to the pool only now and then.
//!
//! What happens to a connection whose work did not succeed:
//!
//! - The server refused: the connection is as good as before. It goes back to the pool, and its transaction is rolled
//!   back on the way.
//! - The work succeeded, but a transaction was dropped without an end: its rollback is not sent yet, and its locks
//!   would last as long as the connection is kept. So it is not kept: the pool sends the rollback when it takes the
//!   connection back.
//! - The caller went away, and the future was dropped in the middle of a statement: the driver has counted its
//!   requests, and reads their answers before the pool takes the connection back. If one of them is an error, the
//!   connection is closed.
//! - The future was dropped in the middle of a `BEGIN`: the driver doesn't know yet that there is a transaction and
//!   would not roll it back, so the next statements would become part of it. So the connection is closed. All
//!   transactions begin with [`Lent::begin`], which ensures that.
//! - The connection broke, or the driver didn't understand the server: it is closed, and all idle connections are
//!   checked, because rarely only one breaks.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{Connection, Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr, Transaction};
use tracing::Instrument;

use crate::store::error::{StoreError, ends_connection};
use crate::telemetry::{metrics, trace};

/// How long a connection is kept. Then the pool may check it, and close it for its age.
const LONGEST: Duration = Duration::from_secs(10);

/// Some of a pool's connections, kept for the next caller.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: PgPool,
    kept: Mutex<Vec<Kept>>,
    /// The most connections that are kept; the others stay in the pool, for workers and other users of it.
    most: usize,
    /// How many callers wait for a connection of the pool.
    waiting: AtomicUsize,
}

/// Counts a caller as waiting until it is dropped.
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

/// A connection for one statement or transaction. If it is dropped in the middle of its work, it goes back to the pool.
pub(crate) struct Lent<'a> {
    from: &'a Connections,
    /// Present until the connection is given back.
    kept: Option<Kept>,
    /// Whether the connection's transaction state is known; it is not while a transaction begins.
    is_settled: bool,
}

/// Runs single statements on the pool's own connections, one for each. Each goes back at its end.
#[derive(Clone, Debug)]
pub(crate) struct Database(Arc<Connections>);

impl Connections {
    /// Starts without kept connections.
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
    /// The server may have ended idle connections. A query that fails because of that is sent again over a checked
    /// connection, so it must only read.
    pub async fn fetch_all<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let fetched = pin!(async {
            match self.fetch_once(query()).await {
                Err(error) if error.is_connection_lost() => {
                    tracing::debug!(%error, "a read is sent again");
                    self.fetch_once(query()).await
                }
                fetched => fetched,
            }
        });
        let span =
            tracing::info_span!(target: trace::STEP, "read", otel.kind = "client", db.system.name = "postgresql");
        fetched.instrument(span).await
    }

    async fn fetch_once(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreError> {
        let mut lent = self.lend().await?;
        let rows = query.fetch_all(lent.connection()).await;
        lent.settled(rows.map_err(StoreError::from))
    }

    /// A connection: a kept one, or one of the pool.
    pub async fn lend(&self) -> Result<Lent<'_>, StoreError> {
        match self.young() {
            Some(kept) => Ok(Lent { from: self, kept: Some(kept), is_settled: true }),
            None => self.draw().await,
        }
    }

    /// A connection from the pool.
    async fn draw(&self) -> Result<Lent<'_>, StoreError> {
        let kept = Kept { connection: self.acquire().await?, since: Instant::now() };
        Ok(Lent { from: self, kept: Some(kept), is_settled: true })
    }

    /// A kept connection. Those that were not used for a while go back to the pool.
    fn young(&self) -> Option<Kept> {
        let mut kept = self.kept();
        std::iter::from_fn(|| kept.pop()).find(Kept::is_young)
    }

    /// A connection from the pool. While a caller waits for one, connections are not kept.
    async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        if let Some(connection) = self.pool.try_acquire() {
            return Ok(connection);
        }
        let _waiting = Waiting::begin(&self.waiting);
        // From now on, connections go back to the pool after their work; so does one that was kept before.
        if self.pool.size() >= self.pool.options().get_max_connections() {
            drop(self.kept().pop());
        }
        self.pool.acquire().await.map_err(StoreError::NoConnection)
    }

    /// Shows from now on how many connections there are, and who waits for one.
    pub fn observe(self: &Arc<Self>) {
        const POOL: &str = "userpool";
        let this = Arc::downgrade(self);
        metrics::DATABASE_CONNECTIONS.by(move || {
            let Some(this) = this.upgrade() else { return Vec::new() };
            let idle = this.pool.num_idle() + this.kept().len();
            let used = (this.pool.size() as usize).saturating_sub(idle);
            vec![(idle as f64, [POOL, "idle"]), (used as f64, [POOL, "used"])]
        });
        let most = self.pool.options().get_max_connections();
        metrics::DATABASE_CONNECTIONS_MOST.by(move || vec![(f64::from(most), [POOL])]);
        let this = Arc::downgrade(self);
        metrics::DATABASE_WAITING.by(move || {
            let waiting = this.upgrade().map(|this| this.waiting.load(Ordering::SeqCst));
            waiting.map(|waiting| (waiting as f64, [POOL])).into_iter().collect()
        });
    }

    /// Gives back all idle connections, kept or not: the pool checks each and drops dead ones.
    pub fn look_at_all(&self) {
        let idle: Vec<_> = std::iter::from_fn(|| self.pool.try_acquire()).collect();
        drop(idle);
        self.kept().clear();
    }

    /// Gives back the kept connections and closes the pool.
    pub async fn close(&self) {
        self.kept().clear();
        self.pool.close().await;
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // A panic while the lock is held leaves the list intact.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connections {
    /// There may be no runtime any more that could return a connection to the pool.
    fn drop(&mut self) {
        for kept in self.kept().drain(..) {
            drop(kept.connection.detach());
        }
    }
}

impl Lent<'_> {
    /// The connection itself, for statements.
    #[expect(clippy::expect_used, reason = "taking the connection out consumes this")]
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.kept.as_mut().expect("a connection until it is given back").connection
    }

    /// Begins a transaction. If it is dropped, it is rolled back before another caller gets the connection.
    #[expect(clippy::disallowed_methods, reason = "a connection whose BEGIN is interrupted is closed here")]
    pub async fn begin(&mut self) -> Result<Transaction<'_, Postgres>, StoreError> {
        let Self { kept, is_settled, .. } = self;
        *is_settled = false;
        #[expect(clippy::expect_used, reason = "taking the connection out consumes this")]
        let connection = &mut kept.as_mut().expect("a connection until it is given back").connection;
        let transaction = connection.begin().await?;
        *is_settled = true;
        Ok(transaction)
    }

    /// Ends the work: the connection is kept, returned to the pool or closed, depending on the result.
    pub fn settled<T>(self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match &result {
            Ok(_) => self.done(),
            Err(error) => self.failed(error.is_connection_lost()),
        }
        result
    }

    /// The work succeeded: the next caller may have the connection.
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
    /// Runs statements on the pool of these connections.
    pub fn new(connections: Arc<Connections>) -> Self {
        Self(connections)
    }

    /// The connection pool of the driver.
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// A connection for several statements, or for a transaction.
    pub async fn lend(&self) -> Result<Lent<'_>, StoreError> {
        self.0.draw().await
    }
}

/// The driver's error in an error of the store.
fn of_driver(error: StoreError) -> sqlx::Error {
    match error {
        StoreError::Database(error) | StoreError::NoConnection(error) => error,
        // Getting a connection fails with no other error.
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

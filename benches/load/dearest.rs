//! The statements on which the database spends most of its time.

use serde_json::{Value, json};
use sqlx::PgPool;

/// Settings with which Postgres counts statements. The ends of transactions are not counted: floors have them as well.
pub const SETTINGS: [&str; 2] = ["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track_utility=off"];

/// A statement of the server's, with the time that it took.
#[derive(Debug, sqlx::FromRow)]
pub struct Statement {
    /// Its text, with `$1` for values.
    pub query: String,
    /// How often it ran.
    pub calls: i64,
    /// Milliseconds of one run.
    pub milliseconds: f64,
    /// Its share of the time of all statements of the server, in percent.
    pub share: f64,
}

/// Begins to count anew.
pub async fn begin(database: &PgPool) -> sqlx::Result<()> {
    sqlx::query("create extension if not exists pg_stat_statements").execute(database).await?;
    sqlx::query("select pg_stat_statements_reset()").execute(database).await.map(drop)
}

/// The three that took most of the time since then. Statements of the floors are left out: each names the floor's
/// schema or an alias of that name.
pub async fn three(database: &PgPool) -> sqlx::Result<Vec<Statement>> {
    sqlx::query_as(
        "select regexp_replace(query, '\\s+', ' ', 'g') as query, calls, mean_exec_time as milliseconds,
                100 * total_exec_time / sum(total_exec_time) over () as share
         from pg_stat_statements
         where dbid = (select oid from pg_database where datname = current_database())
           and query not like '%floor.%'
         order by total_exec_time desc limit 3",
    )
    .fetch_all(database)
    .await
}

impl Statement {
    /// One row of the report's table, in Markdown.
    pub fn line(&self) -> String {
        const SHOWN: usize = 150;
        let shown: String = self.query.chars().take(SHOWN).collect();
        let rest = if self.query.chars().count() > SHOWN { " …" } else { "" };
        format!("{:>5.1} % {:>9} times {:>9.3} ms   {shown}{rest}\n", self.share, self.calls, self.milliseconds)
    }

    /// One entry of the JSON report.
    pub fn json(&self) -> Value {
        json!({
            "statement": self.query,
            "calls": self.calls,
            "mean_milliseconds": self.milliseconds,
            "of_hundred": self.share,
        })
    }
}

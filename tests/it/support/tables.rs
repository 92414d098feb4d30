//! The tables of a database, read from its catalogue, so that no later table is forgotten.

use sqlx::{AssertSqlSafe, PgPool};

/// Each table that has one of these columns, with the column. Partitions count as their parent table.
async fn with_column(database: &PgPool, columns: &[&str]) -> Vec<(String, String)> {
    let tables: Vec<(String, String)> = sqlx::query_as(
        "select t.relname::text, c.column_name::text from information_schema.columns c
         join pg_class t on t.relname = c.table_name and t.relnamespace = c.table_schema::regnamespace
         where c.table_schema = current_schema() and t.relkind in ('r', 'p') and not t.relispartition
             and c.column_name = any($1) order by 1, 2",
    )
    .bind(columns)
    .fetch_all(database)
    .await
    .expect("the database knows its tables");
    assert!(tables.len() > 5, "{tables:?}");
    tables
}

/// All tables, without partitions.
pub async fn all(database: &PgPool) -> Vec<String> {
    let tables = sqlx::query_scalar(
        "select relname::text from pg_class
         where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and not relispartition order by 1",
    );
    tables.fetch_all(database).await.expect("the database knows its tables")
}

/// Whether a table has a column.
pub async fn has_column(database: &PgPool, table: &str, column: &str) -> bool {
    let found = sqlx::query_scalar(
        "select exists (select from information_schema.columns
         where table_schema = current_schema() and table_name = $1 and column_name = $2)",
    );
    found.bind(table).bind(column).fetch_one(database).await.expect("the database knows its columns")
}

/// The tables that hold rows of pools.
pub async fn of_pools(database: &PgPool) -> Vec<String> {
    with_column(database, &["user_pool_id"]).await.into_iter().map(|(table, _)| table).collect()
}

async fn with_rows(database: &PgPool, columns: &[&str], pool: &str, value: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (table, column) in with_column(database, columns).await {
        let statement = format!("select exists (select from {table} where user_pool_id = $1 and {column}::text = $2)");
        let has_rows = sqlx::query_scalar(AssertSqlSafe(statement)).bind(pool).bind(value).fetch_one(database).await;
        if has_rows.expect("each table names its pool") {
            found.push(table);
        }
    }
    found
}

/// The tables that have rows about a user.
pub async fn about_user(database: &PgPool, pool: &str, sub: &str) -> Vec<String> {
    with_rows(database, &["sub", "owner"], pool, sub).await
}

/// The tables that have rows about a pool.
pub async fn about_pool(database: &PgPool, pool: &str) -> Vec<String> {
    with_rows(database, &["user_pool_id"], pool, pool).await
}

/// Writes a row of a pool into every table that can hold one, except some, and returns the tables.
pub async fn fill(database: &PgPool, pool: &str, except: &[&str]) -> Vec<String> {
    let mut tables = of_pools(database).await;
    tables.retain(|table| !except.contains(&table.as_str()));
    for table in &tables {
        let columns: Vec<(String, String)> = sqlx::query_as(
            "select column_name::text, data_type::text from information_schema.columns
             where table_schema = current_schema() and table_name = $1 and column_default is null",
        )
        .bind(table)
        .fetch_all(database)
        .await
        .expect("the database knows its columns");
        let (names, values): (Vec<_>, Vec<_>) =
            columns.iter().map(|(name, kind)| (name.as_str(), any_value(name, kind))).unzip();
        let (names, values) = (names.join(", "), values.join(", "));
        let statement = format!("insert into {table} ({names}) values ({values}) on conflict do nothing");
        sqlx::query(AssertSqlSafe(statement)).bind(pool).execute(database).await.expect("a row");
    }
    tables
}

fn any_value(column: &str, kind: &str) -> &'static str {
    match (column, kind) {
        ("user_pool_id", _) => "$1",
        (_, "text") => "'any'",
        (_, "uuid") => "gen_random_uuid()",
        (_, "integer" | "bigint") => "1",
        (_, "bytea") => "'\\x00'",
        (_, "jsonb") => "'{}'",
        (_, "xid8") => "'1'",
        (_, "boolean") => "false",
        (_, "timestamp with time zone") => "now()",
        other => panic!("a value for {other:?}"),
    }
}

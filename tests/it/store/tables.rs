//! Every table of the schema has an owner: rebuild, purge and erasure would leave a table without one behind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use userpool::store::models::tables::{OPERATIONAL, Owner, UserColumn, owners};

use super::Database;
use crate::support::tables;

/// The tables without an owner, and the owned tables that don't exist.
async fn unowned(database: &Database) -> (BTreeSet<String>, BTreeSet<String>) {
    let schema: BTreeSet<_> = tables::all(database.sql()).await.into_iter().collect();
    let owned: BTreeSet<_> = owners().map(|(table, _)| table.to_owned()).collect();
    (&schema - &owned, &owned - &schema)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_the_schema_has_one_owner_and_one_that_nobody_owns_is_found() {
    let database = Database::create().await;
    assert_eq!(unowned(&database).await, Default::default());
    let mut named: BTreeMap<&str, Owner> = BTreeMap::new();
    for (table, owner) in owners() {
        assert_eq!(named.insert(table, owner), None, "{table} has two owners");
        if let Owner::Module(module) = owner {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/store/{module}.rs"));
            assert!(file.exists(), "{table} is of no module: {file:?}");
        }
    }
    sqlx::query("create table orphans (user_pool_id text not null)").execute(database.sql()).await.unwrap();
    assert_eq!(unowned(&database).await, (["orphans".to_owned()].into(), BTreeSet::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_with_rows_of_pools_is_purged_or_kept_by_a_declaration() {
    let database = Database::create().await;
    let mut kept: Vec<_> = tables::of_pools(database.sql()).await;
    let purged = |table: &String| owners().any(|(it, owner)| it == table && !matches!(owner, Owner::Module(_)));
    kept.retain(|table| !purged(table));
    // The log stays; facts and parked events go once they are read, and the mark of the purge when it is done.
    assert_eq!(kept, ["activity", "log", "purges", "relay_parked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operational_tables_have_the_key_and_the_user_column_of_their_descriptions() {
    let database = Database::create().await;
    for table in &OPERATIONAL {
        let name = table.name;
        let keys: Vec<Vec<String>> = sqlx::query_scalar(
            "select array(select a.attname::text from unnest(i.indkey) with ordinality as k (number, place)
                          join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number order by k.place)
             from pg_index i where i.indrelid = $1::text::regclass and i.indisunique",
        )
        .bind(name)
        .fetch_all(database.sql())
        .await
        .unwrap();
        assert!(keys.iter().any(|key| key == table.key), "{name}: {:?} is none of {keys:?}", table.key);
        let by_sub = tables::has_column(database.sql(), name, "sub").await;
        let by_owner = tables::has_column(database.sql(), name, "owner").await;
        let said = (matches!(table.user, Some(UserColumn::Sub)), matches!(table.user, Some(UserColumn::Owner(_))));
        assert_eq!(said, (by_sub, by_owner), "{name}: whose its rows are");
    }
}

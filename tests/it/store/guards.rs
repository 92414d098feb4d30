//! What the database refuses by itself, and what `verify` finds.

use userpool::store::read::Wanted;

use super::{Commits, Database, Happens, Pool, begin, signed_out};
use crate::support::tables::{about_pool, fill};

#[tokio::test(flavor = "multi_thread")]
async fn the_log_refuses_update_delete_and_truncate() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    pool.user("jane").await.unwrap();
    for statement in
        ["update log set type = 'other'", "delete from log", "truncate log", "update log set type = type where false"]
    {
        let error = sqlx::query(statement).execute(database.sql()).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        assert_eq!(code, "UP002", "{statement}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_that_differs_from_the_log_is_found_and_named() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let (jane, john) = (pool.user("jane").await.unwrap(), pool.user("john").await.unwrap());
    assert!(database.store.verify(None).await.unwrap().differences.is_empty());

    sqlx::query("update users set state = jsonb_set(state, '{enabled}', 'false') where sub = $1")
        .bind(jane.state.sub.0)
        .execute(database.sql())
        .await
        .unwrap();
    sqlx::query("delete from names where name = 'john'").execute(database.sql()).await.unwrap();
    sqlx::query("insert into names (user_pool_id, name, sub) values ($1, 'nobody', $2)")
        .bind(pool.id.as_str())
        .bind(jane.state.sub.0)
        .execute(database.sql())
        .await
        .unwrap();
    let differences = database.store.verify(Some(&pool.id)).await.unwrap().differences;
    let (jane, john) = (jane.state.sub, john.state.sub);
    assert_eq!(differences.len(), 3, "{differences:?}");
    assert!(
        differences.iter().any(|it| it.contains(&format!("users/{jane}")) && it.contains("`enabled`")),
        "{differences:?}"
    );
    assert!(differences.iter().any(|it| it.contains(&format!("users/{john} lacks a name"))), "{differences:?}");
    assert!(differences.iter().any(|it| it.contains(&format!("users/{jane} holds a name"))), "{differences:?}");
    assert!(differences.iter().all(|it| !it.contains("example.com")), "no personal value is shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_an_event_of_a_later_release_fails_and_skips_nothing() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let user = pool.user("jane").await.unwrap();
    database.store.commit(pool.commit().happened(&user, vec![signed_out(2)])).await.unwrap();
    sqlx::query("insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
                 values ($1, $2, 3, gen_random_uuid(), 'user.teleported', 1, '{}', '{}', now(), 1, 0)")
        .bind(pool.id.as_str())
        .bind(format!("users/{}", user.state.sub))
        .execute(database.sql())
        .await
        .unwrap();
    let error = database.store.verify(Some(&pool.id)).await.unwrap_err();
    assert!(error.to_string().contains("user.teleported"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pool_keeps_no_rows_once_its_purge_is_done_and_before_that_they_are_no_difference() {
    let database = Database::create().await;
    let (pool, other) = (Pool::create(&database.store).await, Pool::create(&database.store).await);
    let user = pool.user("jane").await.unwrap();
    other.user("john").await.unwrap();
    pool.delete().await;
    // For the process that deleted the pool and for another one, its rows are no difference: they are being purged.
    assert_eq!(database.store.verify(None).await.unwrap().differences, Vec::<String>::new());
    database.assert_verified().await;
    // A command that began earlier may still write.
    database.store.commit(pool.commit().happened(&user, vec![signed_out(2)])).await.unwrap();
    database.assert_verified().await;
    let filled = fill(database.sql(), pool.id.as_str(), &["log", "pools", "relay_parked"]).await;
    let mut found = about_pool(database.sql(), pool.id.as_str()).await;
    found.retain(|table| table != "log");
    assert_eq!(found, filled);

    let mut now = pool.now();
    while database.store.purge_step(now).await.unwrap() {
        now = now.plus_seconds(60);
    }
    assert_eq!(about_pool(database.sql(), pool.id.as_str()).await, ["log"]);
    database.assert_verified().await;

    for statement in [
        "insert into users (user_pool_id, sub, version, revision, state) values ($1, gen_random_uuid(), 1, 1, '{}')",
        "insert into names (user_pool_id, name, sub) values ($1, 'left', gen_random_uuid())",
        "insert into groups (user_pool_id, group_id, version, revision, state) values ($1, gen_random_uuid(), 1, 1, '{}')",
        "insert into group_names (user_pool_id, name, group_id) values ($1, 'left', gen_random_uuid())",
        "insert into devices (user_pool_id, device_id, version, revision, state) values ($1, gen_random_uuid(), 1, 1, '{}')",
        "insert into user_devices (user_pool_id, sub, device_id) values ($1, gen_random_uuid(), gen_random_uuid())",
        "insert into memberships (user_pool_id, group_id, sub) values ($1, gen_random_uuid(), gen_random_uuid())",
        "insert into user_search (user_pool_id, attribute, value, sub) values ($1, 'name', 'left', gen_random_uuid())",
        "insert into client_directory (user_pool_id, client_id) values ($1, 'left')",
    ] {
        sqlx::query(statement).bind(pool.id.as_str()).execute(database.sql()).await.unwrap();
    }
    let differences = database.store.verify(None).await.unwrap().differences;
    let expected = [
        "users",
        "names",
        "groups",
        "group_names",
        "devices",
        "memberships",
        "user_devices",
        "user_search",
        "client_directory",
    ]
    .map(|table| format!("{}: the pool does not exist and still has rows in {table}", pool.id));
    assert_eq!(differences, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_find_nothing_at_one_moment_have_swept_once() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    pool.delete().await;
    let mut now = pool.now();
    let mut held = begin(database.sql()).await;
    sqlx::query("select from purges for update").execute(&mut *held).await.unwrap();
    let steps = [database.store.clone(), database.another_store(None).await]
        .map(|store| tokio::spawn(async move { store.purge_step(now).await }));
    assert!(database.locked(2, || steps.iter().any(|step| step.is_finished())).await, "both have found nothing");
    held.rollback().await.unwrap();
    for step in steps {
        step.await.unwrap().unwrap();
    }
    // A command may live, and write, until the second sweep.
    let sweeps: i32 = sqlx::query_scalar("select empty_sweeps from purges").fetch_one(database.sql()).await.unwrap();
    assert_eq!(sweeps, 1);
    assert!(!database.store.purge_step(now).await.unwrap(), "the second sweep has its time");
    now = now.plus_seconds(60);
    assert!(database.store.purge_step(now).await.unwrap());
    assert_eq!(about_pool(database.sql(), pool.id.as_str()).await, ["log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_history_are_found_also_in_a_pool_that_never_was() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    sqlx::query(
        "insert into users (user_pool_id, sub, version, revision, state)
         values ($1, '00000000-0000-4000-8000-000000000001', 1, 1, '{}'), ('nowhere', gen_random_uuid(), 1, 1, '{}')",
    )
    .bind(pool.id.as_str())
    .execute(database.sql())
    .await
    .unwrap();
    let mut differences = database.store.verify(None).await.unwrap().differences;
    differences.sort();
    let expected = [
        "nowhere: the pool does not exist and still has rows in users".to_owned(),
        format!("{}: users/00000000-0000-4000-8000-000000000001 has a row in users and no event", pool.id),
    ];
    assert_eq!(differences, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pool_row_does_not_hide_what_is_right() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    pool.user("jane").await.unwrap();
    sqlx::query("delete from pools").execute(database.sql()).await.unwrap();
    let differences = database.another_store(None).await.verify(None).await.unwrap().differences;
    assert_eq!(differences, [format!("{}: pool has no row in its read model", pool.id)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_revision_are_computed_again_from_their_streams() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let user = pool.user("jane").await.unwrap();
    for table in ["pools", "users"] {
        let older = format!("update {table} set revision = 0, state = '{{}}'");
        sqlx::query(sqlx::AssertSqlSafe(older)).execute(database.sql()).await.unwrap();
    }
    // Another process, whose memory is empty.
    let store = database.another_store(None).await;
    let listed = store.list_pools(None, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|(id, pool)| (id, pool.name.as_str())).collect::<Vec<_>>(), [(&pool.id, "pool")]);
    let wanted = Wanted { name: Some("jane"), ..Wanted::default() };
    let found = store.read(&pool.id, None, wanted).await.unwrap();
    assert_eq!(found.user.expect("the name is claimed").state, user.state);
}

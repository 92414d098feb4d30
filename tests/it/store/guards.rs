//! What the database itself refuses, and what `verify` finds.

use super::{Database, Pool, signed_out};

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
    database.store.commit(pool.commit().user(&user, vec![signed_out(2)])).await.unwrap();
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

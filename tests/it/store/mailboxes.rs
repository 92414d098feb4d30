//! Names in a database of the release before, after all spellings of a mailbox became one name.

use userpool::domain::ids::UserPoolId;
use userpool::proto::events::{UserPoolSettings, UserPoolSettingsChanged, user_pool_event};
use userpool::proto::v1::UsernameConfigurationType;
use userpool::store::read::Wanted;

use super::{Commits, Database, Happens, Pool, Sub};

/// Makes addresses aliases in a pool, which the store does not check.
async fn pool_of_addresses(database: &Database) -> Pool {
    let pool = Pool::create(&database.store).await;
    let settings = UserPoolSettings {
        alias_attributes: vec!["email".to_owned()],
        username_configuration: Some(UsernameConfigurationType { case_sensitive: Some(false) }),
        ..Default::default()
    };
    let changed = UserPoolSettingsChanged {
        changed: vec!["alias_attributes".to_owned(), "username_configuration".to_owned()],
        settings: Some(settings),
        ..Default::default()
    };
    let view = database.store.read(&pool.id, None, Wanted::default()).await.unwrap().pool;
    let commit = pool.commit().happened(&*view, vec![user_pool_event::Event::SettingsChanged(changed)]);
    database.store.commit(commit).await.unwrap();
    pool
}

/// The user whom a name stands for, by the look-up of this release.
async fn named(database: &Database, pool: &UserPoolId, typed: &str) -> Option<Sub> {
    let hint = database.another_store(None).await;
    let name = hint.pool_hint(pool).await.unwrap().name_rules.normalise(typed);
    let wanted = Wanted { name: Some(&name), ..Wanted::default() };
    hint.read(pool, None, wanted).await.unwrap().user.map(|user| user.state.sub)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_claimed_as_it_was_spelled_is_found_by_its_mailbox_once_the_database_is_migrated() {
    let database = Database::create().await;
    let pool = pool_of_addresses(&database).await;
    // As the release before did: its rules know nothing about addresses.
    let jane = pool.user("Jane@EXAM\u{ad}PLE.com").await.unwrap().state.sub;
    let john = pool.user("john@example.com").await.unwrap().state.sub;
    assert_eq!(named(&database, &pool.id, "jane@example.com").await, None);
    let mark = "insert into unfilled_read_models values ('mailboxes')";
    for _ in 0..2 {
        sqlx::query(mark).execute(database.sql()).await.unwrap();
        database.store.migrate().await.unwrap();
        for typed in ["JANE@example.com", "Jane@EXAM\u{ad}PLE.com"] {
            let name = named(&database, &pool.id, typed).await;
            assert_eq!(name, Some(jane), "{typed:?}");
        }
        assert_eq!(named(&database, &pool.id, "john@EXAMPLE.com").await, Some(john));
        database.assert_verified().await;
    }
    // Servers of the release before look for the spelling.
    let older = sqlx::query_scalar("select sub from names where name = $1").bind("jane@exam\u{ad}ple.com");
    let older: uuid::Uuid = older.fetch_one(database.sql()).await.unwrap();
    assert_eq!(Sub(older), jane);
    let left: i64 =
        sqlx::query_scalar("select count(*) from unfilled_read_models").fetch_one(database.sql()).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_users_of_one_mailbox_one_keeps_it_and_verify_names_the_other() {
    let database = Database::create().await;
    let pool = pool_of_addresses(&database).await;
    let first = pool.user("jane@example.com").await.unwrap().state.sub;
    let second = pool.user("jane@exam\u{ad}ple.com").await.unwrap().state.sub;
    sqlx::query("insert into unfilled_read_models values ('mailboxes')").execute(database.sql()).await.unwrap();
    database.store.migrate().await.unwrap();
    assert_eq!(named(&database, &pool.id, "jane@example.com").await, Some(first));
    assert_eq!(named(&database, &pool.id, &second.to_string()).await, Some(second));
    let differences = database.another_store(None).await.verify(None).await.unwrap().differences;
    assert!(differences.len() == 1 && differences[0].contains(&second.to_string()), "{differences:?}");
}

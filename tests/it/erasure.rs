//! What is left of a user who deleted themselves: nothing personal, and a log that still replays.

use userpool::proto::v1::*;

use crate::support::environment::DATABASE;
use crate::support::events::{ACTIVITY, DIRECTORY, Record, read_until};
use crate::support::pool::{PASSWORD, Pool, email_pool, password_client, text_attribute, texts, unique, unique_phone};

#[tokio::test]
async fn nothing_personal_is_left_of_a_deleted_user() {
    let schema = vec![text_attribute("diagnosis")];
    let request = CreateUserPoolRequest { schema, alias_attributes: texts(&["email", "phone_number"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let [name, given, nick, custom, identity] = ["erased", "given", "nick", "custom", "identity"].map(unique);
    let (phone, email) = (unique_phone(), format!("{}@example.com", unique("mail")));
    let values = [
        ("email", email.as_str()),
        ("phone_number", &phone),
        ("given_name", &given),
        ("preferred_username", &nick),
        ("custom:diagnosis", &custom),
    ];
    let sub = pool.sign_up(&name, &values).await.unwrap().user_sub.unwrap();
    pool.confirm(&name, "000000").await.ok();
    pool.confirm(&name, &pool.api.code_for(&email).await).await.ok();
    pool.sign_in(&name, "Wrong-horse-7").await.unwrap_err();
    pool.sign_in(&email, "Wrong-horse-7").await.unwrap_err();
    let tokens = pool.sign_in(&email, PASSWORD).await.unwrap();
    pool.refresh(tokens.refresh_token()).await.unwrap();
    let user = |provider: &str, attribute: Option<&str>, value: &str| {
        Some(ProviderUserIdentifierType {
            provider_name: Some(provider.to_owned()),
            provider_attribute_name: attribute.map(str::to_owned),
            provider_attribute_value: Some(value.to_owned()),
        })
    };
    let link = AdminLinkProviderForUserRequest {
        user_pool_id: Some(pool.id.clone()),
        destination_user: user("Cognito", None, &name),
        source_user: user("ADFS", Some("email"), &identity),
    };
    pool.api.call(link).await.unwrap();
    let personal = [&name, &given, &nick, &custom, &phone, &email, &identity].map(String::clone);

    let environment = pool.api.environment();
    let dump = async || tokio::task::spawn_blocking(|| environment.postgres.dump(DATABASE)).await.unwrap();
    let before = dump().await;
    for value in &personal {
        // Otherwise the check below would search for values that never existed.
        assert!(before.contains(value.as_str()), "{value} is not in the dump");
    }
    pool.delete_user(tokens.access_token()).await.unwrap();
    let after = dump().await;
    let found = personal.iter().filter(|value| after.contains(value.as_str())).count();
    assert_eq!(found, 0, "personal values in the dump");
    assert!(after.contains(&sub), "the log keeps its shape");
    // Also in the forms in which a dump shows bytes.
    let coded = |value: &str| {
        use base64::Engine;
        [hex::encode(value), base64::engine::general_purpose::STANDARD.encode(value)]
    };
    assert!(!personal.iter().flat_map(|value| coded(value)).any(|form| after.contains(form.trim_end_matches('='))));

    let gone = {
        let key = format!("{}/{sub}", pool.id);
        move |records: &[Record]| records.iter().any(|record| record.key == key && record.kind() == "user.deleted")
    };
    let last_fact = {
        let key = format!("{}/{sub}", pool.id);
        move |records: &[Record]| records.iter().any(|record| record.key == key && record.kind() == "user.signed_in")
    };
    let brokers = &environment.kafka.bootstrap;
    let directory = read_until(brokers, DIRECTORY, gone).await;
    let activity = read_until(brokers, ACTIVITY, last_fact).await;
    for record in directory.iter().chain(&activity) {
        let text = record.text();
        assert!(!personal.iter().any(|value| text.contains(value.as_str())), "a {}", record.kind());
    }
    for process in &environment.processes {
        let log = std::fs::read_to_string(&process.log).unwrap();
        assert!(!personal.iter().any(|value| log.contains(value.as_str())), "a log at level info");
    }
    pool.verify().await;
}

#[tokio::test]
async fn everything_about_an_invited_user_goes_with_them() {
    const TEMPORARY: &str = "Temporary-horse-7";
    let pool = Pool::create().await;
    let (name, nick) = (unique("invited"), unique("nick"));
    let email = format!("{}@example.com", unique("mail"));
    pool.create_user(&name, &[("email", &email)], TEMPORARY).await;
    let session = pool.challenge(&name, TEMPORARY).await.session.unwrap();
    let mut answer = pool.new_password_request(&session, &name, PASSWORD);
    answer.challenge_responses.insert("userAttributes.nickname".to_owned(), nick.clone());
    let tokens = pool.api.call(answer).await.unwrap().authentication_result.unwrap();
    let environment = pool.api.environment();
    let database = sqlx::PgPool::connect(&environment.database_url()).await.unwrap();
    let spent = async || -> i64 {
        let statement = "select count(*) from used_nonces where user_pool_id = $1";
        sqlx::query_scalar(statement).bind(&pool.id).fetch_one(&database).await.unwrap()
    };
    assert_eq!(spent().await, 1);
    pool.delete_user(tokens.access_token()).await.unwrap();
    assert_eq!(spent().await, 0);
    let dump = tokio::task::spawn_blocking(|| environment.postgres.dump(DATABASE)).await.unwrap();
    assert!(![&name, &nick, &email].into_iter().any(|value| dump.contains(value.as_str())));
    pool.verify().await;
}

#[tokio::test]
async fn keys_and_messages_go_with_their_user() {
    let pool = Pool::create().await;
    let person = pool.person("with-all").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let count = async |table: &str, column: &str| -> i64 {
        let statement = format!("select count(*) from {table} where user_pool_id = $1 and {column}::text = $2");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(&pool.id).bind(&person.sub);
        count.fetch_one(&database).await.unwrap()
    };
    let tables = [("keys", "owner"), ("mailbox", "owner"), ("sessions", "sub"), ("users", "sub"), ("names", "sub")];
    for (table, column) in tables {
        assert!(count(table, column).await > 0, "{table}");
    }
    pool.delete_user(tokens.access_token()).await.unwrap();
    for (table, column) in tables.into_iter().chain([("outbox", "owner"), ("codes", "sub")]) {
        assert_eq!(count(table, column).await, 0, "{table}");
    }
    pool.verify().await;
}

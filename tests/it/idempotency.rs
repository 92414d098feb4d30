//! Commands with an `idempotency-key`: done once, and then answered with the stored answer.

use std::collections::BTreeSet;

use userpool::environment::{Clock, Random};
use userpool::proto::v1::*;

use crate::support::client::{Api, assert_refused};
use crate::support::environment::Account;
use crate::support::pool::{
    PASSWORD, Pool, attributes, by_name, email_pool, parameters, password_client, texts, unique,
};

const OTHER_REQUEST: &str = "The idempotency-key was used for another request of this operation.";

fn key() -> String {
    Random::default().uuid().to_string()
}

fn client(pool: &Pool, name: &str) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        user_pool_id: Some(pool.id.clone()),
        client_name: Some(name.to_owned()),
        generate_secret: Some(true),
        ..Default::default()
    }
}

async fn clients(pool: &Pool) -> usize {
    let request =
        ListUserPoolClientsRequest { user_pool_id: Some(pool.id.clone()), max_results: Some(60), ..Default::default() };
    pool.api.call(request).await.unwrap().user_pool_clients.len()
}

async fn database(pool: &Pool) -> sqlx::PgPool {
    sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap()
}

#[tokio::test]
async fn the_same_command_under_the_same_key_is_done_once_and_answered_alike() {
    let pool = Pool::create().await;
    let (key, before) = (key(), clients(&pool).await);
    let first = pool.api.call_named(&key, client(&pool, "app")).await.unwrap();
    for _ in 0..3 {
        // Calls alternate between the processes, so the answer comes from the database.
        assert_eq!(pool.api.call_named(&key, client(&pool, "app")).await.unwrap(), first);
    }
    assert_eq!(clients(&pool).await, before + 1);
    let other_key = pool.api.call_named(&unique("other"), client(&pool, "app")).await.unwrap();
    assert_ne!(other_key, first);
    let other_request = pool.api.call_named(&key, client(&pool, "another app")).await;
    assert_refused(other_request, "InvalidParameterException", OTHER_REQUEST);
    // A key counts for its operation.
    let tag = ListUserPoolsRequest { max_results: Some(1), ..Default::default() };
    pool.api.call_named(&key, tag).await.unwrap();
    let update = UpdateUserPoolRequest { user_pool_id: Some(pool.id.clone()), ..Default::default() };
    pool.api.call_named(&key, update).await.unwrap();
    assert_eq!(clients(&pool).await, before + 2);
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_that_is_created_under_a_key_is_one_pool_and_its_deletion_is_answered_when_nothing_is_left() {
    let api = Api::connect().await;
    let (key, name) = (key(), unique("once"));
    let request = || CreateUserPoolRequest { pool_name: Some(name.clone()), ..Default::default() };
    let first = api.call_named(&key, request()).await.unwrap();
    assert_eq!(api.call_named(&key, request()).await.unwrap(), first);
    let id = first.user_pool.unwrap().id.unwrap();
    let delete = || DeleteUserPoolRequest { user_pool_id: Some(id.clone()) };
    api.call_named(&key, delete()).await.unwrap();
    let gone = format!("User pool {id} does not exist.");
    assert_refused(api.call(delete()).await, "ResourceNotFoundException", &gone);
    let database = sqlx::PgPool::connect(&api.environment().database_url()).await.unwrap();
    let purged = crate::support::client::eventually(async || {
        let rows: i64 = sqlx::query_scalar("select count(*) from stored_answers where user_pool_id = $1")
            .bind(&id)
            .fetch_one(&database)
            .await
            .unwrap();
        rows == 1
    });
    assert!(purged.await, "the answers of a deleted pool are purged, but for that of its deletion");
    for _ in 0..2 {
        api.call_named(&key, delete()).await.unwrap();
    }
}

#[tokio::test]
async fn of_many_at_the_same_moment_one_runs_and_all_are_answered_by_it() {
    let pool = Pool::create().await;
    let (key, before) = (key(), clients(&pool).await);
    let calls = (0..8).map(|_| pool.api.call_named(&key, client(&pool, "app")));
    let answers = futures::future::join_all(calls).await;
    let ids: BTreeSet<_> = answers
        .into_iter()
        .map(|answer| answer.expect("all are answered").user_pool_client.unwrap().client_id.unwrap())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(clients(&pool).await, before + 1);

    // Different requests under one key: one of them wins, the others are refused.
    let key = self::key();
    let names: Vec<_> = (0..6).map(|index| format!("app {index}")).collect();
    let calls = names.iter().map(|name| pool.api.call_named(&key, client(&pool, name)));
    let (done, refused): (Vec<_>, Vec<_>) = futures::future::join_all(calls).await.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 5));
    for refused in refused {
        assert_refused(refused, "InvalidParameterException", OTHER_REQUEST);
    }
    assert_eq!(clients(&pool).await, before + 2);
    pool.verify().await;
}

#[tokio::test]
async fn a_command_that_can_be_done_once_only_is_answered_by_what_it_did() {
    let pool = Pool::create().await;
    let (key, name) = (key(), unique("confirmed"));
    pool.sign_up(&name, &[]).await.unwrap();
    let request = || AdminConfirmSignUpRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.clone()),
        ..Default::default()
    };
    let calls = (0..6).map(|_| pool.api.call_named(&key, request()));
    for answer in futures::future::join_all(calls).await {
        answer.unwrap();
    }
    let message = "User cannot be confirmed. Current status is CONFIRMED";
    assert_refused(pool.api.call(request()).await, "NotAuthorizedException", message);
    // The stored answer goes with the user, and the request is not repeated for a new user of the same name.
    let delete = AdminDeleteUserRequest { user_pool_id: Some(pool.id.clone()), username: Some(name.clone()) };
    let delete_key = self::key();
    pool.api.call_named(&delete_key, delete.clone()).await.unwrap();
    pool.sign_up(&name, &[]).await.unwrap();
    let erased = "The idempotency-key was used for a request whose answer was erased.";
    assert_refused(pool.api.call_named(&key, request()).await, "InvalidParameterException", erased);
    pool.api.call_named(&delete_key, delete).await.unwrap();
    let user = pool.admin_get_user(&name).await.unwrap();
    assert_eq!(user.user_status.as_deref(), Some("UNCONFIRMED"), "neither deleted nor confirmed a second time");
    pool.verify().await;
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let pool = Pool::create().await;
    let (key, name) = (key(), unique("late"));
    let request = || AdminConfirmSignUpRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.clone()),
        ..Default::default()
    };
    let missing = "User does not exist.";
    assert_refused(pool.api.call_named(&key, request()).await, "UserNotFoundException", missing);
    pool.sign_up(&name, &[]).await.unwrap();
    pool.api.call_named(&key, request()).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn both_doors_share_their_keys_and_callers_do_not() {
    let pool = Pool::create().await;
    let (key, before) = (key(), clients(&pool).await);
    let over_grpc = pool.api.call_named(&key, client(&pool, "app")).await.unwrap().user_pool_client.unwrap();
    let over_aws = async |account: &Account, name: &str| {
        let request = pool.api.aws_as(account, "us-east-1");
        let request = request.create_user_pool_client().user_pool_id(&pool.id).client_name(name).generate_secret(true);
        let sent = key.clone();
        let named = request.customize().mutate_request(move |request| {
            request.headers_mut().insert("idempotency-key", sent.clone());
        });
        let answer = named.send().await.map_err(|error| error.into_service_error().to_string());
        answer.map(|answer| answer.user_pool_client().unwrap().client_id().unwrap().to_owned())
    };
    assert_eq!(over_aws(pool.api.account(), "app").await.unwrap(), over_grpc.client_id());
    let refused = over_aws(pool.api.account(), "other").await.unwrap_err();
    assert!(refused.contains(OTHER_REQUEST), "{refused}");
    let output = pool.api.environment().command();
    let output = { output }.args(["service-account", "create", "--name", "idempotency", "--role", "admin"]).output();
    let output = String::from_utf8(output.await.unwrap().stdout).unwrap();
    let value = |name: &str| output.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let other = Account { access_key_id: value("access key id"), secret: value("secret access key") };
    assert_ne!(over_aws(&other, "app").await.unwrap(), over_grpc.client_id());
    assert_eq!(clients(&pool).await, before + 2);
    pool.verify().await;
}

#[tokio::test]
async fn a_key_of_another_form_is_refused_where_it_counts() {
    let pool = Pool::create().await;
    let form = "The idempotency-key must be given once, with 1 to 128 visible characters of ASCII.";
    let (longest, too_long) = ("k".repeat(128), "k".repeat(129));
    for wrong in ["", "two words", &too_long] {
        let refused = pool.api.call_named(wrong, client(&pool, "app")).await;
        assert_refused(refused, "InvalidParameterException", form);
    }
    let authorization = format!("Bearer {}", pool.api.account().token());
    let twice = [("authorization", authorization.as_str()), ("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_refused(pool.api.call_with(&twice, client(&pool, "app")).await, "InvalidParameterException", form);
    pool.api.call_named(&longest, client(&pool, "app")).await.unwrap();
    // A read ignores the key, and so does a public operation, which has no account whose key it could be.
    let describe = DescribeUserPoolRequest { user_pool_id: Some(pool.id.clone()) };
    pool.api.call_named("two words", describe).await.unwrap();
    let (name, key) = (unique("public"), key());
    pool.api.call_named(&key, pool.sign_up_request(&name, &[])).await.unwrap();
    let again = pool.api.call_named(&key, pool.sign_up_request(&name, &[])).await;
    assert_refused(again, "UsernameExistsException", "User already exists");
    pool.verify().await;
}

#[tokio::test]
async fn stored_answers_are_sealed_and_kept_for_a_day() {
    let pool = Pool::create().await;
    let key = key();
    let created = pool.api.call_named(&key, client(&pool, "app")).await.unwrap();
    let secret = created.user_pool_client.as_ref().unwrap().client_secret().to_owned();
    let database = database(&pool).await;
    let (row, sealed, left): (String, Vec<u8>, i64) = sqlx::query_as(
        "select stored_answers::text, sealed, extract(epoch from expires_at - now())::bigint from stored_answers
         where idempotency_key = $1",
    )
    .bind(&key)
    .fetch_one(&database)
    .await
    .unwrap();
    assert!(!row.contains(&secret) && !row.contains(&hex::encode(&secret)));
    assert!(!sealed.windows(secret.len()).any(|window| window == secret.as_bytes()));
    assert!((86_000..=86_400).contains(&left), "{left}");

    // After a day the key is free again, swept or not.
    let past = Clock.now().plus_seconds(-1).seconds();
    sqlx::query("update stored_answers set expires_at = to_timestamp($2) where idempotency_key = $1")
        .bind(&key)
        .bind(past as f64)
        .execute(&database)
        .await
        .unwrap();
    let again = pool.api.call_named(&key, client(&pool, "app")).await.unwrap();
    assert_ne!(again, created);
    assert_eq!(pool.api.call_named(&key, client(&pool, "app")).await.unwrap(), again);
    pool.verify().await;
}

/// A sign-in from a trusted server, with a client of its own.
async fn trusted_sign_in(pool: &Pool, username: &str, password: &str) -> AdminInitiateAuthRequest {
    let trusted = CreateUserPoolClientRequest {
        explicit_auth_flows: vec!["ALLOW_ADMIN_USER_PASSWORD_AUTH".to_owned()],
        ..Default::default()
    };
    AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: pool.add_client(trusted).await.client_id,
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".to_owned()),
        auth_parameters: parameters(&[("USERNAME", username), ("PASSWORD", password)]),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_sign_in_under_a_key_begins_one_session_and_answers_its_tokens() {
    let pool = Pool::create().await;
    let person = pool.person("tokens").await;
    let request = trusted_sign_in(&pool, &person.username, PASSWORD).await;
    let key = key();
    let answers = futures::future::join_all((0..4).map(|_| pool.api.call_named(&key, request.clone()))).await;
    let first = pool.api.call_named(&key, request.clone()).await.unwrap();
    for answer in answers {
        assert_eq!(answer.unwrap(), first);
    }
    assert!(is_sealed_for_a_user(&pool, &key).await);
    let sessions: i64 = sqlx::query_scalar("select count(*) from sessions where user_pool_id = $1")
        .bind(&pool.id)
        .fetch_one(&database(&pool).await)
        .await
        .unwrap();
    assert_eq!(sessions, 1);
    pool.verify().await;
}

#[tokio::test]
async fn the_stored_answer_of_a_sign_in_goes_with_the_user() {
    let pool = Pool::create().await;
    let person = pool.person("erased-tokens").await;
    let sign_in = trusted_sign_in(&pool, &person.username, PASSWORD).await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let refresh = AdminInitiateAuthRequest {
        client_id: Some(pool.client_id.clone()),
        auth_flow: Some("REFRESH_TOKEN_AUTH".to_owned()),
        auth_parameters: parameters(&[("REFRESH_TOKEN", tokens.refresh_token())]),
        ..sign_in.clone()
    };
    let invited = unique("erased-challenge");
    pool.create_user(&invited, &[("nickname", "Jay")], "Temporary-horse-7").await;
    let challenged = AdminInitiateAuthRequest {
        auth_parameters: parameters(&[("USERNAME", &invited), ("PASSWORD", "Temporary-horse-7")]),
        ..sign_in.clone()
    };
    let requests = [sign_in, refresh, challenged].map(|request| (key(), request));
    for (key, request) in &requests {
        let first = pool.api.call_named(key, request.clone()).await.unwrap();
        assert_eq!(pool.api.call_named(key, request.clone()).await.unwrap(), first);
        assert!(is_sealed_for_a_user(&pool, key).await, "{request:?}");
    }
    for username in [&person.username, &invited] {
        let user_pool_id = Some(pool.id.clone());
        pool.api.call(AdminDeleteUserRequest { user_pool_id, username: Some(username.clone()) }).await.unwrap();
    }
    let erased = "The idempotency-key was used for a request whose answer was erased.";
    for (key, request) in requests {
        assert_refused(pool.api.call_named(&key, request).await, "InvalidParameterException", erased);
    }
    pool.verify().await;
}

/// Whether an answer is sealed under a user's key; it is if it was written together with a change of the user.
async fn is_sealed_for_a_user(pool: &Pool, key: &str) -> bool {
    sqlx::query_scalar(
        "select kind = 'user' from stored_answers join keys using (user_pool_id, key_id) where idempotency_key = $1",
    )
    .bind(key)
    .fetch_one(&database(pool).await)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_invitation_under_a_key_creates_one_user_and_is_sent_once() {
    let pool = Pool::create().await;
    let (key, name) = (key(), unique("invited"));
    let email = format!("{name}@example.com");
    let request = || AdminCreateUserRequest {
        desired_delivery_mediums: vec!["EMAIL".to_owned()],
        ..pool.create_user_request(&name, &[("email", &email)])
    };
    let answers = futures::future::join_all((0..4).map(|_| pool.api.call_named(&key, request()))).await;
    let first = pool.api.call_named(&key, request()).await.unwrap();
    for answer in answers {
        assert_eq!(answer.unwrap(), first);
    }
    assert!(is_sealed_for_a_user(&pool, &key).await);
    assert_refused(pool.api.call(request()).await, "UsernameExistsException", "User account already exists");
    let other_request = AdminCreateUserRequest { message_action: Some("RESEND".to_owned()), ..request() };
    let refused = pool.api.call_named(&key, other_request.clone()).await;
    assert_refused(refused, "InvalidParameterException", OTHER_REQUEST);

    let [invitation] = &pool.api.messages_for(&email, 1).await[..] else { panic!("one invitation") };
    let other_key = self::key();
    let resent = pool.api.call_named(&other_key, other_request.clone()).await.unwrap();
    assert_eq!(pool.api.call_named(&other_key, other_request).await.unwrap(), resent);
    let [resent, old] = &pool.api.messages_for(&email, 2).await[..] else { panic!("two invitations") };
    assert_eq!(old, invitation);
    let password = resent["code"].as_str().expect("the password");
    assert_eq!(pool.challenge(&name, password).await.challenge_name(), "NEW_PASSWORD_REQUIRED");
    pool.verify().await;
}

#[tokio::test]
async fn the_answer_about_a_new_user_goes_with_that_user_and_not_with_the_one_who_had_its_address() {
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let (owner, name, key) = (pool.person("owner").await, unique("heir"), key());
    let request = || AdminCreateUserRequest {
        force_alias_creation: Some(true),
        message_action: Some("SUPPRESS".to_owned()),
        ..pool.create_user_request(&name, &[("email", &owner.email), ("email_verified", "true")])
    };
    let first = pool.api.call_named(&key, request()).await.unwrap();
    let delete = |username: &str| AdminDeleteUserRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.into()),
    };
    pool.api.call(delete(&owner.username)).await.unwrap();
    assert_eq!(pool.api.call_named(&key, request()).await.unwrap(), first);
    pool.api.call(delete(&name)).await.unwrap();
    let erased = "The idempotency-key was used for a request whose answer was erased.";
    assert_refused(pool.api.call_named(&key, request()).await, "InvalidParameterException", erased);
    pool.verify().await;
}

#[tokio::test]
async fn an_answer_to_a_challenge_under_a_key_spends_its_session_once() {
    let pool = Pool::create().await;
    let (key, name) = (key(), unique("newcomer"));
    pool.create_user(&name, &[], "Temporary-horse-7").await;
    let sign_in = trusted_sign_in(&pool, &name, "Temporary-horse-7").await;
    let client_id = sign_in.client_id.clone();
    let challenge = pool.api.call(sign_in).await.unwrap();
    let request = || AdminRespondToAuthChallengeRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: client_id.clone(),
        challenge_name: challenge.challenge_name.clone(),
        session: challenge.session.clone(),
        challenge_responses: parameters(&[("USERNAME", &name), ("NEW_PASSWORD", PASSWORD)]),
        ..Default::default()
    };
    let answers = futures::future::join_all((0..4).map(|_| pool.api.call_named(&key, request()))).await;
    let first = pool.api.call_named(&key, request()).await.unwrap();
    for answer in answers {
        assert_eq!(answer.unwrap(), first);
    }
    assert!(is_sealed_for_a_user(&pool, &key).await);
    pool.get_user(first.authentication_result.unwrap().access_token()).await.unwrap();
    let used = "Invalid session for the user, session can only be used once.";
    assert_refused(pool.api.call(request()).await, "NotAuthorizedException", used);
    pool.verify().await;
}

#[tokio::test]
async fn attributes_that_are_set_under_a_key_are_set_once() {
    let pool = Pool::create().await;
    let (key, person) = (key(), pool.person("attributes").await);
    let set = |nickname: &str| AdminUpdateUserAttributesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        user_attributes: attributes(&[("nickname", nickname)]),
        ..Default::default()
    };
    pool.api.call_named(&key, set("first")).await.unwrap();
    assert!(is_sealed_for_a_user(&pool, &key).await);
    pool.api.call(set("second")).await.unwrap();
    pool.api.call_named(&key, set("first")).await.unwrap();
    let user = pool.admin_get_user(&person.username).await.unwrap();
    assert_eq!(by_name(&user.user_attributes)["nickname"], "second");
    let (key, delete) = (
        self::key(),
        AdminDeleteUserAttributesRequest {
            user_pool_id: Some(pool.id.clone()),
            username: Some(person.username.clone()),
            user_attribute_names: vec!["nickname".to_owned()],
        },
    );
    pool.api.call_named(&key, delete.clone()).await.unwrap();
    assert!(is_sealed_for_a_user(&pool, &key).await);
    pool.api.call(set("third")).await.unwrap();
    pool.api.call_named(&key, delete).await.unwrap();
    let user = pool.admin_get_user(&person.username).await.unwrap();
    assert_eq!(by_name(&user.user_attributes)["nickname"], "third");
    pool.verify().await;
}

//! The challenge in which a user replaces its temporary password.

use serde_json::{Value, json};
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{
    PASSWORD, Pool, by_name, email_pool, parameters, password_client, secret_hash, text_attribute, texts, unique,
};
use crate::support::requests::same_fields;

const TEMPORARY: &str = "Temporary-horse-7";
const INVALID: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");

fn with_more(mut request: RespondToAuthChallengeRequest, more: &[(&str, &str)]) -> RespondToAuthChallengeRequest {
    request.challenge_responses.extend(parameters(more));
    request
}

async fn respond(pool: &Pool, request: RespondToAuthChallengeRequest) -> Result<AuthenticationResultType, Refusal> {
    let answer = pool.api.call(request).await?;
    assert_eq!((answer.challenge_name, answer.session), (None, None));
    Ok(answer.authentication_result.expect("tokens"))
}

/// Asserts that an answer to the challenge is refused, by a trusted server as well.
async fn refused(pool: &Pool, request: RespondToAuthChallengeRequest, exception: &str, message: &str) {
    let user_pool_id = Some(pool.id.clone());
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&request) };
    pool.api.refused_alike(by_server, exception, message).await;
    assert_refused(respond(pool, request).await, exception, message);
}

#[tokio::test]
async fn a_new_password_confirms_the_user_and_gives_tokens() {
    let pool = Pool::create().await;
    let name = unique("newcomer");
    let email = format!("{name}@example.com");
    let user = pool.create_user(&name, &[("email", &email), ("email_verified", "true")], TEMPORARY).await;
    let sub = by_name(&user.attributes)["sub"].clone();
    let challenge = pool.challenge(&name, TEMPORARY).await;
    assert_eq!(challenge.challenge_name(), "NEW_PASSWORD_REQUIRED");
    let told = &challenge.challenge_parameters;
    assert_eq!(told["USER_ID_FOR_SRP"], name);
    assert_eq!(told["requiredAttributes"], "[]");
    let attributes: Value = serde_json::from_str(&told["userAttributes"]).unwrap();
    assert_eq!(attributes, json!({ "email": email, "email_verified": "true" }));
    let session = challenge.session();
    assert!((20..=4096).contains(&session.len()), "{}", session.len());

    let weak = respond(&pool, pool.new_password_request(session, &name, "weak")).await;
    let message = "Password did not conform with policy: Password not long enough";
    assert_refused(weak, "InvalidPasswordException", message);
    // The refusal changed nothing, so the session still counts.
    let tokens = respond(&pool, pool.new_password_request(session, &name, PASSWORD)).await.unwrap();
    assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), name);
    pool.refresh(tokens.refresh_token()).await.unwrap();
    let user = pool.admin_get_user(&name).await.unwrap();
    assert_eq!(user.user_status(), "CONFIRMED");
    pool.sign_in(&sub, PASSWORD).await.unwrap();
    let old = pool.sign_in(&name, TEMPORARY).await;
    assert_refused(old, "NotAuthorizedException", "Incorrect username or password.");
    pool.verify().await;
}

#[tokio::test]
async fn wrong_passwords_at_the_name_are_forgotten_once_the_challenge_is_answered() {
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let name = unique("clumsy");
    let email = format!("{name}@example.com");
    let wrong = ("NotAuthorizedException", "Incorrect username or password.");
    pool.create_user(&name, &[("email", &email), ("email_verified", "true")], TEMPORARY).await;
    // At the name of the sign-in, which may differ from the name in the answer.
    for _ in 0..4 {
        assert_refused(pool.sign_in(&email, PASSWORD).await, wrong.0, wrong.1);
    }
    let challenge = pool.challenge(&email, TEMPORARY).await;
    respond(&pool, pool.new_password_request(challenge.session(), &name, PASSWORD)).await.unwrap();
    // A fifth in a row would lock the name.
    for _ in 0..4 {
        assert_refused(pool.sign_in(&email, TEMPORARY).await, wrong.0, wrong.1);
    }
    pool.sign_in(&email, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_session_is_good_once() {
    let pool = Pool::create().await;
    let name = unique("once");
    pool.create_user(&name, &[], TEMPORARY).await;
    let (first, second) = (pool.challenge(&name, TEMPORARY).await, pool.challenge(&name, TEMPORARY).await);
    let answers = futures::future::join_all([&first, &second, &first, &second].map(|challenge| {
        let request = pool.new_password_request(challenge.session(), &name, PASSWORD);
        respond(&pool, request)
    }));
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    // One of the two sessions is used up; the other was for a password that has been replaced.
    let used = answers.iter().position(Result::is_ok).unwrap() % 2;
    let told = |session: usize| if session == used { USED } else { INVALID };
    for (index, refused) in answers.into_iter().enumerate().filter(|(_, answer)| answer.is_err()) {
        assert_refused(refused, told(index % 2).0, told(index % 2).1);
    }
    for (index, challenge) in [&first, &second].into_iter().enumerate() {
        let request = pool.new_password_request(challenge.session(), &name, "Another-horse-7");
        refused(&pool, request, told(index).0, told(index).1).await;
    }
    pool.sign_in(&name, PASSWORD).await.unwrap();
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let spent: i64 = sqlx::query_scalar("select count(*) from used_nonces where user_pool_id = $1")
        .bind(&pool.id)
        .fetch_one(&database)
        .await
        .unwrap();
    assert_eq!(spent, 1, "issuing writes nothing, and one answer had an outcome");
    pool.verify().await;
}

#[tokio::test]
async fn a_session_is_of_one_user_one_client_and_one_pool() {
    let pool = Pool::create().await;
    let (name, other) = (unique("one"), unique("other"));
    for name in [&name, &other] {
        pool.create_user(name, &[], TEMPORARY).await;
    }
    let session = pool.challenge(&name, TEMPORARY).await.session.unwrap();
    let right = pool.new_password_request(&session, &name, PASSWORD);
    let refused = async |request: RespondToAuthChallengeRequest| {
        assert_refused(respond(&pool, request).await, INVALID.0, INVALID.1);
    };
    refused(pool.new_password_request(&session, &other, PASSWORD)).await;
    refused(pool.new_password_request(&session, "nobody", PASSWORD)).await;
    let client = pool.add_client(password_client()).await;
    refused(RespondToAuthChallengeRequest { client_id: client.client_id, ..right.clone() }).await;
    let elsewhere = Pool::create().await;
    elsewhere.create_user(&name, &[], TEMPORARY).await;
    refused(RespondToAuthChallengeRequest { client_id: Some(elsewhere.client_id.clone()), ..right.clone() }).await;
    let mut changed = session.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'Q' } else { 'A' });
    for garbage in ["a session of nobody's", &changed, &session[..session.len() - 4], &format!("{session}A")] {
        refused(pool.new_password_request(garbage, &name, PASSWORD)).await;
    }
    respond(&pool, right).await.unwrap();
    elsewhere.verify().await;
    pool.verify().await;
}

#[tokio::test]
async fn missing_parts_of_an_answer_are_named() {
    let pool = Pool::create().await;
    let name = unique("needs");
    pool.create_user(&name, &[], TEMPORARY).await;
    let session = pool.challenge(&name, TEMPORARY).await.session.unwrap();
    let right = || pool.new_password_request(&session, &name, PASSWORD);
    let without = |parameter: &str| {
        let mut request = right();
        request.challenge_responses.remove(parameter);
        request
    };
    for (request, message) in [
        (RespondToAuthChallengeRequest { session: None, ..right() }, "Missing required parameter Session"),
        (without("USERNAME"), "Missing required parameter USERNAME"),
        (without("NEW_PASSWORD"), "Missing required parameter NEW_PASSWORD"),
        (
            RespondToAuthChallengeRequest { challenge_name: Some("ADMIN_NO_SRP_AUTH".into()), ..right() },
            "Challenge ADMIN_NO_SRP_AUTH is not supported by this server yet.",
        ),
    ] {
        refused(&pool, request, "InvalidParameterException", message).await;
    }
    let nobody = RespondToAuthChallengeRequest { client_id: Some("nobody".into()), ..right() };
    let message = "User pool client nobody does not exist.";
    refused(&pool, nobody, "ResourceNotFoundException", message).await;
    respond(&pool, right()).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn missing_attributes_come_with_the_new_password() {
    let required = |name: &str| SchemaAttributeType {
        name: Some(name.into()),
        required: Some(true),
        mutable: Some(true),
        ..Default::default()
    };
    let once = SchemaAttributeType { mutable: Some(false), ..text_attribute("once") };
    let request = CreateUserPoolRequest {
        schema: vec![required("nickname"), required("email"), once],
        alias_attributes: texts(&["preferred_username"]),
        ..email_pool()
    };
    let client = CreateUserPoolClientRequest {
        write_attributes: texts(&["nickname", "email", "preferred_username", "custom:once"]),
        ..password_client()
    };
    let pool = Pool::create_with(request, client).await;
    let (name, taken) = (unique("missing"), unique("taken"));
    let email = format!("{name}@example.com");
    pool.create_user(&unique("holder"), &[("preferred_username", &taken)], TEMPORARY).await;
    pool.create_user(&name, &[("email", &email), ("custom:once", "1")], TEMPORARY).await;
    let challenge = pool.challenge(&name, TEMPORARY).await;
    assert_eq!(challenge.challenge_parameters["requiredAttributes"], r#"["userAttributes.nickname"]"#);
    let with = |more: &[(&str, &str)]| with_more(pool.new_password_request(challenge.session(), &name, PASSWORD), more);
    let nickname = ("userAttributes.nickname", "N");
    let weak = with_more(pool.new_password_request(challenge.session(), &name, "weak"), &[nickname]);
    let message = "Password did not conform with policy: Password not long enough";
    refused(&pool, weak, "InvalidPasswordException", message).await;
    let long = "n".repeat(2049);
    for (more, exception, message) in [
        (vec![], "InvalidParameterException", "Invalid attributes given, nickname is missing"),
        (
            vec![("userAttributes.nickname", long.as_str())],
            "InvalidParameterException",
            "Attributes did not conform to the schema: nickname: The length must be at most 2048",
        ),
        (
            vec![nickname, ("userAttributes.given_name", "G")],
            "NotAuthorizedException",
            "A client attempted to write unauthorized attribute",
        ),
        (
            vec![nickname, ("userAttributes.email_verified", "true")],
            "NotAuthorizedException",
            "A client attempted to write unauthorized attribute",
        ),
        (
            vec![nickname, ("userAttributes.custom:once", "2")],
            "InvalidParameterException",
            "user.custom:once: Attribute cannot be updated.",
        ),
        (
            vec![nickname, ("userAttributes.email", "other@example.com")],
            "NotAuthorizedException",
            "Cannot modify an already provided email",
        ),
        (
            vec![nickname, ("userAttributes.preferred_username", taken.as_str())],
            "AliasExistsException",
            "An account with the preferred_username already exists.",
        ),
    ] {
        refused(&pool, with(&more), exception, message).await;
    }
    let alias = unique("alias");
    let tokens =
        respond(&pool, with(&[nickname, ("userAttributes.preferred_username", alias.as_str())])).await.unwrap();
    let shown = by_name(&pool.get_user(tokens.access_token()).await.unwrap().user_attributes);
    assert_eq!((shown["nickname"].as_str(), shown["preferred_username"].as_str()), ("N", alias.as_str()));
    pool.sign_in(&alias, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_preferred_name_does_not_take_the_place_of_somebodys_address() {
    let aliases = texts(&["email", "phone_number", "preferred_username"]);
    let request = CreateUserPoolRequest { alias_attributes: aliases, ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let (victim, name) = (format!("{}@example.com", unique("victim")), unique("claimer"));
    let lookalike = [("preferred_username", victim.as_str())];
    let message = "preferred_username cannot be of email format, since user pool is configured for email alias.";
    let created = pool.api.call(pool.create_user_request(&name, &lookalike)).await;
    assert_refused(created, "InvalidParameterException", message);

    pool.create_user(&name, &[], TEMPORARY).await;
    let challenge = pool.challenge(&name, TEMPORARY).await;
    let with = |value: &str| {
        let request = pool.new_password_request(challenge.session(), &name, PASSWORD);
        with_more(request, &[("userAttributes.preferred_username", value)])
    };
    refused(&pool, with(&victim), "InvalidParameterException", message).await;
    let message = "preferred_username cannot be of phone number format, since user pool is configured for phone \
                   number alias.";
    refused(&pool, with("+12025550123"), "InvalidParameterException", message).await;
    respond(&pool, with(&unique("nick"))).await.unwrap();

    let owner = unique("owner");
    pool.sign_up(&owner, &[("email", &victim)]).await.unwrap();
    pool.confirm(&owner, &pool.api.code_for(&victim).await).await.unwrap();
    assert_eq!(pool.admin_get_user(&victim).await.unwrap().username(), owner);
    pool.verify().await;
}

#[tokio::test]
async fn a_client_with_a_secret_proves_it_again() {
    let pool = Pool::create().await;
    let client = CreateUserPoolClientRequest { generate_secret: Some(true), ..password_client() };
    let client = pool.add_client(client).await;
    let name = unique("secret");
    pool.create_user(&name, &[], TEMPORARY).await;
    let hash = secret_hash(client.client_secret(), &name, client.client_id());
    let mut sign_in = pool.sign_in_request(&name, TEMPORARY);
    sign_in.client_id.clone_from(&client.client_id);
    sign_in.auth_parameters.insert("SECRET_HASH".into(), hash.clone());
    let session = pool.api.call(sign_in).await.unwrap().session.unwrap();
    let request = |more: &[(&str, &str)]| {
        let request = pool.new_password_request(&session, &name, PASSWORD);
        with_more(RespondToAuthChallengeRequest { client_id: client.client_id.clone(), ..request }, more)
    };
    let id = client.client_id();
    let message = format!("Client {id} is configured with secret but SECRET_HASH was not received");
    refused(&pool, request(&[]), "NotAuthorizedException", &message).await;
    let message = format!("Unable to verify secret hash for client {id}");
    refused(&pool, request(&[("SECRET_HASH", "wrong")]), "NotAuthorizedException", &message).await;
    respond(&pool, request(&[("SECRET_HASH", &hash)])).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_trusted_server_answers_a_challenge() {
    let pool = Pool::create().await;
    let trusted = CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_ADMIN_USER_PASSWORD_AUTH"]),
        ..Default::default()
    };
    let trusted = pool.add_client(trusted).await;
    let name = unique("trusted");
    pool.create_user(&name, &[], TEMPORARY).await;
    let begin = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: trusted.client_id.clone(),
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".into()),
        auth_parameters: parameters(&[("USERNAME", &name), ("PASSWORD", TEMPORARY)]),
        ..Default::default()
    };
    let challenge = pool.api.call(begin).await.unwrap();
    assert_eq!(challenge.challenge_name(), "NEW_PASSWORD_REQUIRED");
    let answer = AdminRespondToAuthChallengeRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: trusted.client_id.clone(),
        challenge_name: challenge.challenge_name.clone(),
        session: challenge.session.clone(),
        challenge_responses: parameters(&[("USERNAME", &name), ("NEW_PASSWORD", PASSWORD)]),
        ..Default::default()
    };
    let elsewhere = AdminRespondToAuthChallengeRequest { client_id: Some("nobody".into()), ..answer.clone() };
    let message = "User pool client nobody does not exist.";
    assert_refused(pool.api.call(elsewhere).await, "ResourceNotFoundException", message);
    let nowhere =
        AdminRespondToAuthChallengeRequest { user_pool_id: Some("us-east-1_000000000".into()), ..answer.clone() };
    let message = "User pool us-east-1_000000000 does not exist.";
    assert_refused(pool.api.call(nowhere).await, "ResourceNotFoundException", message);
    let tokens = pool.api.call(answer.clone()).await.unwrap().authentication_result.unwrap();
    pool.get_user(tokens.access_token()).await.unwrap();
    assert_refused(pool.api.call(answer).await, USED.0, USED.1);
    pool.verify().await;
}

#[tokio::test]
async fn a_user_who_is_disabled_or_deleted_meanwhile_gets_no_tokens() {
    let pool = Pool::create().await;
    let name = unique("meanwhile");
    pool.create_user(&name, &[], TEMPORARY).await;
    let session = pool.challenge(&name, TEMPORARY).await.session.unwrap();
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(name.clone()));
    let (pool_id, user) = (user_pool_id.clone(), username.clone());
    pool.api.call(AdminDisableUserRequest { user_pool_id: pool_id, username: user }).await.unwrap();
    refused(&pool, pool.new_password_request(&session, &name, PASSWORD), "NotAuthorizedException", "User is disabled.")
        .await;
    let sign_in = pool.sign_in(&name, TEMPORARY).await;
    assert_refused(sign_in, "NotAuthorizedException", "User is disabled.");
    pool.api.call(AdminDeleteUserRequest { user_pool_id, username }).await.unwrap();
    let unknown = ("UserNotFoundException", "User does not exist.");
    refused(&pool, pool.new_password_request(&session, &name, PASSWORD), unknown.0, unknown.1).await;
    let by_server = AdminRespondToAuthChallengeRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some("NEW_PASSWORD_REQUIRED".into()),
        session: Some(session),
        challenge_responses: parameters(&[("USERNAME", &name), ("NEW_PASSWORD", PASSWORD)]),
        ..Default::default()
    };
    assert_refused(pool.api.call(by_server).await, unknown.0, unknown.1);
    pool.verify().await;
}

#[tokio::test]
async fn the_aws_sdk_goes_through_the_challenge() {
    use aws_sdk_cognitoidentityprovider::types::{AuthFlowType, ChallengeNameType};
    let pool = Pool::create().await;
    let name = unique("sdk");
    pool.create_user(&name, &[], TEMPORARY).await;
    let begun = pool
        .api
        .aws()
        .initiate_auth()
        .client_id(&pool.client_id)
        .auth_flow(AuthFlowType::UserPasswordAuth)
        .auth_parameters("USERNAME", &name)
        .auth_parameters("PASSWORD", TEMPORARY)
        .send()
        .await
        .unwrap();
    assert_eq!(begun.challenge_name(), Some(&ChallengeNameType::NewPasswordRequired));
    let answered = pool
        .api
        .aws()
        .respond_to_auth_challenge()
        .client_id(&pool.client_id)
        .challenge_name(ChallengeNameType::NewPasswordRequired)
        .session(begun.session().unwrap())
        .challenge_responses("USERNAME", &name)
        .challenge_responses("NEW_PASSWORD", PASSWORD)
        .send()
        .await
        .unwrap();
    let tokens = answered.authentication_result().unwrap();
    pool.get_user(tokens.access_token().unwrap()).await.unwrap();
    pool.verify().await;
}

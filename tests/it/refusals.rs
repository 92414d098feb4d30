//! Refusals that many operations share; and whether scenarios met exactly the refusals that operations declare. A run
//! notes the refusals that it meets, and `scripts/test` compares them afterwards.

use serde_json::{Value, json};
use userpool::api::operation::{COMMON_EXCEPTIONS, Operation, OperationInfo};
use userpool::domain::error::Exception;
use userpool::proto::v1::*;

use crate::support::dev::Address;
use crate::support::devices::claims;
use crate::support::pool::{PASSWORD, Pool, email_pool, password_client, texts};
use crate::support::refusals::{Declared, Met, all_met, built, declared, is_declared};
use crate::support::requests::base;
use crate::support::triggers;
use crate::support::wire::{self, Refusal};
use crate::trigger_pre_token_generation::version;

/// Calls an operation with a JSON request, which must be refused.
async fn refusal(pool: &Pool, info: &OperationInfo, request: &Value) -> Refusal {
    let process = pool.api.next();
    let address = Address {
        grpc: process.grpc,
        http: process.http,
        access_key_id: process.account.access_key_id.clone(),
        secret_access_key: process.account.secret.clone(),
        token: process.account.token(),
        database_url: process.database_url.clone(),
    };
    let channel = wire::channel(&address).await;
    let answer = wire::grpc(&channel, &address, info, wire::message_of(info.request, request)).await;
    Refusal::of_status(&answer.expect_err(info.name))
}

async fn assert_refuses(pool: &Pool, info: &OperationInfo, request: &Value, exception: &str, message: &str) {
    let refusal = refusal(pool, info, request).await;
    assert_eq!((refusal.exception.as_str(), refusal.message.as_str()), (exception, message), "{}", info.name);
}

/// The built operations that declare this sentence of an exception.
fn declaring(exception: &str, message: &str) -> Vec<&'static OperationInfo> {
    let operations = Operation::ALL.into_iter().filter(|operation| operation.info().built);
    let found: Vec<_> = operations.filter(|operation| is_declared(*operation, exception, message)).collect();
    assert!(!found.is_empty(), "no operation declares {message}");
    found.into_iter().map(Operation::info).collect()
}

#[tokio::test]
async fn a_pool_or_client_that_is_not_there_is_not_found_by_any_operation() {
    const NOT_FOUND: &str = "ResourceNotFoundException";
    const NOWHERE: &str = "us-east-1_nowhere00";
    let pool = Pool::create().await;
    let message = format!("User pool {NOWHERE} does not exist.");
    for info in declaring(NOT_FOUND, &message) {
        assert_refuses(&pool, info, &base(info, NOWHERE, &pool.client_id), NOT_FOUND, &message).await;
    }
    let message = "User pool client nowhere does not exist.";
    for info in declaring(NOT_FOUND, message) {
        assert_refuses(&pool, info, &base(info, &pool.id, "nowhere"), NOT_FOUND, message).await;
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_client_with_a_secret_has_it_proved_by_every_operation() {
    const EXCEPTION: &str = "NotAuthorizedException";
    let pool = Pool::create().await;
    let client = CreateUserPoolClientRequest {
        generate_secret: Some(true),
        explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"]),
        ..Default::default()
    };
    let client = pool.add_client(client).await.client_id.unwrap();
    let missing = format!("Client {client} is configured with secret but SECRET_HASH was not received");
    let wrong = format!("Unable to verify secret hash for client {client}");
    for (message, hash) in [(missing, None), (wrong, Some("wrong"))] {
        for info in declaring(EXCEPTION, &message) {
            let mut request = base(info, &pool.id, &client);
            if let Some(hash) = hash {
                match ["AuthParameters", "ChallengeResponses"].iter().find(|name| request.get(**name).is_some()) {
                    Some(parameters) => request[parameters]["SECRET_HASH"] = json!(hash),
                    None => request["SecretHash"] = json!(hash),
                }
            }
            assert_refuses(&pool, info, &request, EXCEPTION, &message).await;
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn an_access_token_that_does_not_count_is_refused_by_every_operation() {
    let pool = Pool::create().await;
    let (disabled, reset) = (pool.person("disabled").await, pool.person("reset").await);
    let [of_disabled, of_reset] = [&disabled, &reset].map(|person| pool.sign_in(&person.username, PASSWORD));
    let (of_disabled, of_reset) = (of_disabled.await.unwrap(), of_reset.await.unwrap());
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(disabled.username));
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(reset.username));
    let request = AdminResetUserPasswordRequest { user_pool_id, username, ..Default::default() };
    pool.api.call(request).await.unwrap();
    let deleted = pool.person("deleted").await;
    let of_deleted = pool.sign_in(&deleted.username, PASSWORD).await.unwrap();
    pool.delete_user(of_deleted.access_token()).await.unwrap();
    let signed_out = pool.person("signed-out").await;
    let of_signed_out = pool.sign_in(&signed_out.username, PASSWORD).await.unwrap();
    pool.sign_out(of_signed_out.access_token()).await.unwrap();
    for (token, exception, message) in [
        (of_deleted.access_token(), "UserNotFoundException", "User does not exist."),
        ("not.a.token", "NotAuthorizedException", "Invalid Access Token"),
        (of_disabled.access_token(), "NotAuthorizedException", "User is disabled."),
        (of_reset.access_token(), "PasswordResetRequiredException", "Password reset required for the user"),
        (of_signed_out.access_token(), "NotAuthorizedException", "Access Token has been revoked"),
        // Operations without an exception of their own for these.
        (of_deleted.access_token(), "NotAuthorizedException", "User does not exist."),
        (of_reset.access_token(), "NotAuthorizedException", "Password reset required for the user"),
    ] {
        for info in declaring(exception, message) {
            let mut request = base(info, &pool.id, &pool.client_id);
            if request.get("AccessToken").is_some() {
                request["AccessToken"] = json!(token);
                assert_refuses(&pool, info, &request, exception, message).await;
            }
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn an_access_token_without_the_users_own_scope_is_refused_by_every_operation() {
    let lambda_config = Some(version("V2_0"));
    let pool = Pool::create_with(CreateUserPoolRequest { lambda_config, ..email_pool() }, password_client()).await;
    let scope = "aws.cognito.signin.user.admin";
    let details = json!({"accessTokenGeneration": {"scopesToAdd": ["openid"], "scopesToSuppress": [scope]}});
    let response = json!({ "claimsAndScopeOverrideDetails": details });
    triggers::respond(&pool.id, move |asked| asked.answered(response.clone())).await;
    let person = pool.person("without-scope").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    assert_eq!(claims(tokens.access_token())["scope"], "openid");
    let (exception, message) = ("NotAuthorizedException", "Access Token does not have required scopes");
    for info in declaring(exception, message) {
        let mut request = base(info, &pool.id, &pool.client_id);
        if request.get("AccessToken").is_some() {
            request["AccessToken"] = json!(tokens.access_token());
            assert_refuses(&pool, info, &request, exception, message).await;
        }
    }
    pool.verify().await;
}

/// Exceptions that no scenario can cause by a call: faults, and losing to other callers five times.
const NOT_BY_CALLING: [Exception; 3] = [
    Exception::InternalErrorException,
    Exception::TooManyRequestsException,
    Exception::ConcurrentModificationException,
];
/// Conditions that take longer than a run, or that can't occur and are checked all the same: the rules have tests for
/// them.
const NOT_IN_TIME: [&str; 2] = ["expired", "checked, and can't happen"];
/// Part of every sentence about declared constraints.
const CONSTRAINTS: &str = " validation error";
/// Beginnings of sentences that any command can answer.
const COMMON_SENTENCES: [&str; 2] = ["The idempotency-key", "The change is too large"];

#[test]
#[ignore = "looks at what a whole run has met"]
fn every_declared_refusal_was_met_and_no_other() {
    let met = all_met();
    let wrong: Vec<_> = built().into_iter().flat_map(|info| differences(info, &met)).collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

fn differences(info: &OperationInfo, met: &Met) -> Vec<String> {
    let declared = declared(info);
    let mut wrong = Vec::new();
    for refusal in declared.iter().filter(|refusal| !NOT_BY_CALLING.contains(&refusal.exception)) {
        let name = refusal.exception.name();
        let text = format!("{}{}", refusal.message, refusal.when);
        if NOT_IN_TIME.iter().any(|part| text.contains(part)) {
            continue;
        }
        let sentences = met.get(&(info.name.to_owned(), name.to_owned())).into_iter().flatten();
        if refusal.is_never() {
            wrong.extend(sentences.map(|message| format!("{} {name}: met, but never to be: {message}", info.name)));
        } else if refusal.message.is_empty() {
            if !sentences.clone().any(|message| message.contains(CONSTRAINTS)) {
                wrong.push(format!("{} {name}: never met: {}", info.name, refusal.when));
            }
        } else {
            let missing = refusal.sentences().into_iter().filter(|it| !sentences.clone().any(|text| it.is_match(text)));
            wrong.extend(missing.map(|it| format!("{} {name}: never met: {it}", info.name)));
        }
    }
    for ((_, name), sentences) in met.iter().filter(|((operation, _), _)| operation == info.name) {
        let undeclared = sentences.iter().filter(|message| !is_explained(name, message, &declared));
        wrong.extend(undeclared.map(|message| format!("{} {name}: not declared: {message}", info.name)));
    }
    wrong
}

fn is_explained(exception: &str, message: &str, declared: &[Declared]) -> bool {
    if COMMON_EXCEPTIONS
        .iter()
        .any(|common| common.name() == exception && *common != Exception::InvalidParameterException)
    {
        return true;
    }
    let mut refusals = declared.iter().filter(|refusal| refusal.exception.name() == exception);
    message.contains(CONSTRAINTS)
        || COMMON_SENTENCES.iter().any(|common| message.starts_with(common))
        || refusals.any(|refusal| {
            refusal.message.ends_with("and the like") || refusal.sentences().iter().any(|it| it.is_match(message))
        })
}

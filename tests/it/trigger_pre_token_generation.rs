//! The pre token generation trigger: it changes claims, scopes and groups of tokens, or refuses them.

use futures::future::join_all;
use serde_json::{Value, json};
use userpool::domain::trigger::Trigger;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::devices::{DEVICE_PASSWORD, claims, proving_pool, up_to_proof, with_device};
use crate::support::pool::{PASSWORD, Pool, by_name, email_pool, parameters, password_client, texts};
use crate::support::triggers::{self, Asked, Reply, Responder, function, lambda_config};

/// A configuration with the trigger in this version.
pub fn version(version: &str) -> LambdaConfigType {
    let config = PreTokenGenerationVersionConfigType {
        lambda_arn: Some(function(Trigger::PreTokenGeneration)),
        lambda_version: Some(version.to_owned()),
    };
    LambdaConfigType { pre_token_generation_config: Some(config), ..Default::default() }
}

fn flows() -> CreateUserPoolClientRequest {
    let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"];
    CreateUserPoolClientRequest { explicit_auth_flows: texts(&flows), ..password_client() }
}

/// A pool whose tokens this handler changes.
async fn pool_with(
    config: LambdaConfigType,
    client: CreateUserPoolClientRequest,
    handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Pool, Responder) {
    let request = CreateUserPoolRequest { lambda_config: Some(config), ..email_pool() };
    let pool = Pool::create_with(request, client).await;
    let responder = triggers::respond(&pool.id, handler).await;
    (pool, responder)
}

async fn renew(pool: &Pool, refresh_token: &str) -> Result<AuthenticationResultType, Refusal> {
    let request = GetTokensFromRefreshTokenRequest {
        client_id: Some(pool.client_id.clone()),
        refresh_token: Some(refresh_token.to_owned()),
        client_metadata: parameters(&[("source", "renewal")]),
        ..Default::default()
    };
    Ok(pool.api.call(request).await?.authentication_result.expect("tokens"))
}

#[tokio::test]
async fn the_first_version_changes_the_id_token_and_the_groups_of_both() {
    let details = json!({"claimsOverrideDetails": {
        "claimsToAddOrOverride": {"team": "blue", "given_name": "Joan", "sub": "forged"},
        "claimsToSuppress": ["email"],
        "groupOverrideDetails": {
            "groupsToOverride": ["writers"], "iamRolesToOverride": ["arn:w"], "preferredRole": "arn:w",
        },
    }});
    let config = lambda_config(&[Trigger::PreTokenGeneration]);
    let (pool, responder) = pool_with(config, flows(), move |asked| asked.answered(details.clone())).await;
    let person = pool.person_with("changed", &[("given_name", "Jane")]).await;
    let (user_pool_id, group_name) = (Some(pool.id.clone()), Some("readers".to_owned()));
    let role_arn = Some("arn:aws:iam::123456789012:role/readers".to_owned());
    let group = CreateGroupRequest { user_pool_id, group_name, role_arn, ..Default::default() };
    pool.api.call(group.clone()).await.unwrap();
    let CreateGroupRequest { user_pool_id, group_name, .. } = group;
    let username = Some(person.username.clone());
    pool.api.call(AdminAddUserToGroupRequest { user_pool_id, group_name, username }).await.unwrap();

    let request = InitiateAuthRequest {
        client_metadata: parameters(&[("not", "told")]),
        ..pool.sign_in_request(&person.username, PASSWORD)
    };
    let tokens = pool.api.call(request).await.unwrap().authentication_result.unwrap();
    let (id, access) = (claims(tokens.id_token()), claims(tokens.access_token()));
    assert_eq!((&id["team"], &id["given_name"], id.get("email")), (&json!("blue"), &json!("Joan"), None));
    assert_eq!((&id["sub"], access.get("team")), (&json!(person.sub), None));
    assert_eq!((&id["cognito:groups"], &access["cognito:groups"]), (&json!(["writers"]), &json!(["writers"])));
    assert_eq!((&id["cognito:roles"], &id["cognito:preferred_role"]), (&json!(["arn:w"]), &json!("arn:w")));
    let shown = by_name(&pool.get_user(tokens.access_token()).await.unwrap().user_attributes);
    assert_eq!(shown["given_name"], "Jane", "only the token says otherwise");

    let [asked] = &responder.asked()[..] else { panic!("one question") };
    let expected = json!({
        "version": "1",
        "region": "us-east-1",
        "userPoolId": pool.id,
        "userName": person.username,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": pool.client_id},
        "triggerSource": "TokenGeneration_Authentication",
        "request": {
            "userAttributes": {
                "sub": person.sub,
                "email": person.email,
                "email_verified": "true",
                "given_name": "Jane",
                "cognito:user_status": "CONFIRMED",
            },
            "groupConfiguration": {
                "groupsToOverride": ["readers"],
                "iamRolesToOverride": ["arn:aws:iam::123456789012:role/readers"],
                "preferredRole": "arn:aws:iam::123456789012:role/readers",
            },
            "clientMetadata": null,
        },
        "response": {"claimsOverrideDetails": null},
    });
    assert_eq!(asked.event, expected);

    for refreshed in [pool.refresh(tokens.refresh_token()).await, renew(&pool, tokens.refresh_token()).await] {
        assert_eq!(claims(refreshed.unwrap().id_token())["team"], "blue");
    }
    let refreshes = responder.asked_of("TokenGeneration_RefreshTokens");
    let metadata: Vec<_> = refreshes.iter().map(|asked| asked.event["request"]["clientMetadata"].clone()).collect();
    assert_eq!(metadata, [Value::Null, json!({"source": "renewal"})]);
    pool.verify().await;
}

#[tokio::test]
async fn the_later_versions_change_the_access_token_too() {
    for (name, number) in [("V2_0", "2"), ("V3_0", "3")] {
        let details = json!({"claimsAndScopeOverrideDetails": {
            "idTokenGeneration": {"claimsToAddOrOverride": {"family": {"size": 4}}},
            "accessTokenGeneration": {
                "claimsToAddOrOverride": {"permissions": ["read"], "username": "forged"},
                "scopesToAdd": ["shop/read"],
            },
        }});
        let (pool, responder) = pool_with(version(name), flows(), move |asked| asked.answered(details.clone())).await;
        let person = pool.person("later").await;
        let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
        let (id, access) = (claims(tokens.id_token()), claims(tokens.access_token()));
        assert_eq!((&id["family"], &access["permissions"]), (&json!({"size": 4}), &json!(["read"])));
        assert_eq!(access["scope"], "aws.cognito.signin.user.admin shop/read");
        assert_eq!(access["username"], json!(person.username));
        pool.get_user(tokens.access_token()).await.unwrap();
        let asked = responder.asked().remove(0).event;
        assert_eq!(asked["version"], number);
        assert_eq!(asked["request"]["scopes"], json!(["aws.cognito.signin.user.admin"]));
        assert_eq!(asked["response"], json!({"claimsAndScopeOverrideDetails": null}));
        pool.verify().await;
    }
}

#[tokio::test]
async fn a_first_own_password_is_a_source_of_its_own_and_its_metadata_is_told() {
    let config = lambda_config(&[Trigger::PreTokenGeneration]);
    let (pool, responder) = pool_with(config, flows(), |asked| asked.answered(json!({}))).await;
    for by_server in [false, true] {
        let name = if by_server { "by-server" } else { "by-app" };
        pool.create_user(name, &[], "Temporary-7").await;
        let session = pool.challenge(name, "Temporary-7").await.session.unwrap();
        let answer = pool.new_password_request(&session, name, PASSWORD);
        let client_metadata = parameters(&[("from", name)]);
        let tokens = match by_server {
            false => {
                let request = RespondToAuthChallengeRequest { client_metadata, ..answer };
                pool.api.call(request).await.unwrap().authentication_result
            }
            true => {
                let request = AdminRespondToAuthChallengeRequest {
                    user_pool_id: Some(pool.id.clone()),
                    client_id: answer.client_id,
                    challenge_name: answer.challenge_name,
                    session: answer.session,
                    challenge_responses: answer.challenge_responses,
                    client_metadata,
                    ..Default::default()
                };
                pool.api.call(request).await.unwrap().authentication_result
            }
        };
        assert!(tokens.is_some());
        let asked = responder.asked().pop().unwrap().event;
        assert_eq!(asked["triggerSource"], "TokenGeneration_NewPasswordChallenge");
        assert_eq!(asked["request"]["clientMetadata"], json!({ "from": name }));
        assert_eq!(asked["request"]["userAttributes"]["cognito:user_status"], "CONFIRMED");
    }
    assert_eq!(responder.asked().len(), 2, "a challenge is no token");
    pool.verify().await;
}

#[tokio::test]
async fn a_sign_in_that_a_device_has_ended_says_so() {
    let pool = proving_pool(false).await;
    let person = pool.person("with-device").await;
    let (_, key) = with_device(&pool, &person).await;
    let request = UpdateUserPoolRequest {
        user_pool_id: Some(pool.id.clone()),
        auto_verified_attributes: texts(&["email"]),
        device_configuration: pool.describe().await.device_configuration,
        lambda_config: Some(lambda_config(&[Trigger::PreTokenGeneration])),
        ..Default::default()
    };
    pool.api.call(request).await.unwrap();
    let responder = triggers::respond(&pool.id, |asked| asked.answered(json!({}))).await;
    let proof = up_to_proof(&pool, &person.username, &key, DEVICE_PASSWORD).await;
    let metadata = parameters(&[("with", "a device")]);
    let request = RespondToAuthChallengeRequest { client_metadata: metadata, ..proof };
    assert!(pool.api.call(request).await.unwrap().authentication_result.is_some());
    let [asked] = &responder.asked()[..] else { panic!("one question") };
    assert_eq!(asked.source(), "TokenGeneration_AuthenticateDevice");
    assert_eq!(asked.event["request"]["clientMetadata"], json!({"with": "a device"}));
    pool.verify().await;
}

/// The answers of all operations that issue tokens, by the name of the user that each acts for.
async fn each_operation(pool: &Pool, people: &[String; 4], refresh_token: &str) -> Vec<Result<(), Refusal>> {
    let temporary = people.each_ref().map(|name| async move {
        pool.create_user(name, &[], "Temporary-7").await;
        pool.challenge(name, "Temporary-7").await.session.unwrap()
    });
    let [_, _, by_app, by_server] = temporary;
    let (by_app, by_server) = (by_app.await, by_server.await);
    let answer = pool.new_password_request(&by_app, &people[2], PASSWORD);
    let by_server = AdminRespondToAuthChallengeRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: answer.client_id.clone(),
        challenge_name: answer.challenge_name.clone(),
        session: Some(by_server),
        challenge_responses: parameters(&[("USERNAME", &people[3]), ("NEW_PASSWORD", PASSWORD)]),
        ..Default::default()
    };
    let initiate = pool.sign_in_request(&people[0], PASSWORD);
    let admin_initiate = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".to_owned()),
        auth_parameters: parameters(&[("USERNAME", &people[1]), ("PASSWORD", PASSWORD)]),
        ..Default::default()
    };
    let (one, two, three, four, five) = tokio::join!(
        pool.api.call(initiate),
        pool.api.call(admin_initiate),
        pool.api.call(answer),
        pool.api.call(by_server),
        renew(pool, refresh_token),
    );
    vec![one.map(drop), two.map(drop), three.map(drop), four.map(drop), five.map(drop)]
}

#[tokio::test]
async fn whatever_is_wrong_with_the_answer_no_operation_issues_tokens() {
    let invalid = "InvalidLambdaResponseException";
    let cases = [
        (
            Reply::Error("not today".to_owned()),
            "UserLambdaValidationException",
            "PreTokenGeneration failed with error not today.",
        ),
        (Reply::Raw(b"null".to_vec()), invalid, "Unrecognizable lambda output"),
        (
            Reply::Silence,
            "UnexpectedLambdaException",
            "PreTokenGeneration invocation failed due to error Socket timeout while invoking Lambda function.",
        ),
    ];
    let refused = cases.map(|(reply, exception, message)| async move {
        let pool = Pool::create_with(email_pool(), flows()).await;
        let (one, two) = (pool.person("one").await, pool.person("two").await);
        let before = pool.sign_in(&one.username, PASSWORD).await.unwrap();
        let request = UpdateUserPoolRequest {
            user_pool_id: Some(pool.id.clone()),
            auto_verified_attributes: texts(&["email"]),
            lambda_config: Some(lambda_config(&[Trigger::PreTokenGeneration])),
            ..Default::default()
        };
        pool.api.call(request.clone()).await.unwrap();
        triggers::respond(&pool.id, move |_| reply.clone()).await;
        let people = [one.username, two.username, "by-app".to_owned(), "by-server".to_owned()];
        for answer in each_operation(&pool, &people, before.refresh_token()).await {
            assert_refused(answer, exception, message);
        }
        for name in ["by-app", "by-server"] {
            let status = pool.admin_get_user(name).await.unwrap();
            assert_eq!(status.user_status(), "FORCE_CHANGE_PASSWORD", "nothing was written");
        }
        pool.api.call(UpdateUserPoolRequest { lambda_config: None, ..request }).await.unwrap();
        pool.refresh(before.refresh_token()).await.unwrap();
        pool.verify().await;
    });
    join_all(refused).await;
}

#[tokio::test]
async fn an_answer_that_can_t_be_done_says_why() {
    let answers = [
        json!({"claimsAndScopeOverrideDetails": {"accessTokenGeneration": {"scopesToAdd": ["two words"]}}}),
        json!({"claimsAndScopeOverrideDetails": {
            "accessTokenGeneration": {"claimsToAddOrOverride": {"long": "x".repeat(50_000)}},
        }}),
        json!({"claimsAndScopeOverrideDetails": "text"}),
    ];
    let (pool, responder) = pool_with(version("V2_0"), flows(), move |asked| {
        let number: usize = asked.event["userName"].as_str().unwrap()[..1].parse().unwrap();
        asked.answered(answers[number].clone())
    })
    .await;
    let whys = ["a scope is a text without spaces", "of at most 50000.", "Unrecognizable lambda output"];
    for (number, why) in whys.into_iter().enumerate() {
        let person = pool.person(&number.to_string()).await;
        let refusal = pool.sign_in(&person.username, PASSWORD).await.unwrap_err();
        assert_eq!(refusal.exception, "InvalidLambdaResponseException");
        assert!(refusal.message.contains(why), "{}", refusal.message);
    }
    assert_eq!(responder.asked().len(), 3);
    pool.verify().await;
}

#[tokio::test]
async fn a_refused_refresh_leaves_the_refresh_token_as_it_is() {
    let client = CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH"]),
        refresh_token_rotation: Some(RefreshTokenRotationType {
            feature: Some("ENABLED".into()),
            retry_grace_period_seconds: Some(0),
        }),
        ..Default::default()
    };
    let config = lambda_config(&[Trigger::PreTokenGeneration]);
    let (pool, responder) =
        pool_with(config, client, |asked| match asked.event["request"]["clientMetadata"]["source"].as_str() {
            Some("refused") => Reply::Error("no".to_owned()),
            _ => asked.answered(json!({})),
        })
        .await;
    let person = pool.person("rotating").await;
    let first = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let refused = GetTokensFromRefreshTokenRequest {
        client_id: Some(pool.client_id.clone()),
        refresh_token: Some(first.refresh_token().to_owned()),
        client_metadata: parameters(&[("source", "refused")]),
        ..Default::default()
    };
    let message = "PreTokenGeneration failed with error no.";
    assert_refused(pool.api.call(refused).await, "UserLambdaValidationException", message);
    let second = renew(&pool, first.refresh_token()).await.unwrap();
    // A token that was replaced asks nobody: its session ends.
    let asked = responder.asked().len();
    let reused = renew(&pool, first.refresh_token()).await;
    assert_refused(reused, "RefreshTokenReuseException", "Refresh token has been invalidated because of reuse");
    assert!(renew(&pool, second.refresh_token()).await.is_err());
    assert_eq!(responder.asked().len(), asked);
    pool.verify().await;
}

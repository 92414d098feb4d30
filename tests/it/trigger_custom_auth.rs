//! Custom challenges: the pool's triggers define, create and verify them.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};
use userpool::domain::trigger::Trigger;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, texts, unique};
use crate::support::requests::same_fields;
use crate::support::sessions::expired;
use crate::support::srp::Client;
use crate::support::triggers::{self, Asked, Reply, Responder, lambda_config};

const INVALID: &str = "InvalidParameterException";
const GARBAGE: &str = "InvalidLambdaResponseException";
const WRONG: (&str, &str) = ("NotAuthorizedException", "Incorrect username or password.");
const LOCKED: (&str, &str) = ("NotAuthorizedException", "Password attempts exceeded");
const NO_SESSION: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");
const NOT_CONFIGURED: &str = "Custom auth lambda trigger is not configured for the user pool.";
const ALL: [Trigger; 3] =
    [Trigger::DefineAuthChallenge, Trigger::CreateAuthChallenge, Trigger::VerifyAuthChallengeResponse];
/// What only the triggers may know.
const SECRET: &str = "only-the-triggers-know";

fn client(existence: &str) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_CUSTOM_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]),
        prevent_user_existence_errors: Some(existence.to_owned()),
        ..Default::default()
    }
}

async fn pool_by(
    request: CreateUserPoolRequest,
    existence: &str,
    handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Pool, Responder) {
    let request = CreateUserPoolRequest { lambda_config: Some(lambda_config(&ALL)), ..request };
    let pool = Pool::create_with(request, client(existence)).await;
    let responder = triggers::respond(&pool.id, handler).await;
    (pool, responder)
}

async fn pool_with(existence: &str, handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Pool, Responder) {
    pool_by(email_pool(), existence, handler).await
}

/// Asks for as many right answers as `rounds`, and gives three tries in all to more.
fn asks(rounds: usize) -> impl Fn(&Asked) -> Reply + Send + Sync + Clone + 'static {
    move |asked| {
        let request = &asked.event["request"];
        let session = request["session"].as_array().cloned().unwrap_or_default();
        let custom = |result: bool| {
            let count = session.iter().filter(|it| it["challengeName"] == "CUSTOM_CHALLENGE");
            count.filter(|it| it["challengeResult"] == result).count()
        };
        match asked.source() {
            "DefineAuthChallenge_Authentication" => {
                asked.answered(match (session.last(), custom(true), custom(false)) {
                    (Some(last), ..) if last["challengeName"] == "SRP_A" => {
                        json!({"challengeName": "PASSWORD_VERIFIER", "issueTokens": false, "failAuthentication": false})
                    }
                    (_, right, _) if right >= rounds => json!({"issueTokens": true, "failAuthentication": false}),
                    (.., wrong) if wrong >= 3 => json!({"issueTokens": false, "failAuthentication": true}),
                    _ => json!({
                        "challengeName": "CUSTOM_CHALLENGE", "issueTokens": false, "failAuthentication": false,
                    }),
                })
            }
            "CreateAuthChallenge_Authentication" => asked.answered(json!({
                "publicChallengeParameters": {"question": format!("{} + 1?", session.len())},
                "privateChallengeParameters": {"answer": (session.len() + 1).to_string(), "secret": SECRET},
                "challengeMetadata": format!("SUM_{}", session.len()),
            })),
            _ => {
                let is_right = request["privateChallengeParameters"]["answer"] == request["challengeAnswer"];
                asked.answered(json!({"answerCorrect": is_right}))
            }
        }
    }
}

fn begin_request(pool: &Pool, username: &str, more: &[(&str, &str)]) -> InitiateAuthRequest {
    let values: Vec<_> = [("USERNAME", username)].into_iter().chain(more.iter().copied()).collect();
    InitiateAuthRequest {
        auth_flow: Some("CUSTOM_AUTH".to_owned()),
        client_id: Some(pool.client_id.clone()),
        auth_parameters: parameters(&values),
        ..Default::default()
    }
}

async fn begin(pool: &Pool, username: &str) -> Result<InitiateAuthResponse, Refusal> {
    pool.api.call(begin_request(pool, username, &[])).await
}

fn answer_request(pool: &Pool, username: &str, session: &str, answer: &str) -> RespondToAuthChallengeRequest {
    RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some("CUSTOM_CHALLENGE".to_owned()),
        session: Some(session.to_owned()),
        challenge_responses: parameters(&[("USERNAME", username), ("ANSWER", answer)]),
        ..Default::default()
    }
}

async fn answer(
    pool: &Pool,
    username: &str,
    session: &str,
    answer: &str,
) -> Result<RespondToAuthChallengeResponse, Refusal> {
    pool.api.call(answer_request(pool, username, session, answer)).await
}

fn result(name: &str, is_right: bool, metadata: Option<&str>) -> Value {
    json!({"challengeName": name, "challengeResult": is_right, "challengeMetadata": metadata})
}

async fn facts(pool: &Pool, kind: &str) -> Vec<Value> {
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let statement = "select payload from activity where user_pool_id = $1 and type = $2 order by at";
    sqlx::query_scalar(statement).bind(&pool.id).bind(kind).fetch_all(&database).await.unwrap()
}

#[tokio::test]
async fn the_triggers_get_what_lambda_functions_get_and_the_user_signs_in() {
    let (pool, responder) = pool_with("ENABLED", asks(1)).await;
    let jane = pool.person("jane").await;
    let request = InitiateAuthRequest {
        client_metadata: parameters(&[("not", "handed on")]),
        ..begin_request(&pool, &jane.username, &[])
    };
    let begun = pool.api.call(request).await.unwrap();
    assert_eq!(begun.challenge_name(), "CUSTOM_CHALLENGE");
    let expected = parameters(&[("question", "0 + 1?"), ("USERNAME", &jane.username)]);
    assert_eq!(begun.challenge_parameters, expected);
    let request = RespondToAuthChallengeRequest {
        client_metadata: parameters(&[("source", "app")]),
        ..answer_request(&pool, &jane.username, begun.session(), "1")
    };
    let answered = pool.api.call(request).await.unwrap();
    let tokens = answered.authentication_result.expect("tokens");
    assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), jane.username);
    pool.refresh(tokens.refresh_token()).await.unwrap();
    let attributes = json!({
        "sub": jane.sub, "email": jane.email, "email_verified": "true", "cognito:user_status": "CONFIRMED",
    });
    let event = |source: &str, request: Value, response: Value| {
        json!({
            "version": "1",
            "region": "us-east-1",
            "userPoolId": pool.id,
            "userName": jane.username,
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": pool.client_id},
            "triggerSource": format!("{source}_Authentication"),
            "request": request,
            "response": response,
        })
    };
    let define = |session: Value, metadata: Value| {
        let request = json!({
            "userAttributes": attributes, "session": session, "clientMetadata": metadata, "userNotFound": false,
        });
        let response = json!({"challengeName": null, "issueTokens": null, "failAuthentication": null});
        event("DefineAuthChallenge", request, response)
    };
    let create = event(
        "CreateAuthChallenge",
        json!({
            "userAttributes": attributes, "challengeName": "CUSTOM_CHALLENGE", "session": [],
            "clientMetadata": null, "userNotFound": false,
        }),
        json!({"publicChallengeParameters": null, "privateChallengeParameters": null, "challengeMetadata": null}),
    );
    let verify = event(
        "VerifyAuthChallengeResponse",
        json!({
            "userAttributes": attributes, "privateChallengeParameters": {"answer": "1", "secret": SECRET},
            "challengeAnswer": "1", "clientMetadata": {"source": "app"}, "userNotFound": false,
        }),
        json!({"answerCorrect": null}),
    );
    let last = json!([result("CUSTOM_CHALLENGE", true, Some("SUM_0"))]);
    let expected = [define(json!([]), Value::Null), create, verify, define(last, json!({"source": "app"}))];
    let asked: Vec<_> = responder.asked().into_iter().map(|asked| asked.event).collect();
    assert_eq!(asked, expected);
    let fact = facts(&pool, "user.signed_in").await.pop().unwrap();
    assert_eq!(fact["auth_flow"], "CUSTOM_AUTH");
    pool.verify().await;
}

#[tokio::test]
async fn several_rounds_keep_their_history_and_a_wrong_answer_is_no_end() {
    let (pool, responder) = pool_with("ENABLED", asks(2)).await;
    let jane = pool.person("jane").await;
    let first = begin(&pool, &jane.username).await.unwrap();
    let second = answer(&pool, &jane.username, first.session(), "no").await.unwrap();
    assert_eq!(second.challenge_parameters["question"], "1 + 1?");
    let third = answer(&pool, &jane.username, second.session(), "2").await.unwrap();
    assert_ne!(third.session(), second.session());
    let last = answer(&pool, &jane.username, third.session(), "3").await.unwrap();
    assert!(last.authentication_result.is_some());
    let asked = responder.asked_of("DefineAuthChallenge_Authentication").pop().unwrap().event;
    let history = json!([
        result("CUSTOM_CHALLENGE", false, Some("SUM_0")),
        result("CUSTOM_CHALLENGE", true, Some("SUM_1")),
        result("CUSTOM_CHALLENGE", true, Some("SUM_2")),
    ]);
    assert_eq!(asked["request"]["session"], history);
    // What the triggers keep to themselves is in no answer, also not in a session that is looked into.
    for shown in [format!("{first:?}"), format!("{second:?}"), format!("{third:?}")] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
    pool.verify().await;
}

#[tokio::test]
async fn three_wrong_answers_end_a_sign_in_and_more_lock_the_user() {
    let (pool, _) = pool_with("ENABLED", asks(1)).await;
    let jane = pool.person("jane").await;
    let try_wrong = async |tries: usize| {
        let begun = begin(&pool, &jane.username).await.unwrap();
        let mut session = begun.session.unwrap();
        for _ in 1..tries {
            session = answer(&pool, &jane.username, &session, "no").await.unwrap().session.unwrap();
        }
        (answer(&pool, &jane.username, &session, "no").await, session)
    };
    let (failed, session) = try_wrong(3).await;
    assert_refused(failed, WRONG.0, WRONG.1);
    assert_refused(answer(&pool, &jane.username, &session, "no").await, USED.0, USED.1);
    let refusals = facts(&pool, "user.sign_in_refused").await;
    let reasons: Vec<_> = refusals.iter().map(|fact| (&fact["reason"], &fact["auth_flow"])).collect();
    assert_eq!(reasons, [(&json!("SIGN_IN_REFUSAL_FAILED_BY_TRIGGER"), &json!("CUSTOM_AUTH"))]);
    // The wrong answers count like wrong passwords, whatever the flow.
    let (going_on, session) = try_wrong(2).await;
    going_on.unwrap();
    assert_refused(pool.sign_in(&jane.username, PASSWORD).await, LOCKED.0, LOCKED.1);
    assert_refused(begin(&pool, &jane.username).await, LOCKED.0, LOCKED.1);
    assert_refused(answer(&pool, &jane.username, &session, "1").await, USED.0, USED.1);
    pool.verify().await;
}

#[tokio::test]
async fn the_password_is_proved_first_if_the_triggers_want_it() {
    let (pool, responder) = pool_with("ENABLED", asks(1)).await;
    let jane = pool.person("jane").await;
    let client = Client::quick();
    let srp = [("CHALLENGE_NAME", "SRP_A"), ("SRP_A", &*client.public())].map(|(name, value)| (name, value.to_owned()));
    let srp: Vec<_> = srp.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let begun = pool.api.call(begin_request(&pool, &jane.username, srp.as_str())).await.unwrap();
    assert_eq!(begun.challenge_name(), "PASSWORD_VERIFIER");
    let wrong = pool.verifier_request(&client, &begun, "Wrong-horse-7");
    assert_refused(pool.api.call(wrong).await, WRONG.0, WRONG.1);
    assert_eq!(responder.asked().len(), 1, "a wrong password is the end");
    let begun = pool.api.call(begin_request(&pool, &jane.username, srp.as_str())).await.unwrap();
    let right = RespondToAuthChallengeRequest {
        client_metadata: parameters(&[("source", "app")]),
        ..pool.verifier_request(&client, &begun, PASSWORD)
    };
    let challenge = pool.api.call(right.clone()).await.unwrap();
    assert_eq!(challenge.challenge_name(), "CUSTOM_CHALLENGE");
    assert_refused(pool.api.call(right).await, USED.0, USED.1);
    let given = answer(&pool, &jane.username, challenge.session(), "3").await.unwrap();
    assert!(given.authentication_result.is_some());
    let asked = responder.asked_of("DefineAuthChallenge_Authentication");
    let sessions: Vec<_> = asked.iter().map(|asked| asked.event["request"]["session"].clone()).collect();
    let (srp_a, proved) = (result("SRP_A", true, None), result("PASSWORD_VERIFIER", true, None));
    let custom = result("CUSTOM_CHALLENGE", true, Some("SUM_2"));
    let began = json!([srp_a]);
    let expected = [began.clone(), began, json!([srp_a, proved]), json!([srp_a, proved, custom])];
    assert_eq!(sessions, expected, "a used proof asks nobody");
    assert_eq!(asked[2].event["request"]["clientMetadata"], json!({"source": "app"}));
    // Nobody is asked for the same proof, whatever the triggers would say after it.
    let nobody = pool.api.call(begin_request(&pool, &unique("nobody"), srp.as_str())).await.unwrap();
    assert_eq!(nobody.challenge_name(), "PASSWORD_VERIFIER");
    let guess = pool.verifier_request(&client, &nobody, PASSWORD);
    assert_refused(pool.api.call(guess).await, WRONG.0, WRONG.1);
    // A new password ends what an old one has proved.
    let begun = pool.api.call(begin_request(&pool, &jane.username, srp.as_str())).await.unwrap();
    let challenge = pool.api.call(pool.verifier_request(&client, &begun, PASSWORD)).await.unwrap();
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(jane.username.clone()));
    let password = AdminSetUserPasswordRequest {
        user_pool_id,
        username,
        password: Some("Another-horse-8".to_owned()),
        permanent: Some(true),
    };
    pool.api.call(password).await.unwrap();
    let late = answer(&pool, &jane.username, challenge.session(), "3").await;
    assert_refused(late, NO_SESSION.0, NO_SESSION.1);
    pool.verify().await;
}

#[tokio::test]
async fn of_many_answers_at_one_moment_one_counts() {
    let (pool, _) = pool_with("ENABLED", asks(1)).await;
    let jane = pool.person("jane").await;
    let begun = begin(&pool, &jane.username).await.unwrap();
    let answers = join_all((0..6).map(|_| answer(&pool, &jane.username, begun.session(), "1"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    for refused in answers.into_iter().filter(Result::is_err) {
        assert_refused(refused, USED.0, USED.1);
    }
    // Of guesses with the right one among them, one is heard too.
    let begun = begin(&pool, &jane.username).await.unwrap();
    let guesses = ["7", "8", "1", "9"].map(|guess| answer(&pool, &jane.username, begun.session(), guess));
    let answers = join_all(guesses).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    pool.verify().await;
}

#[tokio::test]
async fn a_session_is_of_its_client_its_user_and_its_time() {
    let (pool, _) = pool_with("ENABLED", asks(1)).await;
    let (jane, joan) = (pool.person("jane").await, pool.person("joan").await);
    let begun = begin(&pool, &jane.username).await.unwrap();
    let right = answer_request(&pool, &jane.username, begun.session(), "1");
    let client_id = pool.add_client(client("ENABLED")).await.client_id;
    let elsewhere = RespondToAuthChallengeRequest { client_id, ..right.clone() };
    assert_refused(pool.api.call(elsewhere).await, NO_SESSION.0, NO_SESSION.1);
    assert_refused(answer(&pool, &joan.username, begun.session(), "1").await, NO_SESSION.0, NO_SESSION.1);
    let late = expired(&pool, begun.session()).await;
    let message = "Invalid session for the user, session is expired.";
    assert_refused(answer(&pool, &jane.username, &late, "1").await, NO_SESSION.0, message);
    let without = answer(&pool, &jane.username, begun.session(), "").await;
    assert_refused(without, INVALID, "Missing required parameter ANSWER");
    pool.api.call(right).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn nobody_gets_what_a_user_gets_where_users_are_hidden() {
    let by_alias = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let (pool, responder) = pool_by(by_alias, "ENABLED", asks(2)).await;
    let nobody = format!("{}@example.com", unique("nobody"));
    let first = begin(&pool, &nobody).await.unwrap();
    let shown = first.challenge_parameters["USERNAME"].clone();
    assert_ne!(shown, nobody, "an address stands for a user name");
    assert_eq!(begin(&pool, &nobody).await.unwrap().challenge_parameters["USERNAME"], shown);
    // Either name is good for an answer, like those of a user. Not even right answers sign nobody in.
    let second = answer(&pool, &shown, first.session(), "1").await.unwrap();
    assert_eq!(second.challenge_name(), "CUSTOM_CHALLENGE");
    assert_refused(answer(&pool, &shown, first.session(), "1").await, USED.0, USED.1);
    assert_refused(answer(&pool, &nobody, second.session(), "2").await, WRONG.0, WRONG.1);
    let asked = responder.asked();
    assert!(asked.iter().all(|asked| asked.event["request"]["userNotFound"] == true), "{asked:?}");
    assert!(asked.iter().all(|asked| asked.event["request"]["userAttributes"] == json!({})), "{asked:?}");
    assert!(asked.iter().all(|asked| asked.event["userName"] == nobody.as_str()), "{asked:?}");
    let refusals = facts(&pool, "user.sign_in_refused").await;
    assert_eq!(refusals.last().unwrap()["reason"], "SIGN_IN_REFUSAL_UNKNOWN_USER");
    // Wrong answers count for the name: with the one above, four more lock it.
    let mut session = begin(&pool, &nobody).await.unwrap().session.unwrap();
    for _ in 0..2 {
        session = answer(&pool, &nobody, &session, "no").await.unwrap().session.unwrap();
    }
    assert_refused(answer(&pool, &nobody, &session, "no").await, WRONG.0, WRONG.1);
    let begun = begin(&pool, &nobody).await.unwrap();
    let fifth = answer(&pool, &nobody, begun.session(), "no").await.unwrap();
    assert_refused(answer(&pool, &nobody, fifth.session(), "no").await, LOCKED.0, LOCKED.1);
    pool.verify().await;
}

#[tokio::test]
async fn where_users_are_not_hidden_they_are_refused_before_a_trigger_is_asked() {
    let (pool, responder) = pool_with("LEGACY", asks(1)).await;
    assert_refused(begin(&pool, &unique("nobody")).await, "UserNotFoundException", "User does not exist.");
    let disabled = pool.person("disabled").await.username;
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(disabled.clone()));
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
    assert_refused(begin(&pool, &disabled).await, "NotAuthorizedException", "User is disabled.");
    let unconfirmed = unique("unconfirmed");
    pool.sign_up(&unconfirmed, &[]).await.unwrap();
    assert_refused(begin(&pool, &unconfirmed).await, "UserNotConfirmedException", "User is not confirmed.");
    assert_eq!(responder.asked().len(), 0);
    pool.verify().await;
}

#[tokio::test]
async fn a_trusted_server_and_the_json_door_answer_alike() {
    let (pool, _) = pool_with("ENABLED", asks(2)).await;
    let jane = pool.person("jane").await;
    let user_pool_id = Some(pool.id.clone());
    let request = begin_request(&pool, &jane.username, &[]);
    let begun = pool.api.call(AdminInitiateAuthRequest { user_pool_id: user_pool_id.clone(), ..same_fields(&request) });
    let begun = begun.await.unwrap();
    assert_eq!(begun.challenge_name(), "CUSTOM_CHALLENGE");
    let request = answer_request(&pool, &jane.username, begun.session(), "1");
    let request = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&request) };
    let next = pool.api.call(request).await.unwrap();
    let last = json!({
        "ClientId": pool.client_id, "ChallengeName": "CUSTOM_CHALLENGE", "Session": next.session(),
        "ChallengeResponses": {"USERNAME": jane.username, "ANSWER": "2"},
    });
    let answered = pool.api.aws_json("RespondToAuthChallenge", &last).await.json();
    assert!(answered["AuthenticationResult"]["AccessToken"].is_string(), "{answered}");
    let begin = json!({
        "ClientId": pool.client_id, "AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": jane.username},
    });
    let begun = pool.api.aws_json("InitiateAuth", &begin).await.json();
    assert_eq!(begun["ChallengeParameters"], json!({"question": "0 + 1?", "USERNAME": jane.username}));
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_without_the_triggers_has_no_custom_challenges() {
    let pool = Pool::create_with(email_pool(), client("ENABLED")).await;
    let jane = pool.person("jane").await;
    assert_refused(begin(&pool, &jane.username).await, INVALID, NOT_CONFIGURED);
    let by_server = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        ..same_fields(&begin_request(&pool, &jane.username, &[]))
    };
    assert_refused(pool.api.call(by_server.clone()).await, INVALID, NOT_CONFIGURED);
    let odd = begin_request(&pool, &jane.username, &[("CHALLENGE_NAME", "SMS_MFA")]);
    let message = "CHALLENGE_NAME must be SRP_A or CUSTOM_CHALLENGE.";
    assert_refused(pool.api.call(odd.clone()).await, INVALID, message);
    let odd = AdminInitiateAuthRequest { user_pool_id: Some(pool.id.clone()), ..same_fields(&odd) };
    assert_refused(pool.api.call(odd).await, INVALID, message);
    let without_srp = begin_request(&pool, &jane.username, &[("CHALLENGE_NAME", "SRP_A")]);
    assert_refused(pool.api.call(without_srp).await, INVALID, "Missing required parameter SRP_A");
    // The triggers are taken away between a challenge and its answer.
    let configure = |lambda_config: LambdaConfigType| UpdateUserPoolRequest {
        user_pool_id: Some(pool.id.clone()),
        auto_verified_attributes: texts(&["email"]),
        lambda_config: Some(lambda_config),
        ..Default::default()
    };
    pool.api.call(configure(lambda_config(&ALL))).await.unwrap();
    let _responder = triggers::respond(&pool.id, asks(1)).await;
    let begun = begin(&pool, &jane.username).await.unwrap();
    pool.api.call(configure(LambdaConfigType::default())).await.unwrap();
    let given = answer_request(&pool, &jane.username, begun.session(), "1");
    assert_refused(pool.api.call(given.clone()).await, INVALID, NOT_CONFIGURED);
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id: Some(pool.id.clone()), ..same_fields(&given) };
    assert_refused(pool.api.call(by_server).await, INVALID, NOT_CONFIGURED);
    pool.verify().await;
}

/// Answers the question of this source as the client metadata of the answer says, and others as [`asks`] does.
fn spoils(source: &'static str) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    let asks = asks(9);
    move |asked| {
        let told = asked.event["request"]["clientMetadata"]["reply"].as_str();
        match told.filter(|_| asked.source().starts_with(source)) {
            Some("silence") => Reply::Silence,
            Some("error") => Reply::Error("out of order".to_owned()),
            Some(response) => asked.answered(serde_json::from_str(response).unwrap()),
            None => asks(asked),
        }
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_leaves_the_session_as_it_was() {
    let plain = "Unrecognizable lambda output".to_owned();
    let because = |why: &str| format!("{plain}: {why}.");
    let long = json!({"privateChallengeParameters": {"long": "x".repeat(4_096)}}).to_string();
    let too_long = because("privateChallengeParameters and challengeMetadata are too long for a session");
    let names = because("challengeName must be CUSTOM_CHALLENGE or PASSWORD_VERIFIER");
    let srp = because("PASSWORD_VERIFIER follows nothing but SRP_A");
    let spoilt: [(&str, Vec<(&str, &str)>); 3] = [
        (
            "DefineAuthChallenge",
            vec![
                ("{}", plain.as_str()),
                ("null", plain.as_str()),
                (r#"{"issueTokens":"yes"}"#, plain.as_str()),
                (r#"{"challengeName":"SOFTWARE_TOKEN_MFA"}"#, names.as_str()),
                (r#"{"challengeName":"PASSWORD_VERIFIER"}"#, srp.as_str()),
            ],
        ),
        (
            "CreateAuthChallenge",
            vec![(r#"{"publicChallengeParameters":{"a":1}}"#, plain.as_str()), (long.as_str(), too_long.as_str())],
        ),
        (
            "VerifyAuthChallengeResponse",
            vec![("null", plain.as_str()), (r#"{"answerCorrect":"true"}"#, plain.as_str())],
        ),
    ];
    for (trigger, replies) in spoilt {
        let (pool, _) = pool_with("ENABLED", spoils(trigger)).await;
        let jane = pool.person("jane").await;
        let begun = begin(&pool, &jane.username).await.unwrap();
        let told = |reply: &str| RespondToAuthChallengeRequest {
            client_metadata: BTreeMap::from([("reply".to_owned(), reply.to_owned())]),
            ..answer_request(&pool, &jane.username, begun.session(), "1")
        };
        for (reply, message) in replies {
            assert_refused(pool.api.call(told(reply)).await, GARBAGE, message);
        }
        let message = format!("{trigger} failed with error out of order.");
        assert_refused(pool.api.call(told("error")).await, "UserLambdaValidationException", &message);
        let by_server =
            AdminRespondToAuthChallengeRequest { user_pool_id: Some(pool.id.clone()), ..same_fields(&told("error")) };
        assert_refused(pool.api.call(by_server).await, "UserLambdaValidationException", &message);
        if trigger == "VerifyAuthChallengeResponse" {
            let message =
                format!("{trigger} invocation failed due to error Socket timeout while invoking Lambda function.");
            assert_refused(pool.api.call(told("silence")).await, "UnexpectedLambdaException", &message);
        }
        // Nothing was counted or used up.
        answer(&pool, &jane.username, begun.session(), "1").await.unwrap();
        pool.verify().await;
    }
}

#[tokio::test]
async fn whom_the_triggers_sign_in_is_asked_for_no_second_factor_but_chooses_a_password() {
    let request = CreateUserPoolRequest {
        mfa_configuration: Some("ON".to_owned()),
        sms_configuration: Some(Default::default()),
        ..email_pool()
    };
    let (pool, _) = pool_by(request, "ENABLED", |asked| asked.answered(json!({"issueTokens": true}))).await;
    let invited = unique("invited");
    pool.create_user(&invited, &[], PASSWORD).await;
    let begun = begin(&pool, &invited).await.unwrap();
    assert_eq!(begun.challenge_name(), "NEW_PASSWORD_REQUIRED");
    let chosen = pool.new_password_request(begun.session(), &invited, "Another-horse-8");
    assert!(pool.api.call(chosen).await.unwrap().authentication_result.is_some());
    let again = begin(&pool, &invited).await.unwrap();
    assert!(again.authentication_result.is_some(), "tokens at once, if the triggers say so");
    assert_refused(begin(&pool, &unique("nobody")).await, WRONG.0, WRONG.1);
    pool.verify().await;
}

//! Guesses at second factors, in bursts at two processes: no code counts twice, and no number of sessions gives more
//! guesses than the limit.

use std::cell::Cell;
use std::collections::BTreeMap;

use futures::future::join_all;
use sqlx::PgPool;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused, eventually};
use crate::support::mfa::{
    Authenticator, all_factors, answer_request, asked, code_request, give_code, person_with_phone, pool_with_factors,
    prefer, set_up_app,
};
use crate::support::pool::{PASSWORD, Pool, other_than, parameters, unique, unique_phone};
use crate::support::requests::same_fields;

const LOCKED: (&str, &str) = ("NotAuthorizedException", "Password attempts exceeded");
const INVALID: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const LIMIT: (&str, &str) = ("TooManyRequestsException", "Attempt limit exceeded, please try after some time.");

/// How often each exception was answered; `OK` counts the successes.
fn outcomes<T>(answers: &[Result<T, Refusal>]) -> BTreeMap<&str, usize> {
    let mut outcomes = BTreeMap::new();
    for answer in answers {
        let outcome = answer.as_ref().map_or_else(|refusal| refusal.exception.as_str(), |_| "OK");
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

/// A user whose authenticator app is asked for.
async fn with_app(pool: &Pool, name: &str) -> (String, Authenticator) {
    let name = pool.person(name).await.username;
    let token = pool.sign_in(&name, PASSWORD).await.unwrap().access_token.unwrap();
    let app = set_up_app(pool, &token).await;
    (name, app)
}

async fn session(pool: &Pool, name: &str) -> String {
    asked(pool, name, "SOFTWARE_TOKEN_MFA").await.session.unwrap()
}

/// Sends these codes at once, each in the session beside it.
async fn burst(
    pool: &Pool,
    name: &str,
    guesses: &[(&String, &String)],
) -> Vec<Result<RespondToAuthChallengeResponse, Refusal>> {
    let sent = guesses
        .iter()
        .map(|(session, code)| pool.api.call_once(code_request(pool, name, ("SOFTWARE_TOKEN_MFA", session), code)));
    join_all(sent).await
}

#[tokio::test]
async fn a_code_of_an_app_signs_in_once_however_many_come_with_it() {
    let pool = pool_with_factors("OPTIONAL").await;
    let (name, app) = with_app(&pool, "twice").await;
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(session(&pool, &name).await);
    }
    let code = app.code(1);
    let guesses: Vec<_> = sessions.iter().flat_map(|session| [(session, &code), (session, &code)]).collect();
    let answers = burst(&pool, &name, &guesses).await;
    let told = outcomes(&answers);
    assert_eq!(told.get("OK"), Some(&1), "{told:?}");
    // The others came too late in their session, with a code that is used up, or to a user who is locked by that.
    let late = ["ExpiredCodeException", "NotAuthorizedException", "TooManyRequestsException"];
    assert_eq!(
        told.iter().filter(|(name, _)| late.contains(name)).map(|(_, count)| count).sum::<usize>(),
        11,
        "{told:?}"
    );
    let database = PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let begun: i64 = sqlx::query_scalar("select count(*) from sessions where user_pool_id = $1")
        .bind(&pool.id)
        .fetch_one(&database)
        .await
        .unwrap();
    assert_eq!(begun, 2, "the first sign-in, and this one");
    pool.verify().await;
}

#[tokio::test]
async fn a_session_has_five_guesses() {
    let pool = pool_with_factors("OPTIONAL").await;
    let (name, app) = with_app(&pool, "session").await;
    let (session, wrong) = (session(&pool, &name).await, app.wrong());
    let guesses: Vec<_> = (0..20).map(|_| (&session, &wrong)).collect();
    let told = burst(&pool, &name, &guesses).await;
    let heard = outcomes(&told).get("CodeMismatchException").copied().unwrap_or_default();
    assert!((1..=5).contains(&heard), "{:?}", outcomes(&told));
    // Whatever came of the burst, the session gets no more than five, however long the lock-out lasts.
    let used_up = eventually(async || {
        let answer = give_code(&pool, &name, ("SOFTWARE_TOKEN_MFA", &session), &wrong).await.unwrap_err();
        answer.pair() == INVALID
    });
    assert!(used_up.await);
    let right = code_request(&pool, &name, ("SOFTWARE_TOKEN_MFA", &session), &app.code(1));
    let user_pool_id = Some(pool.id.clone());
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&right) };
    assert_refused(pool.api.call(right).await, INVALID.0, INVALID.1);
    assert_refused(pool.api.call(by_server).await, INVALID.0, INVALID.1);
    let database = PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let counted: i64 = sqlx::query_scalar(
        "select count(*) from activity where user_pool_id = $1 and payload->>'reason' = 'SIGN_IN_REFUSAL_WRONG_CODE'",
    )
    .bind(&pool.id)
    .fetch_one(&database)
    .await
    .unwrap();
    assert_eq!(counted, 5);
    pool.verify().await;
}

#[tokio::test]
async fn many_sessions_give_no_more_guesses_and_a_right_password_forgets_none() {
    let pool = pool_with_factors("OPTIONAL").await;
    let (name, app) = with_app(&pool, "many").await;
    let wrong = app.wrong();
    for _ in 0..4 {
        let session = session(&pool, &name).await;
        let refused = give_code(&pool, &name, ("SOFTWARE_TOKEN_MFA", &session), &wrong).await.unwrap_err();
        assert_eq!(refused.exception, "CodeMismatchException");
    }
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(session(&pool, &name).await);
    }
    let fifth = give_code(&pool, &name, ("SOFTWARE_TOKEN_MFA", &sessions[0]), &wrong).await.unwrap_err();
    assert_eq!(fifth.exception, "CodeMismatchException");
    // The fifth in a row locks for a second, the next ones for longer: passwords and codes alike. The machine may be slow,
    // so guesses go on until one comes in time.
    let locked = eventually(async || {
        let answer = give_code(&pool, &name, ("SOFTWARE_TOKEN_MFA", &sessions[1]), &wrong).await.unwrap_err();
        answer.pair() == LOCKED
    });
    assert!(locked.await);
    // The guesses of a server, whose network is strange to the user, are counted apart, and bounded alike.
    let asked = Cell::new(0);
    let locked = eventually(async || {
        asked.set(asked.get() + 1);
        let session = &sessions[2 + asked.get() % 3];
        let guess = code_request(&pool, &name, ("SOFTWARE_TOKEN_MFA", session), &wrong);
        let user_pool_id = Some(pool.id.clone());
        let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&guess) };
        pool.api.call_once(by_server).await.unwrap_err().pair() == LOCKED
    });
    assert!(locked.await && asked.get() > 5, "after {} guesses", asked.get());
    // When the lock is over, the right code signs in, and then all is forgotten.
    let unlocked = eventually(async || match pool.api.call_once(pool.sign_in_request(&name, PASSWORD)).await {
        Ok(challenge) => {
            give_code(&pool, &name, ("SOFTWARE_TOKEN_MFA", challenge.session()), &app.code(1)).await.is_ok()
        }
        Err(refusal) => {
            assert_eq!(refusal.pair(), LOCKED);
            false
        }
    });
    assert!(unlocked.await);
    let database = PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let counted: i64 =
        sqlx::query_scalar("select count(*) from sign_in_failures where user_pool_id = $1 and source = 'familiar'")
            .bind(&pool.id)
            .fetch_one(&database)
            .await
            .unwrap();
    assert_eq!(counted, 0);
    pool.verify().await;
}

#[tokio::test]
async fn twenty_codes_of_sign_ins_are_sent_in_an_hour() {
    let pool = pool_with_factors("ON").await;
    let (name, phone) = (&unique("twenty"), unique_phone());
    let email = format!("{name}@example.com");
    pool.create_user(name, &[("phone_number", &phone), ("email", &email)], "Temporary-horse-7").await;
    let own = AdminSetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.clone()),
        password: Some(PASSWORD.to_owned()),
        permanent: Some(true),
    };
    pool.api.call(own).await.unwrap();
    let select = asked(&pool, name, "SELECT_MFA_TYPE").await.session.unwrap();
    let choose = |session: &str| {
        answer_request(&pool, ("SELECT_MFA_TYPE", session), &[("USERNAME", name), ("ANSWER", "SMS_MFA")])
    };
    // The user has signed up and in from nowhere, so all callers are strangers to them.
    for count in 1..=20 {
        let session = asked(&pool, name, "SELECT_MFA_TYPE").await.session.unwrap();
        pool.api.call(choose(&session)).await.unwrap();
        pool.api.messages_for(&phone, count).await;
    }
    assert_refused(pool.api.call_once(choose(&select)).await, LIMIT.0, LIMIT.1);
    let user_pool_id = Some(pool.id.clone());
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&choose(&select)) };
    assert_refused(pool.api.call_once(by_server).await, LIMIT.0, LIMIT.1);
    let alone = SetUserPoolMfaConfigRequest { email_mfa_configuration: None, ..all_factors(&pool, "ON") };
    pool.api.call(alone).await.unwrap();
    assert_refused(pool.api.call_once(pool.sign_in_request(name, PASSWORD)).await, LIMIT.0, LIMIT.1);
    let by_server = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".into()),
        auth_parameters: parameters(&[("USERNAME", name), ("PASSWORD", PASSWORD)]),
        ..Default::default()
    };
    assert_refused(pool.api.call_once(by_server).await, LIMIT.0, LIMIT.1);
    assert_eq!(pool.api.mailbox(&phone).await.len(), 20);
    pool.verify().await;
}

#[tokio::test]
async fn a_code_by_sms_signs_in_once_however_many_come_with_it() {
    let pool = pool_with_factors("OPTIONAL").await;
    let (person, phone) = person_with_phone(&pool, "once").await;
    let name = &person.username;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    prefer(&pool, &token, &["SMS_MFA"], None).await.unwrap();
    let mut sessions = Vec::new();
    for count in 1..=4 {
        sessions.push(asked(&pool, name, "SMS_MFA").await.session.unwrap());
        pool.api.messages_for(&phone, count).await;
    }
    let code = pool.api.code_for(&phone).await;
    let sent = sessions
        .iter()
        .chain(&sessions)
        .map(|session| pool.api.call_once(code_request(&pool, name, ("SMS_MFA", session), &code)));
    let answers = join_all(sent).await;
    let told = outcomes(&answers);
    assert_eq!(told.get("OK"), Some(&1), "{told:?}");
    let late = ["ExpiredCodeException", "NotAuthorizedException", "TooManyRequestsException"];
    let late: usize = late.iter().filter_map(|exception| told.get(exception)).sum();
    assert_eq!(late, 7, "{told:?}");
    pool.verify().await;
}

#[tokio::test]
async fn a_code_by_sms_has_five_guesses_in_whichever_session() {
    let pool = pool_with_factors("OPTIONAL").await;
    let (person, phone) = person_with_phone(&pool, "guessed").await;
    let name = &person.username;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    prefer(&pool, &token, &["SMS_MFA"], None).await.unwrap();
    let first = asked(&pool, name, "SMS_MFA").await.session.unwrap();
    let code = pool.api.code_for(&phone).await;
    let wrong = other_than(&code);
    let sent = (0..12).map(|_| pool.api.call_once(code_request(&pool, name, ("SMS_MFA", &first), &wrong)));
    let told = join_all(sent).await;
    let heard = outcomes(&told).get("CodeMismatchException").copied().unwrap_or_default();
    assert!((1..=5).contains(&heard), "{:?}", outcomes(&told));
    let database = PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let counted: i32 = sqlx::query_scalar(
        "select attempts + strange_attempts from codes where user_pool_id = $1 and purpose = 'CODE_PURPOSE_SIGN_IN_BY_SMS'",
    )
    .bind(&pool.id)
    .fetch_one(&database)
    .await
    .unwrap();
    assert_eq!(usize::try_from(counted).unwrap(), heard, "each guess that was heard counts");
    pool.verify().await;
}

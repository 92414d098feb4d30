//! Many callers want the same thing at the same time, at two processes.

use std::collections::BTreeMap;

use futures::future::join_all;
use sqlx::PgPool;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{PASSWORD, Pool, by_name, email_pool, password_client, texts, unique};

const TEMPORARY: &str = "Temporary-horse-7";
const WRONG: (&str, &str) = ("NotAuthorizedException", "Incorrect username or password.");

/// How often each exception was answered; `OK` counts the successes.
fn outcomes<T>(answers: &[Result<T, Refusal>]) -> BTreeMap<&str, usize> {
    let mut outcomes = BTreeMap::new();
    for answer in answers {
        let outcome = answer.as_ref().map_or_else(|refusal| refusal.exception.as_str(), |_| "OK");
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

#[tokio::test]
async fn one_name_is_given_once() {
    let pool = Pool::create().await;
    let name = unique("wanted");
    let requests = (0..20).map(|_| pool.api.call_once(pool.sign_up_request(&name, &[])));
    let answers = join_all(requests).await;
    let outcomes = outcomes(&answers);
    // A caller for whom there is no capacity is told so, and may try again.
    let refused = ["UsernameExistsException", "TooManyRequestsException"];
    let refused: usize = refused.iter().filter_map(|exception| outcomes.get(exception)).sum();
    assert_eq!((outcomes.get("OK"), refused), (Some(&1), 19), "{outcomes:?}");
    let winner = answers.iter().find_map(|answer| answer.as_ref().ok()).unwrap();
    assert_eq!(pool.admin_get_user(&name).await.unwrap().user_attributes[0].value(), winner.user_sub());
    pool.verify().await;
}

#[tokio::test]
async fn one_alias_is_given_once() {
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let users: Vec<_> = (0..4).map(|_| unique("alias")).collect();
    let email = format!("{}@example.com", unique("contended"));
    let mut codes = Vec::new();
    for user in &users {
        pool.sign_up(user, &[("email", &email)]).await.unwrap();
        let messages = pool.api.messages_for(&email, codes.len() + 1).await;
        codes.push(messages[0]["code"].as_str().unwrap().to_owned());
    }
    let confirmations = users.iter().zip(&codes).map(|(user, code)| pool.confirm(user, code));
    let answers = join_all(confirmations).await;
    let expected = BTreeMap::from([("AliasExistsException", 3), ("OK", 1)]);
    assert_eq!(outcomes(&answers), expected);
    // Each user takes the alias from the one before; at the end exactly one has it.
    let forced = users.iter().zip(&codes).map(|(user, code)| {
        let forced = ConfirmSignUpRequest { force_alias_creation: Some(true), ..pool.confirm_request(user, code) };
        pool.api.call(forced)
    });
    let answers = join_all(forced).await;
    assert_eq!(outcomes(&answers), BTreeMap::from([("NotAuthorizedException", 1), ("OK", 3)]));
    let owner = pool.admin_get_user(&email).await.unwrap();
    assert!(users.iter().any(|user| user == owner.username()));
    pool.verify().await;
}

#[tokio::test]
async fn of_two_new_users_who_take_one_alias_by_force_one_has_it() {
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    for _ in 0..4 {
        let email = format!("{}@example.com", unique("contended"));
        let users = [(unique("heir"), TEMPORARY), (unique("heir"), "Temporary-horse-8")];
        let created = users.each_ref().map(|(name, password)| {
            let force = AdminCreateUserRequest {
                force_alias_creation: Some(true),
                temporary_password: Some((*password).to_owned()),
                message_action: Some("SUPPRESS".into()),
                ..pool.create_user_request(name, &[("email", &email), ("email_verified", "true")])
            };
            pool.api.call(force)
        });
        for answer in join_all(created).await {
            answer.unwrap();
        }
        let owner = pool.admin_get_user(&email).await.unwrap().username().to_owned();
        for (name, password) in &users {
            let shown = by_name(&pool.admin_get_user(name).await.unwrap().user_attributes);
            assert_eq!(shown["email"], email);
            assert_eq!(shown["email_verified"], (*name == owner).to_string(), "{name} of {owner}");
            if *name == owner {
                pool.challenge(&email, password).await;
            } else {
                assert_refused(pool.sign_in(&email, password).await, WRONG.0, WRONG.1);
                pool.challenge(name, password).await;
            }
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn an_invitation_that_is_sent_again_and_the_answer_to_the_one_before_do_not_both_count() {
    const AGAIN: &str = "Temporary-horse-8";
    let pool = Pool::create().await;
    for _ in 0..4 {
        let name = unique("invited");
        let email = format!("{name}@example.com");
        pool.create_user(&name, &[("email", &email), ("email_verified", "true")], TEMPORARY).await;
        let challenge = pool.challenge(&name, TEMPORARY).await;
        let again = AdminCreateUserRequest {
            message_action: Some("RESEND".into()),
            desired_delivery_mediums: texts(&["EMAIL"]),
            temporary_password: Some(AGAIN.into()),
            ..pool.create_user_request(&name, &[])
        };
        let (sent, answered) = tokio::join!(
            pool.api.call(again),
            pool.api.call(pool.new_password_request(challenge.session(), &name, PASSWORD)),
        );
        let status = pool.admin_get_user(&name).await.unwrap();
        match (sent, answered) {
            (Ok(_), Err(refusal)) => {
                assert_eq!(refusal.pair(), ("NotAuthorizedException", "Invalid session for the user."));
                assert_eq!(status.user_status(), "FORCE_CHANGE_PASSWORD");
                assert_eq!(pool.api.code_for(&email).await, AGAIN);
                assert_refused(pool.sign_in(&name, PASSWORD).await, WRONG.0, WRONG.1);
                pool.challenge(&name, AGAIN).await;
            }
            (Err(refusal), Ok(answer)) => {
                let message = "The invitation can't be sent again: the user's status is CONFIRMED.";
                assert_eq!(refusal.pair(), ("UnsupportedUserStateException", message));
                assert_eq!(status.user_status(), "CONFIRMED");
                pool.get_user(answer.authentication_result.unwrap().access_token()).await.unwrap();
                assert_refused(pool.sign_in(&name, AGAIN).await, WRONG.0, WRONG.1);
                pool.sign_in(&name, PASSWORD).await.unwrap();
                assert_eq!(pool.api.mailbox(&email).await.len(), 0);
            }
            other => panic!("{other:?}"),
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn one_code_confirms_once() {
    let pool = Pool::create().await;
    let name = unique("twice");
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let code = pool.api.code_for(&email).await;
    let answers = join_all((0..8).map(|_| pool.confirm(&name, &code))).await;
    assert_eq!(outcomes(&answers), BTreeMap::from([("NotAuthorizedException", 7), ("OK", 1)]));
    pool.verify().await;
}

#[tokio::test]
async fn guesses_at_a_code_are_counted_one_by_one() {
    let pool = Pool::create().await;
    let name = unique("burst");
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let code: u32 = pool.api.code_for(&email).await.parse().unwrap();
    let guesses: Vec<_> = (1..=12).map(|step| format!("{:06}", (code + step) % 1_000_000)).collect();
    let answers = join_all(guesses.iter().map(|guess| pool.confirm(&name, guess))).await;
    let expected = BTreeMap::from([("CodeMismatchException", 5), ("LimitExceededException", 7)]);
    assert_eq!(outcomes(&answers), expected);
    pool.verify().await;
}

#[tokio::test]
async fn of_a_simultaneous_sign_out_and_deletion_one_succeeds() {
    let pool = Pool::create().await;
    for _ in 0..4 {
        let person = pool.person("race").await;
        let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
        let (deleted, signed_out) =
            tokio::join!(pool.delete_user(tokens.access_token()), pool.sign_out(tokens.access_token()));
        let there = pool.admin_get_user(&person.username).await;
        match (&deleted, &signed_out) {
            // The token no longer counted when the second call came.
            (Ok(_), Err(refusal)) => {
                assert_eq!(refusal.pair(), ("NotAuthorizedException", "Access Token has been revoked"));
                assert_eq!(there.unwrap_err().exception, "UserNotFoundException");
            }
            (Err(refusal), Ok(_)) => {
                assert_eq!(refusal.pair(), ("NotAuthorizedException", "Access Token has been revoked"));
                there.unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn wrong_passwords_at_both_processes_are_counted_one_by_one() {
    const LOCKED: &str = "Password attempts exceeded";
    let pool = Pool::create().await;
    let person = pool.person("stormed").await;
    let request = pool.sign_in_request(&person.username, "Wrong-horse-7");
    let answers = join_all((0..20).map(|_| pool.api.call_once(request.clone()))).await;
    let refusals: Vec<_> = answers.into_iter().map(|answer| answer.unwrap_err()).collect();
    let counted = refusals.iter().filter(|refusal| refusal.message == "Incorrect username or password.").count();
    let locked = refusals.iter().filter(|refusal| refusal.message == LOCKED).count();
    let throttled = refusals.iter().filter(|refusal| refusal.exception == "TooManyRequestsException").count();
    assert_eq!(counted + locked + throttled, 20, "{refusals:?}");

    let database = PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let failures: i32 =
        sqlx::query_scalar("select failures from sign_in_failures where user_pool_id = $1 and source = 'familiar'")
            .bind(&pool.id)
            .fetch_one(&database)
            .await
            .unwrap();
    assert_eq!(usize::try_from(failures).unwrap(), counted, "every guess that was answered is counted, once");
    assert!(counted >= 5 || throttled > 0, "{counted} guesses before the lock");
    // On a slow machine the first lock, of a second, may end during the burst; each next one is twice as long.
    assert!(counted <= 9, "{counted} guesses got through");
    let recorded: i64 = sqlx::query_scalar(
        "select count(*) from activity where user_pool_id = $1 and owner = $2 and type = 'user.sign_in_refused'",
    )
    .bind(&pool.id)
    .bind(&person.sub)
    .fetch_one(&database)
    .await
    .unwrap();
    assert_eq!(usize::try_from(recorded).unwrap(), counted + locked);
    pool.verify().await;
}

#[tokio::test]
async fn sign_ins_at_once_are_sessions_of_their_own() {
    let pool = Pool::create().await;
    let person = pool.person("sessions").await;
    let answers = join_all((0..6).map(|_| pool.sign_in(&person.username, PASSWORD))).await;
    let tokens: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    for tokens in &tokens {
        pool.get_user(tokens.access_token()).await.unwrap();
    }
    // Of many sign-outs with the same token one is first, and all sessions end.
    let answers = join_all((0..4).map(|_| pool.sign_out(tokens[0].access_token()))).await;
    assert_eq!(outcomes(&answers), BTreeMap::from([("NotAuthorizedException", 3), ("OK", 1)]));
    for tokens in &tokens {
        pool.refresh(tokens.refresh_token()).await.unwrap_err();
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_user_who_signs_in_during_their_deletion_is_gone() {
    let pool = Pool::create().await;
    for _ in 0..4 {
        let person = pool.person("leaving").await;
        let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
        let (deleted, signed_in) =
            tokio::join!(pool.delete_user(tokens.access_token()), pool.sign_in(&person.username, PASSWORD));
        deleted.unwrap();
        match signed_in {
            Ok(late) => {
                for tokens in [&tokens, &late] {
                    let refusal = pool.get_user(tokens.access_token()).await.unwrap_err();
                    assert_eq!(refusal.pair(), ("UserNotFoundException", "User does not exist."));
                    let refusal = pool.refresh(tokens.refresh_token()).await.unwrap_err();
                    assert_eq!(refusal.pair(), ("UserNotFoundException", "User does not exist."));
                }
            }
            Err(refusal) => assert_eq!(refusal.exception, "UserNotFoundException"),
        }
        assert_eq!(pool.admin_get_user(&person.sub).await.unwrap_err().exception, "UserNotFoundException");
    }
    pool.verify().await;
}

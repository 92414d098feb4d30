//! Attacks: many guesses at once, over many connections and two processes, from one address or several, with the right
//! guess among the wrong ones. The tests bound the number of guesses that are compared.

use std::sync::LazyLock;

use futures::future::join_all;
use sqlx::PgPool;
use userpool::api::operation::Request;
use userpool::proto::v1::*;

use crate::support::client::{Api, Refusal, assert_refused, eventually};
use crate::support::environment::{Dev, DevOptions, environment, start_dev};
use crate::support::pool::{
    PASSWORD, Person, Pool, attributes, email_pool, other_than, password_client, texts, unique, unique_phone,
};

const BETTER: &str = "Better-horse-2";
const WRONG_PASSWORD: &str = "Wrong-horse-7";
const WRONG: (&str, &str) = ("NotAuthorizedException", "Incorrect username or password.");
const LOCKED: (&str, &str) = ("NotAuthorizedException", "Password attempts exceeded");
const MISMATCH: &str = "CodeMismatchException";
const LIMIT: (&str, &str) = ("LimitExceededException", "Attempt limit exceeded, please try after some time.");
const REVOKED: (&str, &str) = ("NotAuthorizedException", "Access Token has been revoked");
/// The address of users; strangers call from others.
const HOME: &str = "127.0.0.1";
const ELSEWHERE: [&str; 3] = ["127.0.0.66", "127.0.0.67", "127.0.0.68"];
/// How many guesses are sent at once.
const BURST: usize = 320;

/// A caller at an address of this machine, with several connections to each process.
fn at(pool: &Pool, address: &str) -> Api {
    Api::from(pool.api.processes(), address, 4)
}

fn hiding_client() -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest { prevent_user_existence_errors: Some("ENABLED".into()), ..password_client() }
}

/// Sends all of these requests at once.
async fn burst<Req: Request>(
    api: &Api,
    requests: impl IntoIterator<Item = Req>,
) -> Vec<Result<Req::Response, Refusal>> {
    join_all(requests.into_iter().map(|request| api.call_once(request))).await
}

/// How many of these answers are refusals by this exception.
fn refused<T>(answers: &[Result<T, Refusal>], exception: &str) -> usize {
    answers.iter().filter(|answer| answer.as_ref().is_err_and(|refusal| refusal.exception == exception)).count()
}

/// How many guesses were compared: answered as wrong, or accepted.
fn heard<T>(answers: &[Result<T, Refusal>]) -> usize {
    refused(answers, MISMATCH) + answers.iter().filter(|answer| answer.is_ok()).count()
}

fn forgot_request(pool: &Pool, username: &str) -> ForgotPasswordRequest {
    ForgotPasswordRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(username.to_owned()),
        ..Default::default()
    }
}

fn recover_request(pool: &Pool, username: &str, code: &str) -> ConfirmForgotPasswordRequest {
    ConfirmForgotPasswordRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(username.to_owned()),
        confirmation_code: Some(code.to_owned()),
        password: Some(BETTER.to_owned()),
        ..Default::default()
    }
}

/// Asks for a code to choose another password, and returns the code.
async fn forgotten(pool: &Pool, api: &Api, person: &Person, messages: usize) -> String {
    api.call(forgot_request(pool, &person.username)).await.unwrap();
    newest_code(pool, &person.email, messages).await
}

async fn newest_code(pool: &Pool, address: &str, messages: usize) -> String {
    pool.api.messages_for(address, messages).await[0]["code"].as_str().unwrap().to_owned()
}

/// The newest code at an address, once all messages of the pool have left. A code that is replaced before it leaves is
/// never sent.
async fn last_code(pool: &Pool, address: &str) -> String {
    let database = PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let all_left = eventually(async || {
        let waiting = sqlx::query_scalar("select count(*) from outbox where user_pool_id = $1").bind(&pool.id);
        waiting.fetch_one(&database).await.is_ok_and(|waiting: i64| waiting == 0)
    });
    assert!(all_left.await, "messages wait");
    newest_code(pool, address, 1).await
}

/// Many wrong codes, then the right one.
fn guesses(code: &str) -> Vec<String> {
    let wrong = (0..1_000_000).map(|number| format!("{number:06}")).filter(|guess| guess != code);
    wrong.take(BURST - 1).chain([code.to_owned()]).collect()
}

#[tokio::test]
async fn of_a_burst_of_guesses_at_a_code_no_more_than_five_are_heard() {
    let pool = Pool::create().await;
    let attacker = at(&pool, HOME);
    for round in 0..3 {
        let person = pool.person("stormed").await;
        let code = forgotten(&pool, &attacker, &person, 2).await;
        let requests = guesses(&code).into_iter().map(|guess| recover_request(&pool, &person.username, &guess));
        let answers = burst(&attacker, requests).await;
        assert!(heard(&answers) <= 5, "round {round}: {} guesses were heard", heard(&answers));

        let unconfirmed = unique("unconfirmed");
        let address = format!("{unconfirmed}@example.com");
        attacker.call(pool.sign_up_request(&unconfirmed, &[("email", &address)])).await.unwrap();
        let code = newest_code(&pool, &address, 1).await;
        let requests = guesses(&code).into_iter().map(|guess| pool.confirm_request(&unconfirmed, &guess));
        let answers = burst(&attacker, requests).await;
        assert!(heard(&answers) <= 5, "round {round}: {} guesses were heard", heard(&answers));
    }
    let person = pool.person("proving").await;
    let access_token = pool.sign_in(&person.username, PASSWORD).await.unwrap().access_token;
    let request = GetUserAttributeVerificationCodeRequest {
        access_token: access_token.clone(),
        attribute_name: Some("email".into()),
        ..Default::default()
    };
    pool.api.call(request).await.unwrap();
    let code = newest_code(&pool, &person.email, 2).await;
    let requests = guesses(&code).into_iter().map(|guess| VerifyUserAttributeRequest {
        access_token: access_token.clone(),
        attribute_name: Some("email".into()),
        code: Some(guess),
    });
    let answers = burst(&attacker, requests).await;
    assert!(heard(&answers) <= 5, "{} guesses were heard", heard(&answers));
    pool.verify().await;
}

#[tokio::test]
async fn of_a_burst_of_guesses_at_a_temporary_password_no_more_than_five_are_heard() {
    let pool = Pool::create().await;
    let attacker = at(&pool, ELSEWHERE[0]);
    let temporary = "Temporary-horse-7";
    let name = unique("invited");
    let email = format!("{name}@example.com");
    pool.create_user(&name, &[("email", &email)], temporary).await;
    let requests = (0..40).map(|number| pool.sign_in_request(&name, &format!("Wrong-horse-{number}")));
    let requests = requests.chain([pool.sign_in_request(&name, temporary)]);
    let answers = burst(&attacker, requests).await;
    let heard =
        answers.iter().filter(|it| it.as_ref().map_or_else(|refusal| refusal.pair() == WRONG, |_| true)).count();
    // On a slow machine the first locks, of one and two seconds, may end during the burst.
    assert!(heard <= 8, "{heard} guesses were heard");
    pool.verify().await;
}

/// Strangers use up only their own guesses and codes; the owner keeps theirs.
#[tokio::test]
async fn strangers_use_up_neither_the_guesses_nor_the_codes_of_an_owner() {
    let pool = Pool::create().await;
    let person = pool.person("owner").await;
    pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let (owner, strangers) = (at(&pool, HOME), ELSEWHERE.map(|address| at(&pool, address)));
    // Strangers get five codes sent, and then none.
    for _ in 0..5 {
        strangers[0].call(forgot_request(&pool, &person.username)).await.unwrap();
    }
    assert_refused(strangers[1].call(forgot_request(&pool, &person.username)).await, LIMIT.0, LIMIT.1);
    owner.call(forgot_request(&pool, &person.username)).await.unwrap();
    let code = last_code(&pool, &person.email).await;
    let wrong = other_than(&code);
    let mut mismatches = 0;
    for stranger in &strangers {
        for _ in 0..4 {
            let refusal = stranger.call(recover_request(&pool, &person.username, &wrong)).await.unwrap_err();
            mismatches += usize::from(refusal.exception == MISMATCH);
        }
    }
    assert_eq!(mismatches, 5, "strangers share five guesses");
    assert_refused(strangers[2].call(recover_request(&pool, &person.username, &code)).await, LIMIT.0, LIMIT.1);
    for _ in 0..4 {
        let refusal = owner.call(recover_request(&pool, &person.username, &wrong)).await.unwrap_err();
        assert_eq!(refusal.exception, MISMATCH);
    }
    owner.call(recover_request(&pool, &person.username, &code)).await.expect("the tenth guess is the owner's");
    pool.verify().await;
}

/// A stranger's code and guesses take nothing from the owner, who can use the same code: the newest one in the mailbox
/// is valid.
#[tokio::test]
async fn an_owner_at_home_uses_the_newest_code_whoever_asked_for_it() {
    let pool = Pool::create().await;
    let person = pool.person("owner").await;
    let (owner, strangers) = (at(&pool, HOME), ELSEWHERE.map(|address| at(&pool, address)));
    strangers[0].call(forgot_request(&pool, &person.username)).await.unwrap();
    let code = last_code(&pool, &person.email).await;
    for _ in 0..6 {
        strangers[0].call(recover_request(&pool, &person.username, &other_than(&code))).await.unwrap_err();
    }
    lock(&pool, &strangers[1], &person.username).await;
    owner.call(recover_request(&pool, &person.username, &code)).await.expect("the owner has guesses of its own");
    // The network that has shown the code is familiar now, and earlier wrong passwords are forgotten.
    owner.call(pool.sign_in_request(&person.username, BETTER)).await.expect("the owner is in again");
    let elsewhere = strangers[1].call(pool.sign_in_request(&person.username, BETTER)).await;
    elsewhere.expect("a lock goes with the password that was guessed at");
    pool.verify().await;
}

#[tokio::test]
async fn strangers_use_up_no_codes_of_an_owner_at_the_same_address() {
    let pool = Pool::create().await;
    let person = pool.person("owner").await;
    let stranger = at(&pool, ELSEWHERE[0]);
    let requests: Vec<_> =
        (0..12).map(|_| pool.sign_up_request(&unique("other"), &[("email", &person.email)])).collect();
    let answers = join_all(requests.into_iter().map(|request| stranger.call(request))).await;
    assert_eq!(refused(&answers, LIMIT.0), 3, "ten an hour, the first of which was the owner's own");
    // However the address is spelled.
    let spelled = person.email.replace("example", "EXAM\u{ad}PLE");
    let respelled = pool.sign_up_request(&unique("other"), &[("email", &spelled)]);
    assert_refused(stranger.call(respelled).await, LIMIT.0, LIMIT.1);
    at(&pool, HOME).call(forgot_request(&pool, &person.username)).await.expect("the owner is known at home");
    pool.verify().await;
}

/// An answer depends only on what the caller's own network did; otherwise a caller could find out where a user is
/// familiar.
#[tokio::test]
async fn an_answer_shows_nothing_about_other_networks() {
    let pool = Pool::create_with(email_pool(), hiding_client()).await;
    let person = pool.person("known").await;
    let (home, elsewhere) = (at(&pool, HOME), at(&pool, ELSEWHERE[0]));
    let mut told = Vec::new();
    for name in [person.username.as_str(), &unique("nobody")] {
        lock(&pool, &elsewhere, name).await;
        let refusal = home.call(pool.sign_in_request(name, WRONG_PASSWORD)).await.unwrap_err();
        told.push(refusal.message);
    }
    assert_eq!(told, [WRONG.1, WRONG.1]);
    pool.verify().await;
}

/// Guesses until an answer says that the user is locked.
async fn lock(pool: &Pool, api: &Api, name: &str) {
    for _ in 0..12 {
        let refusal = api.call(pool.sign_in_request(name, WRONG_PASSWORD)).await.unwrap_err();
        if refusal.pair() == LOCKED {
            return;
        }
        assert_eq!(refusal.pair(), WRONG);
    }
    panic!("never locked");
}

#[tokio::test]
async fn a_stranger_locks_no_owner_out_and_an_owners_sign_in_unlocks_no_stranger() {
    let pool = Pool::create().await;
    let person = pool.person("owner").await;
    let (owner, stranger) = (at(&pool, HOME), at(&pool, ELSEWHERE[0]));
    owner.call(pool.sign_in_request(&person.username, PASSWORD)).await.unwrap();
    for _ in 0..3 {
        lock(&pool, &stranger, &person.username).await;
        owner.call(pool.sign_in_request(&person.username, PASSWORD)).await.expect("the owner is at home");
        let right = stranger.call(pool.sign_in_request(&person.username, PASSWORD)).await;
        assert_refused(right, LOCKED.0, LOCKED.1);
    }
    pool.verify().await;
}

#[tokio::test]
async fn wrong_passwords_by_all_names_lock_one_user() {
    let aliases = CreateUserPoolRequest {
        alias_attributes: texts(&["email", "phone_number", "preferred_username"]),
        ..email_pool()
    };
    for hides_users in [false, true] {
        let client = if hides_users {
            hiding_client()
        } else {
            CreateUserPoolClientRequest { prevent_user_existence_errors: Some("LEGACY".into()), ..password_client() }
        };
        let pool = Pool::create_with(aliases.clone(), client).await;
        let (phone, preferred) = (unique_phone(), unique("preferred"));
        let person = pool.person_with("many", &[("phone_number", &phone)]).await;
        let values = [("preferred_username", preferred.as_str()), ("phone_number_verified", "true")];
        let (user_pool_id, username) = (Some(pool.id.clone()), Some(person.username.clone()));
        let user_attributes = attributes(&values);
        let update = AdminUpdateUserAttributesRequest { user_pool_id, username, user_attributes, ..Default::default() };
        pool.api.call(update).await.unwrap();
        let stranger = at(&pool, ELSEWHERE[1]);
        let names = [&person.username, &person.email, &person.sub, &phone, &preferred];
        for name in names {
            stranger.call(pool.sign_in_request(name, WRONG_PASSWORD)).await.unwrap_err();
        }
        // Five wrong passwords by five names count at one user: the right one is refused now.
        let told = if hides_users { WRONG } else { LOCKED };
        assert_refused(stranger.call(pool.sign_in_request(&person.username, PASSWORD)).await, told.0, told.1);
        pool.verify().await;
    }
}

/// The answers at two names, of one user or of nobody: to wrong passwords, codes and guesses.
async fn told_by_two_names(pool: &Pool, api: &Api, names: [&str; 2]) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |answer: Result<(), Refusal>| told.push(answer.err().map_or("OK".to_owned(), |it| it.message));
    for name in [names[0], names[0], names[0], names[0], names[1], names[1], names[1]] {
        tell(api.call(pool.sign_in_request(name, WRONG_PASSWORD)).await.map(drop));
    }
    for name in [names[0], names[0], names[0], names[1], names[1], names[1], names[1], names[1], names[1]] {
        tell(api.call(forgot_request(pool, name)).await.map(drop));
    }
    for name in [names[0], names[0], names[0], names[1], names[1], names[1], names[1], names[1], names[1]] {
        tell(api.call(recover_request(pool, name, "no-code")).await.map(drop));
    }
    told
}

#[tokio::test]
async fn counts_do_not_show_whether_two_names_are_of_one_user() {
    let aliases = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(aliases, hiding_client()).await;
    let person = pool.person("two").await;
    let stranger = at(&pool, ELSEWHERE[0]);
    let somebody = told_by_two_names(&pool, &stranger, [&person.username, &person.email]).await;
    let (name, other) = (unique("nobody"), unique("nobody"));
    let nobody = told_by_two_names(&pool, &stranger, [&name, &format!("{other}@example.com")]).await;
    assert_eq!(somebody, nobody);
    assert!(somebody.contains(&LIMIT.1.to_owned()), "{somebody:?}");
    pool.verify().await;
}

#[tokio::test]
async fn a_simulated_destination_looks_real_and_stays_the_same() {
    let pool = Pool::create_with(email_pool(), hiding_client()).await;
    let mut told = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let name = unique("jane");
        let ask = || pool.api.call(forgot_request(&pool, &name));
        let destination = |answer: ForgotPasswordResponse| answer.code_delivery_details.unwrap().destination.unwrap();
        let first = destination(ask().await.unwrap());
        assert_eq!(destination(ask().await.unwrap()), first, "each time the same");
        assert_eq!((first.len(), &first[1..5]), ("j***@e***".len(), "***@"), "{first}");
        told.insert(first);
    }
    assert!(told.len() > 10, "{told:?}");
    pool.verify().await;
}

#[tokio::test]
async fn a_user_who_recovers_an_account_has_it_alone() {
    let pool = Pool::create().await;
    let person = pool.person("taken").await;
    let stranger = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let code = forgotten(&pool, &pool.api, &person, 2).await;
    pool.api.call(recover_request(&pool, &person.username, &code)).await.unwrap();
    assert_refused(pool.get_user(stranger.access_token()).await, REVOKED.0, REVOKED.1);
    let refresh = pool.refresh(stranger.refresh_token()).await;
    assert_refused(refresh, "NotAuthorizedException", "Refresh Token has been revoked");
    let database = PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let familiar = sqlx::query_scalar("select count(*) from familiar_networks where user_pool_id = $1").bind(&pool.id);
    let familiar: i64 = familiar.fetch_one(&database).await.unwrap();
    assert_eq!(familiar, 1, "only who has shown the code is known to be where it did");

    // Another password voids a code that was sent before; sessions go on.
    let tokens = pool.sign_in(&person.username, BETTER).await.unwrap();
    let code = forgotten(&pool, &pool.api, &person, 3).await;
    let change = ChangePasswordRequest {
        access_token: tokens.access_token.clone(),
        previous_password: Some(BETTER.to_owned()),
        proposed_password: Some(PASSWORD.to_owned()),
    };
    pool.api.call(change).await.unwrap();
    let expired = "ExpiredCodeException";
    let refusal = pool.api.call(recover_request(&pool, &person.username, &code)).await.unwrap_err();
    assert_eq!(refusal.exception, expired);
    let code = forgotten(&pool, &pool.api, &person, 4).await;
    let set = AdminSetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        password: Some(BETTER.to_owned()),
        permanent: Some(true),
    };
    pool.api.call(set).await.unwrap();
    let refusal = pool.api.call(recover_request(&pool, &person.username, &code)).await.unwrap_err();
    assert_eq!(refusal.exception, expired);
    pool.get_user(tokens.access_token()).await.expect("sessions go on");
    pool.verify().await;
}

#[tokio::test]
async fn a_password_is_changed_five_times_an_hour() {
    let pool = Pool::create().await;
    let person = pool.person("changing").await;
    let access_token = pool.sign_in(&person.username, PASSWORD).await.unwrap().access_token;
    let change = |previous: &str, proposed: &str| ChangePasswordRequest {
        access_token: access_token.clone(),
        previous_password: Some(previous.to_owned()),
        proposed_password: Some(proposed.to_owned()),
    };
    let passwords = [PASSWORD, BETTER, PASSWORD, BETTER, PASSWORD, BETTER, PASSWORD];
    for pair in passwords.windows(2).take(5) {
        pool.api.call(change(pair[0], pair[1])).await.unwrap();
    }
    let refusal = pool.api.call(change(passwords[5], passwords[6])).await.unwrap_err();
    assert_eq!(refusal.pair(), LIMIT);
    assert!(refusal.retry_after.is_some_and(|wait| wait.as_secs() > 60), "{refusal:?}");
    pool.verify().await;
}

/// Two processes with production's limits, on a database of their own.
fn limited() -> &'static [Dev; 2] {
    static LIMITED: LazyLock<[Dev; 2]> = LazyLock::new(|| {
        let environment = environment();
        environment.postgres.create_database("limited");
        ["limited-1", "limited-2"].map(|name| {
            start_dev(&DevOptions {
                name,
                database_url: &environment.postgres.url("limited"),
                kafka_brokers: &environment.kafka.bootstrap,
                kafka_prefix: "limited.",
                master_keys_file: &environment.master_keys_file,
                public_url: &environment.public_url,
                http_addr: "127.0.0.1:0",
                log_filter: "info",
                arguments: &["--production-limits", "--limits-guesses-by-caller", "20", "--limits-replicas", "2"],
            })
        })
    });
    &LIMITED
}

async fn limited_pool(pool: CreateUserPoolRequest, client: CreateUserPoolClientRequest) -> Pool {
    let processes = tokio::task::spawn_blocking(limited).await.expect("the processes start");
    Pool::create_by(Api::of(processes), pool, client).await
}

#[tokio::test]
async fn one_network_has_a_limit_of_codes() {
    let pool = limited_pool(
        CreateUserPoolRequest { auto_verified_attributes: texts(&["phone_number", "email"]), ..Default::default() },
        password_client(),
    )
    .await;
    let [stranger, other, _] = ELSEWHERE.map(|address| at(&pool, address));
    // At most twenty of them an hour go out as SMS.
    let requests: Vec<_> =
        (0..30).map(|_| pool.sign_up_request(&unique("sms"), &[("phone_number", &unique_phone())])).collect();
    let answers = join_all(requests.into_iter().map(|request| patiently(&stranger, request))).await;
    let sent = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!((sent, refused(&answers, LIMIT.0)), (20, 10));
    let waits = answers.iter().filter_map(|answer| answer.as_ref().err()?.retry_after);
    assert!(waits.into_iter().all(|wait| wait.as_secs() > 60));
    let request = pool.sign_up_request(&unique("sms"), &[("phone_number", &unique_phone())]);
    patiently(&other, request).await.expect("others may");

    // At most ten go to one address, whoever signs up with it.
    let address = format!("{}@example.com", unique("victim"));
    let requests: Vec<_> = (0..12).map(|_| pool.sign_up_request(&unique("mail"), &[("email", &address)])).collect();
    let answers = join_all(requests.into_iter().map(|request| patiently(&other, request))).await;
    let sent = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!((sent, refused(&answers, LIMIT.0)), (10, 2));
    pool.api.messages_for(&address, 10).await;
    pool.verify().await;
}

/// Calls as an application does: tries again after a refusal by capacity or quota.
async fn patiently<Req: Request + Clone>(api: &Api, request: Req) -> Result<Req::Response, Refusal> {
    api.call(request).await
}

#[tokio::test]
async fn one_network_has_a_limit_of_guesses_at_unfamiliar_users() {
    let pool = limited_pool(email_pool(), password_client()).await;
    let mut people = Vec::new();
    for _ in 0..30 {
        let name = unique("guessed");
        let (user_pool_id, username) = (Some(pool.id.clone()), Some(name.clone()));
        pool.create_user(&name, &[], PASSWORD).await;
        let set = AdminSetUserPasswordRequest {
            user_pool_id,
            username,
            password: Some(PASSWORD.to_owned()),
            permanent: Some(true),
        };
        patiently(&pool.api, set).await.unwrap();
        people.push(name);
    }
    let (stranger, owner) = (at(&pool, ELSEWHERE[0]), at(&pool, ELSEWHERE[1]));
    patiently(&owner, pool.sign_in_request(&people[0], PASSWORD)).await.unwrap();
    // The owner of one account shares a network with the caller who guesses at all the others.
    let neighbour = pool.sign_in_request(&people[29], PASSWORD);
    patiently(&stranger, neighbour.clone()).await.unwrap();
    let mut heard = 0;
    for name in &people[..28] {
        match stranger.call_once(pool.sign_in_request(name, WRONG_PASSWORD)).await {
            Err(refusal) if refusal.pair() == WRONG => heard += 1,
            Err(refusal) => assert_eq!(refusal.exception, "TooManyRequestsException"),
            Ok(_) => panic!("a wrong password is taken"),
        }
    }
    assert_eq!(heard, 20);
    let right = stranger.call_once(pool.sign_in_request(&people[28], PASSWORD)).await.unwrap_err();
    assert_eq!(right.exception, "TooManyRequestsException", "the right one is not heard either");
    assert!(right.retry_after.is_some_and(|wait| wait.as_secs() > 10), "{right:?}");
    patiently(&stranger, neighbour).await.expect("where it is known, a user comes in whoever else is there");
    patiently(&owner, pool.sign_in_request(&people[1], PASSWORD)).await.expect("others are elsewhere");
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_that_uses_up_its_quota_leaves_others_theirs() {
    let pool = limited_pool(email_pool(), password_client()).await;
    let other = limited_pool(email_pool(), password_client()).await;
    let list = |pool: &Pool| ListUsersRequest { user_pool_id: Some(pool.id.clone()), ..Default::default() };
    let answers = burst(&pool.api, (0..200).map(|_| list(&pool))).await;
    let exceeded = answers.iter().filter_map(|answer| answer.as_ref().err()).inspect(|refusal| {
        assert_eq!(refusal.pair(), ("TooManyRequestsException", "Rate exceeded"));
        assert!(refusal.retry_after.is_some());
    });
    // Thirty a second; each of two replicas has half.
    assert!(exceeded.count() >= 50, "{}", answers.iter().filter(|answer| answer.is_ok()).count());
    other.api.call_once(list(&other)).await.expect("the quota of another pool");
    // Calls without a token of the pool use up nothing of its quota.
    let forged = GetUserRequest { access_token: Some("forged".to_owned()) };
    let answers = burst(&pool.api, (0..200).map(|_| forged.clone())).await;
    assert_eq!(refused(&answers, "NotAuthorizedException"), 200);
    pool.verify().await;
    other.verify().await;
}

#[tokio::test]
async fn the_page_of_a_link_spends_the_quota_of_its_operation() {
    let pool = limited_pool(email_pool(), password_client()).await;
    let http = pool.api.next().http;
    let exceeded = async || {
        let told = crate::support::http::get(http, "/metrics").await.text();
        let name = r#"userpool_quota_exceeded_total{category="QUOTA_CATEGORY_USER_CREATION"} "#;
        told.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = exceeded().await;
    let link =
        format!("/{}/confirmUser?client_id={}&user_name=nobody&confirmation_code=123456", pool.id, pool.client_id);
    let press = || crate::support::http::send(http, "POST", &link, &[], b"");
    let pages = join_all((0..200).map(|_| press())).await;
    assert!(exceeded().await > before, "not all of so many at once");
    assert!(pages.iter().any(|page| page.text().contains("Please try again")), "the link may be good");
    pool.verify().await;
}

/// Strangers can't make a pool keep more facts about unknown names than its bound.
#[tokio::test]
async fn facts_about_nobody_are_bounded() {
    let pool = Pool::create_with(email_pool(), hiding_client()).await;
    let stranger = at(&pool, ELSEWHERE[2]);
    for _ in 0..5 {
        let names: Vec<_> = (0..300).map(|_| unique("nobody")).collect();
        burst(&stranger, names.iter().map(|name| pool.confirm_request(name, "000000"))).await;
    }
    let database = PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let facts: i64 =
        sqlx::query_scalar("select count(*) from activity where user_pool_id = $1 and type = 'user.code_refused'")
            .bind(&pool.id)
            .fetch_one(&database)
            .await
            .unwrap();
    assert!(facts <= 900, "{facts} facts");
    pool.verify().await;
}

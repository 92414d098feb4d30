//! Answers and their times do not show whether a user exists.

use std::time::{Duration, Instant};

use userpool::proto::v1::{
    AdminDisableUserRequest, ConfirmForgotPasswordRequest, CreateUserPoolClientRequest, CreateUserPoolRequest,
    ForgotPasswordRequest, ResendConfirmationCodeRequest,
};

use crate::support::client::assert_refused;
use crate::support::one_time_codes::{answer, by_email, pool_with_codes};
use crate::support::pool::{Pool, email_pool, password_client, texts, unique};
use crate::support::srp_client::Client;

const SAMPLES: usize = 40;
const WRONG: &str = "Wrong-horse-7";
const WRONG_CODE: (&str, &str) = ("CodeMismatchException", "Invalid verification code provided, please try again.");

/// The distance of two samples by Kolmogorov and Smirnov: the largest difference, over all durations, between the
/// shares of either that took at most as long. 0 for equal samples, 1 for samples that don't overlap.
fn distance(one: &[Duration], other: &[Duration]) -> f64 {
    ahead(one, other).max(ahead(other, one))
}

/// How much larger the first sample's share is, at most, that took at most a given time.
fn ahead(first: &[Duration], second: &[Duration]) -> f64 {
    let share = |sample: &[Duration], limit: Duration| {
        sample.iter().filter(|took| **took <= limit).count() as f64 / sample.len() as f64
    };
    first.iter().map(|limit| share(first, *limit) - share(second, *limit)).fold(0.0, f64::max)
}

/// The distance that two samples of one distribution exceed once in a million cases, by Smirnov: the square root of
/// `ln(2 / p) / n` for two samples of size `n`.
fn limit(samples: usize) -> f64 {
    ((2.0_f64 / 1e-6).ln() / samples as f64).sqrt()
}

/// Asserts that the times at known and unknown names have one distribution. They are measured in turn, so that the
/// machine's other load slows both alike and does not change what chance can tell apart.
fn assert_alike(what: &str, known: &[Duration], unknown: &[Duration]) {
    let (distance, limit) = (distance(known, unknown), limit(known.len()));
    let median = |sample: &[Duration]| {
        let mut sorted = sample.to_vec();
        sorted.sort();
        sorted[sorted.len() / 2]
    };
    let medians = (median(known), median(unknown));
    assert!(distance < limit, "{what}: distance {distance:.2}, limit {limit:.2}, medians {medians:?}");
}

/// Asserts the same of two times that are measured one after the other, at these names and at as many that nobody has.
async fn assert_each_alike(names: &[String], what: [&str; 2], times: impl AsyncFn(&str) -> (Duration, Duration)) {
    let (mut known, mut unknown) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for name in names {
        for (name, [first, second]) in [(name, &mut known), (&unique("nobody"), &mut unknown)] {
            let took = times(name).await;
            first.push(took.0);
            second.push(took.1);
        }
    }
    for ((what, known), unknown) in what.into_iter().zip(&known).zip(&unknown) {
        assert_alike(what, known, unknown);
    }
}

#[test]
fn the_measure_tells_what_takes_longer_from_what_does_not() {
    let milliseconds = |all: &[u64]| all.iter().map(|it| Duration::from_millis(*it)).collect::<Vec<_>>();
    let (few, same) = (milliseconds(&[5, 1, 9, 3]), milliseconds(&[9, 3, 5, 1]));
    assert_eq!(distance(&few, &same), 0.0);
    assert_eq!(distance(&few, &milliseconds(&[10, 11, 12, 13])), 1.0);
    assert_eq!(distance(&milliseconds(&[10, 11, 12, 13]), &few), 1.0);
    assert_eq!(distance(&few, &milliseconds(&[3, 4, 6, 12])), 0.25);
    assert!((0.59..0.61).contains(&limit(SAMPLES)), "{}", limit(SAMPLES));
}

async fn hiding_pool(request: CreateUserPoolRequest) -> Pool {
    let hiding =
        CreateUserPoolClientRequest { prevent_user_existence_errors: Some("ENABLED".into()), ..password_client() };
    Pool::create_with(request, hiding).await
}

/// The time until a wrong password at a name is refused.
async fn refusal(pool: &Pool, name: &str) -> Duration {
    let began = Instant::now();
    assert_refused(pool.sign_in(name, WRONG).await, "NotAuthorizedException", "Incorrect username or password.");
    began.elapsed()
}

/// Each name gets one guess, since a second one would find the count of the first.
#[tokio::test]
async fn a_wrong_password_takes_as_long_at_a_name_that_nobody_has() {
    let pool = hiding_pool(CreateUserPoolRequest::default()).await;
    let mut names = Vec::new();
    for _ in 0..SAMPLES {
        let name = unique("known");
        pool.sign_up(&name, &[]).await.unwrap();
        names.push(name);
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for name in &names {
        known.push(refusal(&pool, name).await);
        unknown.push(refusal(&pool, &unique("nobody")).await);
    }
    assert_alike("a wrong password", &known, &unknown);
    pool.verify().await;
}

/// The times until a request for a code is answered, and until a wrong guess at it is refused.
async fn forgotten(pool: &Pool, name: &str) -> (Duration, Duration) {
    let (client_id, username) = (Some(pool.client_id.clone()), Some(name.to_owned()));
    let request =
        ForgotPasswordRequest { client_id: client_id.clone(), username: username.clone(), ..Default::default() };
    let began = Instant::now();
    pool.api.call(request).await.unwrap();
    let asked = began.elapsed();
    let request = ConfirmForgotPasswordRequest {
        client_id,
        username,
        confirmation_code: Some("no-code".to_owned()),
        password: Some("Better-horse-2".to_owned()),
        ..Default::default()
    };
    let began = Instant::now();
    assert_refused(pool.api.call(request).await, WRONG_CODE.0, WRONG_CODE.1);
    (asked, began.elapsed())
}

#[tokio::test]
async fn a_forgotten_password_takes_as_long_at_a_name_that_nobody_has() {
    let pool = hiding_pool(email_pool()).await;
    let mut names = Vec::new();
    for _ in 0..SAMPLES {
        names.push(pool.person("known").await.username);
    }
    assert_each_alike(&names, ["asking for a code", "guessing it"], async |name| forgotten(&pool, name).await).await;
    pool.verify().await;
}

/// The times until a wrong guess at a sign-up's code is refused, and until another code is sent.
async fn unconfirmed(pool: &Pool, name: &str) -> (Duration, Duration) {
    let began = Instant::now();
    assert_refused(pool.confirm(name, "no-code").await, WRONG_CODE.0, WRONG_CODE.1);
    let guessed = began.elapsed();
    let request = ResendConfirmationCodeRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(name.to_owned()),
        ..Default::default()
    };
    let began = Instant::now();
    pool.api.call(request).await.unwrap();
    (guessed, began.elapsed())
}

#[tokio::test]
async fn a_code_of_a_sign_up_takes_as_long_at_a_name_that_nobody_has() {
    let aliases = vec!["email".to_owned()];
    let pool = hiding_pool(CreateUserPoolRequest { alias_attributes: aliases, ..email_pool() }).await;
    let mut names = Vec::new();
    for index in 0..SAMPLES {
        let name = unique("known");
        pool.sign_up(&name, &[("email", &format!("{name}@example.com"))]).await.unwrap();
        if index % 2 == 0 {
            let (user_pool_id, username) = (Some(pool.id.clone()), Some(name.clone()));
            pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
        }
        names.push(name);
    }
    assert_each_alike(&names, ["guessing a code", "asking for another"], async |name| unconfirmed(&pool, name).await)
        .await;
    pool.verify().await;
}

/// The times until a proof of a password is asked for, and until a wrong one is refused.
async fn proof_by_srp(pool: &Pool, client: &Client, name: &str) -> (Duration, Duration) {
    let began = Instant::now();
    let challenge = pool.begin_srp(client, name).await.unwrap();
    let asked = began.elapsed();
    let proof = pool.verifier_request(client, &challenge, WRONG);
    let began = Instant::now();
    assert_refused(pool.api.call(proof).await, "NotAuthorizedException", "Incorrect username or password.");
    (asked, began.elapsed())
}

#[tokio::test]
async fn a_proof_by_srp_takes_as_long_at_a_name_that_nobody_has() {
    let hiding = CreateUserPoolClientRequest {
        prevent_user_existence_errors: Some("ENABLED".into()),
        explicit_auth_flows: texts(&["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]),
        ..Default::default()
    };
    let (pool, client) = (Pool::create_with(CreateUserPoolRequest::default(), hiding).await, Client::new());
    let mut names = Vec::new();
    for _ in 0..SAMPLES {
        let name = unique("known");
        pool.sign_up(&name, &[]).await.unwrap();
        names.push(name);
    }
    assert_each_alike(&names, ["asking for a proof", "a wrong proof"], async |name| {
        proof_by_srp(&pool, &client, name).await
    })
    .await;
    pool.verify().await;
}

/// The times until a code in the place of a password is asked for, and until a wrong one is refused.
async fn code_as_password(pool: &Pool, name: &str) -> (Duration, Duration) {
    let began = Instant::now();
    let challenge = by_email(pool, name).await.unwrap();
    let asked = began.elapsed();
    let guess = answer(pool, name, challenge.session(), ("EMAIL", "no-code"));
    let began = Instant::now();
    assert_refused(pool.api.call(guess).await, WRONG_CODE.0, WRONG_CODE.1);
    (asked, began.elapsed())
}

#[tokio::test]
async fn a_code_in_the_place_of_a_password_takes_as_long_at_a_name_that_nobody_has() {
    let pool = pool_with_codes("ENABLED").await;
    let mut names = Vec::new();
    for _ in 0..SAMPLES {
        names.push(pool.person("known").await.username);
    }
    assert_each_alike(&names, ["asking for a code to sign in with", "guessing it"], async |name| {
        code_as_password(&pool, name).await
    })
    .await;
    pool.verify().await;
}

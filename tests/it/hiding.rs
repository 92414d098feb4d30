//! Whether a user exists is hidden in time as well as in the answer.

use std::time::{Duration, Instant};

use userpool::proto::v1::{
    ConfirmForgotPasswordRequest, CreateUserPoolClientRequest, CreateUserPoolRequest, ForgotPasswordRequest,
};

use crate::support::client::assert_refused;
use crate::support::pool::{Pool, email_pool, password_client, unique};

const SAMPLES: usize = 30;
const WRONG: &str = "Wrong-horse-7";

/// How long a wrong password at a name takes to be refused.
async fn refusal(pool: &Pool, name: &str) -> Duration {
    let began = Instant::now();
    assert_refused(pool.sign_in(name, WRONG).await, "NotAuthorizedException", "Incorrect username or password.");
    began.elapsed()
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    samples[samples.len() / 2]
}

/// Taken in turn, so that whatever else the machine does slows both alike. Each name is guessed at once, since a second
/// guess would meet the count of the first.
#[tokio::test]
async fn a_wrong_password_takes_as_long_at_a_name_that_nobody_has() {
    let hiding =
        CreateUserPoolClientRequest { prevent_user_existence_errors: Some("ENABLED".into()), ..password_client() };
    let pool = Pool::create_with(CreateUserPoolRequest::default(), hiding).await;
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
    let (known, unknown) = (median(known), median(unknown));
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    // What an unknown name would save, the hash, is more than nine tenths of the time.
    assert!((0.6..1.67).contains(&ratio), "a known name takes {known:?}, an unknown one {unknown:?}");
    pool.verify().await;
}

/// How long it takes to be told that a code went out, and that a guess at it is wrong.
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
    let message = "Invalid verification code provided, please try again.";
    assert_refused(pool.api.call(request).await, "CodeMismatchException", message);
    (asked, began.elapsed())
}

#[tokio::test]
async fn a_forgotten_password_takes_as_long_at_a_name_that_nobody_has() {
    let hiding =
        CreateUserPoolClientRequest { prevent_user_existence_errors: Some("ENABLED".into()), ..password_client() };
    let pool = Pool::create_with(email_pool(), hiding).await;
    let mut people = Vec::new();
    for _ in 0..SAMPLES {
        people.push(pool.person("known").await);
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for person in &people {
        known.push(forgotten(&pool, &person.username).await);
        unknown.push(forgotten(&pool, &unique("nobody")).await);
    }
    for (what, of) in [("asking", (|it| it.0) as fn(&(Duration, Duration)) -> Duration), ("guessing", |it| it.1)] {
        let [known, unknown] = [&known, &unknown].map(|samples| median(samples.iter().map(of).collect()));
        let ratio = known.as_secs_f64() / unknown.as_secs_f64();
        // A message more in the same transaction is all that differs.
        assert!((0.6..1.67).contains(&ratio), "{what}: a known name takes {known:?}, an unknown one {unknown:?}");
    }
    pool.verify().await;
}

//! Whether a user exists is hidden in time as well as in the answer.

use std::time::{Duration, Instant};

use userpool::proto::v1::{CreateUserPoolClientRequest, CreateUserPoolRequest};

use crate::support::client::assert_refused;
use crate::support::pool::{Pool, password_client, unique};

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

//! Codes as rows: each code counts, whatever becomes of it, and a guess counts for the code at which it was made.

use userpool::domain::error::{Error, Exception};
use userpool::domain::rate::{Limited, Rate, RateKind};
use userpool::domain::source::{Source, Tally};
use userpool::domain::user::codes::SentCode;
use userpool::proto::events::CodePurpose;
use userpool::store::commit::{Kept, OperationalRow, Trial};
use userpool::store::error::StoreError;
use userpool::store::loaded::LoadedUser;
use userpool::store::read::Wanted;

use super::{Commits, Database, Happens, Pool, commands};

const PURPOSE: CodePurpose = CodePurpose::VerifyEmail;

/// A user to whom codes are sent.
struct Scenario {
    database: Database,
    pool: Pool,
    user: LoadedUser,
}

impl Scenario {
    async fn create() -> Self {
        let database = Database::create().await;
        let pool = Pool::create(&database.store).await;
        let user = pool.user("jane").await.unwrap();
        Self { database, pool, user }
    }

    async fn write(&self, row: OperationalRow) -> Result<(), StoreError> {
        self.database.store.commit(self.pool.commit().operational([row]).happened(&self.user, Vec::new())).await
    }

    /// Stores a code in the place of `before`, as the first of its hour.
    async fn send(&self, hash: &[u8], before: Option<&[u8]>) -> Result<(), StoreError> {
        let at = self.pool.now();
        let code = SentCode {
            hash: hash.to_vec(),
            attribute: "email".to_owned(),
            asked_from: None,
            attempts: Tally::default(),
            expires_at: at.plus_seconds(60 * 60),
            sent: Tally { familiar: 1, strange: 0 },
            window_began: at,
        };
        let before = before.map(<[u8]>::to_vec);
        self.write(OperationalRow::Code {
            sub: self.user.state.sub,
            purpose: PURPOSE,
            kept: Kept::ForUser,
            code,
            before,
        })
        .await
    }

    /// Stores a wrong guess at a code, with the number of guesses from familiar networks that the caller read.
    async fn guess(&self, hash: &[u8], familiar: i32) -> Result<(), StoreError> {
        let attempts = Tally { familiar, strange: 0 };
        self.tried(hash, familiar, Trial::Wrong(attempts.and_one(Source::Familiar))).await
    }

    async fn spend(&self, hash: &[u8], familiar: i32) -> Result<(), StoreError> {
        self.tried(hash, familiar, Trial::Spent).await
    }

    async fn tried(&self, hash: &[u8], familiar: i32, outcome: Trial) -> Result<(), StoreError> {
        let (sub, hash, attempts) = (self.user.state.sub, hash.to_vec(), Tally { familiar, strange: 0 });
        let row = OperationalRow::CodeTried { sub, purpose: PURPOSE, kept: Kept::ForUser, hash, attempts, outcome };
        self.write(row).await
    }

    async fn kept(&self) -> SentCode {
        let wanted = Wanted { sub: Some(self.user.state.sub), code: Some(PURPOSE), ..Wanted::default() };
        self.database.store.read(&self.pool.id, None, wanted).await.unwrap().code.expect("a code")
    }
}

fn is_stale(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Stale))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_codes_in_the_place_of_one_only_the_first_is_sent_also_where_a_new_hour_begins() {
    let scenario = Scenario::create().await;
    scenario.send(b"first", None).await.unwrap();
    assert!(is_stale(scenario.send(b"other", None).await));
    // Both would be the first code of their hour.
    scenario.send(b"second", Some(b"first")).await.unwrap();
    assert!(is_stale(scenario.send(b"third", Some(b"first")).await));
    assert_eq!(scenario.kept().await.hash, b"second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guess_at_a_code_that_was_replaced_is_no_guess_at_the_new_one() {
    let scenario = Scenario::create().await;
    scenario.send(b"first", None).await.unwrap();
    scenario.send(b"second", Some(b"first")).await.unwrap();
    assert!(is_stale(scenario.guess(b"first", 0).await));
    assert!(is_stale(scenario.spend(b"first", 0).await));
    assert_eq!(scenario.kept().await.attempts.sum(), 0);
    scenario.guess(b"second", 0).await.unwrap();
    assert!(is_stale(scenario.guess(b"second", 0).await), "two guesses count as two");
    assert_eq!(scenario.kept().await.attempts.sum(), 1);
    scenario.spend(b"second", 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_guess_asserts_the_wrong_ones_that_it_was_read_with() {
    let scenario = Scenario::create().await;
    scenario.send(b"first", None).await.unwrap();
    scenario.guess(b"first", 0).await.unwrap();
    for outcome in [Trial::Spent, Trial::Asserted] {
        assert!(is_stale(scenario.tried(b"first", 0, outcome).await), "a wrong one came between");
    }
    scenario.tried(b"first", 1, Trial::Asserted).await.unwrap();
    assert_eq!(scenario.kept().await.hash, b"first", "it stays");
    scenario.tried(b"first", 1, Trial::Spent).await.unwrap();
    assert!(is_stale(scenario.tried(b"first", 1, Trial::Asserted).await));
}

/// Many requests at once spend no more than is allowed, and a refused one writes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_spent_by_no_more_than_are_allowed_however_many_come_at_once() {
    let scenario = Scenario::create().await;
    let limited = Limited { kind: RateKind::CodesToAddress, key: vec![7], rate: Rate::an_hour(5).unwrap() };
    let spend = || scenario.write(OperationalRow::RatesSpent(vec![limited.clone()]));
    let written = futures::future::join_all((0..40).map(|_| spend())).await;
    let (done, refused): (Vec<_>, Vec<_>) = written.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (5, 35));
    for refusal in refused {
        let error = refusal.unwrap_err();
        assert!(error.is_limit(RateKind::CodesToAddress) && !error.is_limit(RateKind::SmsByCaller), "{error}");
        let error = Error::from(error);
        assert_eq!(error.exception, Exception::LimitExceededException);
        assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(720)));
    }
    let asserted = || scenario.write(OperationalRow::RateAsserted(limited.clone()));
    assert!(asserted().await.unwrap_err().is_limit(RateKind::CodesToAddress));
    sqlx::query("update rates set arrival = arrival - interval '12 minutes'")
        .execute(scenario.database.sql())
        .await
        .unwrap();
    asserted().await.unwrap();
    spend().await.unwrap();
    assert!(asserted().await.is_err());
    scenario.database.store.sweep(scenario.pool.now().plus_seconds(3 * 60 * 60)).await.unwrap();
    let rates: i64 = sqlx::query_scalar("select count(*) from rates").fetch_one(scenario.database.sql()).await.unwrap();
    assert_eq!(rates, 0, "what is over is swept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_spent_proves_nothing_and_counts_until_its_hour_is_over() {
    let scenario = Scenario::create().await;
    scenario.send(b"first", None).await.unwrap();
    let sent = scenario.kept().await;
    scenario.spend(b"first", 0).await.unwrap();
    assert!(is_stale(scenario.spend(b"first", 0).await), "once");
    let spent = scenario.kept().await;
    assert_ne!(spent.hash, sent.hash);
    assert!(spent.expires_at <= scenario.pool.now());
    assert_eq!((spent.sent, spent.window_began), (sent.sent, sent.window_began));
    assert!(is_stale(scenario.send(b"second", Some(b"first")).await), "it counted as one that was not spent");

    let codes = async |now| {
        scenario.database.store.sweep(now).await.unwrap();
        sqlx::query_scalar::<_, i64>("select count(*) from codes").fetch_one(scenario.database.sql()).await.unwrap()
    };
    assert_eq!(codes(sent.window_began.plus_seconds(60 * 60)).await, 1);
    assert_eq!(codes(sent.window_began.plus_seconds(60 * 60 + 1)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn right_codes_give_no_right_to_more_codes_in_an_hour() {
    let database = Database::create().await;
    let app = commands::app(database.store.clone());
    let pool = commands::create_pool(&app, commands::pool_request()).await.unwrap();
    let client = commands::create_client(&app, &pool).await.unwrap();
    commands::sign_up(&app, &client, "jane", "jane@example.com").await.unwrap();
    let code = async || commands::sent_codes(&app).await.pop().expect("a code").1;
    commands::confirm(&app, &client, "jane", &code().await, false).await.unwrap();
    let token = commands::sign_in(&app, &client, "jane", commands::PASSWORD).await.unwrap().access;
    for _ in 0..5 {
        commands::ask_for_code(&app, &token).await.unwrap();
        let code = code().await;
        commands::prove_email(&app, &token, &code).await.unwrap();
        let again = commands::prove_email(&app, &token, &code).await;
        assert_eq!(again, Err(Exception::ExpiredCodeException), "it is spent");
        app.store.sweep(app.clock.now()).await.unwrap();
    }
    assert_eq!(commands::ask_for_code(&app, &token).await, Err(Exception::LimitExceededException));
    sqlx::query("update codes set window_began = window_began - interval '1 hour'")
        .execute(database.sql())
        .await
        .unwrap();
    commands::ask_for_code(&app, &token).await.unwrap();
    database.assert_verified().await;
}

//! Codes as they are kept: each counts, whatever becomes of it, and a guess is at the code that it was made for.

use userpool::domain::error::Exception;
use userpool::domain::user::codes::SentCode;
use userpool::proto::events::CodePurpose;
use userpool::store::commit::{LoadedUser, OperationalRow};
use userpool::store::error::StoreError;
use userpool::store::read::Wanted;

use super::{Database, Pool, commands};

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
        let commit = self.pool.commit().user(&self.user, Vec::new());
        self.database.store.commit(commit.operational([row])).await
    }

    /// A code in the place of another one, the first of an hour.
    async fn send(&self, hash: &[u8], before: Option<&[u8]>) -> Result<(), StoreError> {
        let at = self.pool.now();
        let code = SentCode {
            hash: hash.to_vec(),
            attribute: "email".to_owned(),
            attempts: 0,
            expires_at: at.plus_seconds(60 * 60),
            sent: 1,
            window_began: at,
        };
        let before = before.map(<[u8]>::to_vec);
        self.write(OperationalRow::Code { sub: self.user.state.sub, purpose: PURPOSE, code, before }).await
    }

    async fn guess(&self, hash: &[u8], attempts: i32) -> Result<(), StoreError> {
        let (sub, hash) = (self.user.state.sub, hash.to_vec());
        self.write(OperationalRow::CodeGuessed { sub, purpose: PURPOSE, hash, attempts }).await
    }

    async fn spend(&self, hash: &[u8]) -> Result<(), StoreError> {
        let (sub, hash) = (self.user.state.sub, hash.to_vec());
        self.write(OperationalRow::CodeSpent { sub, purpose: PURPOSE, hash }).await
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
    // Both would be the first of their hour.
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
    assert!(is_stale(scenario.spend(b"first").await));
    assert_eq!(scenario.kept().await.attempts, 0);
    scenario.guess(b"second", 0).await.unwrap();
    assert!(is_stale(scenario.guess(b"second", 0).await), "two guesses count as two");
    assert_eq!(scenario.kept().await.attempts, 1);
    scenario.spend(b"second").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_spent_proves_nothing_and_counts_until_its_hour_is_over() {
    let scenario = Scenario::create().await;
    scenario.send(b"first", None).await.unwrap();
    let sent = scenario.kept().await;
    scenario.spend(b"first").await.unwrap();
    assert!(is_stale(scenario.spend(b"first").await), "once");
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

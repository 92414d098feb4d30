//! Connections that break between any two statements of a command: the command is done completely or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use userpool::app::App;
use userpool::domain::error::Exception;
use userpool::store::models::tables::{Owner, owners};

use super::commands::{self, Answer, Tokens, app};
use super::proxy::Proxy;
use super::{Commits, Database, Happens, Pool, signed_out};

/// Every table that a command can write.
fn tables() -> Vec<&'static str> {
    let written = |(table, owner): &(&str, Owner)| match owner {
        Owner::Aggregate(_) | Owner::Operational => true,
        Owner::Module(_) => ["log", "activity", "purges"].contains(table),
    };
    owners().filter(written).map(|(table, _)| table).collect()
}

/// More statements than any command has.
const MOST_STATEMENTS: usize = 60;

/// For each table, the number of its rows and a digest of them.
pub type Content = BTreeMap<&'static str, (i64, Option<String>)>;

pub async fn content<'a>(database: &Database, tables: impl IntoIterator<Item = &'a &'static str>) -> Content {
    let mut content = Content::new();
    for table in tables {
        let statement =
            format!("select count(*), md5(string_agg(md5(t::text), '' order by md5(t::text))) from {table} t");
        let row = sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_one(database.sql()).await.unwrap();
        content.insert(*table, row);
    }
    content
}

/// The tables that changed, with the change in their number of rows.
fn growth(before: &Content, after: &Content) -> BTreeMap<&'static str, i64> {
    let changed = before.iter().filter(|(table, content)| after[*table] != **content);
    changed.map(|(table, (rows, _))| (*table, after[table].0 - rows)).collect()
}

/// How long the database is away after a connection broke.
const AWAY: Duration = Duration::from_millis(120);

/// Runs a command over a connection that breaks after this many statements. If the database is away then, it comes back
/// soon.
async fn broken<Subject>(
    proxy: &Proxy,
    app: &App,
    subject: &Subject,
    run: &impl AsyncFn(&App, &Subject) -> Answer,
    (statement, is_away): (usize, bool),
) -> Answer {
    if is_away {
        proxy.close_with_cut();
    }
    proxy.cut_after(statement);
    let (answered, comes_back) = (CancellationToken::new(), async {
        while !proxy.is_closed() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(AWAY).await;
        proxy.open();
    });
    let command = async {
        let answer = run(app, subject).await;
        answered.cancel();
        answer
    };
    let (answer, _) = tokio::join!(command, answered.run_until_cancelled(comes_back));
    proxy.open();
    answer
}

/// Runs a command repeatedly. Each time the connection breaks one statement later, until it does not break. Every
/// second time the database is away for a moment as well.
///
/// The place is made once; the subject is prepared anew each time, with its own number.
async fn breaks_anywhere<Place, Subject>(
    place: impl AsyncFn(&App) -> Place,
    prepare: impl AsyncFn(&App, &Place, usize) -> Subject,
    run: impl AsyncFn(&App, &Subject) -> Answer,
) {
    let database = Database::create().await;
    let proxy = Proxy::start(database.address()).await;
    let (direct, proxied) = (app(database.store.clone()), app(database.another_store(Some(proxy.address)).await));
    let place = place(&direct).await;
    let subject = prepare(&direct, &place, 0).await;
    let before = content(&database, &tables()).await;
    run(&proxied, &subject).await.expect("the undisturbed command");
    let everything = growth(&before, &content(&database, &tables()).await);
    assert!(!everything.is_empty(), "the command writes something");

    for number in 1..2 * MOST_STATEMENTS {
        let (statement, is_away) = (number.div_ceil(2), number % 2 == 0);
        let subject = prepare(&direct, &place, number).await;
        let before = content(&database, &tables()).await;
        let answer = broken(&proxy, &proxied, &subject, &run, (statement, is_away)).await;
        let cut = proxy.has_cut();
        let grown = growth(&before, &content(&database, &tables()).await);
        match answer {
            Ok(()) => assert_eq!(grown, everything, "after statement {statement}: it was answered and happened"),
            Err(exception) => {
                assert!(cut, "{exception:?} without a reason");
                assert_eq!(exception, Exception::ServiceUnavailableException, "after statement {statement}");
                assert_eq!(grown, BTreeMap::new(), "after statement {statement}: it was refused");
                let before = content(&database, &tables()).await;
                run(&proxied, &subject).await.expect("another try");
                let grown = growth(&before, &content(&database, &tables()).await);
                assert_eq!(grown, everything, "after statement {statement}: another try");
            }
        }
        database.assert_verified().await;
        if !cut {
            assert!(statement > 2, "the command has at least a read and a write");
            return;
        }
    }
    panic!("the command has no end");
}

async fn a_pool(app: &App) -> String {
    commands::create_pool(app, commands::pool_request()).await.unwrap()
}

/// A pool with a client.
async fn a_client(app: &App) -> (String, String) {
    let pool = a_pool(app).await;
    let client = commands::create_client(app, &pool).await.unwrap();
    (pool, client)
}

fn named(number: usize) -> String {
    format!("jane-{number}")
}

fn address(number: usize) -> String {
    format!("jane-{number}@example.com")
}

/// The code of a user who has signed up through a client.
async fn registered(app: &App, client: &str, name: &str, email: &str) -> String {
    commands::sign_up(app, client, name, email).await.unwrap();
    commands::sent_codes(app).await.pop().expect("a code").1
}

/// The client and the name of a user who is confirmed.
async fn confirmed(app: &App, client: &str, number: usize) -> (String, String) {
    let (client, name) = (client.to_owned(), named(number));
    let code = registered(app, &client, &name, &address(number)).await;
    commands::confirm(app, &client, &name, &code, false).await.unwrap();
    (client, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn create_user_pool() {
    let create = async |app: &App, (): &()| commands::create_pool(app, commands::pool_request()).await.map(drop);
    breaks_anywhere(async |_| (), async |_, (), _| (), create).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_user_pool() {
    breaks_anywhere(
        async |app| a_pool(app).await,
        async |_, pool, number| (pool.clone(), format!("subject {number}")),
        async |app, (pool, subject)| commands::update_pool(app, pool, Some(subject)).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_user_pool() {
    breaks_anywhere(
        async |_| (),
        async |app, (), _| {
            let (pool, client) = a_client(app).await;
            confirmed(app, &client, 0).await;
            pool
        },
        async |app, pool| commands::delete_pool(app, pool).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn create_user_pool_client() {
    breaks_anywhere(
        async |app| a_pool(app).await,
        async |_, pool, _| pool.clone(),
        async |app, pool| commands::create_client(app, pool).await.map(drop),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_user_pool_client() {
    breaks_anywhere(
        async |app| a_pool(app).await,
        async |app, pool, _| (pool.clone(), commands::create_client(app, pool).await.unwrap()),
        async |app, (pool, client)| commands::delete_client(app, pool, client).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_up() {
    breaks_anywhere(
        async |app| a_client(app).await.1,
        async |_, client, number| (client.clone(), named(number), address(number)),
        async |app, (client, name, email)| commands::sign_up(app, client, name, email).await.map(drop),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resend_confirmation_code() {
    breaks_anywhere(
        async |app| a_client(app).await.1,
        async |app, client, number| {
            registered(app, client, &named(number), &address(number)).await;
            (client.clone(), named(number))
        },
        async |app, (client, name)| commands::resend(app, client, name).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_takes_an_alias_from_another_user() {
    breaks_anywhere(
        async |app| a_client(app).await.1,
        async |app, client, number| {
            confirmed(app, client, number).await;
            let name = format!("joan-{number}");
            let code = registered(app, client, &name, &address(number)).await;
            (client.clone(), name, code)
        },
        async |app, (client, name, code)| commands::confirm(app, client, name, code, true).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn initiate_auth() {
    breaks_anywhere(
        async |app| a_client(app).await.1,
        async |app, client, number| confirmed(app, client, number).await,
        async |app, (client, name)| commands::sign_in(app, client, name, commands::PASSWORD).await.map(drop),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_initiate_auth() {
    breaks_anywhere(
        async |app| a_client(app).await,
        async |app, (pool, client), number| (pool.clone(), confirmed(app, client, number).await),
        async |app, (pool, (client, name))| commands::admin_sign_in(app, pool, client, name).await.map(drop),
    )
    .await;
}

/// Turns a refusal that the command should end with into success.
fn refused_by<T>(answer: Answer<T>, exception: Exception) -> Answer {
    match answer {
        Err(refusal) if refusal == exception => Ok(()),
        Err(other) => Err(other),
        Ok(_) => panic!("it is not refused"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_that_counts() {
    breaks_anywhere(
        async |app| a_client(app).await.1,
        async |app, client, number| confirmed(app, client, number).await,
        async |app, (client, name)| {
            let answer = commands::sign_in(app, client, name, commands::WRONG_PASSWORD).await;
            refused_by(answer, Exception::NotAuthorizedException)
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_that_counts() {
    breaks_anywhere(
        async |app| a_client(app).await.1,
        async |app, client, number| {
            let code = registered(app, client, &named(number), &address(number)).await;
            let wrong = if code == "000000" { "000001" } else { "000000" };
            (client.clone(), named(number), wrong)
        },
        async |app, (client, name, wrong)| {
            let answer = commands::confirm(app, client, name, wrong, false).await;
            refused_by(answer, Exception::CodeMismatchException)
        },
    )
    .await;
}

/// A pool with a client that rotates refresh tokens without grace.
async fn rotating(app: &App) -> (String, String) {
    let (pool, client) = a_client(app).await;
    commands::update_client(app, &pool, &client, true).await.unwrap();
    (pool, client)
}

/// The client, and the first tokens of a user who has signed in through it.
async fn signed_in(app: &App, client: &str, number: usize) -> (String, Tokens) {
    let (client, name) = confirmed(app, client, number).await;
    let tokens = commands::sign_in(app, &client, &name, commands::PASSWORD).await.unwrap();
    (client, tokens)
}

/// A pool that tracks devices, with a client.
async fn tracking(app: &App) -> (String, String) {
    let pool = commands::create_pool(app, commands::tracking_pool_request()).await.unwrap();
    let client = commands::create_client(app, &pool).await.unwrap();
    (pool, client)
}

/// The client, and the tokens of a user who has confirmed a device.
async fn with_device(app: &App, client: &str, number: usize) -> (String, Tokens) {
    let (client, tokens) = signed_in(app, client, number).await;
    commands::confirm_device(app, &tokens).await.unwrap();
    (client, tokens)
}

#[tokio::test(flavor = "multi_thread")]
async fn confirm_device() {
    breaks_anywhere(
        async |app| tracking(app).await.1,
        async |app, client, number| signed_in(app, client, number).await.1,
        async |app, tokens| commands::confirm_device(app, tokens).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forget_device() {
    breaks_anywhere(
        async |app| tracking(app).await.1,
        async |app, client, number| with_device(app, client, number).await.1,
        async |app, tokens| commands::forget_device(app, tokens).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_with_a_device() {
    breaks_anywhere(
        async |app| tracking(app).await.1,
        async |app, client, number| {
            let (client, tokens) = with_device(app, client, number).await;
            (client, named(number), tokens.device.unwrap())
        },
        async |app, (client, name, device)| commands::sign_in_with(app, client, name, device).await.map(drop),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_user_with_a_device() {
    breaks_anywhere(
        async |app| tracking(app).await.1,
        async |app, client, number| with_device(app, client, number).await.1.access,
        async |app, token| commands::delete_user(app, token).await,
    )
    .await;
}

/// A replaced token is not used again: a caller without an answer still has the token that counts.
#[tokio::test(flavor = "multi_thread")]
async fn get_tokens_from_refresh_token() {
    breaks_anywhere(
        async |app| rotating(app).await.1,
        async |app, client, number| signed_in(app, client, number).await,
        async |app, (client, tokens)| commands::refresh(app, client, tokens).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoke_token() {
    breaks_anywhere(
        async |app| a_client(app).await.1,
        async |app, client, number| signed_in(app, client, number).await,
        async |app, (client, tokens)| commands::revoke(app, client, &tokens.refresh).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_an_administrator_who_takes_an_alias_from_another_user() {
    breaks_anywhere(
        async |app| a_client(app).await,
        async |app, (pool, client), number| {
            confirmed(app, client, number).await;
            (pool.clone(), format!("joan-{number}"), address(number))
        },
        async |app, (pool, name, email)| commands::admin_create(app, pool, name, email, true).await.map(drop),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_add_user_to_group() {
    breaks_anywhere(
        async |app| {
            let (pool, client) = a_client(app).await;
            commands::create_group(app, &pool, "readers").await.unwrap();
            (pool, client)
        },
        async |app, (pool, client), number| {
            registered(app, client, &named(number), &address(number)).await;
            (pool.clone(), named(number))
        },
        async |app, (pool, name)| commands::join_group(app, pool, name, "readers").await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_in_the_place_of_a_temporary_one() {
    breaks_anywhere(
        async |app| a_client(app).await,
        async |app, (pool, client), number| {
            commands::admin_create(app, pool, &named(number), &address(number), false).await.unwrap();
            let session = commands::challenge(app, client, &named(number), commands::PASSWORD).await.unwrap();
            (client.clone(), named(number), session)
        },
        async |app, (client, name, session)| commands::new_password(app, client, name, session).await.map(drop),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_an_authenticator_app() {
    breaks_anywhere(
        async |app| {
            let (pool, client) = a_client(app).await;
            commands::set_mfa(app, &pool, true).await.unwrap();
            client
        },
        async |app, client, number| {
            let (client, name) = confirmed(app, client, number).await;
            let tokens = commands::sign_in(app, &client, &name, commands::PASSWORD).await.unwrap();
            let authenticator = commands::set_up_app(app, &tokens.access).await.unwrap();
            let session = commands::challenge(app, &client, &name, commands::PASSWORD).await.unwrap();
            (client, name, session, authenticator)
        },
        async |app, (client, name, session, authenticator)| {
            commands::give_app_code(app, client, name, session, &authenticator.code(1)).await.map(drop)
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_link_provider_for_user() {
    breaks_anywhere(
        async |app| a_client(app).await,
        async |app, (pool, client), number| {
            let (_, name) = confirmed(app, client, number).await;
            (pool.clone(), name, format!("identity-{number}"))
        },
        async |app, (pool, name, identity)| commands::link(app, pool, name, identity).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_group() {
    breaks_anywhere(
        async |app| a_pool(app).await,
        async |app, pool, number| {
            commands::create_group(app, pool, &named(number)).await.unwrap();
            (pool.clone(), named(number))
        },
        async |app, (pool, name)| commands::delete_group(app, pool, name).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn global_sign_out() {
    breaks_anywhere(
        async |app| a_client(app).await.1,
        async |app, client, number| {
            let (client, name) = confirmed(app, client, number).await;
            commands::sign_in(app, &client, &name, commands::PASSWORD).await.unwrap().access
        },
        async |app, token| commands::sign_out(app, token).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_user() {
    breaks_anywhere(
        async |app| a_client(app).await.1,
        async |app, client, number| {
            let (client, name) = confirmed(app, client, number).await;
            commands::sign_in(app, &client, &name, commands::PASSWORD).await.unwrap().access
        },
        async |app, token| commands::delete_user(app, token).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_user_pool_client() {
    breaks_anywhere(
        async |app| a_pool(app).await,
        async |app, pool, _| (pool.clone(), commands::create_client(app, pool).await.unwrap()),
        async |app, (pool, client)| commands::update_client(app, pool, client, true).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_confirm_sign_up() {
    breaks_anywhere(
        async |app| a_client(app).await,
        async |app, (pool, client), number| {
            registered(app, client, &named(number), &address(number)).await;
            (pool.clone(), named(number))
        },
        async |app, (pool, name)| commands::admin_confirm(app, pool, name).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_user_global_sign_out() {
    breaks_anywhere(
        async |app| a_client(app).await,
        async |app, (pool, client), number| (pool.clone(), confirmed(app, client, number).await.1),
        async |app, (pool, name)| commands::admin_sign_out(app, pool, name).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_delete_user() {
    breaks_anywhere(
        async |app| a_client(app).await,
        async |app, (pool, client), number| (pool.clone(), confirmed(app, client, number).await.1),
        async |app, (pool, name)| commands::admin_delete(app, pool, name).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_still_on_its_way_when_its_connection_is_lost_is_waited_for() {
    let database = Database::create().await;
    let proxy = Proxy::start(database.address()).await;
    let store = database.another_store(Some(proxy.address)).await;
    let pool = Pool::create(&store).await;
    let user = pool.user("jane").await.unwrap();
    let release = proxy.hold_commit();
    let commit = pool.commit().happened(&user, vec![signed_out(2)]);
    let commit = tokio::spawn(async move { store.commit(commit).await });
    assert!(database.locked(1, || commit.is_finished()).await, "the commit asks for its event");
    release.send(()).expect("the proxy waits");
    commit.await.unwrap().expect("the commit is found");
    database.assert_verified().await;
}

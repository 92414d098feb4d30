//! Replay equals the live tables, whatever happened: random commands through the rules, by two processes at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use userpool::app::App;
use userpool::domain::error::Exception;

use super::Database;
use super::commands::{self, Answer, Tokens};
use super::crash::content;

/// So many sequences, unless `PROPTEST_CASES` names another number.
const SEQUENCES: u32 = 40;
const READ_MODELS: [&str; 5] = ["pools", "clients", "users", "names", "client_directory"];

/// One command. Small numbers choose among what there is: few names and addresses, so that they meet.
#[derive(Clone, Debug)]
enum Command {
    /// Somebody signs up, confirms and signs in: the beginning of most stories.
    Arrive {
        name: u8,
        email: u8,
    },
    SignUp {
        name: u8,
        email: u8,
    },
    Confirm {
        name: u8,
        right: bool,
        force: bool,
    },
    Resend {
        name: u8,
    },
    SignIn {
        name: u8,
        right: bool,
    },
    Refresh {
        token: u8,
    },
    Revoke {
        token: u8,
    },
    SignOut {
        token: u8,
    },
    DeleteUser {
        token: u8,
    },
    AdminSignOut {
        name: u8,
    },
    AdminConfirm {
        name: u8,
    },
    AdminDelete {
        name: u8,
    },
    UpdatePool {
        subject: u8,
    },
    UpdateClient {
        rotates: bool,
    },
    AddAttribute {
        name: u8,
    },
    Tag {
        key: u8,
        remove: bool,
    },
    SetMfa {
        optional: bool,
    },
    CreateClient,
    DeleteClient,
    CreatePool,
    DeletePool,
    Purge,
    Sweep,
}

/// Which process runs a command, and where.
#[derive(Clone, Debug)]
struct Call {
    process: bool,
    place: u8,
    command: Command,
}

/// One call, or two at the same time.
#[derive(Clone, Debug)]
struct Step(Call, Option<Call>);

fn command() -> impl Strategy<Value = Command> {
    let (name, token) = (0..5_u8, 0..8_u8);
    prop_oneof![
        10 => (name.clone(), 0..3_u8).prop_map(|(name, email)| Command::Arrive { name, email }),
        10 => (name.clone(), 0..3_u8).prop_map(|(name, email)| Command::SignUp { name, email }),
        10 => (name.clone(), prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(name, right, force)| Command::Confirm { name, right, force }),
        3 => name.clone().prop_map(|name| Command::Resend { name }),
        10 => (name.clone(), prop::bool::weighted(0.8)).prop_map(|(name, right)| Command::SignIn { name, right }),
        3 => token.clone().prop_map(|token| Command::Refresh { token }),
        2 => token.clone().prop_map(|token| Command::Revoke { token }),
        4 => token.clone().prop_map(|token| Command::SignOut { token }),
        4 => token.prop_map(|token| Command::DeleteUser { token }),
        3 => name.clone().prop_map(|name| Command::AdminSignOut { name }),
        4 => name.clone().prop_map(|name| Command::AdminConfirm { name }),
        4 => name.prop_map(|name| Command::AdminDelete { name }),
        3 => (0..3_u8).prop_map(|subject| Command::UpdatePool { subject }),
        3 => any::<bool>().prop_map(|rotates| Command::UpdateClient { rotates }),
        2 => (0..9_u8).prop_map(|name| Command::AddAttribute { name }),
        3 => (0..4_u8, any::<bool>()).prop_map(|(key, remove)| Command::Tag { key, remove }),
        2 => any::<bool>().prop_map(|optional| Command::SetMfa { optional }),
        2 => Just(Command::CreateClient),
        1 => Just(Command::DeleteClient),
        1 => Just(Command::CreatePool),
        1 => Just(Command::DeletePool),
        2 => Just(Command::Purge),
        1 => Just(Command::Sweep),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let call = || (any::<bool>(), any::<u8>(), command());
    let call = move || call().prop_map(|(process, place, command)| Call { process, place, command });
    (call(), prop::option::weighted(0.3, call())).prop_map(|(first, second)| Step(first, second))
}

/// What a person at the outside knows.
#[derive(Default)]
struct Known {
    pools: Vec<String>,
    /// Clients with their pools.
    clients: Vec<(String, String)>,
    /// The `sub` of each name in its pool.
    subs: BTreeMap<(String, String), String>,
    /// The last code of each `sub`.
    codes: BTreeMap<String, String>,
    /// Tokens with their clients.
    tokens: Vec<(String, Tokens)>,
}

/// How often each command was answered.
type Answered = Mutex<BTreeMap<&'static str, u32>>;

fn named(name: u8) -> String {
    format!("name-{name}")
}

struct World<'a> {
    processes: [Arc<App>; 2],
    known: Mutex<Known>,
    answered: &'a Answered,
}

impl World<'_> {
    fn known<T>(&self, what: impl FnOnce(&mut Known) -> T) -> T {
        what(&mut self.known.lock().expect("nobody panics with it"))
    }

    fn pool(&self, place: u8) -> String {
        self.known(|known| known.pools[usize::from(place) % known.pools.len()].clone())
    }

    /// Pool and client.
    fn client(&self, place: u8) -> (String, String) {
        self.known(|known| known.clients[usize::from(place) % known.clients.len()].clone())
    }

    fn token(&self, token: u8) -> Option<(String, Tokens)> {
        self.known(|known| known.tokens.iter().rev().nth(usize::from(token)).cloned())
    }

    async fn create_pool(&self, app: &App) -> Answer {
        let pool = commands::create_pool(app, commands::pool_request()).await?;
        self.known(|known| known.pools.push(pool.clone()));
        self.create_client(app, pool).await
    }

    async fn create_client(&self, app: &App, pool: String) -> Answer {
        let client = commands::create_client(app, &pool).await?;
        self.known(|known| known.clients.push((pool, client)));
        Ok(())
    }

    async fn sign_up(&self, app: &App, pool: &str, client: &str, name: u8, email: u8) -> Answer {
        let sub = commands::sign_up(app, client, &named(name), &format!("{email}@example.com")).await?;
        self.known(|known| known.subs.insert((pool.to_owned(), named(name)), sub));
        Ok(())
    }

    async fn sign_in(&self, app: &App, client: &str, name: u8, right: bool) -> Answer {
        let password = if right { commands::PASSWORD } else { commands::WRONG_PASSWORD };
        let tokens = commands::sign_in(app, client, &named(name), password).await?;
        self.known(|known| known.tokens.push((client.to_owned(), tokens)));
        Ok(())
    }

    async fn arrive(&self, app: &App, pool: &str, client: &str, name: u8, email: u8) -> Answer {
        self.sign_up(app, pool, client, name, email).await?;
        let code = self.code(app, pool, &named(name)).await;
        commands::confirm(app, client, &named(name), &code, true).await?;
        self.sign_in(app, client, name, true).await
    }

    async fn code(&self, app: &App, pool: &str, name: &str) -> String {
        let sent = commands::sent_codes(app).await;
        self.known(|known| {
            known.codes.extend(sent);
            let sub = known.subs.get(&(pool.to_owned(), name.to_owned()));
            sub.and_then(|sub| known.codes.get(sub)).cloned().unwrap_or_else(|| "000000".to_owned())
        })
    }

    /// Runs a call and counts it under its name if it was answered.
    async fn run(&self, call: &Call) {
        let app = &*self.processes[usize::from(call.process)];
        let (kind, answer) = self.perform(app, call).await;
        match answer {
            Ok(()) => *self.answered.lock().expect("nobody panics with it").entry(kind).or_default() += 1,
            Err(Exception::InternalErrorException | Exception::ServiceUnavailableException) => {
                panic!("{kind} failed in {call:?}")
            }
            Err(_) => {}
        }
    }

    async fn perform(&self, app: &App, call: &Call) -> (&'static str, Answer) {
        let (pool, client) = self.client(call.place);
        match call.command {
            Command::Arrive { name, email } => ("InitiateAuth", self.arrive(app, &pool, &client, name, email).await),
            Command::SignUp { name, email } => ("SignUp", self.sign_up(app, &pool, &client, name, email).await),
            Command::Confirm { name, right, force } => {
                let name = named(name);
                let code = self.code(app, &pool, &name).await;
                let code = if right { code } else { "no code".to_owned() };
                ("ConfirmSignUp", commands::confirm(app, &client, &name, &code, force).await)
            }
            Command::Resend { name } => ("ResendConfirmationCode", commands::resend(app, &client, &named(name)).await),
            Command::SignIn { name, right } => ("InitiateAuth", self.sign_in(app, &client, name, right).await),
            Command::AdminSignOut { name } => {
                ("AdminUserGlobalSignOut", commands::admin_sign_out(app, &pool, &named(name)).await)
            }
            Command::AdminConfirm { name } => {
                ("AdminConfirmSignUp", commands::admin_confirm(app, &pool, &named(name)).await)
            }
            Command::AdminDelete { name } => {
                ("AdminDeleteUser", commands::admin_delete(app, &pool, &named(name)).await)
            }
            Command::Refresh { token }
            | Command::Revoke { token }
            | Command::SignOut { token }
            | Command::DeleteUser { token } => match self.token(token) {
                Some((client, tokens)) => self.with_token(app, &call.command, &client, &tokens).await,
                None => ("nothing", Ok(())),
            },
            _ => self.perform_on_pool(app, call, pool, client).await,
        }
    }

    async fn with_token(&self, app: &App, command: &Command, client: &str, tokens: &Tokens) -> (&'static str, Answer) {
        match command {
            Command::Refresh { .. } => {
                ("GetTokensFromRefreshToken", commands::refresh(app, client, &tokens.refresh).await)
            }
            Command::Revoke { .. } => ("RevokeToken", commands::revoke(app, client, &tokens.refresh).await),
            Command::SignOut { .. } => ("GlobalSignOut", commands::sign_out(app, &tokens.access).await),
            _ => ("DeleteUser", commands::delete_user(app, &tokens.access).await),
        }
    }

    async fn perform_on_pool(&self, app: &App, call: &Call, pool: String, client: String) -> (&'static str, Answer) {
        match call.command {
            Command::UpdatePool { subject } => {
                let subject = (subject > 0).then(|| format!("subject {subject}"));
                ("UpdateUserPool", commands::update_pool(app, &pool, subject.as_deref()).await)
            }
            Command::UpdateClient { rotates } => {
                ("UpdateUserPoolClient", commands::update_client(app, &pool, &client, rotates).await)
            }
            Command::AddAttribute { name } => {
                ("AddCustomAttributes", commands::add_attribute(app, &pool, &format!("a{name}")).await)
            }
            Command::Tag { key, remove: false } => ("TagResource", commands::tag(app, &pool, &key.to_string()).await),
            Command::Tag { key, remove: true } => {
                ("UntagResource", commands::untag(app, &pool, &key.to_string()).await)
            }
            Command::SetMfa { optional } => ("SetUserPoolMfaConfig", commands::set_mfa(app, &pool, optional).await),
            Command::CreateClient => ("CreateUserPoolClient", self.create_client(app, self.pool(call.place)).await),
            Command::DeleteClient => ("DeleteUserPoolClient", commands::delete_client(app, &pool, &client).await),
            Command::CreatePool => ("CreateUserPool", self.create_pool(app).await),
            Command::DeletePool => ("DeleteUserPool", commands::delete_pool(app, &pool).await),
            Command::Purge => {
                // Later than now: the second sweep is due.
                app.store.purge_step(app.clock.now().plus_seconds(60)).await.expect("a step of the purge");
                ("purge", Ok(()))
            }
            _ => {
                app.store.sweep(app.clock.now()).await.expect("a sweep");
                ("sweep", Ok(()))
            }
        }
    }
}

/// The read models of pools that live: those of deleted ones go by and by.
async fn read_models(database: &Database) -> BTreeMap<&'static str, String> {
    let mut rows = BTreeMap::new();
    for table in READ_MODELS {
        let statement = format!(
            "select coalesce(string_agg(t::text, E'\\n' order by t::text), '') from {table} t
             where user_pool_id in (select user_pool_id from pools)"
        );
        let text = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(database.sql()).await.unwrap();
        rows.insert(table, text);
    }
    rows
}

async fn sequence(steps: Vec<Step>, answered: &Answered) {
    let database = Database::create().await;
    let another = database.another_store(None).await;
    let processes = [commands::app(database.store.clone()), commands::app(another.clone())];
    let world = World { processes, known: Mutex::default(), answered };
    world.create_pool(&world.processes[0]).await.expect("a pool to begin with");
    for Step(first, second) in &steps {
        match second {
            Some(second) => drop(tokio::join!(world.run(first), world.run(second))),
            None => world.run(first).await,
        }
    }
    database.assert_verified().await;
    let (before, log) = (read_models(&database).await, content(&database, &["log", "keys", "sessions"]).await);
    another.rebuild().await.expect("a rebuild");
    database.assert_verified().await;
    assert_eq!(read_models(&database).await, before, "a rebuild yields the same rows");
    assert_eq!(content(&database, &["log", "keys", "sessions"]).await, log, "a rebuild changes nothing else");
    another.database().close().await;
    database.sql().close().await;
}

#[test]
fn replay_yields_the_live_tables_after_any_commands() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let answered = Answered::default();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(SEQUENCES);
    let config = Config { cases, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&prop::collection::vec(step(), 25..35), |steps| {
        runtime.block_on(sequence(steps, &answered));
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => panic!("{reason}, the shortest after:\n{steps:#?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
    // A property that was never put to the test proves nothing.
    let answered = answered.into_inner().expect("nobody panicked with it");
    for command in [
        "SignUp",
        "ConfirmSignUp",
        "ResendConfirmationCode",
        "InitiateAuth",
        "GetTokensFromRefreshToken",
        "RevokeToken",
        "GlobalSignOut",
        "DeleteUser",
        "AdminUserGlobalSignOut",
        "AdminConfirmSignUp",
        "AdminDeleteUser",
        "UpdateUserPool",
        "UpdateUserPoolClient",
        "AddCustomAttributes",
        "TagResource",
        "UntagResource",
        "SetUserPoolMfaConfig",
        "CreateUserPoolClient",
        "DeleteUserPoolClient",
        "CreateUserPool",
        "DeleteUserPool",
        "purge",
        "sweep",
    ] {
        assert!(answered.contains_key(command), "{command} never succeeded: {answered:?}");
    }
}

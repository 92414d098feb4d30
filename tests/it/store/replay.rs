//! A replay equals the live tables after any sequence of random commands through the rules, by two processes at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use userpool::app::App;
use userpool::domain::error::Exception;
use userpool::store::models::Model;

use super::Database;
use super::commands::{self, Answer, Tokens};
use super::crash::content;

/// How many sequences are tried, unless `PROPTEST_CASES` names another number.
const SEQUENCES: u32 = 40;
/// One command. Small numbers select from the existing names and addresses, which are few, so that commands meet.
#[derive(Clone, Debug)]
enum Command {
    /// A user signs up, confirms and signs in: the beginning of most stories.
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
    ChangeEmail {
        token: u8,
        email: u8,
    },
    ProveEmail {
        token: u8,
    },
    DeleteAttributes {
        token: u8,
    },
    ChangePassword {
        token: u8,
    },
    SetUpApp {
        token: u8,
    },
    Forgot {
        name: u8,
    },
    Recover {
        name: u8,
    },
    AdminSetEmail {
        name: u8,
        email: u8,
        verified: bool,
    },
    AdminDeleteEmail {
        name: u8,
    },
    AdminSetPassword {
        name: u8,
        permanent: bool,
    },
    AdminReset {
        name: u8,
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
    AdminCreate {
        name: u8,
        email: u8,
        force: bool,
    },
    InviteAgain {
        name: u8,
    },
    AdminDisable {
        name: u8,
    },
    AdminEnable {
        name: u8,
    },
    ConfirmDevice {
        token: u8,
    },
    UpdateDevice {
        token: u8,
        remembered: bool,
    },
    ForgetDevice {
        token: u8,
    },
    Link {
        name: u8,
        identity: u8,
    },
    Unlink {
        identity: u8,
    },
    CreateGroup {
        group: u8,
    },
    UpdateGroup {
        group: u8,
        precedence: u8,
    },
    DeleteGroup {
        group: u8,
    },
    JoinGroup {
        name: u8,
        group: u8,
    },
    LeaveGroup {
        name: u8,
        group: u8,
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

/// A command, and the process and pool where it runs.
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
    let (name, token, group) = (0..5_u8, 0..8_u8, 0..2_u8);
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
        4 => token.clone().prop_map(|token| Command::DeleteUser { token }),
        5 => (token.clone(), 0..3_u8).prop_map(|(token, email)| Command::ChangeEmail { token, email }),
        5 => token.clone().prop_map(|token| Command::ProveEmail { token }),
        2 => token.clone().prop_map(|token| Command::DeleteAttributes { token }),
        2 => token.clone().prop_map(|token| Command::ChangePassword { token }),
        6 => token.clone().prop_map(|token| Command::ConfirmDevice { token }),
        4 => (token.clone(), any::<bool>())
            .prop_map(|(token, remembered)| Command::UpdateDevice { token, remembered }),
        3 => token.clone().prop_map(|token| Command::ForgetDevice { token }),
        2 => token.prop_map(|token| Command::SetUpApp { token }),
        2 => name.clone().prop_map(|name| Command::Forgot { name }),
        4 => name.clone().prop_map(|name| Command::Recover { name }),
        4 => (name.clone(), 0..3_u8, any::<bool>())
            .prop_map(|(name, email, verified)| Command::AdminSetEmail { name, email, verified }),
        2 => name.clone().prop_map(|name| Command::AdminDeleteEmail { name }),
        2 => (name.clone(), prop::bool::weighted(0.7))
            .prop_map(|(name, permanent)| Command::AdminSetPassword { name, permanent }),
        2 => name.clone().prop_map(|name| Command::AdminReset { name }),
        3 => name.clone().prop_map(|name| Command::AdminSignOut { name }),
        4 => name.clone().prop_map(|name| Command::AdminConfirm { name }),
        4 => name.clone().prop_map(|name| Command::AdminDelete { name }),
        6 => (name.clone(), 0..3_u8, any::<bool>())
            .prop_map(|(name, email, force)| Command::AdminCreate { name, email, force }),
        4 => name.clone().prop_map(|name| Command::InviteAgain { name }),
        2 => name.clone().prop_map(|name| Command::AdminDisable { name }),
        3 => name.clone().prop_map(|name| Command::AdminEnable { name }),
        4 => (name.clone(), 0..3_u8).prop_map(|(name, identity)| Command::Link { name, identity }),
        2 => (0..3_u8).prop_map(|identity| Command::Unlink { identity }),
        5 => group.clone().prop_map(|group| Command::CreateGroup { group }),
        2 => (group.clone(), 0..3_u8).prop_map(|(group, precedence)| Command::UpdateGroup { group, precedence }),
        3 => group.clone().prop_map(|group| Command::DeleteGroup { group }),
        8 => (name.clone(), group.clone()).prop_map(|(name, group)| Command::JoinGroup { name, group }),
        3 => (name, group).prop_map(|(name, group)| Command::LeaveGroup { name, group }),
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

/// A sequence with every command in a state where it can succeed: random ones would miss some.
fn every_command() -> Vec<Step> {
    use Command::*;
    let commands = [
        SignUp { name: 0, email: 0 },
        Resend { name: 0 },
        Confirm { name: 0, right: true, force: false },
        SignIn { name: 0, right: true },
        Refresh { token: 0 },
        ChangeEmail { token: 0, email: 1 },
        ProveEmail { token: 0 },
        ChangePassword { token: 0 },
        DeleteAttributes { token: 0 },
        AdminSetEmail { name: 0, email: 0, verified: true },
        Forgot { name: 0 },
        Recover { name: 0 },
        AdminReset { name: 0 },
        AdminDeleteEmail { name: 0 },
        AdminSetPassword { name: 0, permanent: true },
        SignIn { name: 0, right: true },
        Revoke { token: 0 },
        SignIn { name: 0, right: true },
        AdminSignOut { name: 0 },
        SignIn { name: 0, right: true },
        SignOut { token: 0 },
        SignIn { name: 0, right: true },
        ConfirmDevice { token: 0 },
        UpdateDevice { token: 0, remembered: false },
        ForgetDevice { token: 0 },
        SignIn { name: 0, right: true },
        ConfirmDevice { token: 0 },
        SetMfa { optional: true },
        SetUpApp { token: 0 },
        DeleteUser { token: 0 },
        SignUp { name: 1, email: 1 },
        AdminConfirm { name: 1 },
        AdminCreate { name: 2, email: 2, force: false },
        InviteAgain { name: 2 },
        AdminDisable { name: 2 },
        AdminEnable { name: 2 },
        Link { name: 2, identity: 0 },
        Unlink { identity: 0 },
        CreateGroup { group: 0 },
        UpdateGroup { group: 0, precedence: 1 },
        JoinGroup { name: 1, group: 0 },
        LeaveGroup { name: 1, group: 0 },
        DeleteGroup { group: 0 },
        AdminDelete { name: 2 },
        Sweep,
    ];
    let call = |(index, command)| Call { process: index % 2 == 0, place: 0, command };
    commands.into_iter().enumerate().map(call).map(|call| Step(call, None)).collect()
}

/// What a caller from outside knows.
#[derive(Default)]
struct Known {
    pools: Vec<String>,
    /// Pairs of pool and client ids.
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

    /// The ids of a pool and its client.
    fn client(&self, place: u8) -> (String, String) {
        self.known(|known| known.clients[usize::from(place) % known.clients.len()].clone())
    }

    fn token(&self, token: u8) -> Option<(String, Tokens)> {
        self.known(|known| known.tokens.iter().rev().nth(usize::from(token)).cloned())
    }

    async fn create_pool(&self, app: &App) -> Answer {
        let pool = commands::create_pool(app, commands::tracking_pool_request()).await?;
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

    async fn admin_create(&self, app: &App, pool: &str, name: u8, email: u8, force: bool) -> Answer {
        let sub = commands::admin_create(app, pool, &named(name), &format!("{email}@example.com"), force).await?;
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

    async fn recover(&self, app: &App, pool: &str, client: &str, name: u8) -> Answer {
        commands::forgot(app, client, &named(name)).await?;
        let code = self.code(app, pool, &named(name)).await;
        commands::recover(app, client, &named(name), &code).await
    }

    async fn prove(&self, app: &App, token: &str) -> Answer {
        commands::ask_for_code(app, token).await?;
        let sub = commands::sub_of(app, token).await?;
        let code = self.code_of(app, |_| Some(sub)).await;
        commands::prove_email(app, token, &code).await
    }

    async fn code(&self, app: &App, pool: &str, name: &str) -> String {
        self.code_of(app, |known| known.subs.get(&(pool.to_owned(), name.to_owned())).cloned()).await
    }

    /// The last code that was sent to a user.
    async fn code_of(&self, app: &App, sub: impl FnOnce(&Known) -> Option<String>) -> String {
        let sent = commands::sent_codes(app).await;
        self.known(|known| {
            known.codes.extend(sent);
            sub(known).and_then(|sub| known.codes.get(&sub)).cloned().unwrap_or_else(|| "000000".to_owned())
        })
    }

    /// Runs a call, and counts it under its command's name if it succeeded.
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
            Command::AdminCreate { name, email, force } => {
                ("AdminCreateUser", self.admin_create(app, &pool, name, email, force).await)
            }
            Command::InviteAgain { name } => ("RESEND", commands::invite_again(app, &pool, &named(name)).await),
            Command::AdminDisable { name } => {
                ("AdminDisableUser", commands::admin_disable(app, &pool, &named(name)).await)
            }
            Command::AdminEnable { name } => {
                ("AdminEnableUser", commands::admin_enable(app, &pool, &named(name)).await)
            }
            Command::Link { name, identity } => {
                ("AdminLinkProviderForUser", commands::link(app, &pool, &named(name), &identity.to_string()).await)
            }
            Command::Unlink { identity } => {
                ("AdminDisableProviderForUser", commands::unlink(app, &pool, &identity.to_string()).await)
            }
            Command::Forgot { name } => ("ForgotPassword", commands::forgot(app, &client, &named(name)).await),
            Command::Recover { name } => ("ConfirmForgotPassword", self.recover(app, &pool, &client, name).await),
            Command::AdminSetEmail { name, email, verified } => {
                let email = format!("{email}@example.com");
                let answer = commands::admin_set_email(app, &pool, &named(name), &email, verified).await;
                ("AdminUpdateUserAttributes", answer)
            }
            Command::AdminDeleteEmail { name } => {
                ("AdminDeleteUserAttributes", commands::admin_delete_email(app, &pool, &named(name)).await)
            }
            Command::AdminSetPassword { name, permanent } => {
                let answer = commands::admin_set_password(app, &pool, &named(name), permanent).await;
                ("AdminSetUserPassword", answer)
            }
            Command::AdminReset { name } => {
                ("AdminResetUserPassword", commands::admin_reset_password(app, &pool, &named(name)).await)
            }
            Command::ChangeEmail { token, .. }
            | Command::ProveEmail { token }
            | Command::DeleteAttributes { token }
            | Command::ChangePassword { token }
            | Command::SetUpApp { token }
            | Command::Refresh { token }
            | Command::Revoke { token }
            | Command::SignOut { token }
            | Command::ConfirmDevice { token }
            | Command::UpdateDevice { token, .. }
            | Command::ForgetDevice { token }
            | Command::DeleteUser { token } => match self.token(token) {
                Some((client, tokens)) => self.with_token(app, &call.command, &client, &tokens).await,
                None => ("nothing", Ok(())),
            },
            Command::CreateGroup { .. }
            | Command::UpdateGroup { .. }
            | Command::DeleteGroup { .. }
            | Command::JoinGroup { .. }
            | Command::LeaveGroup { .. } => self.perform_on_group(app, &call.command, &pool).await,
            _ => self.perform_on_pool(app, call, pool, client).await,
        }
    }

    async fn with_token(&self, app: &App, command: &Command, client: &str, tokens: &Tokens) -> (&'static str, Answer) {
        match command {
            Command::Refresh { .. } => ("GetTokensFromRefreshToken", commands::refresh(app, client, tokens).await),
            Command::Revoke { .. } => ("RevokeToken", commands::revoke(app, client, &tokens.refresh).await),
            Command::ChangeEmail { email, .. } => {
                let email = format!("{email}@example.com");
                ("UpdateUserAttributes", commands::change_email(app, &tokens.access, &email).await)
            }
            Command::ProveEmail { .. } => ("VerifyUserAttribute", self.prove(app, &tokens.access).await),
            Command::DeleteAttributes { .. } => {
                ("DeleteUserAttributes", commands::delete_attributes(app, &tokens.access).await)
            }
            Command::ChangePassword { .. } => ("ChangePassword", commands::change_password(app, &tokens.access).await),
            Command::ConfirmDevice { .. } => ("ConfirmDevice", commands::confirm_device(app, tokens).await),
            Command::UpdateDevice { remembered, .. } => {
                ("UpdateDeviceStatus", commands::update_device(app, tokens, *remembered).await)
            }
            Command::ForgetDevice { .. } => ("ForgetDevice", commands::forget_device(app, tokens).await),
            Command::SetUpApp { .. } => {
                ("VerifySoftwareToken", commands::set_up_app(app, &tokens.access).await.map(drop))
            }
            Command::SignOut { .. } => ("GlobalSignOut", commands::sign_out(app, &tokens.access).await),
            _ => ("DeleteUser", commands::delete_user(app, &tokens.access).await),
        }
    }

    async fn perform_on_group(&self, app: &App, command: &Command, pool: &str) -> (&'static str, Answer) {
        let grouped = |group: u8| format!("group-{group}");
        match *command {
            Command::CreateGroup { group } => ("CreateGroup", commands::create_group(app, pool, &grouped(group)).await),
            Command::UpdateGroup { group, precedence } => {
                ("UpdateGroup", commands::update_group(app, pool, &grouped(group), precedence.into()).await)
            }
            Command::DeleteGroup { group } => ("DeleteGroup", commands::delete_group(app, pool, &grouped(group)).await),
            Command::JoinGroup { name, group } => {
                ("AdminAddUserToGroup", commands::join_group(app, pool, &named(name), &grouped(group)).await)
            }
            Command::LeaveGroup { name, group } => {
                ("AdminRemoveUserFromGroup", commands::leave_group(app, pool, &named(name), &grouped(group)).await)
            }
            _ => ("nothing", Ok(())),
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
                // A minute later, when the second sweep is due.
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

/// The read models of pools that exist; those of deleted pools disappear step by step.
async fn read_models(database: &Database) -> BTreeMap<&'static str, String> {
    let mut rows = BTreeMap::new();
    for table in Model::in_reading_order() {
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
    assert_eq!(super::groups::dangling(&database).await, 0, "nobody is in a group that has ended");
    let (before, log) = (read_models(&database).await, content(&database, &["log", "keys", "sessions"]).await);
    another.rebuild().await.expect("a rebuild");
    database.assert_verified().await;
    assert_eq!(read_models(&database).await, before, "a rebuild yields the same rows");
    assert_eq!(content(&database, &["log", "keys", "sessions"]).await, log, "a rebuild changes nothing else");
    another.close().await;
    database.store.close().await;
}

#[test]
fn replay_yields_the_live_tables_after_any_commands() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let answered = Answered::default();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(SEQUENCES);
    runtime.block_on(sequence(every_command(), &answered));
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
    // A command that never succeeded was not tested.
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
        "UpdateUserAttributes",
        "VerifyUserAttribute",
        "DeleteUserAttributes",
        "ChangePassword",
        "ConfirmDevice",
        "UpdateDeviceStatus",
        "ForgetDevice",
        "VerifySoftwareToken",
        "ForgotPassword",
        "ConfirmForgotPassword",
        "AdminUpdateUserAttributes",
        "AdminDeleteUserAttributes",
        "AdminSetUserPassword",
        "AdminResetUserPassword",
        "AdminUserGlobalSignOut",
        "AdminConfirmSignUp",
        "AdminDeleteUser",
        "AdminCreateUser",
        "RESEND",
        "AdminDisableUser",
        "AdminEnableUser",
        "AdminLinkProviderForUser",
        "AdminDisableProviderForUser",
        "CreateGroup",
        "UpdateGroup",
        "DeleteGroup",
        "AdminAddUserToGroup",
        "AdminRemoveUserFromGroup",
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

//! The stage: a database with production's durability, the server on it, and users who have signed up.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::stream::{StreamExt, TryStreamExt, iter};
use prost::Message;
use sqlx::PgPool;
use userpool::cli::dev::environment_file::EnvironmentFile;
use userpool::domain::ids::UserPoolId;
use userpool::proto::v1::*;
use userpool::store::keys::MasterKeys;
use userpool::store::{ConnectionRole, Store, connect};

use crate::apps::{self, App};
use crate::caller::{Caller, Failed, NoAnswer, Prepared};
use crate::dearest;
use crate::directory::Directory;
use crate::floor::{Tools, sign_by_srp};
use crate::loads::Crowd;
use crate::processes::{Processes, Ticks, busy_now, resident_now};
use crate::production;
use crate::server::Server;
use crate::support::postgres::Postgres;
use crate::support::private_directory;
use crate::support::srp_client::{Client, TIMESTAMP};

/// The password of every user: it conforms to the default policy.
pub const PASSWORD: &str = "Correct-horse-7";
/// Connections to the database: as many as the server has.
const CONNECTIONS: u32 = 20;

/// The one address of all guessers.
const GUESSERS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The address of a worker: each has its own, as users do.
fn own_address(worker: usize) -> IpAddr {
    let [high, low] = u16::try_from(worker + 1).unwrap_or(u16::MAX).to_be_bytes();
    IpAddr::from([127, 1, high, low])
}

async fn connect_from(environment: &EnvironmentFile, token: &str, from: IpAddr) -> anyhow::Result<Caller> {
    Caller::connect(&environment.grpc_addr, from, token).await
}

/// How many there are of each.
#[derive(Clone, Copy, Debug)]
pub struct Audience {
    /// Callers who are measured.
    pub workers: usize,
    /// Callers who guess passwords.
    pub guessers: usize,
    /// Callers who sign in beside a load.
    pub sign_ins: usize,
    /// Users.
    pub people: usize,
    /// Users with an authenticator app.
    pub apps: usize,
}

/// Everything that a load needs. Fields are dropped in the order of their declaration.
pub struct Stage {
    /// The server, in a process of its own.
    pub server: Server,
    /// The database cluster of the server.
    pub postgres: Postgres,
    /// One connection for each worker.
    pub callers: Vec<Caller>,
    /// Callers who guess passwords: a connection each, all from one address.
    guessers: Vec<Caller>,
    /// Callers who sign in beside a load, each from an address of its own.
    sign_ins: Vec<Caller>,
    /// Users who have signed up.
    pub people: Vec<Person>,
    /// Users who have an authenticator app.
    pub apps: Vec<App>,
    /// Directories to be listed, the smallest first.
    pub directories: Vec<Directory>,
    /// What floors work with.
    pub tools: Tools,
    /// Connections to the server's database, for the driver.
    pub database: PgPool,
    home: Home,
    /// The server and the database as they were before the first call.
    pub facts: Facts,
    names: AtomicU64,
}

/// The connections of all callers.
struct Connected {
    callers: Vec<Caller>,
    guessers: Vec<Caller>,
    sign_ins: Vec<Caller>,
}

impl Connected {
    async fn open(environment: &EnvironmentFile, token: &str, audience: Audience) -> anyhow::Result<Self> {
        let Audience { workers, guessers, sign_ins, .. } = audience;
        let callers: Vec<Caller> =
            iter(0..workers).then(|worker| connect_from(environment, token, own_address(worker))).try_collect().await?;
        let guessers: Vec<Caller> =
            iter(0..guessers).then(|_| connect_from(environment, token, GUESSERS)).try_collect().await?;
        let sign_ins: Vec<Caller> = iter(0..sign_ins)
            .then(|number| connect_from(environment, token, own_address(workers + number)))
            .try_collect()
            .await?;
        Ok(Self { callers, guessers, sign_ins })
    }
}

/// A user, with every prepared call about it.
pub struct Person {
    username: String,
    /// A sign-in by password.
    pub sign_in: Prepared,
    /// The client's half of the user's sign-ins by SRP.
    srp: Arc<Client>,
    /// The beginning of a sign-in by SRP.
    begin_srp: Prepared,
    /// A refresh, by the user's refresh token.
    pub refresh: Prepared,
    /// GetUser, by the user's access token.
    pub get_user: Prepared,
    /// AdminGetUser, by the user's name.
    pub admin_get_user: Prepared,
}

/// Facts about server and database before the run.
#[derive(Debug)]
pub struct Facts {
    /// Settings of the database, by name.
    pub settings: BTreeMap<&'static str, String>,
    /// The parameters of a hash that the server stored.
    pub hash: String,
    /// The time of the server's first start, on an empty database, until it was ready.
    pub first_ready_after: Duration,
    /// The time of a start on a database that has its schema.
    pub ready_after: Duration,
    /// Resident memory in KiB of the idle server, before its first hash.
    pub idle_resident: u64,
}

/// Processor time used up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Used by the server's process.
    pub server: Ticks,
    /// Used by all processes of Postgres.
    pub postgres: Ticks,
    /// Used by the driver's process.
    pub driver: Ticks,
    /// Used by everything on the machine.
    pub machine: Ticks,
}

impl Stage {
    /// Sets the stage for callers and users, and directories of these sizes.
    pub async fn set(audience: Audience, sizes: &[usize]) -> anyhow::Result<Arc<Self>> {
        let Audience { workers, people, apps, .. } = audience;
        // Durability is that of Postgres's own defaults.
        let postgres = tokio::task::spawn_blocking(|| Postgres::start_with(&dearest::SETTINGS)).await?;
        postgres.create_database("bench");
        let url = postgres.url("bench");
        let directory = private_directory("bench");
        std::fs::set_permissions(&directory, Permissions::from_mode(0o755))?;
        let data = directory.join("server");
        let database = connect(&url, CONNECTIONS, ConnectionRole::Api).await?;
        let settings = production::settings(&database).await?;
        production::check_settings(&settings)?;

        let first = Server::start(&data, &url).await?;
        let first_ready_after = first.ready_after;
        first.stop()?;
        let server = Server::start(&data, &url).await?;
        quiet(server.id()).await;
        let idle_resident = resident_now(server.id()).context("the server is a process")?;

        let environment = server.environment();
        let token = format!("{}.{}", environment.access_key_id, environment.secret_access_key);
        let Connected { callers, guessers, sign_ins } = Connected::open(&environment, &token, audience).await?;
        let home = Home::create(&callers[0]).await.map_err(told)?;
        let apps = apps::set_up(&callers, apps).await.map_err(told)?;
        let people: Vec<Person> = iter(0..people)
            .map(|number| home.person(&callers[number % workers], number))
            .buffered(workers.min(8))
            .try_collect()
            .await
            .map_err(told)?;
        let store = Store::new(database.clone(), Arc::new(MasterKeys::read(Path::new(&environment.master_keys_file))?));
        let name = &people.first().context("there is at least one user")?.username;
        let stored = production::stored_hash(&store, &UserPoolId::new(&home.pool_id), name).await?;
        let hash = production::check_hash(&stored)?.to_owned();
        let directories: Vec<Directory> = iter(sizes.iter().copied())
            .then(|size| Directory::create(&callers[0], &database, size))
            .try_collect()
            .await
            .map_err(told)?;
        let listed = directories.iter().map(|directory| directory.pool_id.clone()).collect();
        let tools = Tools::new(database.clone(), &home.pool_id, listed).await?;
        dearest::begin(&database).await?;
        Ok(Arc::new(Self {
            facts: Facts { settings, hash, first_ready_after, ready_after: server.ready_after, idle_resident },
            server,
            postgres,
            callers,
            guessers,
            sign_ins,
            people,
            apps,
            directories,
            tools,
            database,
            home,
            names: AtomicU64::new(0),
        }))
    }

    /// The callers of a crowd.
    pub fn crowd(&self, crowd: Crowd) -> &[Caller] {
        match crowd {
            Crowd::Guessers => &self.guessers,
            Crowd::SignIns => &self.sign_ins,
        }
    }

    /// A SignUp with a new name.
    pub fn registration(&self) -> SignUpRequest {
        registration(&self.home.client_id, &self.new_name())
    }

    /// An AdminCreateUser with a new name and an invitation by e-mail.
    pub fn invitation(&self) -> AdminCreateUserRequest {
        let username = self.new_name();
        AdminCreateUserRequest {
            user_pool_id: Some(self.home.pool_id.clone()),
            user_attributes: vec![attribute("email", format!("{username}@example.com"))],
            desired_delivery_mediums: vec!["EMAIL".to_owned()],
            username: Some(username),
            ..Default::default()
        }
    }

    /// A change of a user's attribute to a new value.
    pub fn update(&self, person: &Person, number: u64) -> AdminUpdateUserAttributesRequest {
        AdminUpdateUserAttributesRequest {
            user_pool_id: Some(self.home.pool_id.clone()),
            username: Some(person.username.clone()),
            user_attributes: vec![attribute("nickname", number.to_string())],
            ..Default::default()
        }
    }

    /// Signs a user in by SRP.
    pub async fn sign_in_by_srp(&self, caller: &Caller, person: &Person) -> Result<(), NoAnswer> {
        let challenge = InitiateAuthResponse::decode(caller.make(&person.begin_srp).await?).map_err(Failed)?;
        let parameter = |name: &str| challenge.challenge_parameters.get(name).cloned().unwrap_or_default();
        let (username, block) = (parameter("USERNAME"), parameter("SECRET_BLOCK"));
        let signature = sign_by_srp(person.srp.clone(), challenge, &self.home.pool_id).await?;
        let responses = [
            ("USERNAME", username),
            ("PASSWORD_CLAIM_SECRET_BLOCK", block),
            ("PASSWORD_CLAIM_SIGNATURE", signature),
            ("TIMESTAMP", TIMESTAMP.to_owned()),
        ];
        let answer = RespondToAuthChallengeRequest {
            client_id: Some(self.home.client_id.clone()),
            challenge_name: Some("PASSWORD_VERIFIER".to_owned()),
            challenge_responses: responses.map(|(name, value)| (name.to_owned(), value)).into(),
            ..Default::default()
        };
        caller.call(&answer).await.map(drop)
    }

    /// A sign-in with a wrong password and a new name.
    pub fn guess(&self) -> Prepared {
        let name = self.new_name();
        Prepared::new(&self.home.initiate("USER_PASSWORD_AUTH", &[("USERNAME", &name), ("PASSWORD", "Wrong-horse-7")]))
    }

    fn new_name(&self) -> String {
        format!("new-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// The processor time used until now.
    pub fn used(&self) -> Used {
        let processes = Processes::now();
        Used {
            server: processes.tree(self.server.id()),
            postgres: processes.tree(self.postgres.id()),
            driver: processes.own(std::process::id()),
            machine: busy_now(),
        }
    }

    /// Waits until the server has finished what calls leave behind: messages, events, statistics.
    pub async fn quiet(&self) {
        quiet(self.server.id()).await;
    }
}

/// Waits, but not for ever, until a process uses less than a tenth of a processor.
async fn quiet(pid: u32) {
    const LOOKS: usize = 100;
    const PAUSE: Duration = Duration::from_millis(200);
    let mut before = Processes::now().tree(pid);
    for _ in 0..LOOKS {
        tokio::time::sleep(PAUSE).await;
        let now = Processes::now().tree(pid);
        if (now - before).seconds() < PAUSE.as_secs_f64() / 10.0 {
            return;
        }
        before = now;
    }
}

fn told(no_answer: NoAnswer) -> anyhow::Error {
    match no_answer {
        NoAnswer::Refused => anyhow!("the server has no capacity to set the stage"),
        NoAnswer::Failed(error) => error,
    }
}

fn attribute(name: &str, value: String) -> AttributeType {
    AttributeType { name: Some(name.to_owned()), value: Some(value) }
}

fn registration(client_id: &str, username: &str) -> SignUpRequest {
    SignUpRequest {
        client_id: Some(client_id.to_owned()),
        username: Some(username.to_owned()),
        password: Some(PASSWORD.to_owned()),
        user_attributes: vec![attribute("email", format!("{username}@example.com"))],
        ..Default::default()
    }
}

/// A user pool and its client.
pub struct Home {
    /// Id of the user pool.
    pub pool_id: String,
    /// Id of the client.
    pub client_id: String,
}

impl Home {
    /// A new pool with a client that allows every flow that is measured.
    pub async fn create(caller: &Caller) -> Result<Self, NoAnswer> {
        let pool = CreateUserPoolRequest {
            pool_name: Some("bench".to_owned()),
            auto_verified_attributes: vec!["email".to_owned()],
            ..Default::default()
        };
        let pool_id = caller.call(&pool).await?.user_pool.unwrap_or_default().id.unwrap_or_default();
        let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"];
        let client = CreateUserPoolClientRequest {
            user_pool_id: Some(pool_id.clone()),
            client_name: Some("bench".to_owned()),
            explicit_auth_flows: flows.map(str::to_owned).to_vec(),
            ..Default::default()
        };
        let client_id = caller.call(&client).await?.user_pool_client.unwrap_or_default().client_id.unwrap_or_default();
        Ok(Self { pool_id, client_id })
    }

    /// A user who has signed up and is confirmed, with their sign-in by password.
    pub async fn confirmed(&self, caller: &Caller, username: &str) -> Result<InitiateAuthRequest, NoAnswer> {
        caller.call(&registration(&self.client_id, username)).await?;
        let confirm = AdminConfirmSignUpRequest {
            user_pool_id: Some(self.pool_id.clone()),
            username: Some(username.to_owned()),
            ..Default::default()
        };
        caller.call(&confirm).await?;
        Ok(self.initiate("USER_PASSWORD_AUTH", &[("USERNAME", username), ("PASSWORD", PASSWORD)]))
    }

    /// A user who has signed up, is confirmed, and has signed in.
    async fn person(&self, caller: &Caller, number: usize) -> Result<Person, NoAnswer> {
        let username = format!("person-{number}");
        let sign_in = self.confirmed(caller, &username).await?;
        let srp = Arc::new(Client::quick());
        let begin_srp = self.initiate("USER_SRP_AUTH", &[("USERNAME", &username), ("SRP_A", &srp.public())]);
        let tokens = caller.call(&sign_in).await?.authentication_result.unwrap_or_default();
        let refresh = self.initiate("REFRESH_TOKEN_AUTH", &[("REFRESH_TOKEN", tokens.refresh_token())]);
        let get_user = GetUserRequest { access_token: tokens.access_token };
        let admin_get_user =
            AdminGetUserRequest { user_pool_id: Some(self.pool_id.clone()), username: Some(username.clone()) };
        Ok(Person {
            username,
            sign_in: Prepared::new(&sign_in),
            srp,
            begin_srp: Prepared::new(&begin_srp),
            refresh: Prepared::new(&refresh),
            get_user: Prepared::new(&get_user),
            admin_get_user: Prepared::new(&admin_get_user),
        })
    }

    fn initiate(&self, flow: &str, parameters: &[(&str, &str)]) -> InitiateAuthRequest {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        InitiateAuthRequest {
            auth_flow: Some(flow.to_owned()),
            client_id: Some(self.client_id.clone()),
            auth_parameters: parameters.collect(),
            ..Default::default()
        }
    }
}

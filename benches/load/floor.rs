//! The floor under an operation: the work that the operation can't avoid, done by this driver with nothing around it.
//!
//! One call of a floor is an empty gRPC call to the server, and then one after another: point reads, an argon2id hash,
//! exponentiations for SRP, RS256 signatures, and a commit. Reads and commits go to tables of their own in the same
//! database, over as many connections as the server has; handing one over costs nothing.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::Semaphore;
use userpool::app::hashing::Cost;
use userpool::domain::auth::srp;
use userpool::environment::Random;
use userpool::proto::v1::InitiateAuthResponse;
use uuid::Uuid;

use crate::caller::{Caller, Failed, NoAnswer};
use crate::directory::PAGE_SIZE;
use crate::stage::PASSWORD;
use crate::support::srp_client::{Client, TIMESTAMP};

/// The work of one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Floor {
    /// Empty calls: as many as the operation takes.
    pub calls: usize,
    /// Reads of one row by its primary key.
    pub reads: usize,
    /// The index of the directory of which one page is read by primary key, if any.
    pub page: Option<usize>,
    /// An argon2id hash of production's cost.
    pub hash: bool,
    /// Exponentiations for SRP of the server's: one makes a verifier, three take part in a sign-in.
    pub exponentiations: usize,
    /// Whether the client's part in a sign-in by SRP is done, as the measured calls do it.
    pub srp_client: bool,
    /// RS256 signatures with a key of 2048 bits.
    pub signatures: usize,
    /// What is written, durably.
    pub commit: Commit,
}

/// What one call of a floor writes, durably.
#[derive(Clone, Copy, Debug, Default)]
pub enum Commit {
    /// No write and no transaction.
    #[default]
    None,
    /// Several rows in one statement.
    Statement {
        /// Rows that the statement inserts.
        rows: usize,
    },
    /// A transaction: statements that check something by primary key, then statements that write a row each.
    Transaction {
        /// Statements that read before the writes.
        checks: usize,
        /// Statements that each write one row.
        rows: usize,
    },
}

/// Bytes of a written row, without its key: about the size of a row of the log or of facts.
const ROW: usize = 600;
/// Bytes of a text that is signed: about the size of a token.
const TOKEN: usize = 700;

const READ: &str = "select state from floor.users where user_pool_id = $1 and sub = $2";
/// Reads from the server's own table, which may be too large to copy.
const PAGE: &str = "select floor.sub, floor.state from users floor
    where floor.user_pool_id = $1 and floor.sub > $2 order by floor.sub limit $3";
const WRITE: &str =
    "insert into floor.written (user_pool_id, id, body) select $1, id, $3 from unnest($2::uuid[]) as id";

/// The tables, keys and connections that floors work with.
pub struct Tools {
    database: Database,
    pool_id: String,
    subs: Vec<Uuid>,
    directories: Vec<String>,
    key: KeyPair,
    places: Arc<Semaphore>,
    random: Random,
    client: Arc<Client>,
    challenge: InitiateAuthResponse,
}

impl Tools {
    /// Makes the floor's tables: a copy of a pool's users as they are now, to be read, and an empty table to write to.
    /// `directories` are ids of user pools too.
    pub async fn new(pool: PgPool, pool_id: &str, directories: Vec<String>) -> anyhow::Result<Self> {
        for statement in [
            "drop schema if exists floor cascade",
            "create schema floor",
            "create table floor.users as select user_pool_id, sub, state from users with no data",
            "alter table floor.users add primary key (user_pool_id, sub)",
            "create table floor.written (user_pool_id text, id uuid, body bytea, primary key (user_pool_id, id))",
        ] {
            sqlx::query(statement).execute(&pool).await?;
        }
        let copy = "insert into floor.users select user_pool_id, sub, state from users where user_pool_id = $1";
        sqlx::query(copy).bind(pool_id).execute(&pool).await?;
        sqlx::query("analyze floor.users").execute(&pool).await?;
        let subs = sqlx::query_scalar("select sub from floor.users where user_pool_id = $1")
            .bind(pool_id)
            .fetch_all(&pool)
            .await?;
        let database = Database::connect(&pool).await?;
        let key = KeyPair::generate(KeySize::Rsa2048)?;
        let cores = std::thread::available_parallelism()?.get();
        let (pool_id, places) = (pool_id.to_owned(), Arc::new(Semaphore::new(cores)));
        let (client, random) = (Arc::new(Client::quick()), Random::default());
        let challenge = challenge(&client);
        Ok(Self { database, pool_id, subs, directories, key, places, random, client, challenge })
    }

    /// Does the work of one call.
    pub async fn work(&self, floor: Floor, caller: &Caller, number: u64) -> Result<(), NoAnswer> {
        for _ in 0..floor.calls {
            caller.empty().await?;
        }
        for _ in 0..floor.reads {
            self.database.with(async |connection| self.read(connection, number).await).await?;
        }
        if let Some(directory) = floor.page {
            self.database.with(async |connection| self.read_page(connection, directory).await).await?;
        }
        if floor.hash {
            self.blocking(hash).await?;
        }
        for _ in 0..floor.exponentiations {
            self.blocking(exponentiate).await?;
        }
        if floor.srp_client {
            let (client, challenge) = (self.client.clone(), self.challenge.clone());
            sign_by_srp(client, challenge, &self.pool_id).await?;
        }
        for _ in 0..floor.signatures {
            self.sign()?;
        }
        self.commit(floor.commit, number).await
    }

    async fn read(&self, connection: &mut PgConnection, number: u64) -> sqlx::Result<()> {
        // The remainder is a valid index of the list.
        let sub = self.subs[(number % self.subs.len() as u64) as usize];
        sqlx::query(READ).bind(&self.pool_id).bind(sub).fetch_one(connection).await.map(drop)
    }

    async fn read_page(&self, connection: &mut PgConnection, directory: usize) -> sqlx::Result<()> {
        let page = sqlx::query(PAGE).bind(&self.directories[directory]).bind(self.random.uuid()).bind(PAGE_SIZE);
        page.fetch_all(connection).await.map(drop)
    }

    async fn write(&self, connection: &mut PgConnection, rows: usize) -> sqlx::Result<()> {
        let ids: Vec<Uuid> = std::iter::repeat_with(|| self.random.uuid()).take(rows).collect();
        let body: [u8; ROW] = self.random.bytes();
        let query = sqlx::query(WRITE).bind(&self.pool_id).bind(ids).bind(body);
        query.execute(connection).await.map(drop)
    }

    #[expect(clippy::disallowed_methods, reason = "nobody drops it while it begins")]
    async fn commit(&self, commit: Commit, number: u64) -> Result<(), NoAnswer> {
        match commit {
            Commit::None => Ok(()),
            Commit::Statement { rows } => {
                self.database.with(async |connection| self.write(connection, rows).await).await
            }
            Commit::Transaction { checks, rows } => {
                self.database
                    .with(async |connection| {
                        let mut transaction = connection.begin().await?;
                        for _ in 0..checks {
                            self.read(&mut transaction, number).await?;
                        }
                        for _ in 0..rows {
                            self.write(&mut transaction, 1).await?;
                        }
                        transaction.commit().await
                    })
                    .await
            }
        }
    }

    fn sign(&self) -> Result<(), NoAnswer> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let text: [u8; TOKEN] = self.random.bytes();
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &text, &mut signature).map_err(Failed)?;
        Ok(())
    }

    /// Runs on as many threads as there are processors, like the server's hashing.
    async fn blocking(&self, work: fn([u8; 16])) -> Result<(), NoAnswer> {
        let place = self.places.clone().acquire_owned().await.map_err(Failed)?;
        let salt = self.random.bytes();
        let done = tokio::task::spawn_blocking(move || {
            work(salt);
            drop(place);
        });
        done.await.map_err(Failed)?;
        Ok(())
    }
}

/// Open connections, which are handed from call to call without a check.
struct Database {
    places: Semaphore,
    idle: Mutex<Vec<PgConnection>>,
}

impl Database {
    /// Opens as many connections as the pool may have, with the pool's settings.
    async fn connect(pool: &PgPool) -> anyhow::Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            idle.push(pool.acquire().await?.detach());
        }
        Ok(Self { places: Semaphore::new(idle.len()), idle: Mutex::new(idle) })
    }

    async fn with(&self, work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<()>) -> Result<(), NoAnswer> {
        let _place = self.places.acquire().await.map_err(Failed)?;
        let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        #[expect(clippy::expect_used, reason = "there are as many connections as places")]
        let mut connection = connection.expect("there are as many connections as places");
        work(&mut connection).await.map_err(Failed)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(())
    }
}

thread_local! {
    /// Kept, because fresh pages would cost as much again as the hash.
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

#[expect(clippy::expect_used, reason = "production's parameters are valid, and the memory has the size they ask for")]
fn hash(salt: [u8; 16]) {
    let Cost { memory, passes, lanes } = Cost::default();
    let mut hash = [0; 32];
    let params = Params::new(memory, passes, lanes, Some(hash.len())).expect("production's parameters are valid");
    MEMORY.with_borrow_mut(|memory| {
        memory.resize(params.block_count(), Block::default());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hashed = argon2.hash_password_into_with_memory(b"Correct-horse-7", &salt, &mut hash, memory.as_mut_slice());
        hashed.expect("the memory has the size that the parameters ask for");
    });
    std::hint::black_box(hash);
}

/// The client's part in a sign-in by SRP: its signature, made on a thread of its own.
pub async fn sign_by_srp(
    client: Arc<Client>,
    challenge: InitiateAuthResponse,
    pool_id: &str,
) -> Result<String, NoAnswer> {
    let name = pool_id.split_once('_').map_or(pool_id, |(_, name)| name).to_owned();
    let sign = move || client.signature(&name, PASSWORD, &challenge, TIMESTAMP);
    Ok(tokio::task::spawn_blocking(sign).await.map_err(Failed)?)
}

/// A challenge as the server would send it; its numbers only have the right size.
fn challenge(client: &Client) -> InitiateAuthResponse {
    let parameters = [
        ("SRP_B", client.public()),
        ("SALT", "a".repeat(32)),
        ("USER_ID_FOR_SRP", "person".to_owned()),
        ("SECRET_BLOCK", "AAAA".repeat(500)),
    ];
    let challenge_parameters = parameters.map(|(name, value)| (name.to_owned(), value)).into();
    InitiateAuthResponse { challenge_parameters, ..Default::default() }
}

fn exponentiate(salt: [u8; 16]) {
    std::hint::black_box(srp::verifier("abcdefghi", "user", "Correct-horse-7", salt));
}

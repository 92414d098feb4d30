//! `userpool dev --seed`: pools, app clients, groups and users from one file, for tests that need existing data.
//!
//! The file is read, and rehearsed with the rules that need no database, before anything is started. Then the use cases
//! of the API apply it, before the server says that it is ready.

mod document;
mod read;
mod rehearse;
pub mod shape;
mod walk;
mod yaml;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt, stream};

use crate::app::App;
use crate::app::caller::{Caller, Credential, Developer};
use crate::app::seed::app_client::seed_client;
use crate::app::seed::group::seed_group;
use crate::app::seed::user::seed_user;
use crate::app::seed::user_pool::seed_user_pool;
use crate::cli::dev::seed::document::{LARGEST_FILE, Position, Problem};
use crate::cli::dev::seed::read::Pool;
use crate::domain::error::{Error, Exception};
use crate::store::service_accounts::ServiceAccount;

/// A seed that was read and rehearsed without problems.
pub struct Seed {
    file: PathBuf,
    pools: Vec<Pool>,
}

impl Seed {
    /// Reads a file. The error lists all problems, each with its line.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let bytes = bytes_of(file).with_context(|| format!("the seed {} can't be read", file.display()))?;
        match parse(&bytes) {
            Ok(pools) => Ok(Self { file: file.to_owned(), pools }),
            Err(problems) => {
                let lines: Vec<_> = problems.iter().map(|problem| told(file, problem)).collect();
                bail!("{}", lines.join("\n"))
            }
        }
    }

    /// Creates what is missing and changes what differs, as a service account.
    pub async fn apply(&self, app: &App, account: ServiceAccount) -> anyhow::Result<()> {
        let caller = caller(app, account);
        for pool in &self.pools {
            self.apply_pool(app, &caller, pool).await.map_err(|problem| anyhow::anyhow!(told(&self.file, &problem)))?;
        }
        let count = |count: fn(&Pool) -> usize| self.pools.iter().map(count).sum::<usize>();
        tracing::info!(
            pools = self.pools.len(),
            clients = count(|pool| pool.clients.len()),
            groups = count(|pool| pool.groups.len()),
            users = count(|pool| pool.users.len()),
            "all that the seed names is there"
        );
        Ok(())
    }

    async fn apply_pool(&self, app: &App, caller: &Caller, pool: &Pool) -> Result<(), Problem> {
        seed_user_pool(app, caller, &pool.pool.value).await.map_err(|error| refused(&pool.pool.place, error))?;
        for client in &pool.clients {
            seed_client(app, caller, &client.value).await.map_err(|error| refused(&client.place, error))?;
        }
        for group in &pool.groups {
            seed_group(app, caller, &group.value).await.map_err(|error| refused(&group.place, error))?;
        }
        let users = stream::iter(&pool.users).map(async |user| {
            let seeded = seed_user(app, caller, &user.user.value).await;
            seeded.map_err(|error| match error.exception {
                Exception::InvalidPasswordException => refused(&user.password, error),
                _ => refused(&user.user.place, error),
            })
        });
        // As many at once as there are hashing threads: then no call waits for a thread and is refused.
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        users.buffered(at_once).try_collect().await
    }
}

/// Reads and rehearses the contents of a file.
fn parse(bytes: &[u8]) -> Result<Vec<Pool>, Vec<Problem>> {
    let text = document::text(bytes).map(document::with_whole_escapes);
    let document = text.and_then(|text| yaml::load(&text)).map_err(|problem| vec![problem])?;
    let pools = read::pools(&document)?;
    let problems = rehearse::rehearse(&pools);
    if problems.is_empty() { Ok(pools) } else { Err(problems) }
}

fn bytes_of(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        bail!("it is larger than {} MiB", LARGEST_FILE / 1024 / 1024);
    }
    Ok(bytes)
}

fn told(file: &Path, problem: &Problem) -> String {
    format!("{}:{problem}", file.display())
}

fn refused(place: &Position, error: Error) -> Problem {
    match &error.cause {
        Some(cause) => place.problem(format!("{} ({cause})", error.message)),
        None => place.problem(error.message),
    }
}

/// The service account of this data directory, which applies the file.
fn caller(app: &App, account: ServiceAccount) -> Caller {
    Caller {
        developer: Some(Developer { account, credential: Credential::Secret }),
        address: None,
        request_id: app.random.uuid().to_string(),
        trace_context: None,
        region: None,
        patience: None,
        operation: "Seed",
        idempotency_key: None,
        command: None,
        asked: Default::default(),
    }
}

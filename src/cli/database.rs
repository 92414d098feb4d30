//! How commands reach the database and the master keys.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use crate::environment::Random;
use crate::store::keys::MasterKeys;
use crate::store::metadata::{Actor, ActorKind, Origin};
use crate::store::{self, Store};

/// Most connections of a command, which makes few queries.
const CONNECTIONS: u32 = 4;

/// The database, and the keys to its contents.
#[derive(Clone, Debug, Args)]
pub struct DatabaseArguments {
    /// The URL of the Postgres database.
    #[arg(long, env = "USERPOOL_DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The file with the master keys.
    #[arg(long, env = "USERPOOL_MASTER_KEYS_FILE")]
    master_keys_file: Option<PathBuf>,
}

impl DatabaseArguments {
    /// A store with the master keys.
    pub async fn store(&self) -> anyhow::Result<Store> {
        let file = self
            .master_keys_file
            .as_ref()
            .context("name the master keys by --master-keys-file or USERPOOL_MASTER_KEYS_FILE")?;
        self.connect(MasterKeys::read(file)?).await
    }

    /// A store that can't open sealed values.
    pub async fn store_without_keys(&self) -> anyhow::Result<Store> {
        let unused = MasterKeys::generate_line("unused", &Random::default());
        self.connect(MasterKeys::parse(&unused)?).await
    }

    async fn connect(&self, keys: MasterKeys) -> anyhow::Result<Store> {
        let database = store::connect(&self.database_url, CONNECTIONS, store::ConnectionRole::Operator)
            .await
            .context("the database can't be reached")?;
        Ok(Store::new(database, Arc::new(keys)))
    }
}

/// The origin of what an operator writes from the command line.
pub fn operator_origin(operation: &'static str) -> Origin {
    Origin {
        actor: Actor { kind: ActorKind::Operator, id: String::new(), credential_id: None },
        operation,
        request_id: Random::default().uuid().to_string(),
        trace_context: None,
        address: None,
        command: None,
        patience: None,
    }
}

//! `userpool service-account`: on the database, no server needed.

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};

use crate::cli::database::{DatabaseArguments, operator_origin};
use crate::domain::ids::{AccessKeyId, UserPoolId};
use crate::store::service_accounts::Role;

/// What to do with service accounts.
#[derive(Debug, Args)]
pub struct ServiceAccountArguments {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates a service account and prints its secret, once.
    Create {
        /// What it is for.
        #[arg(long)]
        name: String,
        /// admin, pool-admin or read-only.
        #[arg(long, value_parser = role)]
        role: Role,
        /// A pool that a pool-admin administers; may be given several times.
        #[arg(long = "pool")]
        pools: Vec<String>,
    },
    /// Lists service accounts.
    List,
    /// Revokes a service account at once.
    Revoke {
        /// Its access key id.
        access_key_id: String,
    },
}

fn role(name: &str) -> Result<Role, String> {
    Role::ALL
        .into_iter()
        .find(|role| role.name() == name)
        .ok_or_else(|| "a role is admin, pool-admin or read-only".to_owned())
}

/// Does it.
pub async fn run(arguments: ServiceAccountArguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Create { name, role, pools } => {
            ensure!(
                (role == Role::PoolAdmin) != pools.is_empty(),
                "a pool-admin names its pools with --pool, other roles name none"
            );
            let store = arguments.database.store().await?;
            let pools = pools.into_iter().map(UserPoolId::new).collect();
            let (account, secret) =
                store.create_service_account(&name, role, pools, &operator_origin("service-account create")).await?;
            println!("access key id      {}", account.access_key_id);
            println!("secret access key  {}", secret.0);
            println!("bearer token       {}.{}", account.access_key_id, secret.0);
        }
        Command::List => {
            let store = arguments.database.store_without_keys().await?;
            for account in store.list_service_accounts().await? {
                let state = if account.revoked_at.is_some() { "revoked" } else { "in use" };
                let pools: Vec<_> = account.user_pool_ids.iter().map(UserPoolId::as_str).collect();
                println!(
                    "{}  {:10}  {state}  {}  {}",
                    account.access_key_id,
                    account.role.name(),
                    account.name,
                    pools.join(",")
                );
            }
        }
        Command::Revoke { access_key_id } => {
            let store = arguments.database.store_without_keys().await?;
            let id = AccessKeyId::new(access_key_id);
            if !store.revoke_service_account(&id, &operator_origin("service-account revoke")).await? {
                bail!("there is no service account {id} in use");
            }
            println!("{id} is revoked.");
        }
    }
    Ok(())
}

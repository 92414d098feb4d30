//! `userpool migrate`: updates the schema of the database.

use crate::cli::database::DatabaseArguments;

/// Updates the schema to this release's version.
pub async fn run(arguments: DatabaseArguments) -> anyhow::Result<()> {
    let store = arguments.store_without_keys().await?;
    store.migrate().await?;
    println!("The database has the schema of this release.");
    Ok(())
}

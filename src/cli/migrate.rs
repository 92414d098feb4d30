//! `userpool migrate`: updates the schema of the database; and `userpool finish-upgrade`, after all servers were replaced.

use crate::cli::database::DatabaseArguments;
use crate::proto::EVENT_TYPES;
use crate::store::system::{Finished, Migrated};

/// Updates the schema to this release's version.
pub async fn run(arguments: DatabaseArguments) -> anyhow::Result<()> {
    let store = arguments.store_without_keys().await?;
    match store.migrate().await? {
        Migrated::Ours => println!("The database has the schema of this release."),
        Migrated::Later => {
            println!(
                "The database has the schema of a later release, on which this one can serve. Nothing was changed."
            );
        }
    }
    Ok(())
}

/// Allows events that servers of the release before can't read, and says which.
pub async fn finish(arguments: DatabaseArguments) -> anyhow::Result<()> {
    let store = arguments.store_without_keys().await?;
    let Finished { before, level } = store.finish_upgrade().await?;
    if before == level {
        println!("There is nothing to finish: events up to level {level} could be written before.");
        return Ok(());
    }
    println!("The upgrade is finished. Events up to level {level} can be written, until now up to {before}:");
    for added in EVENT_TYPES.iter().flat_map(|kind| kind.between(before, level)) {
        println!("  {added}");
    }
    println!("Servers of the release before can't serve this database any more.");
    Ok(())
}

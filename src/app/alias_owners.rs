//! The users from whom a new user takes aliases.

use crate::app::{App, Failure};
use crate::domain::ids::UserPoolId;
use crate::domain::user::taken_alias::TakenAlias;
use crate::store::loaded::LoadedUser;
use crate::store::read::Wanted;

/// The users from whom aliases are taken, each with all aliases that it loses. A user deleted meanwhile loses nothing.
pub async fn alias_owners(
    app: &App,
    pool_id: &UserPoolId,
    aliases: Vec<TakenAlias>,
) -> Result<Vec<(LoadedUser, Vec<TakenAlias>)>, Failure> {
    let mut owners: Vec<(LoadedUser, Vec<TakenAlias>)> = Vec::new();
    for alias in aliases {
        let wanted = Wanted { name: Some(&alias.name), ..Wanted::default() };
        let Some(owner) = app.store.read(pool_id, None, wanted).await?.user else { continue };
        match owners.iter_mut().find(|(known, _)| known.state.sub == owner.state.sub) {
            Some((_, taken)) => taken.push(alias),
            None => owners.push((owner, vec![alias])),
        }
    }
    Ok(owners)
}

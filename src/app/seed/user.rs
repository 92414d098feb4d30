//! A user with a password, in groups.

use crate::app::App;
use crate::app::admin_user::admin_create_user;
use crate::app::admin_user::admin_update_user_attributes::admin_update_user_attributes;
use crate::app::admin_user::named_user::named_user;
use crate::app::attempts::{settled, settled_with};
use crate::app::caller::Caller;
use crate::app::group::admin_add_user_to_group::admin_add_user_to_group;
use crate::app::hashing::forms;
use crate::app::password::admin_set_user_password;
use crate::app::seed::{COLLISION, refused_id};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::Sub;
use crate::domain::user::{User, UserStatus};
use crate::proto::v1::{
    AdminAddUserToGroupRequest, AdminCreateUserRequest, AdminSetUserPasswordRequest, AdminUpdateUserAttributesRequest,
    AttributeType,
};
use crate::store::cache::PoolView;
use crate::store::loaded::LoadedUser;

/// A user as the seed describes it.
pub struct SeededUser {
    /// The id, if the seed gives one.
    pub sub: Option<Sub>,
    /// The request that creates the user, with its password and without an invitation.
    pub create: AdminCreateUserRequest,
    /// The request that sets the same password for an existing user. Permanent means confirmed.
    pub password: AdminSetUserPasswordRequest,
    /// The names of the groups that the user is in.
    pub groups: Vec<String>,
}

/// Creates the user, or changes what differs: password, attributes, and groups that it is not in yet.
pub async fn seed_user(app: &App, caller: &Caller, wanted: &SeededUser) -> Result<(), Error> {
    if let Err(refusal) = create(app, caller, wanted).await {
        if refusal.exception != Exception::UsernameExistsException {
            return Err(refusal);
        }
        let (pool_id, username) = (wanted.create.user_pool_id(), wanted.create.username());
        match settled(COLLISION, || named_user(app, pool_id, username)).await {
            Ok((pool, user)) if is_named(&pool, &user, wanted) => change(app, caller, wanted, &pool, &user).await?,
            // An alias or address of another user matches the name.
            Ok(_) => return Err(refusal),
            // The name is free, but an address is taken that other users sign in with.
            Err(error) if error.exception == Exception::UserNotFoundException => return Err(refusal),
            Err(error) => return Err(error),
        }
    }
    for group in &wanted.groups {
        let request = AdminAddUserToGroupRequest {
            user_pool_id: wanted.create.user_pool_id.clone(),
            username: wanted.create.username.clone(),
            group_name: Some(group.clone()),
        };
        settled(COLLISION, || admin_add_user_to_group(app, caller, &request)).await?;
    }
    Ok(())
}

async fn create(app: &App, caller: &Caller, wanted: &SeededUser) -> Result<(), Error> {
    let sub = || wanted.sub.unwrap_or_else(|| Sub(app.random.uuid()));
    let permanent = wanted.password.permanent();
    let created = settled_with(
        COLLISION,
        || admin_create_user::prepare_creation(app, caller, &wanted.create, sub()),
        |prepared| async move { admin_create_user::create(app, caller, &wanted.create, &prepared, permanent).await },
    );
    created.await.map(drop).map_err(|error| refused_id(error, "The sub of the user"))
}

/// Whether the name belongs to this user: as the user name, or as an address if addresses are the user names.
fn is_named(pool: &PoolView, user: &LoadedUser, wanted: &SeededUser) -> bool {
    let rules = &pool.name_rules;
    let own = rules.normalise(user.state.username()) == rules.normalise(wanted.create.username());
    own || !rules.username_attributes.is_empty()
}

async fn change(
    app: &App,
    caller: &Caller,
    wanted: &SeededUser,
    pool: &PoolView,
    user: &LoadedUser,
) -> Result<(), Error> {
    if wanted.sub.is_some_and(|sub| sub != user.state.sub) {
        let message = format!("The user is there with the sub {}, which can't be changed.", user.state.sub);
        return Err(Error::invalid_parameter(message));
    }
    if !has_password(app, caller, &wanted.password, pool, user).await? {
        let request = &wanted.password;
        settled_with(
            COLLISION,
            || admin_set_user_password::prepare(app, caller, request),
            |prepared| async move {
                admin_set_user_password::admin_set_user_password(app, caller, request, &prepared).await
            },
        )
        .await?;
    }
    let user_attributes = differing(&user.state, &wanted.create.user_attributes);
    if !user_attributes.is_empty() {
        let request = AdminUpdateUserAttributesRequest {
            user_pool_id: wanted.create.user_pool_id.clone(),
            username: wanted.create.username.clone(),
            user_attributes,
            ..Default::default()
        };
        settled(COLLISION, || admin_update_user_attributes(app, caller, &request)).await?;
    }
    Ok(())
}

/// Whether the user has this password, and as permanently as wanted. Costs one hash; setting it again would cost more.
async fn has_password(
    app: &App,
    caller: &Caller,
    wanted: &AdminSetUserPasswordRequest,
    pool: &PoolView,
    user: &LoadedUser,
) -> Result<bool, Error> {
    let status = if wanted.permanent() { UserStatus::Confirmed } else { UserStatus::ForceChangePassword };
    let Some(stored) = forms::stored_hash(pool, user)?.filter(|_| user.state.status == status) else {
        return Ok(false);
    };
    app.hasher.verify(wanted.password(), Some(&stored), &caller.turn(&pool.id)).await
}

/// The attributes that differ. Equal ones are left out, because they may be immutable.
fn differing(user: &User, wanted: &[AttributeType]) -> Vec<AttributeType> {
    let shown = user.shown_attributes();
    let value = |name: &str| shown.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    wanted.iter().filter(|attribute| value(attribute.name()) != attribute.value()).cloned().collect()
}

//! AdminCreateUser.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::password_forms::{self, Owner};
use crate::app::{App, Failure, shapes, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{Sub, UserPoolId};
use crate::domain::password_policy;
use crate::domain::user::admin_create_user::{self as rules, Invitations, TakenAlias, TemporaryPassword};
use crate::domain::user::admin_set_user_password::admin_set_user_password;
use crate::domain::user::{User, resend_invitation};
use crate::domain::user_pool::UserPool;
use crate::proto::v1::{AdminCreateUserRequest, AdminCreateUserResponse};
use crate::store::commit::{Commit, LoadedUser, NewUser, OperationalRow};
use crate::store::read::Wanted;

/// Creates a user with a temporary password and invites it, or invites one again.
pub async fn admin_create_user(
    app: &App,
    caller: &Caller,
    request: AdminCreateUserRequest,
) -> Result<AdminCreateUserResponse, Error> {
    if request.message_action() == "RESEND" {
        return until_settled!(Exception::TooManyRequestsException, resend(app, caller, &request));
    }
    // Another one at each try: a name of somebody else's may look like it.
    let fresh_sub = || Sub(app.random.uuid());
    until_settled!(Exception::TooManyRequestsException, create(app, caller, &request, fresh_sub(), false))
}

/// Creates a user of this id. Collides if the id is, or was, another user's. A permanent password needs no other: the user
/// is confirmed from the first moment.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    request: &AdminCreateUserRequest,
    sub: Sub,
    permanent: bool,
) -> Result<AdminCreateUserResponse, Failure> {
    let pool_id = UserPoolId::new(request.user_pool_id());
    let names = rules::possible_names(&app.store.pool_hint(&pool_id).await?.name_rules, request);
    let found = app.store.read(&pool_id, None, Wanted { taken: &names, ..Wanted::default() }).await?;
    let pool = found.pool;
    let invitee = rules::invitee(&pool.state, sub, request)?;
    let force = request.force_alias_creation();
    let aliases = rules::conflicts(&pool.name_rules, &invitee, &found.taken, force)?;
    Invitations::of(request).addresses(&invitee.attributes)?;
    let text = temporary_password(app, &pool.state, request)?;
    let owners = alias_owners(app, &pool_id, aliases).await?;
    let (key, wrapped) = pool.keys.generate_user_key(sub.to_string(), &app.random);
    // Where an address is the name, it is the one that the administrator writes here.
    let address_is_name = !pool.name_rules.username_attributes.is_empty();
    let shown = if address_is_name { request.username() } else { &invitee.username }.to_owned();
    let owner = Owner { pool_id: &pool.id, key: &key, sub, username: &invitee.username };
    let temporary = temporary(app, caller, owner, shown, text, request).await?;
    let mut decision = rules::admin_create_user(&pool.state, invitee, &temporary);
    if permanent {
        decision = decision.then(admin_set_user_password(temporary.password, true));
    }
    let mut commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now())
        .decided_from(&pool, None)
        .operational([OperationalRow::Key(wrapped)]);
    for (owner, taken) in &owners {
        commit = commit.other_user(owner, rules::release_aliases(&owner.state, &pool.name_rules, taken)?);
    }
    let subject = NewUser { sub, key: &key };
    app.store.settle(commit.decided_showing(&subject, decision, |user| Ok(response(&pool.state, user)))).await
}

async fn resend(
    app: &App,
    caller: &Caller,
    request: &AdminCreateUserRequest,
) -> Result<AdminCreateUserResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    resend_invitation::check(&user.state)?;
    let text = temporary_password(app, &pool.state, request)?;
    let _sub = user.state.sub;
    let shown = rules::sign_in_name(&pool.name_rules, &user.state, request.username()).to_owned();
    let temporary = temporary(app, caller, Owner::of(&pool, &user), shown, text, request).await?;
    let decision = resend_invitation::resend_invitation(&pool.state, &user.state, &temporary);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now()).decided_from(&pool, None);
    app.store.settle(commit.decided_showing(&user, decision, |user| Ok(response(&pool.state, user)))).await
}

/// The users from whom aliases are taken, each with all that it loses. One that has gone meanwhile loses nothing.
async fn alias_owners(
    app: &App,
    pool_id: &UserPoolId,
    aliases: Vec<TakenAlias>,
) -> Result<Vec<(LoadedUser, Vec<TakenAlias>)>, Error> {
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

/// The temporary password that is asked for, or a generated one; either conforms to the policy.
fn temporary_password(app: &App, pool: &UserPool, request: &AdminCreateUserRequest) -> Result<String, Error> {
    let policy = pool.password_policy();
    if let Some(given) = &request.temporary_password {
        password_policy::check(&policy, given)?;
        return Ok(given.clone());
    }
    // Each of the classes that a policy can ask for is among the characters, so few tries are enough.
    loop {
        let text = app.random.text(password_policy::GENERATED, password_policy::generated_length(&policy));
        if password_policy::check(&policy, &text).is_ok() {
            return Ok(text);
        }
    }
}

/// The slow part: both forms of the temporary password. The invitation calls the user by the given name.
async fn temporary(
    app: &App,
    caller: &Caller,
    owner: Owner<'_>,
    username: String,
    text: String,
    request: &AdminCreateUserRequest,
) -> Result<TemporaryPassword, Error> {
    let password = password_forms::seal(app, caller, owner, &text).await?;
    Ok(TemporaryPassword { password, text, username, invitations: Invitations::of(request) })
}

fn response(pool: &UserPool, user: &User) -> AdminCreateUserResponse {
    AdminCreateUserResponse { user: Some(shapes::user(pool, user)) }
}

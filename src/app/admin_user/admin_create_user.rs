//! AdminCreateUser.

use std::sync::Arc;

use crate::app::admin_user::named_user::named_user;
use crate::app::alias_owners::alias_owners;
use crate::app::attempts::FirstRead;
use crate::app::caller::Caller;
use crate::app::hashing::forms::{Owner, PasswordForms};
use crate::app::triggers::{self, Subject};
use crate::app::wording::Wording;
use crate::app::{App, Failure, shapes};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::{Sub, UserPoolId};
use crate::domain::password_policy;
use crate::domain::time::Timestamp;
use crate::domain::trigger::custom_message;
use crate::domain::trigger::pre_sign_up::{self, PreSignUp};
use crate::domain::trigger::{self, Texts};
use crate::domain::user::admin_create_user::{self as rules, Invitations, Invitee, TemporaryPassword};
use crate::domain::user::admin_set_user_password::admin_set_user_password;
use crate::domain::user::taken_alias::{TakenAlias, release_aliases};
use crate::domain::user::{User, resend_invitation};
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::v1::{AdminCreateUserRequest, AdminCreateUserResponse, PasswordPolicyType};
use crate::store::cache::PoolView;
use crate::store::commit::{Commit, NewUser, OperationalRow};
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;
use crate::store::read::{Snapshot, Wanted};

/// A new user, or a new invitation, with the temporary password hashed.
pub enum Prepared {
    /// A user to be created.
    Created(Box<NewInvitee>),
    /// An existing user, to be invited again.
    Resent(Box<Reinvited>),
}

/// A user to be created.
pub struct NewInvitee {
    sub: Sub,
    found: FirstRead<Snapshot>,
    temporary: HashedTemporary,
}

/// An existing user, to be invited again.
pub struct Reinvited {
    found: FirstRead<(Arc<PoolView>, LoadedUser)>,
    temporary: HashedTemporary,
}

/// A temporary password, hashed.
struct HashedTemporary {
    text: String,
    is_generated: bool,
    forms: PasswordForms,
}

/// Checks the request, and hashes the temporary password.
pub async fn prepare(app: &App, caller: &Caller, request: &AdminCreateUserRequest) -> Result<Prepared, Failure> {
    if request.message_action() == "RESEND" {
        let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
        resend_invitation::check(&user.state)?;
        let temporary = HashedTemporary::prepare(app, caller, &pool, user.state.username(), request).await?;
        return Ok(Prepared::Resent(Box::new(Reinvited { found: FirstRead::new((pool, user)), temporary })));
    }
    let invitee = prepare_creation(app, caller, request, Sub(app.random.uuid())).await?;
    Ok(Prepared::Created(Box::new(invitee)))
}

/// Prepares a user with this id.
pub(crate) async fn prepare_creation(
    app: &App,
    caller: &Caller,
    request: &AdminCreateUserRequest,
    sub: Sub,
) -> Result<NewInvitee, Failure> {
    let found = read(app, request).await?;
    let invitee = check(&found, request, sub)?.0;
    be_admitted(app, caller, &found.pool, request, &invitee).await?;
    let temporary = HashedTemporary::prepare(app, caller, &found.pool, &invitee.username, request).await?;
    Ok(NewInvitee { sub, found: FirstRead::new(found), temporary })
}

/// Asks the pool's trigger, which can refuse the user. Its other decisions don't count here.
async fn be_admitted(
    app: &App,
    caller: &Caller,
    pool: &PoolView,
    request: &AdminCreateUserRequest,
    invitee: &Invitee,
) -> Result<(), Error> {
    let subject = Subject { pool, user_name: &invitee.username, client_id: None };
    let question = PreSignUp::new(
        pre_sign_up::ADMIN_CREATE_USER,
        rules::trigger_attributes(invitee),
        trigger::validation_data(&request.validation_data),
        trigger::metadata(&request.client_metadata),
    );
    triggers::ask(app, caller, subject, &question).await.map(drop)
}

/// Creates a user with a temporary password and invites them, or invites an existing user again.
pub async fn admin_create_user(
    app: &App,
    caller: &Caller,
    request: &AdminCreateUserRequest,
    prepared: &Prepared,
) -> Result<AdminCreateUserResponse, Failure> {
    match prepared {
        Prepared::Created(invitee) => create(app, caller, request, invitee, false).await,
        Prepared::Resent(reinvited) => resend(app, caller, request, reinvited).await,
    }
}

async fn read(app: &App, request: &AdminCreateUserRequest) -> Result<Snapshot, StoreError> {
    let pool_id = UserPoolId::new(request.user_pool_id());
    let names = rules::possible_names(&app.store.pool_hint(&pool_id).await?.name_rules, request);
    app.store.read(&pool_id, None, Wanted { taken: &names, ..Wanted::default() }).await
}

/// The user as it would be created, and the aliases that it would take from other users.
fn check(found: &Snapshot, request: &AdminCreateUserRequest, sub: Sub) -> Result<(Invitee, Vec<TakenAlias>), Error> {
    let pool = &found.pool;
    let invitee = rules::invitee(&pool.state, sub, request)?;
    let aliases = rules::conflicts(&pool.name_rules, &invitee, &found.taken, request.force_alias_creation())?;
    Invitations::of(request).addresses(&invitee.attributes)?;
    Ok((invitee, aliases))
}

/// Creates the user. Collides if another user has or had the id. A permanent password needs no change: the user is
/// confirmed from the first moment.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    request: &AdminCreateUserRequest,
    prepared: &NewInvitee,
    permanent: bool,
) -> Result<AdminCreateUserResponse, Failure> {
    let found = prepared.found.or(read(app, request)).await?;
    let (pool, sub) = (&found.pool, prepared.sub);
    let (invitee, aliases) = check(&found, request, sub)?;
    let owners = alias_owners(app, &pool.id, aliases).await?;
    let (key, wrapped) = pool.keys.generate_user_key(sub.to_string(), &app.random);
    // If addresses are the user names, the invitation shows the one that the administrator wrote.
    let address_is_name = !pool.name_rules.username_attributes.is_empty();
    let shown = if address_is_name { request.username() } else { &invitee.username }.to_owned();
    let owner = Owner { pool_id: &pool.id, key: &key, sub, username: &invitee.username };
    let temporary = prepared.temporary.seal(app, &pool.state, owner, shown, request)?;
    let (at, decision) = (app.clock.now(), rules::admin_create_user(&pool.state, invitee, &temporary));
    let mut decision = in_words(app, caller, (pool, &temporary.username), (sub, None), (decision, at)).await?;
    if permanent {
        decision = decision.then(admin_set_user_password(temporary.password, true));
    }
    let mut commit = Commit::about(pool, &caller.developer_origin(), at)
        .decided_from(pool, None)
        .operational([OperationalRow::Key(wrapped)]);
    for (owner, taken) in &owners {
        commit = commit.other_user(owner, release_aliases(&owner.state, &pool.name_rules, taken)?);
    }
    let subject = NewUser { sub, key: &key };
    app.store.settle(commit.decided_showing(&subject, decision, |user| Ok(response(&pool.state, user)))).await
}

async fn resend(
    app: &App,
    caller: &Caller,
    request: &AdminCreateUserRequest,
    prepared: &Reinvited,
) -> Result<AdminCreateUserResponse, Failure> {
    let (pool, user) = prepared.found.or(named_user(app, request.user_pool_id(), request.username())).await?;
    resend_invitation::check(&user.state)?;
    let shown = rules::sign_in_name(&pool.name_rules, &user.state, request.username()).to_owned();
    let temporary = prepared.temporary.seal(app, &pool.state, Owner::of(&pool, &user), shown, request)?;
    let (at, whose) = (app.clock.now(), (user.state.sub, Some(&user.state)));
    let decision = resend_invitation::resend_invitation(&pool.state, &user.state, &temporary);
    let decision = in_words(app, caller, (&pool, &temporary.username), whose, (decision, at)).await?;
    let commit = Commit::about(&pool, &caller.developer_origin(), at).decided_from(&pool, None);
    app.store.settle(commit.decided_showing(&user, decision, |user| Ok(response(&pool.state, user)))).await
}

/// The decision with invitations in the words of the pool's trigger. It does not get the metadata of the call.
async fn in_words(
    app: &App,
    caller: &Caller,
    (pool, shown): (&PoolView, &str),
    whose: (Sub, Option<&User>),
    (decision, at): (Decision<Event, Activity, ()>, Timestamp),
) -> Result<Decision<Event, Activity, ()>, Error> {
    let (source, metadata) = (custom_message::ADMIN_CREATE_USER, &Texts::new());
    let wording = Wording { source, pool, client_id: None, shown: Some(shown), metadata };
    wording.of(app, caller, whose, decision, at).await
}

impl HashedTemporary {
    /// Hashes the password in the request, or a generated one. Both conform to the policy.
    async fn prepare(
        app: &App,
        caller: &Caller,
        pool: &PoolView,
        username: &str,
        request: &AdminCreateUserRequest,
    ) -> Result<Self, Failure> {
        let policy = pool.state.password_policy();
        let (text, is_generated) = match &request.temporary_password {
            Some(given) => (given.clone(), false),
            None => (generate(app, &policy), true),
        };
        password_policy::check(&policy, &text)?;
        let forms = PasswordForms::make(app, caller, &pool.id, username, &text).await?;
        Ok(Self { text, is_generated, forms })
    }

    /// Seals the password for its owner, with an invitation that shows this name. If the policy has changed since the
    /// password was hashed, a given password is refused and a generated one is made anew.
    fn seal(
        &self,
        app: &App,
        pool: &UserPool,
        owner: Owner<'_>,
        shown: String,
        request: &AdminCreateUserRequest,
    ) -> Result<TemporaryPassword, Failure> {
        match password_policy::check(&pool.password_policy(), &self.text) {
            Err(_) if self.is_generated => return Err(Failure::Outdated),
            checked => checked?,
        }
        let password = self.forms.seal(app, owner)?;
        let invitations = Invitations::of(request);
        Ok(TemporaryPassword { password, text: self.text.clone(), username: shown, invitations })
    }
}

/// A random password that conforms to a policy.
fn generate(app: &App, policy: &PasswordPolicyType) -> String {
    // The generated characters cover every class that a policy can require, so few tries are enough.
    loop {
        let text = app.random.text(password_policy::GENERATED, password_policy::generated_length(policy));
        if password_policy::check(policy, &text).is_ok() {
            return text;
        }
    }
}

fn response(pool: &UserPool, user: &User) -> AdminCreateUserResponse {
    AdminCreateUserResponse { user: Some(shapes::user(pool, user)) }
}

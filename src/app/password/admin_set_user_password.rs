//! AdminSetUserPassword.

use std::sync::Arc;

use crate::app::admin_user::named_user::named_user;
use crate::app::attempts::FirstRead;
use crate::app::caller::Caller;
use crate::app::hashing::forms::PasswordForms;
use crate::app::{App, Failure};
use crate::domain::password_policy;
use crate::domain::user::{admin_set_user_password as rules, password_history};
use crate::proto::v1::{AdminSetUserPasswordRequest, AdminSetUserPasswordResponse};
use crate::store::cache::PoolView;
use crate::store::commit::Commit;
use crate::store::loaded::LoadedUser;

/// A hashed password that conforms to the policy.
pub struct Prepared {
    found: FirstRead<(Arc<PoolView>, LoadedUser)>,
    forms: PasswordForms,
}

/// Checks the password and hashes it.
pub async fn prepare(app: &App, caller: &Caller, request: &AdminSetUserPasswordRequest) -> Result<Prepared, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    password_policy::check(&pool.state.password_policy(), request.password())?;
    let forms = PasswordForms::of_next(app, caller, &pool, &user, request.password()).await?;
    Ok(Prepared { found: FirstRead::new((pool, user)), forms })
}

/// Sets a user's password: permanently, or until the user sets their own.
pub async fn admin_set_user_password(
    app: &App,
    caller: &Caller,
    request: &AdminSetUserPasswordRequest,
    prepared: &Prepared,
) -> Result<AdminSetUserPasswordResponse, Failure> {
    let (pool, user) = prepared.found.or(named_user(app, request.user_pool_id(), request.username())).await?;
    password_policy::check(&pool.state.password_policy(), request.password())?;
    let password = prepared.forms.seal_next(app, &pool, &user)?;
    let set = rules::admin_set_user_password(password, request.permanent());
    let decision = password_history::retire(&pool.state, &user.state).then(set);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminSetUserPasswordResponse {})).await
}

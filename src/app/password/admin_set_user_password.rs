//! AdminSetUserPassword.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::password_forms::{self, Owner};
use crate::app::{App, Failure, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::password_policy;
use crate::domain::user::admin_set_user_password as rules;
use crate::proto::v1::{AdminSetUserPasswordRequest, AdminSetUserPasswordResponse};
use crate::store::commit::Commit;

/// Gives a user a password: for good, or until it has chosen its own.
pub async fn admin_set_user_password(
    app: &App,
    caller: &Caller,
    request: AdminSetUserPasswordRequest,
) -> Result<AdminSetUserPasswordResponse, Error> {
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, &request))
}

async fn attempt(
    app: &App,
    caller: &Caller,
    request: &AdminSetUserPasswordRequest,
) -> Result<AdminSetUserPasswordResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    password_policy::check(&pool.state.password_policy(), request.password())?;
    let password = password_forms::seal(app, caller, Owner::of(&pool, &user), request.password()).await?;
    let decision = rules::admin_set_user_password(password, request.permanent());
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminSetUserPasswordResponse {})).await
}

//! AdminConfirmSignUp.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::user::admin_confirm_sign_up as rules;
use crate::proto::events::CodePurpose;
use crate::proto::v1::{AdminConfirmSignUpRequest, AdminConfirmSignUpResponse};
use crate::store::commit::{Commit, OperationalRow};

/// Confirms a user without a code.
pub async fn admin_confirm_sign_up(
    app: &App,
    caller: &Caller,
    request: &AdminConfirmSignUpRequest,
) -> Result<AdminConfirmSignUpResponse, Failure> {
    let (pool, user) = named_user(app, request.user_pool_id(), request.username()).await?;
    let decision = rules::admin_confirm_sign_up(&user.state);
    let code = OperationalRow::CodeDropped { sub: user.state.sub, purpose: CodePurpose::SignUp };
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now()).operational([code]);
    app.store.settle(commit.decided(&user, decision).map(|()| AdminConfirmSignUpResponse {})).await
}

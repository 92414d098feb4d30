//! AdminResetUserPassword.

use crate::app::admin_user::named_user::named_user_with;
use crate::app::caller::Caller;
use crate::app::codes::NewCode;
use crate::app::wording::Wording;
use crate::app::{App, Failure};
use crate::domain::source::Source;
use crate::domain::trigger::custom_message;
use crate::domain::user::admin_reset_user_password::{self as rules, ResetPassword};
use crate::proto::events::CodePurpose;
use crate::proto::v1::{AdminResetUserPasswordRequest, AdminResetUserPasswordResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Removes a user's password, ends its sessions, and sends a code with which the user can set a new one.
pub async fn admin_reset_user_password(
    app: &App,
    caller: &Caller,
    request: &AdminResetUserPasswordRequest,
) -> Result<AdminResetUserPasswordResponse, Failure> {
    let purpose = CodePurpose::ForgotPassword;
    let wanted = Wanted { code: Some(purpose), ..Wanted::default() };
    let named = named_user_with(app, request.user_pool_id(), request.username(), wanted).await?;
    let (pool, user, sub) = (&named.pool, &named.user, named.user.state.sub);
    let (at, code) = (app.clock.now(), app.random.code());
    let (before, source) = (named.code.as_ref(), Source::Familiar);
    let command = ResetPassword { code: &code, before, at };
    let decision = rules::admin_reset_user_password(&pool.state, &user.state, &command);
    let new = decision.accepted().and_then(Option::as_ref).map(|delivery| NewCode {
        sub,
        purpose,
        delivery,
        code: &code,
        before,
        source,
        network: None,
        at,
    });
    let row = new.map(|new| new.row(&pool.keys)).transpose()?;
    let wording = Wording {
        source: custom_message::FORGOT_PASSWORD,
        pool,
        client_id: None,
        shown: None,
        metadata: &request.client_metadata,
    };
    let decision = wording.of(app, caller, (sub, Some(&user.state)), decision, at).await?;
    let commit = Commit::about(pool, &caller.developer_origin(), at).operational(row);
    app.store.settle(commit.decided(user, decision).map(|_| AdminResetUserPasswordResponse {})).await
}

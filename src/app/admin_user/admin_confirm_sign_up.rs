//! AdminConfirmSignUp.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::telling::{self, Told};
use crate::app::{App, Failure};
use crate::domain::trigger::post_confirmation;
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
    let at = app.clock.now();
    let (source, whose) = (post_confirmation::CONFIRM_SIGN_UP, (user.state.sub, Some(&user.state)));
    let question = telling::confirmation(&pool, source, whose, (&decision, at), &request.client_metadata)?;
    let commit = Commit::about(&pool, &caller.developer_origin(), at).operational([code]);
    let settlement = commit.decided(&user, decision).map(|()| AdminConfirmSignUpResponse {});
    Told::of(&pool, &user, None).settle(app, caller, settlement, question).await
}

//! ForgotPassword.

use crate::app::caller::Caller;
use crate::app::clients::{ByName, ClientProof};
use crate::app::{App, Failure, codes};
use crate::domain::trigger::custom_message;
use crate::domain::user::forgot_password as rules;
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ForgotPasswordRequest, ForgotPasswordResponse};

/// Sends a user a code with which they can set a new password.
///
/// If the client hides which users exist, a caller without a code is answered, counted and recorded as if there were one.
pub async fn forgot_password(
    app: &App,
    caller: &Caller,
    request: &ForgotPasswordRequest,
) -> Result<ForgotPasswordResponse, Failure> {
    let (username, proof) = (request.username(), ClientProof::SecretHash(request.secret_hash.as_deref()));
    let by_name = ByName::find(app, request.client_id(), username, proof, CodePurpose::ForgotPassword).await?;
    let named = by_name.read(app, caller).await?;
    let code = app.random.code();
    let disguise = codes::disguise(&named.found.pool.keys, named.nobody);
    let asked = rules::ForgotPassword {
        username: by_name.username,
        hides_users: named.client.state.hides_users(),
        disguise: &disguise,
        code: &code,
    };
    let user = named.found.user.as_ref().map(|user| &user.state);
    let decision = rules::forgot_password(&named.found.pool.state, user, &asked);
    let told = (custom_message::FORGOT_PASSWORD, &request.client_metadata);
    let delivery = codes::answer_request(app, caller, &by_name, &named, told, (&code, decision)).await?;
    Ok(ForgotPasswordResponse { code_delivery_details: Some(delivery) })
}

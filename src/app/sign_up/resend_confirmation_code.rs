//! ResendConfirmationCode.

use crate::app::caller::Caller;
use crate::app::clients::{ByName, ClientProof};
use crate::app::{App, Failure, codes};
use crate::domain::trigger::custom_message;
use crate::domain::user::resend_confirmation_code as rules;
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ResendConfirmationCodeRequest, ResendConfirmationCodeResponse};

/// Sends an unconfirmed user a new code; the previous one becomes invalid.
///
/// If the client hides which users exist, a caller without a code is answered, counted and recorded as if there were one.
pub async fn resend_confirmation_code(
    app: &App,
    caller: &Caller,
    request: &ResendConfirmationCodeRequest,
) -> Result<ResendConfirmationCodeResponse, Failure> {
    let (username, proof) = (request.username(), ClientProof::SecretHash(request.secret_hash.as_deref()));
    let by_name = ByName::find(app, request.client_id(), username, proof, CodePurpose::SignUp).await?;
    let named = by_name.read(app, caller).await?;
    let code = app.random.code();
    let disguise = codes::disguise(&named.found.pool.keys, named.nobody);
    let asked = rules::ResendConfirmationCode {
        client_id: &by_name.client_id,
        username: by_name.username,
        hides_users: named.client.state.hides_users(),
        disguise: &disguise,
        code: &code,
    };
    let user = named.found.user.as_ref().map(|user| &user.state);
    let decision = rules::resend_confirmation_code(&named.found.pool.state, user, &asked);
    let told = (custom_message::RESEND_CODE, &request.client_metadata);
    let delivery = codes::answer_request(app, caller, &by_name, &named, told, (&code, decision)).await?;
    Ok(ResendConfirmationCodeResponse { code_delivery_details: Some(delivery) })
}

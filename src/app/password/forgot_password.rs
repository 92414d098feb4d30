//! ForgotPassword.

use crate::app::attempts::FirstRead;
use crate::app::caller::Caller;
use crate::app::clients::{ByName, ClientProof, NamedThroughClient};
use crate::app::migration::{self, Stranger};
use crate::app::{App, Failure, codes};
use crate::domain::trigger::{NO_METADATA, custom_message};
use crate::domain::user::codes::refuse_too_many;
use crate::domain::user::forgot_password as rules;
use crate::domain::user_pool::Recovery;
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ForgotPasswordRequest, ForgotPasswordResponse};

/// Who has forgotten their password. If the pool did not know them, they may have come over from another directory.
pub struct Prepared<'a> {
    by_name: ByName<'a>,
    named: FirstRead<NamedThroughClient>,
}

/// Finds the user, and lets one come over whom the pool's trigger knows.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    request: &'a ForgotPasswordRequest,
) -> Result<Prepared<'a>, Failure> {
    let (username, proof) = (request.username(), ClientProof::SecretHash(request.secret_hash.as_deref()));
    let by_name = ByName::find(app, request.client_id(), username, proof, CodePurpose::ForgotPassword).await?;
    let mut named = by_name.read(app, caller).await?;
    if may_come_over(app, &named) {
        let stranger = Stranger {
            pool: &named.found.pool,
            client: &named.client,
            username,
            password: None,
            validation_data: &NO_METADATA,
            client_metadata: &request.client_metadata,
            origin: &by_name.origin(caller),
        };
        if stranger.come_over(app, caller).await? {
            named = by_name.read(app, caller).await?;
        }
    }
    Ok(Prepared { by_name, named: FirstRead::new(named) })
}

/// Whether the trigger is asked: nobody has the name, and a code could be sent for it.
fn may_come_over(app: &App, named: &NamedThroughClient) -> bool {
    let (found, at) = (&named.found, app.clock.now());
    found.user.is_none()
        && migration::is_on(app, &found.pool)
        && matches!(found.pool.state.recovery(), Recovery::ByUser(_))
        && refuse_too_many(found.code.as_ref(), CodePurpose::ForgotPassword, named.source(), at).is_ok()
}

/// Sends a user a code with which they can set a new password.
///
/// If the client hides which users exist, a caller without a code is answered, counted and recorded as if there were one.
pub async fn forgot_password(
    app: &App,
    caller: &Caller,
    request: &ForgotPasswordRequest,
    Prepared { by_name, named }: &Prepared<'_>,
) -> Result<ForgotPasswordResponse, Failure> {
    let named = named.or(by_name.read(app, caller)).await?;
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
    let delivery = codes::answer_request(app, caller, by_name, &named, told, (&code, decision)).await?;
    Ok(ForgotPasswordResponse { code_delivery_details: Some(delivery) })
}

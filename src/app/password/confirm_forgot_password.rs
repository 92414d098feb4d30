//! ConfirmForgotPassword.

use crate::app::caller::Caller;
use crate::app::clients::{ByName, ClientProof, NamedThroughClient};
use crate::app::password_forms::{self, Owner};
use crate::app::{App, Failure, codes, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::password_policy;
use crate::domain::user::codes::Guess;
use crate::domain::user::confirm_forgot_password as rules;
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ConfirmForgotPasswordRequest, ConfirmForgotPasswordResponse};
use crate::store::commit::OperationalRow;

/// Gives a user another password, by the code that was sent to it.
pub async fn confirm_forgot_password(
    app: &App,
    caller: &Caller,
    request: ConfirmForgotPasswordRequest,
) -> Result<ConfirmForgotPasswordResponse, Error> {
    let (username, proof) = (request.username(), ClientProof::SecretHash(request.secret_hash.as_deref()));
    let by_name = ByName::find(app, request.client_id(), username, proof, CodePurpose::ForgotPassword).await?;
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, &request, &by_name))
}

async fn attempt(
    app: &App,
    caller: &Caller,
    request: &ConfirmForgotPasswordRequest,
    by_name: &ByName<'_>,
) -> Result<ConfirmForgotPasswordResponse, Failure> {
    let named = by_name.read(app, caller).await?;
    // Before the code, so that a password that does not conform costs no guess.
    password_policy::check(&named.found.pool.state.password_policy(), request.password())?;
    let guess = guess(app, caller, request, by_name, &named).await?;
    codes::answer_guess(app, &by_name.origin(caller), &named, by_name.purpose, guess, networks(app, &named)).await?;
    Ok(ConfirmForgotPasswordResponse {})
}

/// Whoever signed in with the password before is as strange from now on as everybody else, but for who has shown the code.
fn networks(app: &App, named: &NamedThroughClient) -> Vec<OperationalRow> {
    let (sub, network) = (named.sub(), named.whence.network.clone());
    let forgotten = app.settings.recovery_ends_sessions.then_some(OperationalRow::NetworksForgotten(sub));
    forgotten.into_iter().chain([OperationalRow::NetworkFamiliar { sub, network }]).collect()
}

/// Decides about the guess; only after a right one the password is hashed.
async fn guess(
    app: &App,
    caller: &Caller,
    request: &ConfirmForgotPasswordRequest,
    by_name: &ByName<'_>,
    named: &NamedThroughClient,
) -> Result<Guess, Error> {
    let (found, sent) = (&named.found, named.found.code.as_ref());
    let user = found.user.as_ref();
    let address = user.zip(sent).and_then(|(user, sent)| user.state.attribute(&sent.attribute)).unwrap_or_default();
    let hash = codes::hash(&found.pool.keys, named.sub(), by_name.purpose, address, request.confirmation_code());
    let at = app.clock.now();
    named.refuse_many_guesses(app, at)?;
    match (rules::prove(user.map(|user| &user.state), &named.guessed(hash, at)), user) {
        (Err(refused), _) => Ok(*refused),
        (Ok(_), Some(user)) => {
            let owner = Owner::of(&found.pool, user);
            let password = password_forms::seal(app, caller, owner, request.password()).await?;
            Ok(rules::confirm_forgot_password(&user.state, password, app.settings.recovery_ends_sessions))
        }
        (Ok(_), None) => Err(Error::internal("nobody has proved itself")),
    }
}

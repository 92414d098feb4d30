//! ConfirmForgotPassword.

use crate::app::attempts::FirstRead;
use crate::app::caller::Caller;
use crate::app::clients::{ByName, ClientProof, NamedThroughClient};
use crate::app::hashing::forms::PasswordForms;
use crate::app::telling::{self, Told};
use crate::app::{App, Failure, codes};
use crate::domain::error::Error;
use crate::domain::password_policy;
use crate::domain::trigger::post_confirmation;
use crate::domain::user::codes::Guess;
use crate::domain::user::{confirm_forgot_password as rules, password_history};
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ConfirmForgotPasswordRequest, ConfirmForgotPasswordResponse};
use crate::store::commit::OperationalRow;

/// A checked guess at a code; if it is right, with the new password hashed.
pub struct Prepared<'a> {
    by_name: ByName<'a>,
    found: FirstRead<NamedThroughClient>,
    forms: Option<PasswordForms>,
}

/// Checks the guess. Only if it is right is the password hashed.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    request: &'a ConfirmForgotPasswordRequest,
) -> Result<Prepared<'a>, Failure> {
    let (username, proof) = (request.username(), ClientProof::SecretHash(request.secret_hash.as_deref()));
    let by_name = ByName::find(app, request.client_id(), username, proof, CodePurpose::ForgotPassword).await?;
    let named = by_name.read(app, caller).await?;
    let is_right = prove(app, request, &by_name, &named)?.is_ok();
    let (pool, user) = (&named.found.pool, named.found.user.as_ref());
    let forms = match user.filter(|_| is_right) {
        Some(user) => Some(PasswordForms::of_next(app, caller, pool, user, request.password()).await?),
        None => None,
    };
    Ok(Prepared { by_name, found: FirstRead::new(named), forms })
}

/// Sets a user's new password, with the code that was sent to them.
pub async fn confirm_forgot_password(
    app: &App,
    caller: &Caller,
    request: &ConfirmForgotPasswordRequest,
    Prepared { by_name, found, forms }: &Prepared<'_>,
) -> Result<ConfirmForgotPasswordResponse, Failure> {
    let named = found.or(by_name.read(app, caller)).await?;
    let guess = match (prove(app, request, by_name, &named)?, &named.found.user) {
        (Err(refused), _) => *refused,
        (Ok(()), Some(user)) => {
            let forms = forms.as_ref().ok_or(Failure::Outdated)?;
            let pool = &named.found.pool;
            let password = forms.seal_next(app, pool, user)?;
            let chosen = rules::confirm_forgot_password(&user.state, password, app.settings.recovery_ends_sessions);
            Guess { decision: password_history::retire(&pool.state, &user.state).then(chosen.decision), ..chosen }
        }
        (Ok(()), None) => return Err(Error::internal("a right code without a user").into()),
    };
    let (origin, purpose, at, pool) = (by_name.origin(caller), by_name.purpose, app.clock.now(), &named.found.pool);
    let Some(user) = named.found.user.as_ref().filter(|_| guess.decision.accepted().is_some()) else {
        codes::answer_guess(app, &origin, &named, purpose, guess).await?;
        return Ok(ConfirmForgotPasswordResponse {});
    };
    let (source, whose) = (post_confirmation::CONFIRM_FORGOT_PASSWORD, (user.state.sub, Some(&user.state)));
    let question = telling::confirmation(pool, source, whose, (&guess.decision, at), &request.client_metadata)?;
    let settlement = codes::guess_settlement(app, &origin, &named, purpose, (guess, at)).always(networks(app, &named));
    let settlement = settlement.map(|()| ConfirmForgotPasswordResponse {});
    Told::of(pool, user, Some(&by_name.client_id)).settle(app, caller, settlement, question).await
}

/// Networks that signed in with the old password become unknown again, except the one that has shown the code.
fn networks(app: &App, named: &NamedThroughClient) -> Vec<OperationalRow> {
    let (sub, network) = (named.sub(), named.whence.network.clone());
    let forgotten = app.settings.recovery_ends_sessions.then_some(OperationalRow::NetworksForgotten(sub));
    forgotten.into_iter().chain([OperationalRow::NetworkFamiliar { sub, network }]).collect()
}

/// Whether the code is right. A password that does not conform is refused first, which costs no guess; so are too many
/// guesses.
fn prove(
    app: &App,
    request: &ConfirmForgotPasswordRequest,
    by_name: &ByName<'_>,
    named: &NamedThroughClient,
) -> Result<Result<(), Box<Guess>>, Error> {
    let (found, sent) = (&named.found, named.found.code.as_ref());
    password_policy::check(&found.pool.state.password_policy(), request.password())?;
    let user = found.user.as_ref().map(|user| &user.state);
    let address = user.zip(sent).and_then(|(user, sent)| user.attribute(&sent.attribute)).unwrap_or_default();
    let hash = codes::hash(&found.pool.keys, named.sub(), by_name.purpose, address, request.confirmation_code());
    let at = app.clock.now();
    named.refuse_many_guesses(app, at)?;
    Ok(rules::prove(user, &named.guessed(hash, at)).map(drop))
}

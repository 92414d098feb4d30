//! StartWebAuthnRegistration.

use crate::app::caller::Caller;
use crate::app::web_authn::owner::owner;
use crate::app::web_authn::sealed::made_for;
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::user::complete_web_authn_registration::check_count;
use crate::domain::web_authn::{Credential, NewUser, RegistrationChallenge, RelyingParty, creation_options};
use crate::proto::document;
use crate::proto::v1::{StartWebAuthnRegistrationRequest, StartWebAuthnRegistrationResponse};
use crate::tokens::registration_challenge;

/// Gives the options with which a browser makes a passkey. The registration is sealed in their challenge.
pub async fn start_web_authn_registration(
    app: &App,
    _: &Caller,
    request: &StartWebAuthnRegistrationRequest,
) -> Result<StartWebAuthnRegistrationResponse, Failure> {
    let signed_in = owner(app, request.access_token()).await?;
    let (pool, user) = (&signed_in.pool, &signed_in.user);
    let party = RelyingParty::registering(&pool.state)?;
    check_count(&user.state, app.settings.counts.passkeys_per_user)?;
    let sub = user.state.sub;
    let begun = RegistrationChallenge::new(app.random.uuid(), sub, &signed_in.client_id, &party, app.clock.now());
    let challenge = registration_challenge::seal(&pool.id, &pool.keys, &begun, &app.random)?;
    let known = made_for(party.id, &pool.id, user)?;
    let known: Vec<_> = known.iter().map(Credential::described).collect();
    let username = user.state.username();
    let display_name = user.state.attribute("name").filter(|name| !name.is_empty()).unwrap_or(username);
    let options = creation_options(&party, NewUser { sub, username, display_name }, &challenge, &known);
    let options = document::of_object(&options).ok_or_else(|| Error::internal("options that are too deep"))?;
    Ok(StartWebAuthnRegistrationResponse { credential_creation_options: Some(options) })
}

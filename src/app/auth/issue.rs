//! Issues a challenge: its token holds the whole state of the sign-in, and nothing is written.

use std::collections::BTreeMap;

use crate::app::App;
use crate::app::auth::answer::Challenge;
use crate::app::auth::sign_in::SignIn;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::{ChallengeSession, Proofs, expires_at};
use crate::domain::error::Error;
use crate::domain::user::{User, choose_new_password};
use crate::tokens::challenge_token;

/// A proof by SRP can't follow a step.
#[derive(Debug, thiserror::Error)]
#[error("a step asked for a proof by SRP without a public value of the client")]
struct NoExchange;

/// A challenge to a user, with what the caller needs in order to answer.
pub fn issue(
    app: &App,
    sign_in: SignIn<'_>,
    user: &User,
    proofs: Proofs,
    name: ChallengeName,
) -> Result<Challenge, Error> {
    let (pool, client) = (sign_in.pool(), &sign_in.client.state);
    let session = ChallengeSession {
        nonce: app.random.uuid(),
        challenge: name,
        flow: sign_in.flow,
        client_id: client.client_id.clone(),
        sub: user.sub,
        proofs,
        told: sign_in.told,
        exchange: None,
        device: sign_in.device().map(|device| device.state.id),
        expires_at: expires_at(client, sign_in.at),
    };
    let parameters = match name {
        // Only a flow, or the answer to DEVICE_SRP_AUTH, begins an exchange: it has the client's public value.
        ChallengeName::PasswordVerifier | ChallengeName::DevicePasswordVerifier => {
            return Err(Error::internal(NoExchange));
        }
        ChallengeName::NewPasswordRequired => choose_new_password::parameters(&pool.state, client, user),
        ChallengeName::DeviceSrpAuth => device_parameters(sign_in, user),
    };
    let session = challenge_token::seal(&pool.id, &pool.keys, &session, &app.random)?;
    Ok(Challenge { name, session: Some(session), parameters })
}

/// Which device is to prove itself, and whose it is.
fn device_parameters(sign_in: SignIn<'_>, user: &User) -> BTreeMap<String, String> {
    let device = sign_in.device().map(|device| ("DEVICE_KEY", device.state.id.key(&sign_in.pool().id)));
    let parameters = device.into_iter().chain([("USERNAME", user.username().to_owned())]);
    parameters.map(|(name, value)| (name.to_owned(), value)).collect()
}

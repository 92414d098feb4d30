//! The answers to SELECT_CHALLENGE, PASSWORD and PASSWORD_SRP: the sign-in begins with the factor, as if a flow had
//! asked for it.

use crate::app::auth::answering::Response;
use crate::app::auth::asked::Asked;
use crate::app::auth::flows;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::first_factor::FirstFactor;
use crate::domain::error::Error;
use crate::tokens::challenge_token;

/// Does the slow work of the chosen factor.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    response: Response<'a>,
    challenge: ChallengeName,
) -> Result<flows::Prepared<'a>, Failure> {
    let token = response.session()?;
    let factor = match challenge {
        ChallengeName::Password => FirstFactor::Password,
        ChallengeName::PasswordSrp => FirstFactor::PasswordSrp,
        _ => FirstFactor::by_name("ANSWER", response.required("ANSWER")?)?,
    };
    let hint = app.store.pool_hint(&response.pool_id).await?;
    let session = challenge_token::open(&response.pool_id, &hint.keys, token).ok_or_else(Error::invalid_session)?;
    if session.challenge != challenge {
        return Err(Error::invalid_session().into());
    }
    let Response { pool_id, client_id, responses: parameters, client_metadata, origin, server, .. } = response;
    let flow = session.flow;
    let (chosen, continues) = (Some(factor), Some(session));
    let asked = Asked {
        flow,
        pool_id,
        client_id,
        origin,
        server,
        parameters,
        client_metadata,
        session: None,
        chosen,
        continues,
    };
    flows::begin(app, caller, asked, factor).await
}

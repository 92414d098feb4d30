//! Users with an authenticator app, who sign in with its codes.
//!
//! A code counts once, so each user signs in at most once for each time step. The server takes codes of the step before
//! and the step after the present one as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::anyhow;
use futures::stream::{StreamExt, TryStreamExt, iter};
use prost::Message;
use totp_rs::{Builder, Secret, Totp};
use userpool::environment::Clock;
use userpool::proto::v1::*;

use crate::caller::{Caller, Failed, NoAnswer, Prepared};
use crate::loads::Turn;
use crate::stage::Home;

/// How many seconds an app shows a code.
const STEP: u64 = 30;
const CHALLENGE: &str = "SOFTWARE_TOKEN_MFA";

/// A user with their app.
pub struct App {
    home: Arc<Home>,
    username: String,
    sign_in: Prepared,
    app: Totp,
    /// The step of the last code that was given.
    last: AtomicU64,
}

/// Makes so many users, in a pool of their own.
pub async fn set_up(callers: &[Caller], many: usize) -> Result<Vec<App>, NoAnswer> {
    if many == 0 {
        return Ok(Vec::new());
    }
    let home = Arc::new(Home::create(&callers[0]).await?);
    let factors = SetUserPoolMfaConfigRequest {
        user_pool_id: Some(home.pool_id.clone()),
        mfa_configuration: Some("OPTIONAL".to_owned()),
        software_token_mfa_configuration: Some(SoftwareTokenMfaConfigType { enabled: Some(true) }),
        ..Default::default()
    };
    callers[0].call(&factors).await?;
    iter(0..many)
        .map(|number| App::set_up(home.clone(), &callers[number % callers.len()], format!("app-{number}")))
        .buffered(callers.len().min(8))
        .try_collect()
        .await
}

/// Signs one of the worker's own users in, with a code that was not given before.
pub async fn sign_in(apps: &[App], caller: &Caller, turn: Turn, workers: usize) -> Result<(), NoAnswer> {
    let app = turn.own(apps, workers);
    let challenge = InitiateAuthResponse::decode(caller.make(&app.sign_in).await?).map_err(Failed)?;
    let code = app.code()?;
    let responses = [("USERNAME", app.username.clone()), ("SOFTWARE_TOKEN_MFA_CODE", code)];
    let answer = RespondToAuthChallengeRequest {
        client_id: Some(app.home.client_id.clone()),
        challenge_name: Some(CHALLENGE.to_owned()),
        session: challenge.session,
        challenge_responses: responses.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Default::default()
    };
    caller.call(&answer).await.map(drop)
}

impl App {
    async fn set_up(home: Arc<Home>, caller: &Caller, username: String) -> Result<Self, NoAnswer> {
        let sign_in = home.confirmed(caller, &username).await?;
        let access_token = caller.call(&sign_in).await?.authentication_result.unwrap_or_default().access_token;
        let associate = AssociateSoftwareTokenRequest { access_token: access_token.clone(), session: None };
        let secret = caller.call(&associate).await?.secret_code.unwrap_or_default();
        let secret = Secret::try_from_base32(&secret).map_err(Failed)?.as_bytes().to_vec();
        let app = Builder::new().with_secret(secret).build().map_err(Failed)?;
        let last = AtomicU64::new(now() / STEP - 2);
        let app = Self { home, username, sign_in: Prepared::new(&sign_in), app, last };
        let verify = VerifySoftwareTokenRequest {
            access_token: access_token.clone(),
            user_code: Some(app.code()?),
            ..Default::default()
        };
        caller.call(&verify).await?;
        let on = SoftwareTokenMfaSettingsType { enabled: Some(true), preferred_mfa: Some(true) };
        let prefer =
            SetUserMfaPreferenceRequest { access_token, software_token_mfa_settings: Some(on), ..Default::default() };
        caller.call(&prefer).await?;
        Ok(app)
    }

    /// The code of the first step that counts and was not given yet.
    fn code(&self) -> Result<String, NoAnswer> {
        let present = now() / STEP;
        let step = (self.last.load(Ordering::Relaxed) + 1).max(present - 1);
        if step > present + 1 {
            return Err(Failed(anyhow!("an app has no code left: --apps makes more of them")).into());
        }
        self.last.store(step, Ordering::Relaxed);
        Ok(self.app.generate(step * STEP).to_string())
    }
}

#[expect(clippy::cast_sign_loss, reason = "it is after 1970")]
fn now() -> u64 {
    Clock.now().seconds() as u64
}

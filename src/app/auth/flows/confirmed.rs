//! USER_AUTH with the session of ConfirmSignUp: the code that has confirmed the user stands for the first factor. One read
//! and one statement.

use crate::app::auth::admission;
use crate::app::auth::answer::AuthResponse;
use crate::app::auth::asked::Asked;
use crate::app::auth::machine;
use crate::app::auth::named::Named;
use crate::app::auth::sign_in::SignIn;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::tokens::sign_up_token;

/// A user who was confirmed a moment ago.
pub struct Confirmed<'a> {
    named: Named<'a>,
    token: &'a str,
}

/// Finds out whose name it is.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    asked: Asked<'a>,
    token: &'a str,
) -> Result<Confirmed<'a>, Failure> {
    Ok(Confirmed { named: Named::new(app, caller, asked).await?, token })
}

impl Confirmed<'_> {
    /// Signs the user in, or asks for what is missing. A name that nobody has is like one of another user.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        let found = self.named.read(app).await?;
        let at = app.clock.now();
        let (client, limited) = self.named.check(app, &found, at)?;
        let session = sign_up_token::open(&found.pool.id, &found.pool.keys, self.token);
        let (session, user) = session.zip(found.user.as_ref()).ok_or_else(Error::invalid_session)?;
        let proved = session.proved(&client.state, user.state.sub, at)?;
        let sign_in = self.named.sign_in(&found, &client, limited.as_ref(), at);
        let sign_in = SignIn { spends: Some(session.spent()), ..sign_in };
        if !machine::is_unheard(&sign_in) {
            admission::ask(app, caller, &self.named, sign_in).await?;
        }
        machine::hear_confirmation(app, caller, sign_in, user, &proved).await
    }
}

//! Pre authentication: the pool's trigger may refuse a sign-in before anything is proved. One place for all flows.
//!
//! It is asked once a sign-in, where that begins: after the refusals that cost nothing, and before a password is compared,
//! a code is sent or an exchange begins. Nothing is written if it refuses.

use crate::app::auth::named::Named;
use crate::app::auth::sign_in::SignIn;
use crate::app::caller::Caller;
use crate::app::{App, triggers};
use crate::domain::error::Error;
use crate::domain::trigger::pre_authentication::PreAuthentication;
use crate::domain::trigger::{Trigger, metadata};

/// Asks the pool's trigger whether a sign-in may go on, if the pool has one. Where the client does not hide that nobody has
/// the name, it is not asked about nobody.
pub async fn ask(app: &App, caller: &Caller, named: &Named<'_>, sign_in: SignIn<'_>) -> Result<(), Error> {
    let is_first = named.asked.continues.is_none();
    let may_know = sign_in.found.user.is_some() || sign_in.client.state.hides_users();
    if !is_first || !may_know || !triggers::is_on(sign_in.pool(), Trigger::PreAuthentication) {
        return Ok(());
    }
    let question = PreAuthentication {
        user_attributes: sign_in.trigger_attributes(),
        validation_data: metadata(named.asked.client_metadata),
        user_not_found: sign_in.found.user.is_none(),
    };
    triggers::ask(app, caller, sign_in.subject(named.username), &question).await.map(drop)
}

//! The pre token generation trigger of a pool: what it changes in the tokens of a user.

use crate::app::App;
use crate::app::caller::Caller;
use crate::app::triggers::{self, Subject};
use crate::domain::app_client::AppClient;
use crate::domain::auth::session::Proofs;
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::domain::group::claims::claims;
use crate::domain::trigger::pre_token_generation::{
    AUTHENTICATE_DEVICE, AUTHENTICATION, NEW_PASSWORD_CHALLENGE, PreTokenGeneration, TokenChanges, Version,
};
use crate::domain::trigger::{Source, Texts, Trigger, metadata};
use crate::domain::user::User;
use crate::store::cache::PoolView;
use crate::tokens::issue::SELF_SERVICE_SCOPE;

/// Tokens that are about to be issued.
pub struct Upcoming<'a> {
    /// The pool that issues them.
    pub pool: &'a PoolView,
    /// The client that they are for.
    pub client: &'a AppClient,
    /// The user whom they are about.
    pub user: &'a User,
    /// The groups of the user.
    pub groups: &'a [Group],
    /// Why they are issued.
    pub source: Source,
    /// The metadata that the app sent for triggers.
    pub client_metadata: &'a Texts,
}

impl Upcoming<'_> {
    /// What the pool's trigger changes in them; `None` without a trigger.
    pub async fn changes(&self, app: &App, caller: &Caller) -> Result<Option<TokenChanges>, Error> {
        let Self { pool, client, user, groups, source, client_metadata } = *self;
        let config = pool.state.settings.lambda_config.as_ref();
        let Some(config) = config.filter(|config| Trigger::PreTokenGeneration.function(config).is_some()) else {
            return Ok(None);
        };
        let attributes = user.trigger_attributes();
        let question = PreTokenGeneration::new(source, attributes, claims(groups).into(), metadata(client_metadata));
        let subject = Subject { pool, user_name: user.username(), client_id: Some(&client.client_id) };
        match Version::of(config) {
            Version::V1 => Ok(triggers::ask(app, caller, subject, &question).await?.map(Into::into)),
            later => {
                let question = question.with_scopes(later, vec![SELF_SERVICE_SCOPE.to_owned()]);
                Ok(triggers::ask(app, caller, subject, &question).await?.map(Into::into))
            }
        }
    }
}

/// Why a sign-in with these proofs gets tokens.
pub fn source_of(proofs: &Proofs) -> Source {
    match (proofs.device, proofs.new_password) {
        (Some(_), _) => AUTHENTICATE_DEVICE,
        (None, true) => NEW_PASSWORD_CHALLENGE,
        (None, false) => AUTHENTICATION,
    }
}

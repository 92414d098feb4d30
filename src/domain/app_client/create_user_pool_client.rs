//! CreateUserPoolClient: the rules.

use crate::domain::app_client::settings;
use crate::domain::decision::Decision;
use crate::domain::personal::Sealed;
use crate::domain::user_pool::UserPool;
use crate::proto::events::app_client_event::Event;
use crate::proto::events::{AppClientCreated, AppClientSettings};
use crate::proto::v1;

/// What the command brings beside the request.
pub struct CreateUserPoolClient {
    /// The client's secret, if it has one.
    pub client_secret: Option<Sealed>,
    /// What was asked for.
    pub request: v1::CreateUserPoolClientRequest,
}

/// Decides the creation of a client.
pub fn create_user_pool_client(pool: &UserPool, command: CreateUserPoolClient) -> Decision<Event, Event, ()> {
    let chosen = settings_of(command.request);
    match settings::check(pool, &chosen) {
        Ok(()) => {
            let client_secret = command.client_secret.map(|sealed| sealed.0).unwrap_or_default();
            let created = AppClientCreated { settings: Some(chosen), client_secret };
            Decision::events(vec![Event::Created(created)], ())
        }
        Err(error) => Decision::refuse(error),
    }
}

/// The settings with what Cognito fills in.
fn settings_of(request: v1::CreateUserPoolClientRequest) -> AppClientSettings {
    settings::chosen!(request, {
        client_name: request.client_name.unwrap_or_default(),
        enable_token_revocation: request.enable_token_revocation.unwrap_or(true),
    })
}

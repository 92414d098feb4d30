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
    let rotates = request.refresh_token_rotation.as_ref().is_some_and(|rotation| rotation.feature() == "ENABLED");
    let flows = request.explicit_auth_flows;
    AppClientSettings {
        client_name: request.client_name.unwrap_or_default(),
        // 0 means the default, as in Cognito.
        refresh_token_validity: request.refresh_token_validity.filter(|validity| *validity > 0).unwrap_or(30),
        access_token_validity: request.access_token_validity,
        id_token_validity: request.id_token_validity,
        token_validity_units: request.token_validity_units,
        read_attributes: request.read_attributes,
        write_attributes: request.write_attributes,
        explicit_auth_flows: if flows.is_empty() { settings::default_flows(rotates) } else { flows },
        supported_identity_providers: request.supported_identity_providers,
        callback_urls: request.callback_urls,
        logout_urls: request.logout_urls,
        default_redirect_uri: request.default_redirect_uri,
        allowed_oauth_flows: request.allowed_oauth_flows,
        allowed_oauth_scopes: request.allowed_oauth_scopes,
        allowed_oauth_flows_user_pool_client: request.allowed_oauth_flows_user_pool_client,
        analytics_configuration: request.analytics_configuration,
        prevent_user_existence_errors: request.prevent_user_existence_errors,
        enable_token_revocation: request.enable_token_revocation.unwrap_or(true),
        enable_propagate_additional_user_context_data: request.enable_propagate_additional_user_context_data,
        auth_session_validity: request.auth_session_validity.unwrap_or(3),
        refresh_token_rotation: request.refresh_token_rotation,
    }
}

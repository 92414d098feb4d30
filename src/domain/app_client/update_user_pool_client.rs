//! UpdateUserPoolClient: the rules.

use crate::domain::app_client::{AppClient, settings};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::user_pool::UserPool;
use crate::proto::events::app_client_event::Event;
use crate::proto::events::{AppClientSettings, AppClientSettingsChanged};
use crate::proto::{json, v1};

/// Decides a change of settings. As in Cognito, what is not given goes back to its default.
pub fn update_user_pool_client(
    pool: &UserPool,
    client: &AppClient,
    request: v1::UpdateUserPoolClientRequest,
) -> Decision<Event, Event, ()> {
    match changed(pool, client, request) {
        Ok(None) => Decision::events(Vec::new(), ()),
        Ok(Some(changed)) => Decision::events(vec![Event::SettingsChanged(changed)], ()),
        Err(error) => Decision::refuse(error),
    }
}

fn changed(
    pool: &UserPool,
    client: &AppClient,
    request: v1::UpdateUserPoolClientRequest,
) -> Result<Option<AppClientSettingsChanged>, Error> {
    let chosen = settings_of(client, request);
    settings::check(pool, &chosen)?;
    let changed = json::changed(&client.settings, &chosen).map_err(Error::internal)?;
    if changed.is_empty() {
        return Ok(None);
    }
    let settings = json::only(&chosen, &changed).map_err(Error::internal)?;
    Ok(Some(AppClientSettingsChanged { changed, settings: Some(settings) }))
}

fn settings_of(client: &AppClient, request: v1::UpdateUserPoolClientRequest) -> AppClientSettings {
    settings::chosen!(request, {
        client_name: request.client_name.unwrap_or_else(|| client.settings.client_name.clone()),
        // Turned on at creation, revocation stays on until it is turned off.
        enable_token_revocation: request.enable_token_revocation.unwrap_or(client.settings.enable_token_revocation),
    })
}

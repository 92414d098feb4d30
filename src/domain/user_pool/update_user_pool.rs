//! UpdateUserPool: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::user_pool::{UserPool, settings};
use crate::proto::events::user_pool_event::Event;
use crate::proto::events::{UserPoolSettings, UserPoolSettingsChanged};
use crate::proto::{json, v1};

/// Decides a change of settings. As in Cognito, what is not given goes back to its default; how users are named stays.
pub fn update_user_pool(pool: &UserPool, request: v1::UpdateUserPoolRequest) -> Decision<Event, Event, ()> {
    match changed(pool, request) {
        Ok(None) => Decision::events(Vec::new(), ()),
        Ok(Some(changed)) => Decision::events(vec![Event::SettingsChanged(changed)], ()),
        Err(error) => Decision::refuse(error),
    }
}

fn changed(pool: &UserPool, request: v1::UpdateUserPoolRequest) -> Result<Option<UserPoolSettingsChanged>, Error> {
    settings::refuse_later_parts([
        (request.dcr_configuration.is_some(), "DcrConfiguration"),
        (request.key_configuration.is_some(), "KeyConfiguration"),
        (request.issuer_configuration.is_some(), "IssuerConfiguration"),
        (!request.acr_configuration.is_empty(), "AcrConfiguration"),
    ])?;
    let name = request.pool_name.clone().filter(|name| *name != pool.name);
    let chosen = settings_of(pool, request);
    settings::check(&chosen)?;
    let chosen = settings::with_defaults(chosen);
    let mut changed = json::changed(&pool.settings, &chosen).map_err(Error::internal)?;
    let settings = json::only(&chosen, &changed).map_err(Error::internal)?;
    changed.extend(name.is_some().then(|| "name".to_owned()));
    Ok((!changed.is_empty()).then_some(UserPoolSettingsChanged { changed, settings: Some(settings), name }))
}

fn settings_of(pool: &UserPool, request: v1::UpdateUserPoolRequest) -> UserPoolSettings {
    settings::chosen!(request, {
        alias_attributes: pool.settings.alias_attributes.clone(),
        username_attributes: pool.settings.username_attributes.clone(),
        username_configuration: pool.settings.username_configuration,
    })
}

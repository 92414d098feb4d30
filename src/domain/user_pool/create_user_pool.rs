//! CreateUserPool: the rules.

use crate::domain::attributes;
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::time::Timestamp;
use crate::domain::user_pool::settings;
use crate::proto::events::user_pool_event::Event;
use crate::proto::events::{SigningKeyAdded, UserPoolCreated, UserPoolSettings};
use crate::proto::v1;

/// What the command brings beside the request: names and keys that were made outside the rules.
pub struct CreateUserPool {
    /// The region that the id starts with.
    pub region: String,
    /// The account in the ARN.
    pub account_id: String,
    /// The `iss` of the pool's tokens.
    pub issuer: String,
    /// The keys that sign its tokens, one for each use.
    pub signing_keys: Vec<SigningKeyAdded>,
    /// When they start to sign.
    pub at: Timestamp,
    /// What was asked for.
    pub request: v1::CreateUserPoolRequest,
}

/// Decides the creation of a pool.
pub fn create_user_pool(command: CreateUserPool) -> Decision<Event, Event, ()> {
    match created(&command) {
        Ok(created) => {
            let keys = command
                .signing_keys
                .into_iter()
                .map(|key| Event::SigningKeyAdded(SigningKeyAdded { active_from_millis: command.at.0, ..key }));
            Decision::events(std::iter::once(Event::Created(created)).chain(keys).collect(), ())
        }
        Err(error) => Decision::refuse(error),
    }
}

fn created(command: &CreateUserPool) -> Result<UserPoolCreated, Error> {
    let request = &command.request;
    settings::refuse_later_parts([
        (request.dcr_configuration.is_some(), "DcrConfiguration"),
        (request.key_configuration.is_some(), "KeyConfiguration"),
        (request.issuer_configuration.is_some(), "IssuerConfiguration"),
        (!request.acr_configuration.is_empty(), "AcrConfiguration"),
    ])?;
    let settings = settings_of(request);
    settings::check(&settings)?;
    let schema = attributes::schema(&request.schema)?;
    let required = |name: &str| schema.iter().any(|attribute| attribute.name() == name && attribute.required());
    let aliases = |name: &str| settings.alias_attributes.iter().any(|alias| alias == name);
    if required("preferred_username") && aliases("preferred_username") {
        // As an alias it can't be given before the account is confirmed.
        return Err(Error::invalid_parameter("preferred_username can be required or an alias, not both."));
    }
    Ok(UserPoolCreated {
        name: request.pool_name().to_owned(),
        region: command.region.clone(),
        account_id: command.account_id.clone(),
        issuer: command.issuer.clone(),
        settings: Some(settings::with_defaults(settings)),
        schema,
    })
}

fn settings_of(request: &v1::CreateUserPoolRequest) -> UserPoolSettings {
    let request = request.clone();
    settings::chosen!(request, {
        alias_attributes: request.alias_attributes,
        username_attributes: request.username_attributes,
        username_configuration: request.username_configuration,
    })
}

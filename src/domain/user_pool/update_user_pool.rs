//! UpdateUserPool: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
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
    settings::check_given(&chosen)?;
    let chosen = settings::with_defaults(chosen);
    settings::check_tier(&chosen)
        .map_err(|error| Error::new(Exception::TierChangeNotAllowedException, error.message))?;
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
        // These are SetUserPoolMfaConfig's.
        sms_mfa_enabled: pool.settings.sms_mfa_enabled,
        software_token_mfa_configuration: pool.settings.software_token_mfa_configuration,
        email_mfa_configuration: pool.settings.email_mfa_configuration.clone(),
        web_authn_configuration: pool.settings.web_authn_configuration.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::replay;
    use crate::domain::ids::StreamId;
    use crate::domain::testing::{at, pool, refused_parameter, texts};

    fn apply(pool: &UserPool, events: &[Event]) -> UserPool {
        let changed = replay(Some(pool.clone()), &StreamId::pool(), events.iter().map(|event| (event, at(9))));
        changed.expect("an update ends no pool")
    }

    fn created() -> UserPool {
        pool(v1::CreateUserPoolRequest {
            pool_name: Some("people".to_owned()),
            auto_verified_attributes: texts(&["email"]),
            alias_attributes: texts(&["email"]),
            deletion_protection: Some("ACTIVE".to_owned()),
            ..Default::default()
        })
    }

    #[test]
    fn nothing_happens_where_nothing_changes() {
        let request = v1::UpdateUserPoolRequest {
            pool_name: Some("people".to_owned()),
            auto_verified_attributes: texts(&["email"]),
            deletion_protection: Some("ACTIVE".to_owned()),
            ..Default::default()
        };
        let decision = update_user_pool(&created(), request);
        decision.answer.unwrap();
        assert_eq!(decision.events, []);
    }

    #[test]
    fn the_event_says_what_changed_and_what_is_not_given_goes_back_to_its_default() {
        let before = created();
        let request = v1::UpdateUserPoolRequest {
            pool_name: Some("friends".to_owned()),
            sms_authentication_message: Some("{####}".to_owned()),
            ..Default::default()
        };
        let decision = update_user_pool(&before, request);
        let [Event::SettingsChanged(changed)] = &decision.events[..] else { panic!("{:?}", decision.events) };
        let names = ["auto_verified_attributes", "deletion_protection", "sms_authentication_message", "name"];
        assert_eq!(changed.changed, names);
        assert_eq!(changed.name.as_deref(), Some("friends"));
        let after = apply(&before, &decision.events);
        assert_eq!((after.name.as_str(), after.modified_at, after.created_at), ("friends", at(9), at(0)));
        assert_eq!(after.settings.auto_verified_attributes, texts(&[]));
        assert_eq!(after.settings.deletion_protection.as_deref(), Some("INACTIVE"));
        assert_eq!(after.settings.sms_authentication_message.as_deref(), Some("{####}"));
        assert_eq!(after.settings.policies, before.settings.policies, "what did not change stays");
    }

    #[test]
    fn how_users_are_named_stays() {
        let before = created();
        let decision = update_user_pool(&before, v1::UpdateUserPoolRequest::default());
        let after = apply(&before, &decision.events);
        assert_eq!(after.name_rules(), before.name_rules());
        assert_eq!((after.schema, after.name), (before.schema, before.name));
    }

    #[test]
    fn what_creation_refuses_an_update_refuses_too() {
        let update = |request| refused_parameter(update_user_pool(&created(), request));
        let mfa = v1::UpdateUserPoolRequest { mfa_configuration: Some("ON".to_owned()), ..Default::default() };
        assert!(update(mfa).starts_with("MfaConfiguration ON"));
        let later = v1::UpdateUserPoolRequest { key_configuration: Some(Default::default()), ..Default::default() };
        assert!(update(later).starts_with("KeyConfiguration"));
    }
}

//! UpdateUserPoolClient: the rules.

use crate::domain::app_client::{AppClient, Choice, settings};
use crate::domain::decision::{Decision, NoFacts};
use crate::domain::error::Error;
use crate::domain::user_pool::UserPool;
use crate::proto::events::app_client_event::Event;
use crate::proto::events::{AppClientSettings, AppClientSettingsChanged};
use crate::proto::presence::EmptyField;
use crate::proto::{json, v1};

/// Decides a change of settings. As in Cognito, an absent setting goes back to its default; a list that is left empty
/// on purpose stays empty.
pub fn update_user_pool_client(
    pool: &UserPool,
    client: &AppClient,
    request: v1::UpdateUserPoolClientRequest,
) -> Decision<Event, NoFacts, ()> {
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
    let user_pool_id = request.user_pool_id().to_owned();
    let chosen = settings_of(client, request);
    let choice =
        Choice { pool, user_pool_id: &user_pool_id, has_secret: client.client_secret.is_some(), act: "updating" };
    settings::check(&choice, &chosen)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attributes::Permitted;
    use crate::domain::decision::Aggregate;
    use crate::domain::ids::StreamId;
    use crate::domain::testing::{at, client, pool, refused_parameter, texts};

    fn created() -> (UserPool, AppClient) {
        let pool = pool(v1::CreateUserPoolRequest::default());
        let request = v1::CreateUserPoolClientRequest {
            client_name: Some("app".to_owned()),
            access_token_validity: Some(2),
            prevent_user_existence_errors: Some("ENABLED".to_owned()),
            enable_token_revocation: Some(false),
            ..Default::default()
        };
        let client = client(&pool, request);
        (pool, client)
    }

    #[test]
    fn nothing_happens_where_nothing_changes() {
        let (pool, client) = created();
        let request = v1::UpdateUserPoolClientRequest {
            access_token_validity: Some(2),
            prevent_user_existence_errors: Some("ENABLED".to_owned()),
            ..Default::default()
        };
        let decision = update_user_pool_client(&pool, &client, request.clone());
        decision.answer.unwrap();
        assert_eq!(decision.events, []);
        let as_shown = v1::UpdateUserPoolClientRequest {
            token_validity_units: Some(v1::TokenValidityUnitsType::default()),
            allowed_oauth_flows_user_pool_client: Some(false),
            enable_propagate_additional_user_context_data: Some(false),
            ..request
        };
        assert_eq!(update_user_pool_client(&pool, &client, as_shown).events, []);
    }

    #[test]
    fn the_event_names_changes_and_absent_settings_go_back_to_their_defaults() {
        let (pool, client) = created();
        let request = v1::UpdateUserPoolClientRequest {
            refresh_token_validity: Some(7),
            enable_token_revocation: Some(true),
            ..Default::default()
        };
        let decision = update_user_pool_client(&pool, &client, request);
        let [Event::SettingsChanged(changed)] = &decision.events[..] else { panic!("{:?}", decision.events) };
        let names = [
            "access_token_validity",
            "enable_token_revocation",
            "prevent_user_existence_errors",
            "refresh_token_validity",
        ];
        assert_eq!(changed.changed, names);
        let stream = StreamId::new("clients/client");
        let after = AppClient::apply(Some(client.clone()), &stream, &decision.events[0], at(5)).unwrap();
        assert_eq!(after.settings.client_name, "app", "the name stays");
        assert_eq!((after.settings.access_token_validity, after.settings.refresh_token_validity), (None, 7));
        assert!(after.settings.enable_token_revocation && !after.hides_users());
        assert_eq!((after.created_at, after.modified_at), (client.created_at, at(5)));
    }

    #[test]
    fn emptying_a_list_is_a_change_and_leaving_it_out_restores_the_default() {
        let (pool, client) = created();
        let stream = StreamId::new("clients/client");
        let updated = |client: &AppClient, given_empty: Vec<String>| {
            let request = v1::UpdateUserPoolClientRequest { given_empty, ..Default::default() };
            let decision = update_user_pool_client(&pool, client, request);
            decision.answer.unwrap();
            AppClient::apply(Some(client.clone()), &stream, &decision.events[0], at(5)).unwrap()
        };
        let fields = [EmptyField::ExplicitAuthFlows, EmptyField::ReadAttributes, EmptyField::WriteAttributes];
        let emptied = updated(&client, EmptyField::named(fields.map(|field| (field, true))));
        assert!(!emptied.allows("USER_SRP_AUTH"));
        assert_eq!(emptied.readable(), Permitted::Only(&[]));
        let restored = updated(&emptied, Vec::new());
        assert!(restored.allows("USER_SRP_AUTH"));
        assert_eq!(restored.readable(), Permitted::All);
    }

    #[test]
    fn an_update_refuses_whatever_creation_refuses() {
        let (pool, client) = created();
        let request = v1::UpdateUserPoolClientRequest { write_attributes: texts(&["shoe"]), ..Default::default() };
        let message = refused_parameter(update_user_pool_client(&pool, &client, request));
        assert_eq!(message, "Invalid write attributes specified while updating a client");
    }
}

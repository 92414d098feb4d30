//! CreateUserPoolClient: the rules.

use crate::domain::app_client::{Choice, settings};
use crate::domain::decision::{Decision, NoFacts};
use crate::domain::personal::Sealed;
use crate::domain::user_pool::UserPool;
use crate::proto::events::app_client_event::Event;
use crate::proto::events::{AppClientCreated, AppClientSettings};
use crate::proto::presence::EmptyField;
use crate::proto::v1;

/// The request, and the secret that was made outside the rules.
pub struct CreateUserPoolClient {
    /// The client's secret, if it has one.
    pub client_secret: Option<Sealed>,
    /// The request as the caller sent it.
    pub request: v1::CreateUserPoolClientRequest,
}

/// Decides the creation of a client.
pub fn create_user_pool_client(pool: &UserPool, command: CreateUserPoolClient) -> Decision<Event, NoFacts, ()> {
    let user_pool_id = command.request.user_pool_id().to_owned();
    let chosen = settings_of(command.request);
    let choice =
        Choice { pool, user_pool_id: &user_pool_id, has_secret: command.client_secret.is_some(), act: "creating" };
    match settings::check(&choice, &chosen) {
        Ok(()) => {
            let client_secret = command.client_secret.map(|sealed| sealed.0).unwrap_or_default();
            let created = AppClientCreated { settings: Some(chosen), client_secret };
            Decision::events(vec![Event::Created(created)], ())
        }
        Err(error) => Decision::refuse(error),
    }
}

/// The settings, with Cognito's defaults filled in.
fn settings_of(request: v1::CreateUserPoolClientRequest) -> AppClientSettings {
    settings::chosen!(request, {
        client_name: request.client_name.unwrap_or_default(),
        enable_token_revocation: request.enable_token_revocation.unwrap_or(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app_client::AppClient;
    use crate::domain::attributes::{Permitted, Writer};
    use crate::domain::error::Exception;
    use crate::domain::ids::StreamId;
    use crate::domain::testing::{client, given, pool, refused, refused_parameter, texts};

    fn some_pool() -> UserPool {
        let attribute = |name: &str, required, developer_only| v1::SchemaAttributeType {
            name: Some(name.to_owned()),
            attribute_data_type: Some("String".to_owned()),
            required: Some(required),
            developer_only_attribute: Some(developer_only),
            ..Default::default()
        };
        let schema = vec![attribute("email", true, false), attribute("rank", false, true)];
        pool(v1::CreateUserPoolRequest { schema, ..Default::default() })
    }

    fn command(request: v1::CreateUserPoolClientRequest) -> CreateUserPoolClient {
        CreateUserPoolClient { client_secret: None, request }
    }

    fn refusal_of(request: v1::CreateUserPoolClientRequest) -> (Exception, String) {
        refused(create_user_pool_client(&some_pool(), command(request)))
    }

    fn parameter(request: v1::CreateUserPoolClientRequest) -> String {
        let (exception, message) = refusal_of(request);
        assert_eq!(exception, Exception::InvalidParameterException, "{message}");
        message
    }

    fn lives(refresh: i32, access: Option<i32>, id: Option<i32>) -> v1::CreateUserPoolClientRequest {
        v1::CreateUserPoolClientRequest {
            refresh_token_validity: Some(refresh),
            access_token_validity: access,
            id_token_validity: id,
            token_validity_units: Some(v1::TokenValidityUnitsType {
                access_token: Some("minutes".to_owned()),
                id_token: Some("seconds".to_owned()),
                refresh_token: Some("hours".to_owned()),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn absent_settings_get_cognitos_defaults() {
        let client = client(&some_pool(), v1::CreateUserPoolClientRequest::default());
        let settings = &client.settings;
        assert_eq!((settings.refresh_token_validity, settings.auth_session_validity), (30, 3));
        assert!(settings.enable_token_revocation);
        let flows = ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"];
        assert_eq!(settings.explicit_auth_flows, flows);
        assert!(settings.default_auth_flows, "they act without being shown");
        assert_eq!(client.client_secret, None);
        assert!(!client.hides_users());
    }

    #[test]
    fn a_list_that_is_named_as_empty_stays_empty() {
        let decide = |pool: &UserPool, fields: &[EmptyField]| {
            let given_empty = EmptyField::named(fields.iter().map(|field| (*field, true)));
            create_user_pool_client(
                pool,
                command(v1::CreateUserPoolClientRequest { given_empty, ..Default::default() }),
            )
        };
        let fields = [EmptyField::ExplicitAuthFlows, EmptyField::ReadAttributes, EmptyField::WriteAttributes];
        let decision = decide(&pool(Default::default()), &fields);
        decision.answer.unwrap();
        let client: AppClient = given(&StreamId::new("clients/client"), &decision.events).unwrap();
        for flow in ["USER_SRP_AUTH", "CUSTOM_AUTH", "REFRESH_TOKEN_AUTH", "USER_PASSWORD_AUTH"] {
            assert!(!client.allows(flow), "{flow}");
        }
        assert_eq!(client.readable(), Permitted::Only(&[]));
        assert!(matches!(client.writer(), Writer::Client(Permitted::Only(&[]))));
        assert!(!client.settings.default_auth_flows);
        // A list with entries is not empty, even if `given_empty` names it.
        let given_empty = EmptyField::named(fields.map(|field| (field, true)));
        let read_attributes = texts(&["email"]);
        let contradiction = v1::CreateUserPoolClientRequest { given_empty, read_attributes, ..Default::default() };
        let client = crate::domain::testing::client(&pool(Default::default()), contradiction);
        assert_eq!(client.readable(), Permitted::Only(&texts(&["email"])));
        assert!(!client.settings.reads_no_attributes && client.settings.writes_no_attributes);
        // Required attributes can't be taken from what a client may write.
        let message = refused_parameter(decide(&some_pool(), &[EmptyField::WriteAttributes]));
        assert_eq!(message, "Invalid write attributes specified while creating a client");
        decide(&some_pool(), &[EmptyField::ReadAttributes]).answer.unwrap();
    }

    #[test]
    fn a_client_that_rotates_refresh_tokens_does_not_refresh_by_the_flow() {
        let rotation =
            v1::RefreshTokenRotationType { feature: Some("ENABLED".to_owned()), retry_grace_period_seconds: Some(5) };
        let request =
            || v1::CreateUserPoolClientRequest { refresh_token_rotation: Some(rotation.clone()), ..Default::default() };
        let client = client(&some_pool(), request());
        assert_eq!(client.settings.explicit_auth_flows, ["ALLOW_CUSTOM_AUTH", "ALLOW_USER_SRP_AUTH"]);
        assert_eq!(client.rotation_grace(), Some(5));
        let explicit_auth_flows = texts(&["ALLOW_REFRESH_TOKEN_AUTH"]);
        let both = v1::CreateUserPoolClientRequest { explicit_auth_flows, ..request() };
        assert!(parameter(both).starts_with("ALLOW_REFRESH_TOKEN_AUTH can't stand beside"));
    }

    #[test]
    fn the_secret_is_kept_as_it_was_sealed() {
        let command = CreateUserPoolClient {
            client_secret: Some(Sealed(b"blob".to_vec())),
            ..command(v1::CreateUserPoolClientRequest::default())
        };
        let decision = create_user_pool_client(&some_pool(), command);
        let [Event::Created(created)] = &decision.events[..] else { panic!("{:?}", decision.events) };
        assert_eq!(created.client_secret, b"blob");
    }

    #[test]
    fn tokens_live_within_their_bounds() {
        let accepted = |request| drop(client(&some_pool(), request));
        accepted(lives(1, Some(5), Some(300)));
        accepted(lives(24, Some(24 * 60), Some(86_400)));
        accepted(lives(3_650 * 24, None, None));
        // 0 means the default.
        accepted(lives(0, Some(0), Some(0)));
        for (name, request) in [
            ("an access token", lives(1, Some(4), None)),
            ("an access token", lives(48, Some(24 * 60 + 1), None)),
            ("an ID token", lives(1, None, Some(299))),
            ("an ID token", lives(48, None, Some(86_401))),
            ("a refresh token", lives(3_650 * 24 + 1, None, None)),
            ("a refresh token must live at least as long", lives(1, Some(61), None)),
        ] {
            let message = parameter(request);
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn older_and_newer_names_of_flows_do_not_mix() {
        let flows = |flows: &[&str]| v1::CreateUserPoolClientRequest {
            explicit_auth_flows: texts(flows),
            ..Default::default()
        };
        assert!(parameter(flows(&["ALLOW_USER_SRP_AUTH", "USER_PASSWORD_AUTH"])).contains("prefix ALLOW_"));
        let older = client(&some_pool(), flows(&["ADMIN_NO_SRP_AUTH"]));
        assert!(older.allows("ADMIN_USER_PASSWORD_AUTH") && older.allows("REFRESH_TOKEN_AUTH"));
        assert!(!older.allows("USER_PASSWORD_AUTH"));
        let newer = client(&some_pool(), flows(&["ALLOW_USER_PASSWORD_AUTH"]));
        assert!(newer.allows("USER_PASSWORD_AUTH") && !newer.allows("REFRESH_TOKEN_AUTH"));
    }

    #[test]
    fn attributes_are_those_of_the_pool_and_required_ones_are_writable() {
        let request = |read: &[&str], write: &[&str]| v1::CreateUserPoolClientRequest {
            read_attributes: texts(read),
            write_attributes: texts(write),
            ..Default::default()
        };
        client(&some_pool(), request(&["email", "email_verified", "sub"], &["email", "name"]));
        assert_eq!(parameter(request(&["shoe"], &[])), "Invalid read attributes specified while creating a client");
        for write in [&["email", "shoe"][..], &["name"], &["email", "sub"], &["email", "dev:custom:rank"]] {
            let message = parameter(request(&[], write));
            assert_eq!(message, "Invalid write attributes specified while creating a client", "{write:?}");
        }
    }

    #[test]
    fn grants_addresses_and_scopes_belong_together() {
        let request = v1::CreateUserPoolClientRequest::default;
        let alone = v1::CreateUserPoolClientRequest {
            allowed_oauth_flows: texts(&["client_credentials", "code"]),
            ..request()
        };
        assert_eq!(refusal_of(alone).0, Exception::InvalidOAuthFlowException);
        let scope = v1::CreateUserPoolClientRequest { allowed_oauth_scopes: texts(&["openid", "moon"]), ..request() };
        assert_eq!(
            refusal_of(scope),
            (Exception::ScopeDoesNotExistException, "Invalid scope requested: moon".to_owned())
        );
        let elsewhere = v1::CreateUserPoolClientRequest {
            callback_urls: texts(&["https://one.example.com"]),
            default_redirect_uri: Some("https://other.example.com".to_owned()),
            ..request()
        };
        assert!(parameter(elsewhere).starts_with("DefaultRedirectURI"));
    }

    #[test]
    fn unbuilt_features_are_refused_by_name() {
        let propagates = v1::CreateUserPoolClientRequest {
            enable_propagate_additional_user_context_data: Some(true),
            ..Default::default()
        };
        assert!(parameter(propagates).starts_with("EnablePropagateAdditionalUserContextData"));
    }
}

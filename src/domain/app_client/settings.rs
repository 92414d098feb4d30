//! What may be chosen for a client: defaults, bounds and what belongs together.

use crate::domain::app_client::{DAY, HOUR, MINUTE, lifetimes};
use crate::domain::error::{Error, Exception};
use crate::domain::user_pool::UserPool;
use crate::proto::events::AppClientSettings;

/// The settings that a request chooses, with what Cognito fills in: creating and updating name them alike.
macro_rules! chosen {
    ($request:ident, { $($own:ident: $value:expr),* $(,)? }) => {{
        let rotation = $request.refresh_token_rotation.as_ref();
        let rotates = rotation.is_some_and(|rotation| rotation.feature() == "ENABLED");
        let flows = $request.explicit_auth_flows;
        AppClientSettings {
            explicit_auth_flows: if flows.is_empty() { settings::default_flows(rotates) } else { flows },
            // 0 means the default, as in Cognito.
            refresh_token_validity: $request.refresh_token_validity.filter(|validity| *validity > 0).unwrap_or(30),
            auth_session_validity: $request.auth_session_validity.unwrap_or(3),
            access_token_validity: $request.access_token_validity,
            id_token_validity: $request.id_token_validity,
            token_validity_units: $request.token_validity_units,
            read_attributes: $request.read_attributes,
            write_attributes: $request.write_attributes,
            supported_identity_providers: $request.supported_identity_providers,
            callback_urls: $request.callback_urls,
            logout_urls: $request.logout_urls,
            default_redirect_uri: $request.default_redirect_uri,
            allowed_oauth_flows: $request.allowed_oauth_flows,
            allowed_oauth_scopes: $request.allowed_oauth_scopes,
            allowed_oauth_flows_user_pool_client: $request.allowed_oauth_flows_user_pool_client,
            analytics_configuration: $request.analytics_configuration,
            prevent_user_existence_errors: $request.prevent_user_existence_errors,
            enable_propagate_additional_user_context_data: $request.enable_propagate_additional_user_context_data,
            refresh_token_rotation: $request.refresh_token_rotation,
            $($own: $value,)*
        }
    }};
}
pub(super) use chosen;

/// The flows of a client that names none.
pub fn default_flows(rotates: bool) -> Vec<String> {
    let flows = ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"];
    flows.into_iter().filter(|flow| !rotates || *flow != "ALLOW_REFRESH_TOKEN_AUTH").map(str::to_owned).collect()
}

/// Refuses values that contradict each other or the pool, and those whose feature is not built.
pub fn check(pool: &UserPool, settings: &AppClientSettings) -> Result<(), Error> {
    check_lifetimes(settings)?;
    check_flows(settings)?;
    check_attributes(pool, settings)?;
    check_oauth(settings)?;
    let propagates = settings.enable_propagate_additional_user_context_data.unwrap_or(false);
    if propagates {
        return Err(Error::invalid_parameter(
            "EnablePropagateAdditionalUserContextData is not supported by this server yet.",
        ));
    }
    Ok(())
}

fn check_lifetimes(settings: &AppClientSettings) -> Result<(), Error> {
    let lives = lifetimes(settings);
    let outside = |name: &str, range: &str| {
        Err(Error::invalid_parameter(format!("Invalid range for token validity: {name} must live {range}.")))
    };
    if !(5 * MINUTE..=DAY).contains(&lives.access) {
        return outside("an access token", "between 5 minutes and 1 day");
    }
    if !(5 * MINUTE..=DAY).contains(&lives.id) {
        return outside("an ID token", "between 5 minutes and 1 day");
    }
    if !(HOUR..=3650 * DAY).contains(&lives.refresh) {
        return outside("a refresh token", "between 60 minutes and 3,650 days");
    }
    if lives.refresh < lives.access.max(lives.id) {
        return outside("a refresh token", "at least as long as the other tokens");
    }
    Ok(())
}

/// The older names of flows can't stand beside the newer ones.
fn check_flows(settings: &AppClientSettings) -> Result<(), Error> {
    let flows = &settings.explicit_auth_flows;
    let newer = flows.iter().filter(|flow| flow.starts_with("ALLOW_")).count();
    if newer > 0 && newer < flows.len() {
        return Err(Error::invalid_parameter(
            "ExplicitAuthFlows can't hold both values with the prefix ALLOW_ and values without it.",
        ));
    }
    let rotates = settings.refresh_token_rotation.as_ref().is_some_and(|rotation| rotation.feature() == "ENABLED");
    if rotates && flows.iter().any(|flow| flow == "ALLOW_REFRESH_TOKEN_AUTH") {
        return Err(Error::invalid_parameter(
            "ALLOW_REFRESH_TOKEN_AUTH can't stand beside RefreshTokenRotation ENABLED: refresh by GetTokensFromRefreshToken.",
        ));
    }
    let unbuilt = flows.iter().find(|flow| flow.starts_with("ALLOW_TOKEN_EXCHANGE"));
    match unbuilt {
        Some(flow) => Err(Error::invalid_parameter(format!("{flow} is not supported by this server yet."))),
        None => Ok(()),
    }
}

fn check_attributes(pool: &UserPool, settings: &AppClientSettings) -> Result<(), Error> {
    let known = |name: &String| pool.schema.iter().any(|attribute| attribute.name() == name.as_str());
    let invalid =
        |which| Err(Error::invalid_parameter(format!("Invalid {which} attributes specified while creating a client")));
    if !settings.read_attributes.iter().all(known) {
        return invalid("read");
    }
    let write = &settings.write_attributes;
    let writable = |name: &String| {
        let attribute = pool.schema.iter().find(|attribute| attribute.name() == name.as_str());
        attribute.is_some_and(|it| !it.developer_only_attribute() && it.name() != "sub")
    };
    if !write.iter().all(writable) {
        return invalid("write");
    }
    let required = pool.schema.iter().filter(|attribute| attribute.required() && attribute.name() != "sub");
    if !write.is_empty() && !required.into_iter().all(|attribute| write.iter().any(|name| name == attribute.name())) {
        return invalid("write");
    }
    Ok(())
}

fn check_oauth(settings: &AppClientSettings) -> Result<(), Error> {
    let flows = &settings.allowed_oauth_flows;
    let has = |flow: &str| flows.iter().any(|allowed| allowed == flow);
    if has("client_credentials") && flows.len() > 1 {
        return Err(Error::new(
            Exception::InvalidOAuthFlowException,
            "client_credentials flow can not be selected along with code flow or implicit flow.",
        ));
    }
    if settings.default_redirect_uri.as_ref().is_some_and(|uri| !settings.callback_urls.contains(uri)) {
        return Err(Error::invalid_parameter("DefaultRedirectURI must be one of the CallbackURLs."));
    }
    const STANDARD_SCOPES: [&str; 5] = ["phone", "email", "openid", "profile", "aws.cognito.signin.user.admin"];
    let unknown = settings.allowed_oauth_scopes.iter().find(|scope| !STANDARD_SCOPES.contains(&scope.as_str()));
    match unknown {
        Some(scope) => {
            Err(Error::new(Exception::ScopeDoesNotExistException, format!("Invalid scope requested: {scope}")))
        }
        None => Ok(()),
    }
}

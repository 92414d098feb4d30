//! Rules for a client's settings: defaults, bounds and combinations.

use crate::domain::app_client::{Choice, DAY, HOUR, MINUTE, lifetimes, oauth, permitted};
use crate::domain::error::Error;
use crate::proto::events::AppClientSettings;

/// The settings of a request, with Cognito's defaults filled in. Requests to create and to update have the same field
/// names.
macro_rules! chosen {
    ($request:ident, { $($own:ident: $value:expr),* $(,)? }) => {{
        let rotation = $request.refresh_token_rotation.as_ref();
        let rotates = rotation.is_some_and(|rotation| rotation.feature() == "ENABLED");
        let flows = $request.explicit_auth_flows;
        let is_none = |list: &[String], field: EmptyField| list.is_empty() && field.is_in(&$request.given_empty);
        let default_auth_flows = flows.is_empty() && !is_none(&flows, EmptyField::ExplicitAuthFlows);
        AppClientSettings {
            reads_no_attributes: is_none(&$request.read_attributes, EmptyField::ReadAttributes),
            writes_no_attributes: is_none(&$request.write_attributes, EmptyField::WriteAttributes),
            explicit_auth_flows: if default_auth_flows { settings::default_flows(rotates) } else { flows },
            default_auth_flows,
            // 0 means the default, as in Cognito.
            refresh_token_validity: $request.refresh_token_validity.filter(|validity| *validity > 0).unwrap_or(30),
            auth_session_validity: $request.auth_session_validity.unwrap_or(3),
            access_token_validity: $request.access_token_validity,
            id_token_validity: $request.id_token_validity,
            // Empty units are shown where none were chosen. A caller who sends them back chooses none either.
            token_validity_units: $request.token_validity_units.filter(|units| *units != Default::default()),
            read_attributes: $request.read_attributes,
            write_attributes: $request.write_attributes,
            supported_identity_providers: $request.supported_identity_providers,
            callback_urls: $request.callback_urls,
            logout_urls: $request.logout_urls,
            default_redirect_uri: $request.default_redirect_uri,
            allowed_oauth_flows: $request.allowed_oauth_flows,
            allowed_oauth_scopes: $request.allowed_oauth_scopes,
            allowed_oauth_flows_user_pool_client: $request.allowed_oauth_flows_user_pool_client.filter(|part| *part),
            analytics_configuration: $request.analytics_configuration,
            prevent_user_existence_errors: $request.prevent_user_existence_errors,
            enable_propagate_additional_user_context_data: $request
                .enable_propagate_additional_user_context_data
                .filter(|propagates| *propagates),
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

/// Refuses values that contradict each other or the pool, and values whose feature is not built.
pub fn check(choice: &Choice<'_>, settings: &AppClientSettings) -> Result<(), Error> {
    check_lifetimes(settings)?;
    check_flows(settings)?;
    check_attributes(choice, settings)?;
    oauth::check(choice, settings)?;
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

/// Older and newer names of flows can't be mixed.
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

fn check_attributes(choice: &Choice<'_>, settings: &AppClientSettings) -> Result<(), Error> {
    let pool = choice.pool;
    let known = |name: &String| pool.schema.iter().any(|attribute| attribute.name() == name.as_str());
    let invalid = |which| {
        Err(Error::invalid_parameter(format!("Invalid {which} attributes specified while {} a client", choice.act)))
    };
    if !settings.read_attributes.iter().all(known) {
        return invalid("read");
    }
    let write = &settings.write_attributes;
    let permitted = permitted(write, settings.writes_no_attributes);
    let writable = |name: &String| {
        let attribute = pool.schema.iter().find(|attribute| attribute.name() == name.as_str());
        attribute.is_some_and(|it| !it.developer_only_attribute() && it.name() != "sub")
    };
    if !write.iter().all(writable) {
        return invalid("write");
    }
    let mut required = pool.schema.iter().filter(|attribute| attribute.required() && attribute.name() != "sub");
    if !required.all(|attribute| permitted.includes(attribute.name())) {
        return invalid("write");
    }
    Ok(())
}

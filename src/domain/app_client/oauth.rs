//! Rules for a client's OAuth settings: grants, scopes, providers, and the URLs that users are redirected to.

use crate::domain::app_client::Choice;
use crate::domain::error::{Error, Exception};
use crate::proto::events::AppClientSettings;

const STANDARD_SCOPES: [&str; 5] = ["phone", "email", "openid", "profile", "aws.cognito.signin.user.admin"];
/// The provider name that stands for the pool's own users.
const OWN_PROVIDER: &str = "COGNITO";
/// The host names by which a browser reaches its own machine.
const THIS_MACHINE: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// Schemes that a browser runs or shows instead of leaving the page for an app.
const NO_APPS: [&str; 6] = ["javascript", "data", "vbscript", "blob", "file", "about"];

/// Refuses settings that contradict each other, and URLs to which users must not be redirected.
pub(super) fn check(choice: &Choice<'_>, settings: &AppClientSettings) -> Result<(), Error> {
    check_grants(choice, settings)?;
    check_scopes(settings)?;
    for url in settings.callback_urls.iter().chain(&settings.logout_urls) {
        check_url(url)?;
    }
    if settings.default_redirect_uri.as_ref().is_some_and(|uri| !settings.callback_urls.contains(uri)) {
        return Err(Error::invalid_parameter("DefaultRedirectURI must be one of the CallbackURLs."));
    }
    match settings.supported_identity_providers.iter().find(|provider| *provider != OWN_PROVIDER) {
        Some(provider) => {
            let pool = choice.user_pool_id;
            Err(Error::invalid_parameter(format!("The provider {provider} does not exist for User Pool {pool}.")))
        }
        None => Ok(()),
    }
}

fn check_grants(choice: &Choice<'_>, settings: &AppClientSettings) -> Result<(), Error> {
    let refused = |message: &'static str| Err(Error::new(Exception::InvalidOAuthFlowException, message));
    let flows = &settings.allowed_oauth_flows;
    let own = flows.iter().any(|flow| flow == "client_credentials");
    if own && flows.iter().any(|flow| flow != "client_credentials") {
        return refused("client_credentials flow can not be selected along with code flow or implicit flow.");
    }
    if own && !choice.has_secret {
        return refused("client_credentials flow can not be selected if client does not have a client secret.");
    }
    if !own && !flows.is_empty() && settings.callback_urls.is_empty() {
        return refused("CallbackUrls can not be empty when code flow or implicit flow is selected");
    }
    let takes_part = settings.allowed_oauth_flows_user_pool_client.unwrap_or(false);
    if takes_part && (flows.is_empty() || settings.allowed_oauth_scopes.is_empty()) {
        return Err(Error::invalid_parameter(
            "AllowedOAuthFlows and AllowedOAuthScopes are required if user pool client is allowed to use OAuth flows.",
        ));
    }
    Ok(())
}

/// A client with `client_credentials` has no user, so it can't have the standard scopes, which describe a user.
fn check_scopes(settings: &AppClientSettings) -> Result<(), Error> {
    let own = settings.allowed_oauth_flows.iter().any(|flow| flow == "client_credentials");
    for scope in &settings.allowed_oauth_scopes {
        if !STANDARD_SCOPES.contains(&scope.as_str()) {
            let message = format!("Invalid scope requested: {scope}");
            return Err(Error::new(Exception::ScopeDoesNotExistException, message));
        }
        if own {
            let message = format!("{scope} is not supported with client_credentials flow");
            return Err(Error::new(Exception::InvalidOAuthFlowException, message));
        }
    }
    Ok(())
}

/// A redirect URL is absolute and has no fragment. Its scheme is HTTPS, an app's own, or for tests HTTP to this
/// machine.
fn check_url(url: &str) -> Result<(), Error> {
    let refused = |what: &str| Err(Error::invalid_parameter(format!("{url} {what}")));
    let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return refused("is not an absolute URI.");
    };
    if rest.contains('#') {
        return refused("must not include a fragment component.");
    }
    let host = host(rest);
    match scheme.to_ascii_lowercase().as_str() {
        "http" if !host.is_some_and(is_this_machine) => refused("cannot use the HTTP protocol."),
        "https" if host.is_none() => refused("is not an absolute URI."),
        scheme if NO_APPS.contains(&scheme) => refused("is of a scheme that can't be redirected to."),
        _ if rest.is_empty() => refused("is not an absolute URI."),
        _ => Ok(()),
    }
}

fn is_this_machine(host: &str) -> bool {
    THIS_MACHINE.iter().any(|name| host.eq_ignore_ascii_case(name))
}

/// Whether a text is the scheme of a URI (RFC 3986, 3.1).
fn is_scheme(text: &str) -> bool {
    let in_scheme = |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.');
    text.starts_with(|character: char| character.is_ascii_alphabetic()) && text.chars().all(in_scheme)
}

/// The host in the part after the scheme; `None` if there is none or it is ambiguous.
fn host(rest: &str) -> Option<&str> {
    let authority = rest.strip_prefix("//")?.split(['/', '?', '\\']).next()?;
    if authority.contains('@') {
        return None;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::{pool, refusal, texts};
    use crate::domain::user_pool::UserPool;

    fn some_pool() -> UserPool {
        pool(Default::default())
    }

    fn checked(has_secret: bool, settings: &AppClientSettings) -> Result<(), Error> {
        let pool = some_pool();
        let choice = Choice { pool: &pool, user_pool_id: "us-east-1_a", has_secret, act: "creating" };
        check(&choice, settings)
    }

    fn grants(flows: &[&str], scopes: &[&str]) -> AppClientSettings {
        AppClientSettings {
            allowed_oauth_flows: texts(flows),
            allowed_oauth_scopes: texts(scopes),
            callback_urls: texts(&["https://app.example.com/in"]),
            ..Default::default()
        }
    }

    #[test]
    fn client_credentials_need_a_secret_and_exclude_user_flows() {
        let flow = |has_secret, settings: &AppClientSettings| {
            let (exception, message) = refusal(checked(has_secret, settings));
            assert_eq!(exception, Exception::InvalidOAuthFlowException);
            message
        };
        checked(true, &grants(&["client_credentials"], &[])).unwrap();
        assert!(flow(false, &grants(&["client_credentials"], &[])).contains("does not have a client secret"));
        for other in ["code", "implicit"] {
            assert!(flow(true, &grants(&["client_credentials", other], &[])).contains("along with code flow"));
        }
        for scope in STANDARD_SCOPES {
            let message = flow(true, &grants(&["client_credentials"], &[scope]));
            assert_eq!(message, format!("{scope} is not supported with client_credentials flow"));
        }
    }

    #[test]
    fn flows_of_users_need_a_callback_url() {
        checked(false, &grants(&["code", "implicit"], &STANDARD_SCOPES)).unwrap();
        for flow in ["code", "implicit"] {
            let nowhere = AppClientSettings { callback_urls: Vec::new(), ..grants(&[flow], &["openid"]) };
            let message = "CallbackUrls can not be empty when code flow or implicit flow is selected";
            let expected = (Exception::InvalidOAuthFlowException, message.to_owned());
            assert_eq!(refusal(checked(false, &nowhere)), expected);
        }
    }

    #[test]
    fn a_client_that_uses_oauth_names_grants_and_scopes() {
        let part = |settings| AppClientSettings { allowed_oauth_flows_user_pool_client: Some(true), ..settings };
        checked(false, &part(grants(&["code"], &["openid"]))).unwrap();
        for lacking in [grants(&[], &["openid"]), grants(&["code"], &[]), grants(&[], &[])] {
            let message = refusal(checked(false, &part(lacking.clone()))).1;
            assert!(message.starts_with("AllowedOAuthFlows and AllowedOAuthScopes are required"), "{message}");
            checked(false, &lacking).unwrap();
        }
    }

    #[test]
    fn scopes_and_providers_exist() {
        let expected = (Exception::ScopeDoesNotExistException, "Invalid scope requested: moon".to_owned());
        assert_eq!(refusal(checked(false, &grants(&["code"], &["openid", "moon"]))), expected);
        let providers =
            |names: &[&str]| AppClientSettings { supported_identity_providers: texts(names), ..Default::default() };
        checked(false, &providers(&["COGNITO"])).unwrap();
        let message = "The provider Facebook does not exist for User Pool us-east-1_a.";
        assert_eq!(refusal(checked(false, &providers(&["COGNITO", "Facebook"]))).1, message);
    }

    #[test]
    fn users_are_redirected_to_https_to_apps_and_to_this_machine() {
        for good in [
            "https://app.example.com",
            "https://app.example.com:8443/in?a=b",
            "http://localhost",
            "http://localhost:3000/in",
            "HTTP://LocalHost/",
            "http://127.0.0.1",
            "http://127.0.0.1:53682/in",
            "http://[::1]",
            "http://[::1]:53682/in",
            "myapp://example",
            "com.example.app:/oauth2redirect",
            "exp+app://in",
        ] {
            check_url(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for (wrong, what) in [
            ("http://app.example.com", "cannot use the HTTP protocol."),
            ("http://localhost.example.com", "cannot use the HTTP protocol."),
            ("http://localhost@example.com", "cannot use the HTTP protocol."),
            ("http://127.0.0.1.example.com", "cannot use the HTTP protocol."),
            ("http://127.0.0.1@example.com", "cannot use the HTTP protocol."),
            ("http://127.0.0.2", "cannot use the HTTP protocol."),
            ("http://[::1].example.com", "cannot use the HTTP protocol."),
            ("http://[::1", "cannot use the HTTP protocol."),
            ("http://::1", "cannot use the HTTP protocol."),
            ("http://[::2]:80", "cannot use the HTTP protocol."),
            ("http://example.com/localhost", "cannot use the HTTP protocol."),
            ("http://example.com\\@localhost", "cannot use the HTTP protocol."),
            ("http:localhost", "cannot use the HTTP protocol."),
            ("https://app.example.com/in#top", "must not include a fragment component."),
            ("myapp://in#", "must not include a fragment component."),
            ("app.example.com/in", "is not an absolute URI."),
            ("/in", "is not an absolute URI."),
            ("https:", "is not an absolute URI."),
            ("https:///in", "is not an absolute URI."),
            ("myapp:", "is not an absolute URI."),
            ("1app://in", "is not an absolute URI."),
            ("javascript:alert(1)", "is of a scheme that can't be redirected to."),
            ("DATA:text/html,x", "is of a scheme that can't be redirected to."),
        ] {
            assert_eq!(refusal(check_url(wrong)).1, format!("{wrong} {what}"));
        }
        for urls in [
            AppClientSettings { callback_urls: texts(&["in"]), ..Default::default() },
            AppClientSettings { logout_urls: texts(&["in"]), ..Default::default() },
        ] {
            assert_eq!(refusal(checked(false, &urls)).1, "in is not an absolute URI.");
        }
    }

    #[test]
    fn the_default_is_one_of_the_callbacks() {
        let with = |default: &str| AppClientSettings {
            default_redirect_uri: Some(default.to_owned()),
            ..grants(&["code"], &["openid"])
        };
        checked(false, &with("https://app.example.com/in")).unwrap();
        let message = "DefaultRedirectURI must be one of the CallbackURLs.";
        assert_eq!(refusal(checked(false, &with("https://app.example.com"))).1, message);
    }

    proptest! {
        #[test]
        fn plain_http_goes_to_this_machine_only(rest in ".{0,30}") {
            let url = format!("http://{rest}");
            if check_url(&url).is_ok() {
                let begins = |name: &str| rest.get(..name.len()).is_some_and(|host| host.eq_ignore_ascii_case(name));
                prop_assert!(THIS_MACHINE.iter().any(|name| begins(name)), "{}", url);
                prop_assert!(!rest.contains('#'));
            }
        }
    }
}

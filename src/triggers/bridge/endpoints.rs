//! Which endpoint is called for a function.

use std::collections::BTreeMap;

use reqwest::Url;

use crate::domain::trigger::function::{FunctionName, is_loopback, loopback_url};

/// The name of a function whose endpoint has only one, as in Lambda's emulator of its runtime.
const ONLY_FUNCTION: FunctionName<'static> = FunctionName { name: "function", qualifier: None };

/// The endpoints of functions.
#[derive(Clone, Debug)]
pub enum Endpoints {
    /// Those that an operator names.
    Named(Named),
    /// In development: a function is the address of its endpoint on this machine. Others have none.
    Loopback,
}

/// The endpoints that an operator names.
#[derive(Clone, Debug, Default)]
pub struct Named {
    functions: BTreeMap<String, Url>,
    others: Option<Url>,
}

/// Why endpoints can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum EndpointError {
    #[error("no endpoint is named")]
    None,
    #[error("the endpoint {0} is not an https or http URL without a user name in it")]
    Form(String),
    #[error("the endpoint {0} would be sent personal data in plain text over the network")]
    PlainText(String),
    #[error("the function {0} has two endpoints")]
    Twice(String),
}

impl Named {
    /// An endpoint for each function, by its name or its ARN, and one for all others. `is_private` says that the network
    /// is safe without TLS.
    pub fn new(functions: Vec<(String, Url)>, others: Option<Url>, is_private: bool) -> Result<Self, EndpointError> {
        let mut named = Self { functions: BTreeMap::new(), others };
        if let Some(url) = &named.others {
            check(url, is_private)?;
        }
        for (function, url) in functions {
            check(&url, is_private)?;
            if named.functions.insert(function.clone(), url).is_some() {
                return Err(EndpointError::Twice(function));
            }
        }
        if named.functions.is_empty() && named.others.is_none() {
            return Err(EndpointError::None);
        }
        Ok(named)
    }

    fn address(&self, function: &str) -> Option<Url> {
        let name = FunctionName::of(function);
        let unqualified = name.qualifier.and_then(|it| function.strip_suffix(it)?.strip_suffix(':'));
        let keys = [Some(function), unqualified, Some(name.name)];
        let own = keys.into_iter().flatten().find_map(|key| self.functions.get(key));
        match (own, &self.others) {
            (Some(url), _) => Some(complete(url, name)),
            (None, Some(base)) => Some(invocations(base, name)),
            (None, None) => None,
        }
    }
}

impl Endpoints {
    /// Where a function is invoked, if it has an endpoint.
    pub fn address(&self, function: &str) -> Option<Url> {
        match self {
            Self::Named(named) => named.address(function),
            Self::Loopback => loopback_url(function).map(|url| complete(&url, ONLY_FUNCTION)),
        }
    }
}

fn check(url: &Url, is_private: bool) -> Result<(), EndpointError> {
    let shown = || url.host_str().unwrap_or(url.scheme()).to_owned();
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    match url.scheme() {
        "https" | "http" if !is_anonymous => Err(EndpointError::Form(shown())),
        "https" => Ok(()),
        "http" if is_private || is_loopback(url) => Ok(()),
        "http" => Err(EndpointError::PlainText(url.to_string())),
        _ => Err(EndpointError::Form(shown())),
    }
}

/// The address of one function's endpoint: with a path it is complete.
fn complete(url: &Url, name: FunctionName<'_>) -> Url {
    if matches!(url.path(), "" | "/") { invocations(url, name) } else { url.clone() }
}

/// The address in Lambda's Invoke API.
fn invocations(base: &Url, FunctionName { name, qualifier }: FunctionName<'_>) -> Url {
    let mut url = base.clone();
    // It fails only for addresses without a host, which were refused.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(["2015-03-31", "functions", name, "invocations"]);
    }
    if let Some(qualifier) = qualifier {
        url.query_pairs_mut().append_pair("Qualifier", qualifier);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:gate";

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn named(functions: &[(&str, &str)], others: Option<&str>) -> Result<Endpoints, EndpointError> {
        let functions = functions.iter().map(|(function, at)| ((*function).to_owned(), url(at))).collect();
        Named::new(functions, others.map(url), false).map(Endpoints::Named)
    }

    fn address(endpoints: &Endpoints, function: &str) -> Option<String> {
        endpoints.address(function).map(String::from)
    }

    #[test]
    fn functions_are_in_the_path_of_the_invoke_api() {
        let endpoints = named(&[], Some("https://lambda.example/base/")).unwrap();
        let at = |rest: &str| Some(format!("https://lambda.example/base/2015-03-31/functions/{rest}"));
        assert_eq!(address(&endpoints, ARN), at("gate/invocations"));
        assert_eq!(address(&endpoints, &format!("{ARN}:live")), at("gate/invocations?Qualifier=live"));
        assert_eq!(address(&endpoints, "a/b?c"), at("a%2Fb%3Fc/invocations"));
    }

    #[test]
    fn the_more_specific_endpoint_wins() {
        let live = format!("{ARN}:live");
        let endpoints = named(
            &[("gate", "https://name.example/hook"), (ARN, "https://arn.example"), (&live, "https://live.example/x")],
            Some("https://others.example"),
        )
        .unwrap();
        let host = |function: &str| endpoints.address(function).unwrap().host_str().unwrap().to_owned();
        assert_eq!(host(&live), "live.example");
        assert_eq!(host(ARN), "arn.example");
        assert_eq!(host(&format!("{ARN}:old")), "arn.example");
        assert_eq!(host("arn:aws:lambda:eu-west-1:123456789012:function:gate"), "name.example");
        assert_eq!(host("door"), "others.example");
        assert_eq!(address(&endpoints, "gate").as_deref(), Some("https://name.example/hook"), "it is complete");
        assert_eq!(
            address(&endpoints, ARN).as_deref(),
            Some("https://arn.example/2015-03-31/functions/gate/invocations")
        );
        assert!(named(&[("gate", "https://name.example")], None).unwrap().address("door").is_none());
    }

    #[test]
    fn in_development_a_function_is_its_address() {
        let address = |function| address(&Endpoints::Loopback, function);
        assert_eq!(
            address("http://127.0.0.1:9000").as_deref(),
            Some("http://127.0.0.1:9000/2015-03-31/functions/function/invocations")
        );
        assert_eq!(address("http://localhost:3000/hook?a=b").as_deref(), Some("http://localhost:3000/hook?a=b"));
        assert_eq!(address("https://example.com/hook"), None);
        assert_eq!(address(ARN), None);
    }

    #[test]
    fn personal_data_goes_over_tls() {
        assert_eq!(named(&[], None).unwrap_err(), EndpointError::None);
        assert!(named(&[], Some("http://[::1]:3000")).is_ok());
        let plain = "http://lambda.example/";
        assert_eq!(named(&[], Some(plain)).unwrap_err(), EndpointError::PlainText(plain.to_owned()));
        assert!(Named::new(Vec::new(), Some(url(plain)), true).is_ok());
        for wrong in ["ftp://lambda.example", "https://me:secret@lambda.example"] {
            let told = named(&[("gate", wrong)], None).unwrap_err();
            assert_eq!(told, EndpointError::Form("lambda.example".to_owned()));
        }
        let twice = [("gate", "https://one.example"), ("gate", "https://two.example")];
        assert_eq!(named(&twice, None).unwrap_err(), EndpointError::Twice("gate".to_owned()));
    }
}

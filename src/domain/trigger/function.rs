//! The function that a pool names for a trigger: an ARN of Lambda, or in development the address of an endpoint.

use url::{Host, Url};

/// A function, as the path of Lambda's Invoke API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionName<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version or alias.
    pub qualifier: Option<&'a str>,
}

impl<'a> FunctionName<'a> {
    /// The name in an ARN. Any other text is a name itself.
    pub fn of(function: &'a str) -> Self {
        let parts: Vec<_> = function.split(':').collect();
        match parts[..] {
            ["arn", _, "lambda", _, _, "function", name] => Self { name, qualifier: None },
            ["arn", _, "lambda", _, _, "function", name, qualifier] => Self { name, qualifier: Some(qualifier) },
            _ => Self { name: function, qualifier: None },
        }
    }
}

/// The address of an endpoint on this machine, if the function is one. It has no user name in it.
pub fn loopback_url(function: &str) -> Option<Url> {
    let url = Url::parse(function).ok()?;
    let is_safe = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    (is_safe && is_loopback(&url)).then_some(url)
}

/// Whether an address is surely on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_a_name_and_perhaps_a_qualifier() {
        let of = |function| (FunctionName::of(function).name, FunctionName::of(function).qualifier);
        assert_eq!(of("arn:aws:lambda:us-east-1:123456789012:function:gate"), ("gate", None));
        assert_eq!(of("arn:aws:lambda:us-east-1:123456789012:function:gate:live"), ("gate", Some("live")));
        for name in ["gate", "arn:aws:sns:us-east-1:123456789012:gate", "arn:aws:lambda:x"] {
            assert_eq!(of(name), (name, None));
        }
    }

    #[test]
    fn only_an_endpoint_of_this_machine_is_a_loopback_url() {
        for function in [
            "http://127.0.0.1:3000",
            "http://127.8.0.1/hook?a=b",
            "https://localhost:9000/2015-03-31/functions/function/invocations",
            "http://LOCALHOST",
            "http://[::1]:3000/",
        ] {
            assert!(loopback_url(function).is_some(), "{function}");
        }
        for function in [
            "arn:aws:lambda:us-east-1:123456789012:function:gate",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com",
            "http://me:secret@127.0.0.1",
            "ftp://127.0.0.1",
            "//127.0.0.1",
            "localhost:3000",
            "",
        ] {
            assert!(loopback_url(function).is_none(), "{function}");
        }
    }
}

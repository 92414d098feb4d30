//! Properties of librdkafka: lines of a flag or a variable, a table of a file.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use serde::{Deserialize, Serialize};

use crate::delivery::settings::Secret;

/// The properties of one flag, of one variable or of one table.
pub type Properties = Vec<(String, Secret)>;

/// Reads `NAME=VALUE` lines. clap itself would show a value that is refused, but this one may be a secret: an error has
/// only the line's number.
#[derive(Clone, Copy, Debug)]
pub struct PropertiesParser;

impl TypedValueParser for PropertiesParser {
    type Value = Properties;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Properties, clap::Error> {
        let refused = |why: String| {
            let text = format!("Kafka's properties can't be read: {why}\n");
            clap::Error::raw(ErrorKind::ValueValidation, text).with_cmd(command)
        };
        let text = value.to_str().ok_or_else(|| refused("they are not UTF-8".to_owned()))?;
        parse(text).map_err(|line| refused(format!("line {line} is not NAME=VALUE")))
    }
}

/// Reads a property from each line; blank lines are none, so that a text may end with a line break. An error is the number
/// of the wrong line.
fn parse(text: &str) -> Result<Properties, usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| property(line).ok_or(index + 1)).collect()
}

fn property(line: &str) -> Option<(String, Secret)> {
    let (name, value) = line.split_once('=')?;
    Some((name.trim().to_owned(), Secret(value.to_owned())))
}

/// Whether a property is a secret itself: paths, modes of use and certificates are none.
pub fn is_secret(name: &str) -> bool {
    [".password", ".passphrase", ".secret", ".key.pem", ".oauthbearer.config"].iter().any(|end| name.ends_with(end))
}

/// Writes them as the table of a file.
pub fn serialize<S: serde::Serializer>(properties: &Option<Vec<Properties>>, serializer: S) -> Result<S::Ok, S::Error> {
    let map = properties.as_ref().map(|all| all.iter().flatten().cloned().collect::<BTreeMap<_, _>>());
    map.serialize(serializer)
}

/// Reads the table of a file.
pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Properties>>, D::Error> {
    let map = Option::<BTreeMap<String, Secret>>::deserialize(deserializer)?;
    Ok(map.map(|map| vec![map.into_iter().collect()]))
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};
    use proptest::prelude::*;

    use super::*;

    fn pairs(properties: &[(&str, &str)]) -> Properties {
        properties.iter().map(|(name, value)| ((*name).to_owned(), Secret((*value).to_owned()))).collect()
    }

    #[test]
    fn blank_lines_are_no_properties() {
        let expected = pairs(&[("sasl.username", "me"), ("sasl.password", " a=b ")]);
        for text in [
            "sasl.username=me\nsasl.password= a=b ",
            "sasl.username=me\nsasl.password= a=b \n",
            "\n\n sasl.username =me\r\n \t\nsasl.password= a=b \r\n\n",
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text:?}");
        }
        for blank in ["", "\n", " \r\n\t"] {
            assert_eq!(parse(blank), Ok(Vec::new()), "{blank:?}");
        }
        assert_eq!(parse("a=b=c\nd="), Ok(pairs(&[("a", "b=c"), ("d", "")])));
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number_and_not_shown() {
        let command = Command::new("userpool").arg(Arg::new("p").long("p").value_parser(PropertiesParser));
        let refused = command.try_get_matches_from(["userpool", "--p", "\na=b\nssl.key.pem:hunter2\n"]).unwrap_err();
        let (kind, told) = (refused.kind(), refused.to_string());
        assert_eq!(kind, ErrorKind::ValueValidation);
        assert!(told.contains("line 3 is not NAME=VALUE") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn secret_properties_are_told_apart_from_related_ones() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.keystore.password",
            "ssl.key.pem",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "ssl.ca.pem",
            "ssl.certificate.pem",
            "ssl.key.location",
            "ssl.keystore.location",
            "sasl.kerberos.keytab",
            "sasl.oauthbearer.method",
            "sasl.oauthbearer.client.id",
            "sasl.oauthbearer.token.endpoint.url",
            "sasl.oauthbearer.assertion.private.key.file",
            "sasl.username",
            "topic.metadata.refresh.sparse",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a=\\n\\r .]{0,40}") {
            let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
            match parse(&text) {
                Ok(properties) => prop_assert_eq!(properties.len(), lines),
                Err(line) => prop_assert!(text.lines().nth(line - 1).is_some_and(|line| !line.contains('='))),
            }
        }
    }
}

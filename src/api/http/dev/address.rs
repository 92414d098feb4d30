//! Addresses of the console's pages.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A path with those parameters that have a value.
pub(super) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        address.push(if address.len() == path.len() { '?' } else { '&' });
        address.push_str(&format!("{name}={}", encoded(value)));
    }
    address
}

/// A text, percent-encoded for a path or a parameter.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_parameters_are_left_out_and_values_are_escaped() {
        assert_eq!(address("/dev/messages", &[("to", ""), ("pool", "")]), "/dev/messages");
        let full = address("/dev/messages", &[("to", "a&b=c#d é"), ("kind", "SMS")]);
        assert_eq!(full, "/dev/messages?to=a%26b%3Dc%23d%20%C3%A9&kind=SMS");
    }
}

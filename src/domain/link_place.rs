//! The place of a link in a template: `{##text##}`.

use crate::domain::message::escape_html;

const LINK_BEGIN: &str = "{##";
const LINK_END: &str = "##}";

/// Whether a template has a place for a link. `{####}` is one, without a text.
pub fn has_link(template: &str) -> bool {
    next_link(template).is_some()
}

/// Replaces each `{##text##}` by a link with that text, and a place without a text by a link that shows its URL.
pub fn with_link(template: &str, link: &str, filled: impl Fn(&str) -> String) -> String {
    let (mut body, mut rest) = (String::with_capacity(template.len() + link.len()), template);
    while let Some((before, text, after)) = next_link(rest) {
        let text = if text.trim().is_empty() { escape_html(link) } else { filled(text) };
        body.push_str(&filled(before));
        body.push_str(&format!("<a href=\"{}\">{text}</a>", escape_html(link)));
        rest = after;
    }
    body.push_str(&filled(rest));
    body
}

/// The text before the first link of a template, the link's text, and the rest.
fn next_link(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once(LINK_BEGIN)?;
    let (text, after) = rest.split_once(LINK_END)?;
    Some((before, text, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::message::{Medium, USERNAME_PLACE, fill_body};

    #[test]
    fn a_template_has_a_link_if_it_has_a_whole_place_for_one() {
        for (template, expected) in [("{##Click##}", true), ("{####}", true), ("{##Click}", false), ("##}{##", false)] {
            assert_eq!(has_link(template), expected, "{template}");
        }
    }

    proptest! {
        #[test]
        fn no_template_breaks_the_filling(template in any::<String>()) {
            with_link(&template, "link", |text| fill_body(Medium::Email, text, &[(USERNAME_PLACE, "jane")]));
        }
    }
}

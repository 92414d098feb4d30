//! The page that confirms a link. It stands alone: its style is in it, and it has no script.

use askama::Template;

/// What the page says. Nothing of the link is repeated in it.
#[derive(Debug, Template)]
#[template(path = "confirmation.html")]
pub struct Confirmation {
    /// The heading.
    pub title: &'static str,
    /// What is to be known, or done.
    pub text: &'static str,
    /// The button, where there is something to do.
    pub button: Option<&'static str>,
}

impl Confirmation {
    /// The page's style, which its policy allows by what it is.
    pub const STYLE: &'static str = super::STYLE;
}

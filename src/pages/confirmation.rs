//! The page that confirms a link. It loads nothing: its style is inside it, and it has no script.

use askama::Template;

/// The texts of the page. Nothing of the link is repeated in it.
#[derive(Debug, Template)]
#[template(path = "confirmation.html")]
pub struct Confirmation {
    /// The heading, which is the browser's title as well.
    pub title: &'static str,
    /// What the user should know or do.
    pub text: &'static str,
    /// The button, if there is something to do.
    pub button: Option<&'static str>,
}

impl Confirmation {
    /// The page's style, which its policy allows by hash.
    pub const STYLE: &'static str = super::STYLE;
}

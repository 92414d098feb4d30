//! The plain text of an HTML e-mail, for mail programs without HTML.

/// Elements whose content is not shown.
const HIDDEN: [&str; 4] = ["head", "script", "style", "title"];
/// Elements that begin and end on a line of their own.
const BLOCKS: [&str; 24] = [
    "article",
    "blockquote",
    "body",
    "center",
    "div",
    "dd",
    "dl",
    "dt",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "ol",
    "pre",
    "section",
    "table",
    "tr",
];
/// Elements that stand apart from what is around them.
const PARAGRAPHS: [&str; 2] = ["p", "ul"];
/// Characters with a name: those that HTML itself needs, and the one that mail programs write.
const NAMED: [(&str, char); 6] =
    [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("nbsp", '\u{a0}')];

/// The readable part of HTML: its text without tags and comments, a link's address after its text, and line breaks at
/// blocks. Malformed markup stays as it is.
pub fn plain_text(html: &str) -> String {
    let mut text = Text::default();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push(&rest[..at]);
        rest = match Markup::read(&rest[at..]) {
            Some((markup, after)) => text.take(markup, after),
            None => {
                text.push("<");
                &rest[at + 1..]
            }
        };
    }
    text.push(rest);
    text.finished()
}

/// A tag or a comment.
enum Markup<'a> {
    /// A comment, or an instruction to a program.
    Comment,
    /// The beginning or the end of an element.
    Tag { name: String, is_end: bool, attributes: &'a str },
}

impl<'a> Markup<'a> {
    /// Reads the markup at a `<`, and returns the rest after it. Nothing if it is not markup or has no end.
    fn read(html: &'a str) -> Option<(Self, &'a str)> {
        if let Some(comment) = html.strip_prefix("<!--") {
            return comment.split_once("-->").map(|(_, after)| (Self::Comment, after));
        }
        let inner = html.strip_prefix('<')?;
        if inner.starts_with(['!', '?']) {
            return inner.split_once('>').map(|(_, after)| (Self::Comment, after));
        }
        let (is_end, inner) = match inner.strip_prefix('/') {
            Some(inner) => (true, inner),
            None => (false, inner),
        };
        if !inner.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return None;
        }
        let name_ends = inner.find(|character: char| character.is_ascii_whitespace() || "/>".contains(character))?;
        let (name, inner) = inner.split_at(name_ends);
        let end = end_of_tag(inner)?;
        let tag = Self::Tag { name: name.to_ascii_lowercase(), is_end, attributes: &inner[..end] };
        Some((tag, &inner[end + 1..]))
    }
}

/// The place of the `>` that ends a tag; any `>` within quotes is skipped.
fn end_of_tag(inner: &str) -> Option<usize> {
    let mut quote = None;
    inner.char_indices().find_map(|(at, character)| {
        match (quote, character) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        None
    })
}

/// The address of a link, if it has one.
fn address(attributes: &str) -> Option<String> {
    // ASCII lower case keeps the length, so places in one text are places in the other.
    let lower = attributes.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower[from..].find("href") {
        let (begin, end) = (from + found, from + found + "href".len());
        from = end;
        let stands_alone = lower[..begin].ends_with(|before: char| before.is_ascii_whitespace() || before == '/');
        let Some(value) = attributes[end..].trim_start().strip_prefix('=').filter(|_| stands_alone) else { continue };
        let value = value.trim_start();
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split(quote).next(),
            _ => value.split(|character: char| character.is_ascii_whitespace()).next(),
        };
        return value.map(|value| resolved(value).trim().to_owned()).filter(|value| !value.is_empty());
    }
    None
}

/// A text with its character references replaced.
fn resolved(html: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(html.len()), html);
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let reference = rest.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        match reference {
            Some((character, after)) => {
                text.push(character);
                rest = after;
            }
            None => text.push('&'),
        }
    }
    text.push_str(rest);
    text
}

/// The character that a reference stands for.
fn character(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return NAMED.iter().find(|(known, _)| *known == name).map(|(_, character)| *character);
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    code.ok().and_then(char::from_u32).filter(|character| !character.is_control())
}

/// The text so far.
#[derive(Default)]
struct Text {
    lines: Vec<String>,
    line: String,
    /// Whether there was white space after the last word.
    has_space: bool,
    /// The address of the open link, and its text so far.
    link: Option<(String, String)>,
}

impl Text {
    /// Takes markup, and returns the rest that is still to be read.
    fn take<'a>(&mut self, markup: Markup<'_>, after: &'a str) -> &'a str {
        let Markup::Tag { name, is_end, attributes } = markup else { return after };
        match name.as_str() {
            "br" => self.end_line(),
            "a" => {
                self.end_link();
                if !is_end {
                    self.link = address(attributes).map(|address| (address, String::new()));
                }
            }
            hidden if HIDDEN.contains(&hidden) && !is_end => return after_element(hidden, after),
            block if BLOCKS.contains(&block) => self.begin_line(),
            paragraph if PARAGRAPHS.contains(&paragraph) => self.begin_paragraph(),
            "td" | "th" => self.has_space = true,
            _ => {}
        }
        after
    }

    /// Takes text between tags: white space of any length is one space, as a browser shows it.
    fn push(&mut self, html: &str) {
        let text = resolved(html);
        if let Some((_, shown)) = &mut self.link {
            shown.push_str(&text);
        }
        for character in text.chars() {
            if character.is_ascii_whitespace() || character.is_control() {
                self.has_space = true;
                continue;
            }
            if self.has_space && !self.line.is_empty() {
                self.line.push(' ');
            }
            self.has_space = false;
            self.line.push(character);
        }
    }

    /// Adds the address of a link, unless its text is the address.
    fn end_link(&mut self) {
        if let Some((address, shown)) = self.link.take()
            && shown.trim() != address
        {
            let space = if self.line.is_empty() { "" } else { " " };
            self.line.push_str(&format!("{space}({address})"));
        }
    }

    fn end_line(&mut self) {
        self.lines.push(std::mem::take(&mut self.line));
        self.has_space = false;
    }

    fn begin_line(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.has_space = false;
    }

    fn begin_paragraph(&mut self) {
        self.begin_line();
        if self.lines.last().is_some_and(|last| !last.is_empty()) {
            self.lines.push(String::new());
        }
    }

    fn finished(mut self) -> String {
        self.end_link();
        self.end_line();
        self.lines.join("\n").trim_matches('\n').to_owned()
    }
}

/// The rest after the end of an element. Without an end tag, the element takes everything.
fn after_element<'a>(name: &str, html: &'a str) -> &'a str {
    let end = format!("</{name}");
    let lower = html.to_ascii_lowercase();
    lower.find(&end).map_or("", |at| &html[at..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::message::escape_html;

    #[test]
    fn a_text_without_markup_stays() {
        assert_eq!(plain_text("Your code is 123456"), "Your code is 123456");
        assert_eq!(plain_text("3 < 4 && 5 > 4; <3 &amp &nothing;"), "3 < 4 && 5 > 4; <3 &amp &nothing;");
        assert_eq!(plain_text("an <a href=\"x\" that never ends"), "an <a href=\"x\" that never ends");
    }

    #[test]
    fn lines_begin_where_a_browser_begins_them() {
        let html = "<html><head><title>T</title><style>p { color: red }</style></head><body>\n<h1>Hello</h1>\n<p>Für \
                    <b>Jane</b>:\n 123456</p><p>Bye.<br/>Us</p><ul><li>one<li>two</ul><!-- <p>no</p> --></body></html>";
        assert_eq!(plain_text(html), "Hello\n\nFür Jane: 123456\n\nBye.\nUs\n\none\ntwo");
        assert_eq!(plain_text("<table><tr><td>Code</td><td>123456</td></tr></table>"), "Code 123456");
        assert_eq!(plain_text("<div>a</div><div><div>b</div></div>"), "a\nb");
    }

    #[test]
    fn a_link_tells_where_it_leads() {
        let link = "https://example.com/confirmUser?a=1&amp;b=2";
        let address = "https://example.com/confirmUser?a=1&b=2";
        let html = format!("Please <a class=x HREF = \"{link}\">confirm &gt; here</a>.");
        assert_eq!(plain_text(&html), format!("Please confirm > here ({address})."));
        assert_eq!(plain_text(&format!("<a href='{link}'>{link}</a>")), address);
        assert_eq!(plain_text(&format!("<a title=\"a > b\" href={link}>go</a>")), format!("go ({address})"));
        assert_eq!(plain_text("<a name=\"x\" data-href=\"y\">here</a>"), "here");
        assert_eq!(plain_text("<a href=\"one\">1<a href=\"two\">2"), "1 (one)2 (two)");
    }

    #[test]
    fn references_stand_for_characters_and_add_no_markup() {
        assert_eq!(plain_text("&lt;b&gt; &#39;&#x41;&quot;&apos;&nbsp;."), "<b> 'A\"'\u{a0}.");
        assert_eq!(plain_text("&#0;&#xD800;&#99999999;&#;"), "&#0;&#xD800;&#99999999;&#;");
    }

    proptest! {
        #[test]
        fn escaped_text_is_read_back(text in any::<String>()) {
            let words = |text: &str| {
                let is_space = |character: char| character.is_ascii_whitespace() || character.is_control();
                text.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
            };
            prop_assert_eq!(plain_text(&escape_html(&text)), words(&text));
            prop_assert_eq!(plain_text(&format!("<p>{}</p>", escape_html(&text))), words(&text));
        }

        #[test]
        fn any_text_has_a_plain_one(html in "(<|>|/|!--|-->|a|p|br|style|href|=|\"|'|&|;|#|x41| |\n|é|.)*") {
            let plain = plain_text(&html);
            prop_assert!(!plain.starts_with('\n') && !plain.ends_with('\n'));
            prop_assert!(!plain.contains("\n\n\n") || html.to_lowercase().contains("br"));
        }
    }
}

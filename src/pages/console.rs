//! The development console: what its pages say.

use askama::Template;

use crate::pages::Moment;
use crate::pages::command::Command;

/// The parts of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What was sent to people.
    Messages,
    /// Pools and what they hold.
    Pools,
    /// What leaves for Kafka.
    Events,
    /// None of them.
    Elsewhere,
}

impl Section {
    /// Whether the page belongs there, as its navigation says.
    fn current(&self, other: Self) -> &'static str {
        if *self == other { " aria-current=\"true\"" } else { "" }
    }
}

/// A link with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where to.
    pub href: String,
    /// Its text.
    pub text: String,
}

impl Link {
    /// A link to somewhere.
    pub fn new(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self { href: href.into(), text: text.into() }
    }
}

/// One of the choices of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub text: String,
    /// Whether it is the one that is chosen.
    pub chosen: bool,
}

/// A list that goes on by itself, and on other pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Where what is new comes from; not on a page of what is old.
    pub stream: Option<String>,
    /// The page of the newest, where this is another one.
    pub newest: Option<String>,
    /// The page of what is older.
    pub older: Option<String>,
}

/// The messages.
#[derive(Debug, Template)]
#[template(path = "console/messages.html")]
pub struct Messages {
    /// Of the page.
    pub title: String,
    /// Of the page.
    pub section: Section,
    /// The part of an address that is looked for.
    pub to: String,
    /// The pools to choose from.
    pub pools: Vec<Choice>,
    /// The kinds to choose from.
    pub kinds: Vec<Choice>,
    /// Whether anything is asked for.
    pub filtered: bool,
    /// The newest first.
    pub messages: Vec<Message>,
    /// How the list goes on.
    pub flow: Flow,
}

/// A message as its reader sees it.
#[derive(Debug, Template)]
#[template(path = "console/message.html")]
pub struct Message {
    /// The row.
    pub id: String,
    /// Its pool's id.
    pub pool: String,
    /// `E-mail` or `SMS`.
    pub medium: &'static str,
    /// What it is for, if that is known.
    pub kind: Option<&'static str>,
    /// The address.
    pub to: String,
    /// The sender, if the pool chose one.
    pub from: Option<String>,
    /// Where answers go, if the pool chose that.
    pub reply_to: Option<String>,
    /// The subject of an e-mail.
    pub subject: Option<String>,
    /// The text of an SMS, or of an e-mail for who reads no HTML.
    pub text: String,
    /// Where the HTML of an e-mail is.
    pub html: Option<String>,
    /// Its code or temporary password.
    pub code: Option<String>,
    /// Its link.
    pub link: Option<String>,
    /// When it arrived.
    pub at: Moment,
}

impl Message {
    /// What stands above it.
    fn heading(&self) -> &str {
        let subject = self.subject.as_deref().filter(|subject| !subject.trim().is_empty());
        subject.or(self.kind).unwrap_or(self.medium)
    }
}

/// The events of one topic.
#[derive(Debug, Template)]
#[template(path = "console/events.html")]
pub struct Events {
    /// Of the page.
    pub title: String,
    /// Of the page.
    pub section: Section,
    /// The topics.
    pub topics: Vec<Tab>,
    /// The topic of these.
    pub topic: String,
    /// What the form sends beside what is chosen: the name of the log.
    pub log: &'static str,
    /// The pools to choose from.
    pub pools: Vec<Choice>,
    /// Whether one is chosen.
    pub filtered: bool,
    /// The newest first.
    pub events: Vec<Event>,
    /// How the list goes on.
    pub flow: Flow,
}

/// A record of Kafka.
#[derive(Debug, Template)]
#[template(path = "console/event.html")]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its type, as consumers read it.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// When it happened.
    pub at: Moment,
    /// By name.
    pub headers: Vec<(String, String)>,
    /// JSON, or why the relay can't publish it.
    pub body: Result<String, String>,
}

/// One of several pages of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// Which.
    pub link: Link,
    /// Whether it is this one.
    pub current: bool,
}

/// What is known of something, in two columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Of what.
    pub name: String,
    /// The value.
    pub value: Shown,
}

/// A value as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A text.
    Text(String),
    /// A name of something, as it is typed.
    Code(String),
    /// One of a few words.
    Word(String),
    /// A point in time.
    Time(Moment),
    /// A text that leads on.
    Link(Link),
}

impl Shown {
    /// Whether there is anything to read.
    pub fn says_something(&self) -> bool {
        match self {
            Self::Text(text) | Self::Code(text) | Self::Word(text) => !text.is_empty(),
            Self::Time(_) | Self::Link(_) => true,
        }
    }
}

/// Rows of the same kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What the rows are; the page's own heading says it, where it is absent.
    pub title: Option<String>,
    /// The names of the columns.
    pub columns: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<Shown>>,
    /// What is said where there are none.
    pub empty: &'static str,
    /// The first page, where this is another one.
    pub first: Option<String>,
    /// The next page.
    pub next: Option<String>,
}

impl Table {
    /// The name of the column of a cell.
    fn column(&self, index: &usize) -> &str {
        self.columns.get(*index).copied().unwrap_or_default()
    }
}

/// A field in which to look for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// What is asked.
    pub label: &'static str,
    /// An example.
    pub hint: &'static str,
    /// The name of its parameter.
    pub name: &'static str,
    /// What was asked.
    pub value: String,
    /// The page without it.
    pub without: String,
}

/// A pool or what is in one, or a list of those.
#[derive(Debug, Template)]
#[template(path = "console/record.html")]
pub struct Record {
    /// Of the page.
    pub title: String,
    /// Of the page.
    pub section: Section,
    /// What it belongs to, from the outside in.
    pub trail: Vec<Link>,
    /// The pages of the same pool.
    pub tabs: Vec<Tab>,
    /// What is known.
    pub facts: Vec<Fact>,
    /// Where to look for something in the list.
    pub search: Option<Search>,
    /// The list, or what belongs to it.
    pub tables: Vec<Table>,
    /// What made it and what changes it.
    pub commands: Vec<Command>,
    /// All of it, as an operation answers it: the operation, and JSON.
    pub document: Option<(&'static str, String)>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            title: String::new(),
            section: Section::Pools,
            trail: Vec::new(),
            tabs: Vec::new(),
            facts: Vec::new(),
            search: None,
            tables: Vec::new(),
            commands: Vec::new(),
            document: None,
        }
    }
}

/// The HTML of an e-mail, as it was sent: its markup is not ours, and its frame lets it do nothing.
#[derive(Debug, Template)]
#[template(path = "console/paper.html")]
pub struct Paper {
    /// The body of the e-mail.
    pub html: String,
}

/// What can't be shown, and why.
#[derive(Debug, Template)]
#[template(path = "console/problem.html")]
pub struct Problem {
    /// Of the page.
    pub title: &'static str,
    /// Of the page.
    pub section: Section,
    /// Why.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    const HOSTILE: &str = "\"><script>alert(1)</script>&'";

    #[test]
    fn what_a_stranger_wrote_is_shown_and_never_read_as_markup() {
        let hostile = || HOSTILE.to_owned();
        let message = Message {
            id: hostile(),
            pool: hostile(),
            medium: "E-mail",
            kind: None,
            to: hostile(),
            from: Some(hostile()),
            reply_to: Some(hostile()),
            subject: Some(hostile()),
            text: hostile(),
            html: Some(hostile()),
            code: Some(hostile()),
            link: Some(hostile()),
            at: Moment::from(Timestamp(0)),
        };
        let event = Event {
            id: hostile(),
            kind: hostile(),
            key: hostile(),
            at: Moment::from(Timestamp(0)),
            headers: vec![(hostile(), hostile())],
            body: Ok(hostile()),
        };
        let shown = || Link::new(hostile(), hostile());
        let cells =
            || vec![Shown::Text(hostile()), Shown::Code(hostile()), Shown::Word(hostile()), Shown::Link(shown())];
        let record = Record {
            title: hostile(),
            trail: vec![shown()],
            tabs: vec![Tab { link: shown(), current: true }],
            facts: cells().into_iter().map(|value| Fact { name: hostile(), value }).collect(),
            search: Some(Search { label: "Name", hint: "", name: "name", value: hostile(), without: hostile() }),
            tables: vec![Table {
                title: Some(hostile()),
                columns: vec!["One"],
                rows: vec![cells()],
                empty: "",
                first: Some(hostile()),
                next: Some(hostile()),
            }],
            commands: vec![Command { title: hostile(), aws: hostile(), grpcurl: hostile() }],
            document: Some(("DescribeUserPool", hostile())),
            ..Record::default()
        };
        let problem = Problem { title: "Not shown", section: Section::Elsewhere, text: hostile() };
        for page in [message.render(), event.render(), record.render(), problem.render()] {
            let page = page.unwrap();
            assert!(!page.contains("<script>"), "{page}");
            assert!(page.contains("alert(1)"), "{page}");
        }
    }
}

//! The development console: the contents of its pages.

use askama::Template;

use crate::pages::Moment;
use crate::pages::command::Command;

/// The parts of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Messages that were sent to people.
    Messages,
    /// Pools and their contents.
    Pools,
    /// Events that leave for Kafka.
    Events,
    /// A page that is in none of them.
    Elsewhere,
}

impl Section {
    /// The attribute for the navigation's link, if the page belongs to that part.
    fn current(&self, other: Self) -> &'static str {
        if *self == other { " aria-current=\"true\"" } else { "" }
    }
}

/// A link with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The address that the link leads to.
    pub href: String,
    /// The text that people click.
    pub text: String,
}

impl Link {
    /// A link with an address and a text.
    pub fn new(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self { href: href.into(), text: text.into() }
    }
}

/// An option of a form's field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value that the form sends.
    pub value: String,
    /// The text that people read.
    pub text: String,
    /// Whether it is the chosen option.
    pub chosen: bool,
}

/// How a list goes on: live, and on other pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// The address of the stream of new entries; absent on pages of older entries.
    pub stream: Option<String>,
    /// The page of the newest entries, if that is another page.
    pub newest: Option<String>,
    /// The page of the next older entries.
    pub older: Option<String>,
}

/// The page of messages.
#[derive(Debug, Template)]
#[template(path = "console/messages.html")]
pub struct Messages {
    /// The page's title in the browser.
    pub title: String,
    /// The part of the console that the page is in.
    pub section: Section,
    /// The part of an address that is searched for.
    pub to: String,
    /// The pools to choose from.
    pub pools: Vec<Choice>,
    /// The kinds to choose from.
    pub kinds: Vec<Choice>,
    /// Whether a filter is set.
    pub filtered: bool,
    /// The messages, the newest first.
    pub messages: Vec<Message>,
    /// How the list goes on.
    pub flow: Flow,
}

/// A message as its reader sees it.
#[derive(Debug, Template)]
#[template(path = "console/message.html")]
pub struct Message {
    /// The id of the message's row.
    pub id: String,
    /// The id of the pool that sent it.
    pub pool: String,
    /// The medium's name: `E-mail` or `SMS`.
    pub medium: &'static str,
    /// What the message is for, if that is known.
    pub kind: Option<&'static str>,
    /// The recipient's address or phone number.
    pub to: String,
    /// The sender, if the pool has set one.
    pub from: Option<String>,
    /// The address for answers, if the pool has set one.
    pub reply_to: Option<String>,
    /// The subject of an e-mail.
    pub subject: Option<String>,
    /// The text of an SMS, or the plain text of an e-mail.
    pub text: String,
    /// The address of the HTML of an e-mail.
    pub html: Option<String>,
    /// The code or temporary password in the message.
    pub code: Option<String>,
    /// The confirmation link in the message.
    pub link: Option<String>,
    /// The time of its delivery.
    pub at: Moment,
}

impl Message {
    /// The heading over the message.
    fn heading(&self) -> &str {
        let subject = self.subject.as_deref().filter(|subject| !subject.trim().is_empty());
        subject.or(self.kind).unwrap_or(self.medium)
    }
}

/// The events of one topic.
#[derive(Debug, Template)]
#[template(path = "console/events.html")]
pub struct Events {
    /// The page's title in the browser.
    pub title: String,
    /// The part of the console that the page is in.
    pub section: Section,
    /// The topics as tabs.
    pub topics: Vec<Tab>,
    /// The topic of the events.
    pub topic: String,
    /// The name of the log, which the form sends besides the choices.
    pub log: &'static str,
    /// The pools to choose from.
    pub pools: Vec<Choice>,
    /// Whether a pool is chosen.
    pub filtered: bool,
    /// The events, the newest first.
    pub events: Vec<Event>,
    /// How the list goes on.
    pub flow: Flow,
}

/// An event as a record of Kafka.
#[derive(Debug, Template)]
#[template(path = "console/event.html")]
pub struct Event {
    /// The event's id, as in `ce_id`.
    pub id: String,
    /// The event's type, as consumers read it.
    pub kind: String,
    /// The record's key, which decides its partition.
    pub key: String,
    /// The time of the event.
    pub at: Moment,
    /// The record's headers: names and values.
    pub headers: Vec<(String, String)>,
    /// The JSON of the record, or the reason why the relay can't publish it.
    pub body: Result<String, String>,
}

/// One of several pages that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// The page that the tab leads to.
    pub link: Link,
    /// Whether it is the current page.
    pub current: bool,
}

/// A name with its value, as a row of two columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The name in the first column.
    pub name: String,
    /// The value in the second column.
    pub value: Shown,
}

/// A value in the form in which it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A text as it is.
    Text(String),
    /// A name or id that people type.
    Code(String),
    /// One of a few words, such as a status.
    Word(String),
    /// A point in time.
    Time(Moment),
    /// A text with a link.
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

/// A table of similar rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The heading; absent if the page's own heading is enough.
    pub title: Option<String>,
    /// The headings of the columns.
    pub columns: Vec<&'static str>,
    /// The cells of each row, in the order of the columns.
    pub rows: Vec<Vec<Shown>>,
    /// The text that is shown instead if there are no rows.
    pub empty: &'static str,
    /// The first page, if that is another page.
    pub first: Option<String>,
    /// The next page; absent on the last one.
    pub next: Option<String>,
}

impl Table {
    /// The heading of a cell's column.
    fn column(&self, index: &usize) -> &str {
        self.columns.get(*index).copied().unwrap_or_default()
    }
}

/// The search field above a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The label of the field.
    pub label: &'static str,
    /// An example of a search, shown in the empty field.
    pub hint: &'static str,
    /// The name of the parameter.
    pub name: &'static str,
    /// The current search; empty if there is none.
    pub value: String,
    /// The page without the search.
    pub without: String,
}

/// The page of a pool or of something in it, or of a list.
#[derive(Debug, Template)]
#[template(path = "console/record.html")]
pub struct Record {
    /// The page's title in the browser.
    pub title: String,
    /// The part of the console that the page is in.
    pub section: Section,
    /// Links to what it belongs to, from the outside in.
    pub trail: Vec<Link>,
    /// The pages of the same pool.
    pub tabs: Vec<Tab>,
    /// The rows of names and values.
    pub facts: Vec<Fact>,
    /// The search field of the list, if there is one.
    pub search: Option<Search>,
    /// The tables: a list, or what belongs to the record.
    pub tables: Vec<Table>,
    /// Commands that copy and change it.
    pub commands: Vec<Command>,
    /// The whole response of an operation: the operation's name, and JSON.
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

/// The HTML of an e-mail, as it was sent: its markup is not ours, and its frame is sandboxed.
#[derive(Debug, Template)]
#[template(path = "console/paper.html")]
pub struct Paper {
    /// The body of the e-mail.
    pub html: String,
}

/// A page that says what can't be shown.
#[derive(Debug, Template)]
#[template(path = "console/problem.html")]
pub struct Problem {
    /// The page's title in the browser.
    pub title: &'static str,
    /// The part of the console that the page is in.
    pub section: Section,
    /// The reason, as a sentence.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    const HOSTILE: &str = "\"><script>alert(1)</script>&'";

    #[test]
    fn hostile_text_is_shown_and_never_read_as_markup() {
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

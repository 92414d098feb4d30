//! Pages for people. Templates render the values here; they don't read from the store or call anything.
//!
//! The templates are in `templates/` and checked at compile time; what they show is escaped. `assets/` has the files
//! that pages load. Templates have no inline scripts and no style attributes: policies forbid both.

pub mod command;
pub mod confirmation;
pub mod console;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::domain::time::Timestamp;

/// The style that all pages share; pages that load nothing contain it.
pub const STYLE: &str = include_str!("assets/style.css");
/// The style of the console, which is added to the common one.
pub const CONSOLE_STYLE: &str = include_str!("assets/console.css");
/// The console's script: copies texts, and shows news.
pub const CONSOLE_SCRIPT: &str = include_str!("assets/console.js");
/// The console's icon for browser tabs.
pub const ICON: &str = include_str!("assets/icon.svg");

/// A point in time as pages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time in RFC 3339, for programs.
    pub machine: String,
    /// The time in UTC, for people; the console's script converts it to their time zone.
    pub human: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        // A time outside of the calendar is shown as nothing.
        let time = OffsetDateTime::from_unix_timestamp(at.seconds()).ok();
        let human = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
        Self {
            machine: time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default(),
            human: time.and_then(|time| time.format(human).ok()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_form_for_programs_and_one_for_people() {
        let moment = Moment::from(Timestamp(1_700_000_000_123));
        assert_eq!(
            (moment.machine.as_str(), moment.human.as_str()),
            ("2023-11-14T22:13:20Z", "2023-11-14 22:13:20 UTC")
        );
    }

    #[test]
    fn no_page_has_an_inline_script_or_a_style_attribute() {
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages/templates"))];
        let mut found = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                found += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                for inline in [" style=", " onclick=", " onload=", "javascript:", "<script>"] {
                    assert!(!text.contains(inline), "{}: {inline}", path.display());
                }
            }
        }
        assert!(found > 5, "{found}");
    }
}

//! Pages for people. Templates render values here; they know no store and ask nobody.
//!
//! The templates are in `templates/`, checked when this is compiled; what they show is escaped. `assets/` has what pages load
//! beside themselves. No page has a script or a style of its own: policies allow none.

pub mod command;
pub mod confirmation;
pub mod console;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::domain::time::Timestamp;

/// The style that all pages have in common, for those that stand alone.
pub const STYLE: &str = include_str!("assets/style.css");
/// The style of the console, which comes after the common one.
pub const CONSOLE_STYLE: &str = include_str!("assets/console.css");
/// The console's script: copies, and shows what arrives.
pub const CONSOLE_SCRIPT: &str = include_str!("assets/console.js");
/// The console's sign in a browser's tab.
pub const ICON: &str = include_str!("assets/icon.svg");

/// A point in time as pages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// RFC 3339, for programs.
    pub machine: String,
    /// For people, in UTC; the console's script makes it their own time.
    pub human: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        // What no calendar has is shown as nothing.
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
    fn a_moment_is_told_to_programs_and_to_people() {
        let moment = Moment::from(Timestamp(1_700_000_000_123));
        assert_eq!(
            (moment.machine.as_str(), moment.human.as_str()),
            ("2023-11-14T22:13:20Z", "2023-11-14 22:13:20 UTC")
        );
    }

    #[test]
    fn no_page_has_a_script_or_a_style_of_its_own() {
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

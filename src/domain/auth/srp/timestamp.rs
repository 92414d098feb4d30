//! The time in an SRP signature, as Cognito's clients write it.

use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::domain::error::Error;

/// `EEE MMM d HH:mm:ss yyyy`, without the zone.
const FORM: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short] [month repr:short] [day padding:none] [hour]:[minute]:[second] [year]");

/// Refuses a time in another form than `EEE MMM d HH:mm:ss z yyyy` in English. Two texts of the same time would be two
/// signatures, so only the form that is written is taken.
pub fn check(text: &str) -> Result<(), Error> {
    if is_well_formed(text) {
        return Ok(());
    }
    Err(Error::invalid_parameter("TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english."))
}

fn is_well_formed(text: &str) -> bool {
    let words: Vec<_> = text.split(' ').collect();
    let [weekday, month, day, clock, "UTC" | "GMT" | "Z", year] = words[..] else { return false };
    let plain = format!("{weekday} {month} {day} {clock} {year}");
    let written = PrimitiveDateTime::parse(&plain, FORM).ok().and_then(|time| time.format(FORM).ok());
    written == Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::refusal;

    #[test]
    fn the_form_of_cognitos_clients_is_taken_and_no_other() {
        for right in ["Tue Apr 5 00:45:54 UTC 2022", "Mon Nov 30 23:59:59 UTC 2026", "Thu Feb 29 12:00:00 GMT 2024"] {
            assert!(check(right).is_ok(), "{right}");
        }
        let wrong = [
            "",
            "Tue Apr 05 00:45:54 UTC 2022",
            "Tue Apr  5 00:45:54 UTC 2022",
            "Tue Apr 5 0:45:54 UTC 2022",
            "Wed Apr 5 00:45:54 UTC 2022",
            "Di Apr 5 00:45:54 UTC 2022",
            "Tue Apr 5 00:45:54 2022",
            "Tue Apr 5 00:45:54 UTC 22",
            "Tue Feb 30 00:45:54 UTC 2022",
            "2022-04-05T00:45:54Z",
            "tue apr 5 00:45:54 UTC 2022",
        ];
        for wrong in wrong {
            let message = refusal(check(wrong)).1;
            assert_eq!(message, "TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english.", "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_refused(text in "\\PC{0,40}", like in "[A-Z][a-z]{2} [A-Z][a-z]{2} [0-9]{1,2} [0-9:]{8} UTC [0-9]{4}") {
            for text in [text, like] {
                if check(&text).is_ok() {
                    prop_assert_eq!(text.split(' ').count(), 6);
                }
            }
        }
    }
}

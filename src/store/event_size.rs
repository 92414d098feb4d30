//! The size limit of events. Events stay in the log for ever and must reach every reader, so an event that is too large
//! is refused before it is written.

use std::io;

use serde::Serialize;
use serde_json::Value;

use crate::store::error::StoreError;

/// The most bytes of an event as JSON: payload and metadata together, as they are stored. The published record is only
/// a few headers larger, well below the 1,000,000 bytes that a Kafka producer sends by default.
pub const LARGEST_EVENT: usize = 512 * 1024;

/// Refuses an event that is too large.
pub(super) fn check(kind: &'static str, payload: &Value, metadata: &Value) -> Result<(), StoreError> {
    let bytes = size(payload)? + size(metadata)?;
    if bytes > LARGEST_EVENT { Err(StoreError::EventTooLarge { kind, bytes, most: LARGEST_EVENT }) } else { Ok(()) }
}

/// The size of a value as JSON, in bytes.
fn size(value: &Value) -> Result<usize, StoreError> {
    let mut counted = Counted(0);
    value.serialize(&mut serde_json::Serializer::new(&mut counted)).map_err(StoreError::Unwritable)?;
    Ok(counted.0)
}

/// A writer that only counts bytes.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bound_is_of_payload_and_metadata_together() {
        let (payload, metadata) = (json!("x".repeat(LARGEST_EVENT - 5)), json!("x"));
        check("user.signed_up", &payload, &metadata).unwrap();
        let refused = check("user.signed_up", &payload, &json!("xy")).unwrap_err();
        assert!(
            matches!(refused, StoreError::EventTooLarge { kind: "user.signed_up", bytes, .. } if bytes == LARGEST_EVENT + 1),
            "{refused}"
        );
    }

    proptest! {
        #[test]
        fn the_size_is_that_of_the_text(text in "\\PC{0,40}", number: i64, list in proptest::collection::vec("[\\x00-\\x7f]{0,9}", 0..9)) {
            let value = json!({ text.clone(): number, "list": list, "text": [text, null, true] });
            prop_assert_eq!(size(&value).unwrap(), value.to_string().len());
        }
    }
}

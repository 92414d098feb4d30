//! Codes between the rules and the table that keeps them.

use crate::app::App;
use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::time::Timestamp;
use crate::domain::user::codes::{self, CodeOutcome, Delivery, SentCode};
use crate::proto::events::CodePurpose;
use crate::store::commit::OperationalRow;
use crate::store::keys::PoolKeys;

/// The form in which a code is kept and compared. It names the address, so that a code proves the one that it was sent to
/// and no other, whatever becomes of the user's attributes meanwhile.
pub fn hash(keys: &PoolKeys, sub: Sub, purpose: CodePurpose, address: &str, code: &str) -> Vec<u8> {
    keys.keyed_hash("code", &[&sub.to_string(), purpose.as_str_name(), address, code])
}

/// A code on its way to an address.
pub struct NewCode<'a> {
    /// Whose.
    pub sub: Sub,
    /// What for.
    pub purpose: CodePurpose,
    /// Where to.
    pub delivery: &'a Delivery,
    /// The code.
    pub code: &'a str,
    /// The one before.
    pub before: Option<&'a SentCode>,
    /// The time.
    pub at: Timestamp,
}

impl NewCode<'_> {
    /// The row that keeps it. Refused when too many went out before.
    pub fn row(&self, keys: &PoolKeys) -> Result<OperationalRow, Error> {
        let hash = hash(keys, self.sub, self.purpose, &self.delivery.1, self.code);
        self.row_with(hash)
    }

    /// The row of a code that nobody gets: it counts like one that was sent, and no guess is right.
    pub fn withheld_row(&self, app: &App) -> Result<OperationalRow, Error> {
        self.row_with(app.random.bytes::<32>().to_vec())
    }

    fn row_with(&self, hash: Vec<u8>) -> Result<OperationalRow, Error> {
        let (medium, _) = self.delivery;
        let code = codes::one_more(self.before, self.purpose, *medium, hash, self.at)?;
        let before = self.before.map(|before| before.hash.clone());
        Ok(OperationalRow::Code { sub: self.sub, purpose: self.purpose, code, before })
    }
}

/// The row by which a guess is kept, if it changes anything.
pub fn outcome_row(
    sub: Sub,
    purpose: CodePurpose,
    outcome: CodeOutcome,
    sent: Option<&SentCode>,
) -> Option<OperationalRow> {
    // Without a code there is nothing to guess; no row has an empty hash, so that a guess at nothing is a collision.
    let (hash, attempts) = sent.map(|sent| (sent.hash.clone(), sent.attempts)).unwrap_or_default();
    match outcome {
        CodeOutcome::Kept => None,
        CodeOutcome::Guessed => Some(OperationalRow::CodeGuessed { sub, purpose, hash, attempts }),
        CodeOutcome::Spent => Some(OperationalRow::CodeSpent { sub, purpose, hash }),
    }
}

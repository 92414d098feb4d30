//! Codes between the rules and the table that keeps them.

use crate::app::clients::NamedThroughClient;
use crate::app::{App, Failure, shapes};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::time::Timestamp;
use crate::domain::user::codes::{self, CodeOutcome, Delivery, Guess, SentCode};
use crate::domain::user::withheld::Requested;
use crate::proto::events::CodePurpose;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::v1::CodeDeliveryDetailsType;
use crate::store::commit::OperationalRow;
use crate::store::keys::PoolKeys;
use crate::store::metadata::Origin;

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

/// Keeps a code that was asked for and sends it, and does as much for who is sent none; answers where it went.
pub async fn answer_request(
    app: &App,
    origin: &Origin,
    named: &NamedThroughClient,
    purpose: CodePurpose,
    code: &str,
    decision: Decision<Event, Activity, Requested>,
) -> Result<CodeDeliveryDetailsType, Failure> {
    let requested = decision.answer?;
    let (found, sub, at) = (&named.found, named.sub(), app.clock.now());
    let new = NewCode { sub, purpose, delivery: &requested.delivery, code, before: found.code.as_ref(), at };
    let row = if requested.is_sent { new.row(&found.pool.keys)? } else { new.withheld_row(app)? };
    let mut commit = named.commit(origin, at, decision.events, decision.activity).operational([row]);
    if let Some(user) = &found.user {
        commit = commit.messages(sub, &user.key, decision.messages);
    }
    app.store.commit(commit).await?;
    let (medium, address) = &requested.delivery;
    Ok(shapes::code_delivery(*medium, address))
}

/// Writes what a guess at the code of a name comes to, refusals that count included, and answers.
pub async fn answer_guess(
    app: &App,
    origin: &Origin,
    named: &NamedThroughClient,
    purpose: CodePurpose,
    guess: Guess,
) -> Result<(), Failure> {
    let (decision, at) = (guess.decision, app.clock.now());
    if let Some(row) = outcome_row(named.sub(), purpose, guess.code, named.found.code.as_ref(), at) {
        app.store.commit(named.commit(origin, at, decision.events, decision.activity).operational([row])).await?;
    }
    Ok(decision.answer?)
}

/// The row by which a guess is kept, if it changes anything.
pub fn outcome_row(
    sub: Sub,
    purpose: CodePurpose,
    outcome: CodeOutcome,
    sent: Option<&SentCode>,
    at: Timestamp,
) -> Option<OperationalRow> {
    match (outcome, sent) {
        (CodeOutcome::Kept, _) | (CodeOutcome::Spent, None) => None,
        (CodeOutcome::Guessed, Some(sent)) => {
            Some(OperationalRow::CodeGuessed { sub, purpose, hash: sent.hash.clone(), attempts: sent.attempts })
        }
        (CodeOutcome::Guessed, None) => {
            let code = codes::never_sent(purpose, at);
            Some(OperationalRow::Code { sub, purpose, code, before: None })
        }
        (CodeOutcome::Spent, Some(sent)) => Some(OperationalRow::CodeSpent { sub, purpose, hash: sent.hash.clone() }),
    }
}

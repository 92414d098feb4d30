//! What every change of attributes ends with: no name of another's is taken, codes are kept, everything is written.

use crate::app::App;
use crate::app::Failure;
use crate::app::codes::NewCode;
use crate::domain::error::{Error, Exception};
use crate::domain::time::Timestamp;
use crate::domain::user::attribute_change::{AttributeDecision, FreshCodes};
use crate::domain::user::codes::{Delivery, verification};
use crate::proto::events::user_event::Event;
use crate::store::cache::PoolView;
use crate::store::commit::{Commit, LoadedUser, OperationalRow};
use crate::store::metadata::Origin;
use crate::store::read::Wanted;

/// Whose attributes change, and who changes them.
pub struct Change<'a> {
    /// The pool.
    pub pool: &'a PoolView,
    /// The user.
    pub user: &'a LoadedUser,
    /// Where the change comes from.
    pub origin: &'a Origin,
    /// The time.
    pub at: Timestamp,
}

/// Two codes that nobody knows yet.
pub fn fresh_codes(app: &App) -> FreshCodes {
    FreshCodes { email: app.random.code(), phone_number: app.random.code() }
}

/// Refuses events by which a user would be found by another's name.
pub async fn refuse_taken_names(app: &App, change: &Change<'_>, events: &[Event]) -> Result<(), Error> {
    let rules = &change.pool.name_rules;
    let added = change.user.state.names_added_by(events, rules, change.at);
    if added.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = added.keys().cloned().collect();
    let found = app.store.read(&change.pool.id, None, Wanted { taken: &names, ..Wanted::default() }).await?;
    match found.taken.iter().find_map(|name| added.get(name)) {
        Some(attribute) => Err(Error::alias_exists(attribute)),
        None => Ok(()),
    }
}

impl Change<'_> {
    /// Writes what was decided, together with the answer, which is made of where codes go.
    pub async fn settle<Answer: prost::Message>(
        &self,
        app: &App,
        decision: AttributeDecision,
        codes: &FreshCodes,
        answer: impl FnOnce(&[Delivery]) -> Answer,
    ) -> Result<Answer, Failure> {
        let deliveries = decision.answer?;
        let answer = answer(&deliveries);
        if decision.events.is_empty() {
            return Ok(answer);
        }
        refuse_taken_names(app, self, &decision.events).await?;
        let mut rows = Vec::with_capacity(deliveries.len());
        for delivery in &deliveries {
            rows.push(self.code_row(app, delivery, codes).await?);
        }
        let (pool, user, sub) = (self.pool, self.user, self.user.state.sub);
        let commit = Commit::new(&pool.id, &pool.keys, &pool.name_rules, self.origin, self.at)
            .user(user, decision.events)
            .activity(sub, &user.key, decision.activity)
            .messages(sub, &user.key, decision.messages)
            .operational(rows)
            .answering(&answer);
        app.store.commit(commit).await?;
        Ok(answer)
    }

    async fn code_row(&self, app: &App, delivery: &Delivery, codes: &FreshCodes) -> Result<OperationalRow, Error> {
        let (sub, purpose) = (self.user.state.sub, verification(delivery.0));
        let wanted = Wanted { sub: Some(sub), code: Some(purpose), ..Wanted::default() };
        let before = app.store.read(&self.pool.id, None, wanted).await?.code;
        let code = codes.for_medium(delivery.0);
        let new = NewCode { sub, purpose, delivery, code, before: before.as_ref(), at: self.at };
        // Operations that set attributes know no "limit exceeded".
        new.row(&self.pool.keys).map_err(|error| Error { exception: Exception::TooManyRequestsException, ..error })
    }
}

//! The end of every change of attributes: refuses names that other users have, stores codes, writes everything.

use crate::app::caller::Caller;
use crate::app::codes::{self, NewCode};
use crate::app::wording::Wording;
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::ClientId;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::domain::trigger::{Texts, custom_message};
use crate::domain::user::attribute_change::{AttributeDecision, FreshCodes};
use crate::domain::user::codes::{Delivery, verification};
use crate::domain::user::name_exists;
use crate::proto::events::user_event::Event;
use crate::store::cache::PoolView;
use crate::store::commit::{Commit, OperationalRow};
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;
use crate::store::read::Wanted;

/// A change of a user's attributes.
pub struct Change<'a> {
    /// The pool that the user is in.
    pub pool: &'a PoolView,
    /// The user, before the change.
    pub user: &'a LoadedUser,
    /// The origin of what is written.
    pub origin: &'a Origin,
    /// The client whose user makes the change. An administrator makes it without one, and the limits of codes per address
    /// don't apply to them.
    pub client_id: Option<&'a ClientId>,
    /// The metadata for the pool's trigger.
    pub metadata: &'a Texts,
    /// The time of the change.
    pub at: Timestamp,
}

/// Two new codes, one per medium.
pub fn fresh_codes(app: &App) -> FreshCodes {
    FreshCodes { email: app.random.code(), phone_number: app.random.code() }
}

/// Refuses events that would give the user a name of another user.
pub async fn refuse_taken_names(app: &App, change: &Change<'_>, events: &[Event]) -> Result<(), Error> {
    let rules = &change.pool.name_rules;
    let added = change.user.state.names_added_by(events, rules, change.at);
    if added.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = added.keys().cloned().collect();
    let found = app.store.read(&change.pool.id, None, Wanted { taken: &names, ..Wanted::default() }).await?;
    match found.taken.iter().find_map(|name| added.get(name)) {
        Some(attribute) => Err(name_exists(rules, attribute)),
        None => Ok(()),
    }
}

impl Change<'_> {
    /// Writes the decision, with an answer that is made of the places codes are sent to.
    pub async fn settle<Answer: prost::Message>(
        &self,
        app: &App,
        caller: &Caller,
        decision: AttributeDecision,
        fresh: &FreshCodes,
        answer: impl FnOnce(&[Delivery]) -> Answer,
    ) -> Result<Answer, Failure> {
        refuse_taken_names(app, self, decision.happened()).await?;
        let deliveries = decision.accepted().map_or(&[][..], Vec::as_slice);
        let (mut rows, mut limits) = (Vec::with_capacity(deliveries.len()), Vec::new());
        for delivery in deliveries {
            rows.push(self.code_row(app, delivery, fresh).await?);
            let limit = codes::address_limit(app, &self.pool.keys, Source::Familiar, delivery);
            limits.extend(limit.filter(|_| self.client_id.is_some()));
        }
        rows.extend(codes::spent(limits));
        let wording = Wording {
            source: custom_message::UPDATE_USER_ATTRIBUTE,
            pool: self.pool,
            client_id: self.client_id,
            shown: None,
            metadata: self.metadata,
        };
        let whose = (self.user.state.sub, Some(&self.user.state));
        let decision = wording.of(app, caller, whose, decision, self.at).await?;
        let commit = Commit::about(self.pool, self.origin, self.at).operational(rows);
        app.store.settle(commit.decided(self.user, decision).map(|deliveries| answer(&deliveries))).await
    }

    async fn code_row(&self, app: &App, delivery: &Delivery, codes: &FreshCodes) -> Result<OperationalRow, Failure> {
        let (sub, purpose) = (self.user.state.sub, verification(delivery.0));
        let wanted = Wanted { sub: Some(sub), code: Some(purpose), ..Wanted::default() };
        let before = app.store.read(&self.pool.id, None, wanted).await?.code;
        let code = codes.for_medium(delivery.0);
        let (before, source, network) = (before.as_ref(), Source::Familiar, None);
        Ok(NewCode { sub, purpose, delivery, code, before, source, network, at: self.at }.row(&self.pool.keys)?)
    }
}

//! What a code of a second factor proves besides: the phone number that it was sent to.

use crate::app::auth::sign_in::SignIn;
use crate::app::{App, Failure};
use crate::domain::decision::Decision;
use crate::domain::message::Medium;
use crate::proto::events::UserAttributesSet;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::store::loaded::LoadedUser;
use crate::store::read::Wanted;

/// What a right code verifies: the phone number that it was sent to, unless that would be a name that another user has.
pub async fn verification(
    app: &App,
    sign_in: &SignIn<'_>,
    user: &LoadedUser,
    medium: Medium,
) -> Result<Decision<Event, Activity, ()>, Failure> {
    let (attribute, pool) = (medium.attribute().to_owned(), sign_in.pool());
    if medium != Medium::Sms || user.state.verified.contains(&attribute) {
        return Ok(Decision::events(Vec::new(), ()));
    }
    let set = UserAttributesSet { verified: vec![attribute], ..UserAttributesSet::default() };
    let events = vec![Event::AttributesSet(set)];
    let names: Vec<_> = user.state.names_added_by(&events, &pool.name_rules, sign_in.at).into_keys().collect();
    let is_free = names.is_empty() || {
        let wanted = Wanted { taken: &names, ..Wanted::default() };
        app.store.read(&pool.id, None, wanted).await?.taken.is_empty()
    };
    Ok(Decision::events(if is_free { events } else { Vec::new() }, ()))
}

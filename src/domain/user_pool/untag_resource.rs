//! UntagResource: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::user_pool::UserPool;
use crate::proto::events::UserPoolUntagged;
use crate::proto::events::user_pool_event::Event;

/// Removes tags. Keys that the pool does not have are ignored.
pub fn untag_resource(pool: &UserPool, keys: &[String]) -> Decision<Event, NoFacts, ()> {
    let removed = pool.settings.user_pool_tags.keys().filter(|key| keys.contains(key));
    let tag_keys: Vec<_> = removed.cloned().collect();
    if tag_keys.is_empty() {
        return Decision::events(Vec::new(), ());
    }
    Decision::events(vec![Event::Untagged(UserPoolUntagged { tag_keys })], ())
}

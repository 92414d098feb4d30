//! TagResource: the rules.

use std::collections::BTreeMap;

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::user_pool::{UserPool, settings};
use crate::proto::events::UserPoolTagged;
use crate::proto::events::user_pool_event::Event;

/// Sets tags. The value of an existing key is replaced.
pub fn tag_resource(pool: &UserPool, tags: BTreeMap<String, String>) -> Decision<Event, NoFacts, ()> {
    let current = &pool.settings.user_pool_tags;
    let all = current.iter().chain(&tags).map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Err(error) = settings::check_tags(&all) {
        return Decision::refuse(error);
    }
    if all == *current {
        return Decision::events(Vec::new(), ());
    }
    Decision::events(vec![Event::Tagged(UserPoolTagged { tags })], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::replay;
    use crate::domain::ids::StreamId;
    use crate::domain::testing::{at, pool, refused_parameter};
    use crate::domain::user_pool::untag_resource::untag_resource;
    use crate::proto::v1;

    fn tags(tags: &[(&str, &str)]) -> BTreeMap<String, String> {
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn tagged(with: &[(&str, &str)]) -> UserPool {
        pool(v1::CreateUserPoolRequest { user_pool_tags: tags(with), ..Default::default() })
    }

    fn after(pool: UserPool, decision: Decision<Event, NoFacts, ()>) -> UserPool {
        decision.answer.unwrap();
        replay(Some(pool), &StreamId::pool(), decision.events.iter().map(|event| (event, at(5)))).unwrap()
    }

    #[test]
    fn tags_are_set_and_removed_one_by_one() {
        let before = tagged(&[("a", "1"), ("b", "2")]);
        let decision = tag_resource(&before, tags(&[("b", "3"), ("c", "")]));
        let pool = after(before, decision);
        assert_eq!(pool.settings.user_pool_tags, tags(&[("a", "1"), ("b", "3"), ("c", "")]));
        assert_eq!(pool.modified_at, at(5));
        let decision = untag_resource(&pool, &["a".to_owned(), "none".to_owned()]);
        assert_eq!(after(pool, decision).settings.user_pool_tags, tags(&[("b", "3"), ("c", "")]));
    }

    #[test]
    fn nothing_happens_where_nothing_changes() {
        let pool = tagged(&[("a", "1")]);
        assert_eq!(tag_resource(&pool, tags(&[("a", "1")])).events, []);
        assert_eq!(untag_resource(&pool, &["b".to_owned()]).events, []);
    }

    #[test]
    fn a_pool_has_at_most_fifty_tags_and_none_with_the_prefix_of_aws() {
        let fifty: Vec<_> = (0..50).map(|index| format!("k{index}")).collect();
        let fifty: Vec<_> = fifty.iter().map(|key| (key.as_str(), "")).collect();
        let full = tagged(&fifty);
        assert_eq!(tag_resource(&full, tags(&[("k0", "other")])).events.len(), 1);
        assert!(refused_parameter(tag_resource(&full, tags(&[("one more", "")]))).contains("at most 50"));
        assert!(refused_parameter(tag_resource(&tagged(&[]), tags(&[("aWs:x", "")]))).contains("aws:"));
    }
}

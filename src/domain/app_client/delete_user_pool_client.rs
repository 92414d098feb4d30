//! DeleteUserPoolClient: the rules.

use crate::domain::app_client::AppClient;
use crate::domain::decision::{Decision, NoFacts};
use crate::proto::events::AppClientDeleted;
use crate::proto::events::app_client_event::Event;

/// Deletes a client. Its tokens end with it: they are valid only while the client exists.
pub fn delete_user_pool_client(_: &AppClient) -> Decision<Event, NoFacts, ()> {
    Decision::events(vec![Event::Deleted(AppClientDeleted {})], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{client, pool};

    #[test]
    fn a_client_ends() {
        let decision = delete_user_pool_client(&client(&pool(Default::default()), Default::default()));
        decision.answer.unwrap();
        assert_eq!(decision.events, [Event::Deleted(AppClientDeleted {})]);
    }
}

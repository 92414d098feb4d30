//! DeleteUserPool: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::error::Error;
use crate::domain::user_pool::UserPool;
use crate::proto::events::UserPoolDeleted;
use crate::proto::events::user_pool_event::Event;

/// Deletes a pool with everything in it, unless it is protected.
pub fn delete_user_pool(pool: &UserPool) -> Decision<Event, NoFacts, ()> {
    if pool.settings.deletion_protection.as_deref() == Some("ACTIVE") {
        return Decision::refuse(Error::invalid_parameter(
            "The user pool cannot be deleted because deletion protection is activated. Deletion protection must be inactivated first.",
        ));
    }
    Decision::events(vec![Event::Deleted(UserPoolDeleted {})], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{pool, refused_parameter};
    use crate::proto::v1::CreateUserPoolRequest;

    #[test]
    fn a_pool_is_deleted_unless_it_is_protected() {
        let decision = delete_user_pool(&pool(CreateUserPoolRequest::default()));
        decision.answer.unwrap();
        assert_eq!(decision.events, [Event::Deleted(UserPoolDeleted {})]);
        let protected =
            pool(CreateUserPoolRequest { deletion_protection: Some("ACTIVE".to_owned()), ..Default::default() });
        assert!(refused_parameter(delete_user_pool(&protected)).contains("deletion protection is activated"));
    }
}

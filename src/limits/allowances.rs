//! How often something may happen in an hour: what the operator allows, and what follows for one call.
//!
//! What must hold exactly, whoever calls which replica, is counted in Postgres by the statement that spends it
//! ([`Limited`]). The rest is a bound of what the server does, of which each replica has its share.

use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::domain::message::Medium;
use crate::domain::rate::{Limited, Rate, RateKind};
use crate::limits::quotas::{QuotaFigures, Quotas};
use crate::limits::throttle::Throttle;

/// How much is allowed in an hour. 0 lifts a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowances {
    /// Codes that users and strangers have sent to one address, whoever's user it is.
    pub codes_to_address: u32,
    /// Codes that one network asks for.
    pub codes_by_caller: u32,
    /// Those of them that go out as SMS.
    pub sms_by_caller: u32,
    /// Codes that are asked for through one app client.
    pub codes_by_client: u32,
    /// Wrong passwords and codes that come from one network, at users to whom it is not familiar.
    pub guesses_by_caller: u32,
    /// Changes of one user's password that are tried.
    pub password_changes: u32,
    /// Calls a second of each category and pool.
    pub quotas: QuotaFigures,
    /// How many replicas share what is not counted in Postgres.
    pub replicas: u32,
}

impl Default for Allowances {
    fn default() -> Self {
        Self {
            codes_to_address: 10,
            codes_by_caller: 100,
            sms_by_caller: 20,
            codes_by_client: 5_000,
            guesses_by_caller: 300,
            password_changes: 5,
            quotas: QuotaFigures::default(),
            replicas: 1,
        }
    }
}

impl Allowances {
    /// Those of `userpool dev`, where a program stands for all callers: none of addresses, and no quotas.
    pub fn development() -> Self {
        let quotas = QuotaFigures::unlimited();
        Self { codes_by_caller: 0, sms_by_caller: 0, guesses_by_caller: 0, quotas, ..Self::default() }
    }
}

/// What is counted in this process, and what is to be counted in Postgres.
#[derive(Debug)]
pub struct Limits {
    allowances: Allowances,
    /// Calls by category.
    pub quotas: Quotas,
    codes_by_client: Option<Throttle<ClientId>>,
    facts: Throttle<UserPoolId>,
}

/// Facts about what somebody was refused who is no user or was not heard: so many a second and pool, and so many at once.
const FACTS_A_SECOND: u32 = 1;
const FACTS_AT_ONCE: u32 = 300;

impl Limits {
    /// Counts nothing yet.
    pub fn new(allowances: Allowances) -> Self {
        let Allowances { codes_by_client, quotas, replicas, .. } = allowances;
        Self {
            allowances,
            quotas: Quotas::new(quotas, replicas),
            codes_by_client: Throttle::an_hour(codes_by_client, replicas),
            facts: Throttle::a_second(FACTS_A_SECOND, FACTS_AT_ONCE),
        }
    }

    fn limited(&self, kind: RateKind, most: u32, key: impl FnOnce() -> Vec<u8>) -> Option<Limited> {
        Rate::an_hour(most).map(|rate| Limited { kind, key: key(), rate })
    }

    /// A code that is sent to an address, by the keyed hash of it.
    pub fn code_to_address(&self, address: impl FnOnce() -> Vec<u8>) -> Option<Limited> {
        self.limited(RateKind::CodesToAddress, self.allowances.codes_to_address, address)
    }

    /// A code that a network asks for, by its keyed hash.
    pub fn code_by_caller(&self, medium: Medium, network: &[u8]) -> Vec<Limited> {
        let Allowances { codes_by_caller, sms_by_caller, .. } = self.allowances;
        let codes = self.limited(RateKind::CodesByCaller, codes_by_caller, || network.to_vec());
        let sms = self.limited(RateKind::SmsByCaller, sms_by_caller, || network.to_vec());
        codes.into_iter().chain(sms.filter(|_| medium == Medium::Sms)).collect()
    }

    /// A guess that a network makes, by its keyed hash.
    pub fn guess_by_caller(&self, network: &[u8]) -> Option<Limited> {
        self.limited(RateKind::GuessesByCaller, self.allowances.guesses_by_caller, || network.to_vec())
    }

    /// A change of a password that a user tries.
    pub fn password_change(&self, user: impl FnOnce() -> Vec<u8>) -> Option<Limited> {
        self.limited(RateKind::PasswordChanges, self.allowances.password_changes, user)
    }

    /// Counts a code that is asked for through a client. Refused beyond the replica's share.
    pub fn spend_code_by_client(&self, client: &ClientId) -> Result<(), Error> {
        let Some(throttle) = &self.codes_by_client else { return Ok(()) };
        throttle.spend(client).map_err(Error::limit_exceeded_for)
    }

    /// Whether one more fact about nobody, or about a guess that was not heard, is recorded in a pool: a stranger could write
    /// any number of them.
    pub fn records(&self, pool: &UserPoolId) -> bool {
        let is_recorded = self.facts.spend(pool).is_ok();
        if !is_recorded {
            metrics::counter!("userpool_activity_left_out_total").increment(1);
        }
        is_recorded
    }

    /// Forgets whom nobody called for long.
    pub fn forget_idle(&self) {
        self.quotas.forget_idle();
        self.facts.forget_idle();
        self.codes_by_client.iter().for_each(Throttle::forget_idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sms_counts_among_codes_and_among_sms() {
        let limits = Limits::new(Allowances::default());
        let kinds = |medium| limits.code_by_caller(medium, b"here").iter().map(|it| it.kind).collect::<Vec<_>>();
        assert_eq!(kinds(Medium::Email), [RateKind::CodesByCaller]);
        assert_eq!(kinds(Medium::Sms), [RateKind::CodesByCaller, RateKind::SmsByCaller]);
    }

    #[test]
    fn development_has_no_limits_by_where_calls_come_from() {
        let limits = Limits::new(Allowances::development());
        assert_eq!((limits.code_by_caller(Medium::Sms, b"here"), limits.guess_by_caller(b"here")), (Vec::new(), None));
        assert!(limits.code_to_address(Vec::new).is_some() && limits.password_change(Vec::new).is_some());
    }

    #[test]
    fn codes_through_a_client_have_a_bound_of_which_each_replica_has_its_share() {
        let limits = Limits::new(Allowances { codes_by_client: 10, replicas: 2, ..Allowances::default() });
        let (client, other) = (ClientId::new("client"), ClientId::new("other"));
        let taken = (0..10).filter(|_| limits.spend_code_by_client(&client).is_ok()).count();
        assert_eq!(taken, 5);
        let refused = limits.spend_code_by_client(&client).unwrap_err();
        assert!(refused.retry_after.is_some_and(|wait| wait.as_secs() > 600), "{:?}", refused.retry_after);
        assert!(limits.spend_code_by_client(&other).is_ok());
    }
}

//! Hourly limits: those that the operator sets, and how they apply to a call.
//!
//! A limit that must hold exactly across all replicas is counted in Postgres, by the statement that uses it
//! ([`Limited`]). The other limits are divided among the replicas, and each counts its share in memory.

use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::domain::message::Medium;
use crate::domain::rate::{Limited, Rate, RateKind};
use crate::limits::quotas::{QuotaFigures, Quotas};
use crate::limits::throttle::Throttle;
use crate::telemetry::metrics;

/// The most that is allowed in an hour; quotas count per second. 0 removes a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowances {
    /// Codes to one address, whoever requests them and whichever user has the address.
    pub codes_to_address: u32,
    /// Codes that are requested from one network.
    pub codes_by_caller: u32,
    /// The codes among these that are sent as SMS.
    pub sms_by_caller: u32,
    /// Codes that are requested through one app client.
    pub codes_by_client: u32,
    /// Wrong passwords and codes from one network, at users who are not known there.
    pub guesses_by_caller: u32,
    /// Attempts to change one user's password.
    pub password_changes: u32,
    /// Calls per second, for each category and pool.
    pub quotas: QuotaFigures,
    /// The number of replicas that share the limits that are not counted in Postgres.
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
    /// The limits of `userpool dev`, where one program acts for all callers: no limits by address and no quotas.
    pub fn development() -> Self {
        let quotas = QuotaFigures::unlimited();
        Self { codes_by_caller: 0, sms_by_caller: 0, guesses_by_caller: 0, quotas, ..Self::default() }
    }
}

/// The limits that this process counts, and those that are to be counted in Postgres.
#[derive(Debug)]
pub struct Limits {
    allowances: Allowances,
    /// Calls per second, by category and pool.
    pub quotas: Quotas,
    codes_by_client: Option<Throttle<ClientId>>,
    facts: Throttle<UserPoolId>,
}

/// Facts about refusals of unknown users or of passwords that were not checked: the most per second and pool.
const FACTS_A_SECOND: u32 = 1;
const FACTS_AT_ONCE: u32 = 300;

/// The most wrong codes in a session.
const GUESSES_IN_SESSION: u32 = 5;

impl Limits {
    /// Limits of which nothing is used yet.
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

    /// The limit of codes to an address, which is given as a keyed hash.
    pub fn code_to_address(&self, address: impl FnOnce() -> Vec<u8>) -> Option<Limited> {
        self.limited(RateKind::CodesToAddress, self.allowances.codes_to_address, address)
    }

    /// The limits of codes for a network, which is given as a keyed hash.
    pub fn code_by_caller(&self, medium: Medium, network: &[u8]) -> Vec<Limited> {
        let Allowances { codes_by_caller, sms_by_caller, .. } = self.allowances;
        let codes = self.limited(RateKind::CodesByCaller, codes_by_caller, || network.to_vec());
        let sms = self.limited(RateKind::SmsByCaller, sms_by_caller, || network.to_vec());
        codes.into_iter().chain(sms.filter(|_| medium == Medium::Sms)).collect()
    }

    /// The limit of guesses from a network, which is given as a keyed hash.
    pub fn guess_by_caller(&self, network: &[u8]) -> Option<Limited> {
        self.limited(RateKind::GuessesByCaller, self.allowances.guesses_by_caller, || network.to_vec())
    }

    /// The limit of wrong codes in one session of a sign-in, which is given as a keyed hash. It is no setting: a session
    /// is short, and a person who mistypes more often signs in again.
    pub fn guess_in_session(&self, session: impl FnOnce() -> Vec<u8>) -> Option<Limited> {
        self.limited(RateKind::GuessesInSession, GUESSES_IN_SESSION, session)
    }

    /// The limit of attempts to change a user's password.
    pub fn password_change(&self, user: impl FnOnce() -> Vec<u8>) -> Option<Limited> {
        self.limited(RateKind::PasswordChanges, self.allowances.password_changes, user)
    }

    /// Counts a code that is requested through a client. Refused beyond this replica's share.
    pub fn spend_code_by_client(&self, client: &ClientId) -> Result<(), Error> {
        let Some(throttle) = &self.codes_by_client else { return Ok(()) };
        throttle.spend(client).map_err(|wait| Error::limit_exceeded_for(wait, "codes_by_client"))
    }

    /// Whether a pool records one more fact about an unknown user or about a password that was not checked. Without a
    /// limit a stranger could write any number of them.
    pub fn records(&self, pool: &UserPoolId) -> bool {
        let is_recorded = self.facts.spend(pool).is_ok();
        if !is_recorded {
            metrics::ACTIVITY_LEFT_OUT.add(1, []);
        }
        is_recorded
    }

    /// Forgets callers without recent calls.
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
    fn development_has_no_limits_by_network() {
        let limits = Limits::new(Allowances::development());
        assert_eq!((limits.code_by_caller(Medium::Sms, b"here"), limits.guess_by_caller(b"here")), (Vec::new(), None));
        assert!(limits.code_to_address(Vec::new).is_some() && limits.password_change(Vec::new).is_some());
    }

    #[test]
    fn each_replica_has_a_share_of_the_codes_through_a_client() {
        let limits = Limits::new(Allowances { codes_by_client: 10, replicas: 2, ..Allowances::default() });
        let (client, other) = (ClientId::new("client"), ClientId::new("other"));
        let taken = (0..10).filter(|_| limits.spend_code_by_client(&client).is_ok()).count();
        assert_eq!(taken, 5);
        let refused = limits.spend_code_by_client(&client).unwrap_err();
        assert!(refused.retry_after.is_some_and(|wait| wait.as_secs() > 600), "{:?}", refused.retry_after);
        assert!(limits.spend_code_by_client(&other).is_ok());
    }
}

//! Quotas: the most calls per second, by category and user pool (guide: limits). The protos declare an operation's
//! category.

use std::time::Duration;

use crate::domain::ids::Sub;
use crate::limits::Network;
use crate::limits::throttle::{Throttle, share};
use crate::proto::userpool::v1::QuotaCategory;

/// The categories with their default quotas, from the guide's page.
const CATEGORIES: [(QuotaCategory, u32); 17] = [
    (QuotaCategory::UserAuthentication, 120),
    (QuotaCategory::UserCreation, 50),
    (QuotaCategory::UserFederation, 25),
    (QuotaCategory::UserAccountRecovery, 30),
    (QuotaCategory::UserRead, 120),
    (QuotaCategory::UserUpdate, 25),
    (QuotaCategory::UserToken, 120),
    (QuotaCategory::UserResourceRead, 50),
    (QuotaCategory::UserResourceUpdate, 25),
    (QuotaCategory::UserList, 30),
    (QuotaCategory::UserPoolRead, 15),
    (QuotaCategory::UserPoolUpdate, 15),
    (QuotaCategory::UserPoolResourceRead, 20),
    (QuotaCategory::UserPoolResourceUpdate, 15),
    (QuotaCategory::UserPoolClientRead, 15),
    (QuotaCategory::UserPoolClientUpdate, 15),
    (QuotaCategory::ClientAuthentication, 150),
];

/// Answers to challenges have this many times the quota of sign-ins; answers beyond that count as sign-ins.
const ANSWERS_A_SIGN_IN: u32 = 3;

/// Calls per second, by category. 0 removes a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaFigures([u32; CATEGORIES.len()]);

impl Default for QuotaFigures {
    fn default() -> Self {
        Self(CATEGORIES.map(|(_, figure)| figure))
    }
}

impl QuotaFigures {
    /// No quotas at all.
    pub fn unlimited() -> Self {
        Self([0; CATEGORIES.len()])
    }

    /// The same quotas, with another one for this category.
    pub fn with(mut self, category: QuotaCategory, figure: u32) -> Self {
        if let Some(index) = index(category) {
            self.0[index] = figure;
        }
        self
    }

    /// The quota of a category, in calls per second.
    pub fn of(&self, category: QuotaCategory) -> u32 {
        index(category).map_or(0, |index| self.0[index])
    }
}

fn index(category: QuotaCategory) -> Option<usize> {
    CATEGORIES.iter().position(|(other, _)| *other == category)
}

/// The share of a pool's quota that one caller can use, in percent, unless the caller is a service account: otherwise
/// anyone who knows an app client's id could use up the quota.
const SHARE_OF_ONE: u32 = 25;

/// The caller on whose quota a call counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payer {
    /// A service account. Calls of others do not count against it.
    ServiceAccount,
    /// A user with an access token, from any network: many users may call through one server.
    User(Sub),
    /// A caller without a token, by network.
    Network(Network),
}

/// Counts the calls of each pool, by its id. Calls that name no pool share one key.
#[derive(Debug)]
pub struct Quotas {
    categories: Vec<Option<Counter>>,
    answers: Option<Counter>,
}

#[derive(Debug)]
struct Counter {
    of_pool: Throttle<(String, bool)>,
    of_one: Throttle<(String, Payer)>,
}

impl Counter {
    fn new(figure: u32) -> Self {
        let of_one = share(figure.saturating_mul(SHARE_OF_ONE), 100).get();
        Self { of_pool: Throttle::a_second(figure, figure), of_one: Throttle::a_second(of_one, of_one) }
    }

    fn spend(&self, payer: &Payer, pool: &str) -> Result<(), Duration> {
        let is_trusted = *payer == Payer::ServiceAccount;
        if !is_trusted {
            self.of_one.spend(&(pool.to_owned(), payer.clone()))?;
        }
        self.of_pool.spend(&(pool.to_owned(), is_trusted))
    }

    fn forget_idle(&self) {
        self.of_pool.forget_idle();
        self.of_one.forget_idle();
    }
}

impl Quotas {
    /// Quotas of which nothing is used yet. Each replica gets its share.
    pub fn new(figures: QuotaFigures, replicas: u32) -> Self {
        let throttle = |figure: u32| (figure > 0).then(|| Counter::new(share(figure, replicas).get()));
        let answers = figures.of(QuotaCategory::UserAuthentication).saturating_mul(ANSWERS_A_SIGN_IN);
        Self { categories: figures.0.map(throttle).into(), answers: throttle(answers) }
    }

    /// Whether no category has a quota.
    pub fn are_off(&self) -> bool {
        self.categories.iter().all(Option::is_none)
    }

    /// Counts a call, or returns how long to wait.
    pub fn spend(
        &self,
        category: QuotaCategory,
        answers_challenge: bool,
        payer: &Payer,
        pool: &str,
    ) -> Result<(), Duration> {
        if answers_challenge && self.answers.as_ref().is_some_and(|answers| answers.spend(payer, pool).is_ok()) {
            return Ok(());
        }
        let counter = index(category).and_then(|index| self.categories[index].as_ref());
        counter.map_or(Ok(()), |counter| counter.spend(payer, pool))
    }

    /// Forgets pools without recent calls.
    pub fn forget_idle(&self) {
        self.categories.iter().chain([&self.answers]).flatten().for_each(Counter::forget_idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(quotas: &Quotas, category: QuotaCategory, answers: bool, pool: &str) -> usize {
        (0..1_000).filter(|_| quotas.spend(category, answers, &Payer::ServiceAccount, pool).is_ok()).count()
    }

    #[test]
    fn one_caller_has_a_quarter_of_a_quota_and_a_service_account_has_one_of_its_own() {
        let category = QuotaCategory::UserAuthentication;
        let quotas = Quotas::new(QuotaFigures::unlimited().with(category, 100), 1);
        let by = |address: [u8; 4]| Payer::Network(Network::of(address.into()));
        let taken = |payer: Payer| (0..1_000).filter(|_| quotas.spend(category, false, &payer, "pool").is_ok()).count();
        let user = Payer::User(Sub(uuid::Uuid::from_u128(7)));
        for payer in [by([192, 0, 2, 1]), by([192, 0, 2, 2]), by([192, 0, 2, 3]), user] {
            let taken = taken(payer);
            assert!((25..35).contains(&taken), "{taken}");
        }
        assert!(taken(by([192, 0, 2, 5])) < 10, "nothing is left for others");
        assert!(taken(Payer::ServiceAccount) >= 100);
    }

    #[test]
    fn a_category_has_its_figure_in_each_pool_and_each_replica_its_share() {
        let figures = QuotaFigures::unlimited().with(QuotaCategory::UserRead, 20);
        let quotas = Quotas::new(figures, 2);
        for pool in ["one", "other"] {
            let taken = taken(&quotas, QuotaCategory::UserRead, false, pool);
            assert!((10..15).contains(&taken), "{taken}");
        }
        assert_eq!(taken(&quotas, QuotaCategory::UserUpdate, false, "one"), 1_000);
        assert!(Quotas::new(QuotaFigures::unlimited(), 1).are_off() && !quotas.are_off());
    }

    #[test]
    fn answers_to_challenges_have_three_times_the_figure_and_then_that_of_sign_ins() {
        let category = QuotaCategory::UserAuthentication;
        let quotas = Quotas::new(QuotaFigures::unlimited().with(category, 10), 1);
        let answers = taken(&quotas, category, true, "pool");
        assert!((40..60).contains(&answers), "{answers}");
        assert!(quotas.spend(category, false, &Payer::ServiceAccount, "pool").is_err(), "nothing is left for sign-ins");
    }

    #[test]
    fn every_category_has_a_figure() {
        let declared = (1..).map_while(|number| QuotaCategory::try_from(number).ok());
        assert!(declared.into_iter().all(|category| QuotaFigures::default().of(category) > 0));
    }
}

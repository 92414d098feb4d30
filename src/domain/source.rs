//! Where a call comes from, seen from the user whom it is about.
//!
//! A stranger must not use up the user's own allowance. So failures, guesses and codes are counted separately: those
//! from networks where the user is known, and those from anywhere else. The total is bounded by the sum of both limits.

/// The source of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A network from which the user has signed in lately; for a guess at a code, also the network that requested the
    /// code.
    Familiar,
    /// Any other network, which may be a stranger's.
    Strange,
}

impl Source {
    /// The name in database tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Familiar => "familiar",
            Self::Strange => "strange",
        }
    }
}

/// A count that is kept separately for each source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The count from familiar networks.
    pub familiar: i32,
    /// The count from other networks.
    pub strange: i32,
}

impl Tally {
    /// The count of this source.
    pub fn of(self, source: Source) -> i32 {
        match source {
            Source::Familiar => self.familiar,
            Source::Strange => self.strange,
        }
    }

    /// The count with one more from this source.
    pub fn and_one(self, source: Source) -> Self {
        match source {
            Source::Familiar => Self { familiar: self.familiar.saturating_add(1), ..self },
            Source::Strange => Self { strange: self.strange.saturating_add(1), ..self },
        }
    }

    /// The count of both sources together.
    pub fn sum(self) -> i32 {
        self.familiar.saturating_add(self.strange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_count() {
        let tally = Tally::default().and_one(Source::Strange).and_one(Source::Strange).and_one(Source::Familiar);
        assert_eq!((tally.of(Source::Familiar), tally.of(Source::Strange), tally.sum()), (1, 2, 3));
    }
}

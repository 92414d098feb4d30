//! Where a call comes from, as the one whom it is about sees it.
//!
//! A stranger must not use up what its owner needs. So failures, guesses and codes are counted apart: those that come from
//! where the owner is known to be, and those from anywhere else. The sum of both is the bound.

/// Where a call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A network from which the user has signed in lately; of a guess at a code, the network that asked for the code.
    Familiar,
    /// Any other.
    Strange,
}

impl Source {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Familiar => "familiar",
            Self::Strange => "strange",
        }
    }
}

/// A count that is kept apart by source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// What came from a familiar network.
    pub familiar: i32,
    /// What came from any other.
    pub strange: i32,
}

impl Tally {
    /// The count of one source.
    pub fn of(self, source: Source) -> i32 {
        match source {
            Source::Familiar => self.familiar,
            Source::Strange => self.strange,
        }
    }

    /// The same with one more from a source.
    pub fn and_one(self, source: Source) -> Self {
        match source {
            Source::Familiar => Self { familiar: self.familiar.saturating_add(1), ..self },
            Source::Strange => Self { strange: self.strange.saturating_add(1), ..self },
        }
    }

    /// What came from anywhere.
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

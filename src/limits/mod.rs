//! What nobody may have or do more of than so much.

mod counts;

pub use counts::Counts;

//! What nobody may have or do more of than so much.

mod counts;
mod refusals;

pub use counts::Counts;
pub use refusals::{RECORDED_A_MINUTE, Refusals};

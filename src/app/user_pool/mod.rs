//! UserPoolService.

pub mod create_user_pool;
pub mod describe_user_pool;

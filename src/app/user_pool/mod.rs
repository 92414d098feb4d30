//! UserPoolService.

pub mod create_user_pool;
pub mod delete_user_pool;
pub mod describe_user_pool;
pub mod list_user_pools;
pub mod update_user_pool;

//! AppClientService.

pub mod create_user_pool_client;
pub mod describe_user_pool_client;

//! How often something may happen, and how many there may be: the section `[limits]`.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::limits::Allowances;
use crate::limits::quotas::QuotaFigures;
use crate::proto::userpool::v1::QuotaCategory;

/// How many there may be of what pools and users hold. A lower number takes nothing away: only nothing is added.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct CountSettings {
    /// Groups of a pool [default: 10000].
    #[arg(long = "limits-groups-per-pool", env = "USERPOOL_LIMITS_GROUPS_PER_POOL", value_name = "NUMBER")]
    pub groups_per_pool: Option<u32>,
    /// App clients of a pool [default: 1000].
    #[arg(long = "limits-clients-per-pool", env = "USERPOOL_LIMITS_CLIENTS_PER_POOL", value_name = "NUMBER")]
    pub clients_per_pool: Option<u32>,
    /// Custom attributes of a pool [default: 50, which is also the most].
    #[arg(
        long = "limits-custom-attributes-per-pool",
        env = "USERPOOL_LIMITS_CUSTOM_ATTRIBUTES_PER_POOL",
        value_name = "NUMBER"
    )]
    pub custom_attributes_per_pool: Option<u32>,
    /// Groups that one user is in [default: 100].
    #[arg(long = "limits-groups-per-user", env = "USERPOOL_LIMITS_GROUPS_PER_USER", value_name = "NUMBER")]
    pub groups_per_user: Option<u32>,
    /// Identities of providers that stand for one user [default: 5].
    #[arg(long = "limits-identities-per-user", env = "USERPOOL_LIMITS_IDENTITIES_PER_USER", value_name = "NUMBER")]
    pub identities_per_user: Option<u32>,
    /// Devices that one user has: one more takes the place of the least used one [default: 100].
    #[arg(long = "limits-devices-per-user", env = "USERPOOL_LIMITS_DEVICES_PER_USER", value_name = "NUMBER")]
    pub devices_per_user: Option<u32>,
    /// Passkeys of one user [default: 20].
    #[arg(long = "limits-passkeys-per-user", env = "USERPOOL_LIMITS_PASSKEYS_PER_USER", value_name = "NUMBER")]
    pub passkeys_per_user: Option<u32>,
}

/// How often something may happen in an hour, and how many there may be: the section `[limits]`. 0 lifts a limit of the first
/// kind.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Codes an hour to one address that users and strangers ask for, whichever user of the pool has it [default: 10].
    #[arg(long = "limits-codes-to-address", env = "USERPOOL_LIMITS_CODES_TO_ADDRESS", value_name = "NUMBER")]
    pub codes_to_address: Option<u32>,
    /// Codes an hour that callers of one network ask for: one IPv4 address, or 64 bits of an IPv6 address [default: 100].
    #[arg(long = "limits-codes-by-caller", env = "USERPOOL_LIMITS_CODES_BY_CALLER", value_name = "NUMBER")]
    pub codes_by_caller: Option<u32>,
    /// Codes an hour by SMS that callers of one network ask for [default: 20].
    #[arg(long = "limits-sms-by-caller", env = "USERPOOL_LIMITS_SMS_BY_CALLER", value_name = "NUMBER")]
    pub sms_by_caller: Option<u32>,
    /// Codes an hour that are asked for through one app client [default: 5000].
    #[arg(long = "limits-codes-by-client", env = "USERPOOL_LIMITS_CODES_BY_CLIENT", value_name = "NUMBER")]
    pub codes_by_client: Option<u32>,
    /// Wrong passwords and codes an hour from one network, at users who have not signed in from it lately
    /// [default: 300].
    #[arg(long = "limits-guesses-by-caller", env = "USERPOOL_LIMITS_GUESSES_BY_CALLER", value_name = "NUMBER")]
    pub guesses_by_caller: Option<u32>,
    /// Calls of ChangePassword an hour by one user, failed ones included [default: 5].
    #[arg(long = "limits-password-changes", env = "USERPOOL_LIMITS_PASSWORD_CHANGES", value_name = "NUMBER")]
    pub password_changes: Option<u32>,
    /// How many replicas share the quotas and the codes of a client: each counts for itself [default: 1].
    #[arg(long = "limits-replicas", env = "USERPOOL_LIMITS_REPLICAS", value_name = "NUMBER")]
    pub replicas: Option<u32>,
    /// How much pools and users may hold.
    #[command(flatten)]
    #[serde(flatten)]
    pub counts: CountSettings,
    /// Calls a second, by category of operations.
    #[command(flatten)]
    pub quotas: QuotaSettings,
}

macro_rules! quotas {
    ($($field:ident, $name:literal, $variable:literal, $category:ident, $figure:literal, $what:literal;)*) => {
        /// Calls a second to each pool, by category of operations: the section `[limits.quotas]`. 0 lifts a quota.
        #[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct QuotaSettings {
            $(
                #[doc = $what]
                #[arg(
                    help = concat!("Calls a second to a pool that ", $what, " [default: ", $figure, "]"),
                    long = concat!("limits-quotas-", $name),
                    env = concat!("USERPOOL_LIMITS_QUOTAS_", $variable),
                    value_name = "NUMBER"
                )]
                pub $field: Option<u32>,
            )*
        }

        impl QuotaSettings {
            fn figures_over(&self, figures: QuotaFigures) -> QuotaFigures {
                $(let figures = match self.$field {
                    Some(figure) => figures.with(QuotaCategory::$category, figure),
                    None => figures,
                };)*
                figures
            }
        }

        #[cfg(test)]
        const DOCUMENTED: &[(QuotaCategory, u32)] = &[$((QuotaCategory::$category, $figure)),*];
    };
}

quotas! {
    user_authentication, "user-authentication", "USER_AUTHENTICATION", UserAuthentication, 120, "sign users in; answers to challenges have three times as many of their own";
    user_creation, "user-creation", "USER_CREATION", UserCreation, 50, "create and confirm users";
    user_federation, "user-federation", "USER_FEDERATION", UserFederation, 25, "sign users in through identity providers";
    user_account_recovery, "user-account-recovery", "USER_ACCOUNT_RECOVERY", UserAccountRecovery, 30, "recover accounts and set passwords";
    user_read, "user-read", "USER_READ", UserRead, 120, "read a user";
    user_update, "user-update", "USER_UPDATE", UserUpdate, 25, "change a user";
    user_token, "user-token", "USER_TOKEN", UserToken, 120, "manage tokens";
    user_resource_read, "user-resource-read", "USER_RESOURCE_READ", UserResourceRead, 50, "read what belongs to a user";
    user_resource_update, "user-resource-update", "USER_RESOURCE_UPDATE", UserResourceUpdate, 25, "change what belongs to a user";
    user_list, "user-list", "USER_LIST", UserList, 30, "list users";
    user_pool_read, "user-pool-read", "USER_POOL_READ", UserPoolRead, 15, "read pools";
    user_pool_update, "user-pool-update", "USER_POOL_UPDATE", UserPoolUpdate, 15, "change pools";
    user_pool_resource_read, "user-pool-resource-read", "USER_POOL_RESOURCE_READ", UserPoolResourceRead, 20, "read what belongs to a pool";
    user_pool_resource_update, "user-pool-resource-update", "USER_POOL_RESOURCE_UPDATE", UserPoolResourceUpdate, 15, "change what belongs to a pool";
    user_pool_client_read, "user-pool-client-read", "USER_POOL_CLIENT_READ", UserPoolClientRead, 15, "read app clients";
    user_pool_client_update, "user-pool-client-update", "USER_POOL_CLIENT_UPDATE", UserPoolClientUpdate, 15, "change app clients";
    client_authentication, "client-authentication", "CLIENT_AUTHENTICATION", ClientAuthentication, 150, "give tokens to clients that act for themselves";
}

impl LimitSettings {
    /// The allowances of these settings, with defaults for absent ones.
    pub fn allowances(&self) -> Allowances {
        self.allowances_over(Allowances::default())
    }

    /// The allowances of these settings, with `default` for absent ones.
    pub fn allowances_over(&self, default: Allowances) -> Allowances {
        Allowances {
            codes_to_address: self.codes_to_address.unwrap_or(default.codes_to_address),
            codes_by_caller: self.codes_by_caller.unwrap_or(default.codes_by_caller),
            sms_by_caller: self.sms_by_caller.unwrap_or(default.sms_by_caller),
            codes_by_client: self.codes_by_client.unwrap_or(default.codes_by_client),
            guesses_by_caller: self.guesses_by_caller.unwrap_or(default.guesses_by_caller),
            password_changes: self.password_changes.unwrap_or(default.password_changes),
            quotas: self.quotas.figures_over(default.quotas),
            replicas: self.replicas.unwrap_or(default.replicas),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_settings_have_the_documented_defaults() {
        assert_eq!(LimitSettings::default().allowances(), Allowances::default());
        for (category, figure) in DOCUMENTED {
            assert_eq!(QuotaFigures::default().of(*category), *figure, "{category:?}");
        }
    }

    #[test]
    fn set_limits_are_applied() {
        let settings = LimitSettings {
            codes_to_address: Some(0),
            quotas: QuotaSettings { user_read: Some(7), ..QuotaSettings::default() },
            ..LimitSettings::default()
        };
        let allowances = settings.allowances();
        assert_eq!((allowances.codes_to_address, allowances.quotas.of(QuotaCategory::UserRead)), (0, 7));
    }
}

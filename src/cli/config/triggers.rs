//! The settings of triggers.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::app::Awaited;

/// Triggers: the section `[triggers]`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TriggerSettings {
    /// Which of the triggers that decide nothing callers wait for, as in Cognito: `post-confirmation`, `post-authentication`.
    /// Their error is returned, and what was done stays. Others are told later, and none is lost [default: none].
    #[arg(
        long = "triggers-await",
        env = "USERPOOL_TRIGGERS_AWAIT",
        value_delimiter = ',',
        hide_possible_values = true,
        value_name = "TRIGGER,…"
    )]
    #[serde(rename = "await")]
    pub awaited: Option<Vec<AwaitedTrigger>>,
}

/// A trigger that decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are Cognito's")]
pub enum AwaitedTrigger {
    PostConfirmation,
    PostAuthentication,
}

impl TriggerSettings {
    /// The triggers that callers wait for.
    pub fn awaited(&self) -> Awaited {
        let is_awaited = |trigger| self.awaited.as_ref().is_some_and(|awaited| awaited.contains(&trigger));
        Awaited {
            post_confirmation: is_awaited(AwaitedTrigger::PostConfirmation),
            post_authentication: is_awaited(AwaitedTrigger::PostAuthentication),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_trigger_is_awaited_unless_it_is_named() {
        assert_eq!(TriggerSettings::default().awaited(), Awaited::default());
        let settings: TriggerSettings = toml::from_str("await = ['post-confirmation']").unwrap();
        assert_eq!(settings.awaited(), Awaited { post_confirmation: true, post_authentication: false });
        assert!(toml::from_str::<TriggerSettings>("await = ['pre-sign-up']").is_err());
    }
}

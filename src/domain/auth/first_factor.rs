//! The kinds of first factors: by which a sign-in with a choice (`USER_AUTH`) begins.

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::error::Error;
use crate::domain::message::Medium;
use crate::domain::user::User;
use crate::domain::user_pool::UserPool;
use crate::domain::user_pool::second_factors::MfaMode;

/// A first factor that this server supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstFactor {
    /// The password itself.
    Password,
    /// A proof of the password by SRP.
    PasswordSrp,
    /// A code that is sent by e-mail.
    EmailOtp,
    /// A code that is sent as an SMS.
    SmsOtp,
    /// A passkey.
    WebAuthn,
}

impl FirstFactor {
    const ALL: [Self; 5] = [Self::Password, Self::PasswordSrp, Self::EmailOtp, Self::SmsOtp, Self::WebAuthn];

    /// The challenge that asks for the factor, whose name is the factor's.
    pub fn challenge(self) -> ChallengeName {
        match self {
            Self::Password => ChallengeName::Password,
            Self::PasswordSrp => ChallengeName::PasswordSrp,
            Self::EmailOtp => ChallengeName::EmailOtp,
            Self::SmsOtp => ChallengeName::SmsOtp,
            Self::WebAuthn => ChallengeName::WebAuthn,
        }
    }

    /// What the policy of a pool calls the factor.
    fn policy_name(self) -> &'static str {
        match self {
            Self::Password | Self::PasswordSrp => "PASSWORD",
            Self::EmailOtp => "EMAIL_OTP",
            Self::SmsOtp => "SMS_OTP",
            Self::WebAuthn => "WEB_AUTHN",
        }
    }

    /// The factor with this name. Refuses names of challenges that are no first factor.
    pub fn by_name(parameter: &str, name: &str) -> Result<Self, Error> {
        let factor = Self::ALL.into_iter().find(|factor| factor.challenge().name() == name);
        factor.ok_or_else(|| Error::invalid_parameter(format!("{parameter} must be one of the AvailableChallenges.")))
    }

    /// The factors by which users of a pool may begin. They follow from the pool alone, so that they don't show which
    /// users exist.
    pub fn available(pool: &UserPool) -> Vec<Self> {
        let is_there = |factor: &Self| match factor {
            Self::WebAuthn => pool.offers_passkeys(),
            other => pool.allows_first_factor(other.policy_name()),
        };
        Self::ALL.into_iter().filter(is_there).collect()
    }

    /// The names of the factors that a user can begin with. A password is among them whatever the policy says: other flows
    /// take it.
    pub fn configured(pool: &UserPool, user: &User) -> Vec<&'static str> {
        let proved = |medium: Medium| {
            let attribute = medium.attribute();
            user.verified.contains(attribute) && user.attribute(attribute).is_some_and(|address| !address.is_empty())
        };
        let has = |factor: &Self| match factor {
            Self::Password => user.password.is_some(),
            // The same password.
            Self::PasswordSrp => false,
            Self::EmailOtp => proved(Medium::Email),
            Self::SmsOtp => proved(Medium::Sms),
            Self::WebAuthn => !user.passkeys.is_empty(),
        };
        let available = Self::available(pool);
        let is_there = |factor: &Self| *factor == Self::Password || available.contains(factor);
        Self::ALL.into_iter().filter(|factor| is_there(factor) && has(factor)).map(Self::policy_name).collect()
    }

    /// The media of the codes by which users sign in through a client, without a password. Where everybody needs a second
    /// factor, the first one is the password.
    pub fn codes(pool: &UserPool, client: &AppClient) -> Vec<Medium> {
        if !client.allows(AuthFlow::User.name()) || pool.mfa_mode() == MfaMode::On {
            return Vec::new();
        }
        let medium = |factor| match factor {
            Self::EmailOtp => Some(Medium::Email),
            Self::SmsOtp => Some(Medium::Sms),
            Self::Password | Self::PasswordSrp | Self::WebAuthn => None,
        };
        Self::available(pool).into_iter().filter_map(medium).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{pool, refusal, texts};

    #[test]
    fn a_factor_is_known_by_the_name_of_its_challenge() {
        for factor in FirstFactor::ALL {
            assert_eq!(FirstFactor::by_name("ANSWER", factor.challenge().name()).unwrap(), factor);
        }
        let told = |name: &str| refusal(FirstFactor::by_name("ANSWER", name).map(drop)).1;
        assert_eq!(told("SMS_MFA"), "ANSWER must be one of the AvailableChallenges.");
    }

    #[test]
    fn a_pool_without_a_policy_allows_the_password_in_both_ways() {
        let password = [FirstFactor::Password, FirstFactor::PasswordSrp];
        assert_eq!(FirstFactor::available(&pool(Default::default())), password);
    }

    #[test]
    fn a_policy_says_which_factors_there_are() {
        use FirstFactor::{EmailOtp, Password, PasswordSrp, SmsOtp};
        let by = |allowed: &[&str]| {
            let mut pool = pool(Default::default());
            let policies = pool.settings.policies.get_or_insert_default();
            policies.sign_in_policy.get_or_insert_default().allowed_first_auth_factors = texts(allowed);
            FirstFactor::available(&pool)
        };
        assert_eq!(by(&["PASSWORD", "EMAIL_OTP"]), [Password, PasswordSrp, EmailOtp]);
        assert_eq!(by(&["SMS_OTP"]), [SmsOtp]);
        assert_eq!(by(&["PASSWORD", "WEB_AUTHN"]), [Password, PasswordSrp], "no relying party is chosen");
    }

    #[test]
    fn a_user_is_told_what_they_can_begin_with() {
        use crate::domain::testing::{confirmed, signed_up, user};
        use crate::domain::user::passkeys::tests::{KEY, registered};
        let mut pool = crate::domain::web_authn::testing::pool(Some("example.com"), "preferred", "SINGLE_FACTOR");
        let jane = [signed_up("jane", &[("email", "jane@example.com"), ("phone_number", "+12025550123")])];
        let mut jane = jane.to_vec();
        assert_eq!(FirstFactor::configured(&pool, &user(&jane)), ["PASSWORD"]);
        let policies = pool.settings.policies.get_or_insert_default();
        policies.sign_in_policy.get_or_insert_default().allowed_first_auth_factors =
            texts(&["EMAIL_OTP", "SMS_OTP", "WEB_AUTHN"]);
        assert_eq!(FirstFactor::configured(&pool, &user(&jane)), ["PASSWORD"]);
        jane.extend([confirmed(&["email"]), registered(KEY)]);
        assert_eq!(FirstFactor::configured(&pool, &user(&jane)), ["PASSWORD", "EMAIL_OTP", "WEB_AUTHN"]);
        let without = User { password: None, ..user(&jane) };
        assert_eq!(FirstFactor::configured(&pool, &without), ["EMAIL_OTP", "WEB_AUTHN"]);
    }

    #[test]
    fn a_passkey_is_a_first_factor_of_a_relying_party() {
        let mut pool = crate::domain::web_authn::testing::pool(Some("example.com"), "preferred", "SINGLE_FACTOR");
        let is_there = |pool: &UserPool| FirstFactor::available(pool).contains(&FirstFactor::WebAuthn);
        assert!(!is_there(&pool));
        let policies = pool.settings.policies.get_or_insert_default();
        policies.sign_in_policy.get_or_insert_default().allowed_first_auth_factors = texts(&["PASSWORD", "WEB_AUTHN"]);
        assert!(is_there(&pool));
        pool.settings.mfa_configuration = Some("ON".to_owned());
        assert!(is_there(&pool), "it stands for both factors of users who want that");
    }

    #[test]
    fn codes_sign_in_through_a_client_that_allows_the_choice_where_the_pool_allows_them() {
        use crate::domain::testing::client;
        use crate::proto::v1::CreateUserPoolClientRequest;
        let in_mode = |mode: &str, allowed: &[&str], flow: &str| {
            let mut pool = crate::domain::testing::with_software_tokens(mode);
            let policies = pool.settings.policies.get_or_insert_default();
            policies.sign_in_policy.get_or_insert_default().allowed_first_auth_factors = texts(allowed);
            let explicit_auth_flows = texts(&[flow]);
            let request = CreateUserPoolClientRequest { explicit_auth_flows, ..Default::default() };
            FirstFactor::codes(&pool, &client(&pool, request))
        };
        let by = |allowed: &[&str], flow: &str| in_mode("OPTIONAL", allowed, flow);
        assert_eq!(by(&["PASSWORD", "EMAIL_OTP", "SMS_OTP"], "ALLOW_USER_AUTH"), [Medium::Email, Medium::Sms]);
        assert_eq!(in_mode("ON", &["PASSWORD", "EMAIL_OTP"], "ALLOW_USER_AUTH"), []);
        assert_eq!(by(&["PASSWORD"], "ALLOW_USER_AUTH"), []);
        assert_eq!(by(&["PASSWORD", "EMAIL_OTP"], "ALLOW_USER_SRP_AUTH"), []);
    }
}

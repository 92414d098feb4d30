//! SetUserMFAPreference and SetUserSettings, with their administrators' forms: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::Medium;
use crate::domain::second_factor::SecondFactor;
use crate::domain::user::User;
use crate::domain::user::second_factors::MfaPreference;
use crate::domain::user_pool::UserPool;
use crate::domain::user_pool::second_factors::MfaMode;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::v1;

/// What a request says about one factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The factor that it is about.
    pub factor: SecondFactor,
    /// Whether the factor is on from now on; absent if that stays as it is.
    pub enabled: Option<bool>,
    /// Whether the factor is asked for first; absent if that stays as it is.
    pub preferred: Option<bool>,
}

/// What a request says about the second factors of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// What it says about single factors.
    pub factors: Vec<Choice>,
    /// Whether passkeys stand for a second factor from now on; absent if that stays as it is.
    pub passkeys: Option<bool>,
}

impl From<Choice> for Choices {
    fn from(choice: Choice) -> Self {
        Self { factors: vec![choice], passkeys: None }
    }
}

/// The choices of a request to set the preference: both have the same fields.
macro_rules! choices_of {
    ($request:expr) => {
        crate::domain::user::set_mfa_preference::choices(
            $request.sms_mfa_settings.as_ref(),
            $request.software_token_mfa_settings.as_ref(),
            $request.email_mfa_settings.as_ref(),
            $request.web_authn_mfa_settings.as_ref(),
        )
    };
}
pub(crate) use choices_of;

/// The choices in these parts of a request.
pub fn choices(
    sms: Option<&v1::SmsMfaSettingsType>,
    software_token: Option<&v1::SoftwareTokenMfaSettingsType>,
    email: Option<&v1::EmailMfaSettingsType>,
    passkeys: Option<&v1::WebAuthnMfaSettingsType>,
) -> Choices {
    let given = [
        sms.map(|sms| (SecondFactor::Sms, sms.enabled, sms.preferred_mfa)),
        software_token.map(|app| (SecondFactor::SoftwareToken, app.enabled, app.preferred_mfa)),
        email.map(|email| (SecondFactor::Email, email.enabled, email.preferred_mfa)),
    ];
    let choice = |(factor, enabled, preferred)| Choice { factor, enabled, preferred };
    Choices {
        factors: given.into_iter().flatten().map(choice).collect(),
        passkeys: passkeys.and_then(|passkeys| passkeys.enabled),
    }
}

/// The choice in the older form, which knows nothing but codes by SMS: on, or off if there are no options.
pub fn choice_of_settings(options: &[v1::MfaOptionType]) -> Result<Choice, Error> {
    let is_sms = |option: &v1::MfaOptionType| {
        option.delivery_medium() == Medium::Sms.name() && option.attribute_name() == Medium::Sms.attribute()
    };
    if options.iter().all(is_sms) {
        return Ok(Choice { factor: SecondFactor::Sms, enabled: Some(!options.is_empty()), preferred: None });
    }
    Err(Error::invalid_parameter("MFAOptions can only turn on SMS to phone_number."))
}

/// Turns second factors on and off, and prefers one.
pub fn set_mfa_preference(pool: &UserPool, user: &User, choices: &Choices) -> Decision<Event, Activity, ()> {
    match preference_after(pool, user, choices) {
        Ok(after) if after == user.mfa => Decision::events(Vec::new(), ()),
        Ok(after) => Decision::events(vec![Event::MfaPreferenceSet(after.event())], ()),
        Err(error) => Decision::refuse(error),
    }
}

fn preference_after(pool: &UserPool, user: &User, choices: &Choices) -> Result<MfaPreference, Error> {
    let Choices { factors, passkeys } = choices;
    if factors.iter().filter(|choice| choice.preferred == Some(true)).count() > 1 {
        return Err(Error::invalid_parameter("Only one second factor can be preferred."));
    }
    let mut after = user.mfa.clone();
    for choice in factors {
        choose(pool, user, choice, &mut after)?;
    }
    if let Some(passkeys) = passkeys {
        choose_passkeys(pool, *passkeys, &mut after)?;
    }
    // Only the last factor that can be asked for counts: where none could be, nothing is lost.
    let asked_for = |mfa: &MfaPreference| {
        let factors = pool.second_factors();
        mfa.enabled.iter().any(|factor| factors.contains(factor) && user.has_factor(*factor))
    };
    if pool.mfa_mode() == MfaMode::On && asked_for(&user.mfa) && !asked_for(&after) {
        let message = "The last second factor can't be turned off: the user pool requires one.";
        return Err(Error::invalid_parameter(message));
    }
    Ok(after)
}

fn choose(pool: &UserPool, user: &User, choice: &Choice, mfa: &mut MfaPreference) -> Result<(), Error> {
    let Choice { factor, enabled, preferred } = *choice;
    let name = factor.name();
    if preferred == Some(true) && enabled != Some(true) {
        return Err(Error::invalid_parameter(format!("{name} can only be preferred if it is enabled.")));
    }
    match enabled {
        Some(true) if !pool.second_factors().contains(&factor) => {
            return Err(Error::invalid_parameter(format!("{name} is not turned on for the user pool.")));
        }
        Some(true) if !user.has_factor(factor) => {
            let message = format!("User does not have delivery config set to turn on {name}");
            return Err(Error::invalid_parameter(message));
        }
        Some(true) => drop(mfa.enabled.insert(factor)),
        Some(false) => mfa.lose(factor),
        None => {}
    }
    match preferred {
        Some(true) => mfa.preferred = Some(factor),
        Some(false) if mfa.preferred == Some(factor) => mfa.preferred = None,
        _ => {}
    }
    Ok(())
}

/// Turns passkeys in the place of a second factor on or off. There must be another factor, for whoever loses the passkey.
fn choose_passkeys(pool: &UserPool, on: bool, mfa: &mut MfaPreference) -> Result<(), Error> {
    if on && !pool.offers_passkeys() {
        return Err(Error::invalid_parameter("WEB_AUTHN is not turned on for the user pool."));
    }
    if on && mfa.is_empty() {
        return Err(Error::invalid_parameter("WEB_AUTHN can only be enabled beside another second factor."));
    }
    mfa.passkeys = on;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{confirmed, pool, refusal, refused_parameter, signed_up, user, with_software_tokens};

    fn jane(attributes: &[(&str, &str)]) -> Vec<Event> {
        vec![signed_up("jane", attributes), confirmed(&["phone_number"])]
    }

    const PHONE: &[(&str, &str)] = &[("phone_number", "+12025550123"), ("email", "jane@example.com")];

    /// A pool with all factors, in this mode.
    fn asking(mode: &str) -> UserPool {
        let mut pool = with_software_tokens(mode);
        pool.settings.sms_mfa_enabled = Some(true);
        pool.settings.email_mfa_configuration = Some(Default::default());
        pool
    }

    fn sms(enabled: Option<bool>, preferred: Option<bool>) -> Choice {
        Choice { factor: SecondFactor::Sms, enabled, preferred }
    }

    fn email(enabled: Option<bool>, preferred: Option<bool>) -> Choice {
        Choice { factor: SecondFactor::Email, enabled, preferred }
    }

    fn set(pool: &UserPool, user: &User, factors: &[Choice]) -> Decision<Event, Activity, ()> {
        set_mfa_preference(pool, user, &Choices { factors: factors.to_vec(), passkeys: None })
    }

    /// The user's factors after these choices, one request after the other.
    fn chosen(pool: &UserPool, requests: &[&[Choice]]) -> MfaPreference {
        let mut events = jane(PHONE);
        for request in requests {
            let decision = set(pool, &user(&events), request);
            decision.answer.unwrap();
            events.extend(decision.events);
        }
        user(&events).mfa
    }

    #[test]
    fn factors_are_turned_on_preferred_and_turned_off() {
        let pool = asking("OPTIONAL");
        let on = &[sms(Some(true), Some(true)), email(Some(true), None)][..];
        let both = MfaPreference {
            enabled: [SecondFactor::Sms, SecondFactor::Email].into(),
            preferred: Some(SecondFactor::Sms),
            passkeys: false,
        };
        assert_eq!(chosen(&pool, &[on]), both);
        assert_eq!(chosen(&pool, &[on, &[sms(Some(true), None)]]), both, "what is not said stays");
        assert_eq!(chosen(&pool, &[on, &[sms(None, None)]]), both);
        let other = chosen(&pool, &[on, &[email(Some(true), Some(true))]]);
        assert_eq!(other.preferred, Some(SecondFactor::Email), "another one is preferred instead");
        let none = chosen(&pool, &[on, &[sms(None, Some(false))]]);
        assert_eq!((none.preferred, none.enabled), (None, both.enabled.clone()));
        let off = chosen(&pool, &[on, &[sms(Some(false), None)]]);
        assert_eq!((off.preferred, off.enabled), (None, [SecondFactor::Email].into()));
        let decision = set(&pool, &user(&jane(PHONE)), &[sms(Some(false), Some(false))]);
        assert_eq!(decision.events, [], "nothing was on");
    }

    #[test]
    fn choices_that_make_no_sense_are_refused() {
        let (pool, with, without) = (asking("OPTIONAL"), user(&jane(PHONE)), user(&jane(&[])));
        let refused = |user: &User, choices: &[Choice]| refused_parameter(set(&pool, user, choices));
        let twice = [sms(Some(true), Some(true)), email(Some(true), Some(true))];
        assert_eq!(refused(&with, &twice), "Only one second factor can be preferred.");
        for enabled in [None, Some(false)] {
            let message = "SMS_MFA can only be preferred if it is enabled.";
            assert_eq!(refused(&with, &[sms(enabled, Some(true))]), message);
        }
        let message = "User does not have delivery config set to turn on SMS_MFA";
        assert_eq!(refused(&without, &[sms(Some(true), None)]), message);
        let app = Choice { factor: SecondFactor::SoftwareToken, enabled: Some(true), preferred: None };
        assert_eq!(refused(&with, &[app]), "User does not have delivery config set to turn on SOFTWARE_TOKEN_MFA");
        let off = asking("OFF");
        let refusal = refused_parameter(set(&off, &with, &[sms(Some(true), None)]));
        assert_eq!(refusal, "SMS_MFA is not turned on for the user pool.");
    }

    #[test]
    fn the_last_factor_stays_on_where_the_pool_requires_one() {
        let on = asking("ON");
        let mut events = jane(PHONE);
        events.extend(set(&on, &user(&events), &[sms(Some(true), None)]).events);
        let refused = refused_parameter(set(&on, &user(&events), &[sms(Some(false), None)]));
        assert_eq!(refused, "The last second factor can't be turned off: the user pool requires one.");
        let instead = [sms(Some(false), None), email(Some(true), None)];
        let decision = set(&on, &user(&events), &instead);
        assert_eq!(user(&[events, decision.events].concat()).mfa.enabled, [SecondFactor::Email].into());
        assert!(chosen(&on, &[&[sms(Some(false), None)]]).is_empty(), "none was on");
    }

    #[test]
    fn a_lost_address_takes_its_factor() {
        use crate::proto::events::{UserAliasReleased, UserAttributesDeleted, UserAttributesSet};
        let attribute = || "phone_number".to_owned();
        let unverified = UserAttributesSet { unverified: vec![attribute()], ..Default::default() };
        let deleted = UserAttributesDeleted { attributes: vec![attribute()] };
        let on = [sms(Some(true), Some(true)), email(Some(true), None)];
        for (lost, kept) in [
            (Event::AttributesSet(unverified), false),
            (Event::AttributesDeleted(deleted), false),
            (Event::AliasReleased(UserAliasReleased { attribute: attribute() }), false),
            (Event::AliasReleased(UserAliasReleased { attribute: "email".to_owned() }), true),
        ] {
            let mut events = jane(PHONE);
            events.extend(set(&asking("OPTIONAL"), &user(&events), &on).events);
            let after = user(&[events, vec![lost]].concat()).mfa;
            assert_eq!(after.enabled.contains(&SecondFactor::Sms), kept);
            assert_eq!(after.preferred, kept.then_some(SecondFactor::Sms));
            assert!(after.enabled.contains(&SecondFactor::Email), "an address that was not verified loses no proof");
        }
    }

    #[test]
    fn passkeys_stand_for_a_second_factor_beside_another_one() {
        let mut pool = asking("OPTIONAL");
        let passkeys = |on, factors: &[Choice]| Choices { factors: factors.to_vec(), passkeys: Some(on) };
        let with_sms = passkeys(true, &[sms(Some(true), None)]);
        let refused = refused_parameter(set_mfa_preference(&pool, &user(&jane(PHONE)), &with_sms));
        assert_eq!(refused, "WEB_AUTHN is not turned on for the user pool.");
        let policies = pool.settings.policies.get_or_insert_default();
        policies.sign_in_policy.get_or_insert_default().allowed_first_auth_factors = vec!["WEB_AUTHN".to_owned()];
        pool.settings.web_authn_configuration.get_or_insert_default().relying_party_id = Some("example.com".to_owned());
        let refused = refused_parameter(set_mfa_preference(&pool, &user(&jane(PHONE)), &passkeys(true, &[])));
        assert_eq!(refused, "WEB_AUTHN can only be enabled beside another second factor.");
        let after = |requests: &[Choices]| {
            let mut events = jane(PHONE);
            for request in requests {
                events.extend(set_mfa_preference(&pool, &user(&events), request).events);
            }
            user(&events).mfa.passkeys
        };
        assert!(after(std::slice::from_ref(&with_sms)));
        assert!(after(&[with_sms.clone(), email(Some(true), None).into()]), "what is not said stays");
        assert!(!after(&[with_sms.clone(), passkeys(false, &[])]));
        assert!(!after(&[with_sms, sms(Some(false), None).into()]), "the last other factor takes it along");
    }

    #[test]
    fn the_older_form_knows_sms_alone() {
        let option = |medium: &str, attribute: &str| v1::MfaOptionType {
            delivery_medium: Some(medium.to_owned()),
            attribute_name: Some(attribute.to_owned()),
        };
        assert_eq!(choice_of_settings(&[option("SMS", "phone_number")]).unwrap(), sms(Some(true), None));
        assert_eq!(choice_of_settings(&[]).unwrap(), sms(Some(false), None));
        for other in [option("EMAIL", "email"), option("SMS", "email"), Default::default()] {
            let message = refusal(choice_of_settings(&[other])).1;
            assert_eq!(message, "MFAOptions can only turn on SMS to phone_number.");
        }
        assert!(pool(Default::default()).second_factors().is_empty());
    }
}

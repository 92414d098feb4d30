//! How each event changes a user.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::decision::Aggregate;
use crate::domain::ids::{GroupId, PasskeyId, StreamId, Sub};
use crate::domain::personal::{Personal, Sealed};
use crate::domain::time::Timestamp;
use crate::domain::user::identities::LinkedIdentity;
use crate::domain::user::passkeys::Passkey;
use crate::domain::user::second_factors::MfaPreference;
use crate::domain::user::{ADDRESSES, Password, User, UserStatus};
use crate::proto::events::user_event::Event;
use crate::proto::events::{
    UserAttributeChangeRequested, UserAttributeVerified, UserAttributesDeleted, UserAttributesSet,
    UserCreatedByAdministrator, UserMigrated, UserNewPasswordChosen, UserPersonal, UserSignedUp,
};

impl Aggregate for User {
    type Event = Event;
    const REVISION: i32 = 6;

    #[expect(clippy::too_many_lines, reason = "a few lines for each event")]
    fn apply(state: Option<Self>, stream: &StreamId, event: &Event, at: Timestamp) -> Option<Self> {
        let change = |change: &dyn Fn(&mut Self)| {
            state.clone().map(|mut user| {
                change(&mut user);
                user.modified_at = at;
                user
            })
        };
        match event {
            Event::SignedUp(signed_up) => Self::signed_up(stream, signed_up, at),
            Event::Confirmed(confirmed) => change(&|user| {
                user.status = UserStatus::Confirmed;
                user.prove(&confirmed.verified_attributes);
            }),
            Event::SignedOut(signed_out) => {
                state.map(|user| Self { token_generation: signed_out.token_generation, ..user })
            }
            Event::Deleted(_) => None,
            Event::PasswordRehashed(rehashed) => state.map(|mut user| {
                if let Some(password) = &mut user.password {
                    password.hash = Sealed(rehashed.password_hash.clone());
                    if !rehashed.srp_verifier.is_empty() {
                        password.srp_verifier = Sealed(rehashed.srp_verifier.clone());
                    }
                }
                user
            }),
            Event::AliasReleased(released) => change(&|user| user.unprove(&released.attribute)),
            Event::CreatedByAdministrator(created) => Self::created_by_administrator(stream, created, at),
            Event::Migrated(migrated) => Self::migrated(stream, migrated, at),
            Event::NewPasswordChosen(chosen) => change(&|user| user.choose_new_password(chosen)),
            Event::Disabled(disabled) => change(&|user| {
                user.enabled = false;
                user.token_generation = disabled.token_generation;
            }),
            Event::Enabled(_) => change(&|user| user.enabled = true),
            Event::ProviderLinked(linked) => change(&|user| user.identities.push(LinkedIdentity::linked(linked, at))),
            Event::ProviderUnlinked(unlinked) => change(&|user| {
                user.identities.retain(|identity| identity.link_id != unlinked.link_id);
            }),
            Event::PasswordRemoved(_) => change(&|user| {
                user.password = None;
                user.password_removed = true;
            }),
            Event::PasswordRetired(retired) => state.map(|mut user| {
                user.former_passwords.splice(..0, user.password.iter().map(|password| password.hash.clone()));
                user.former_passwords.truncate(usize::try_from(retired.kept).unwrap_or(0));
                user
            }),
            Event::PasswordChanged(changed) => change(&|user| {
                user.status = UserStatus::Confirmed;
                user.set_password(&changed.password_hash, &changed.srp_verifier);
            }),
            Event::TemporaryPasswordSet(set) => change(&|user| {
                user.status = UserStatus::ForceChangePassword;
                user.set_password(&set.password_hash, &set.srp_verifier);
            }),
            Event::PasswordReset(_) => change(&|user| user.status = UserStatus::ResetRequired),
            Event::AttributesSet(set) => change(&|user| user.set_attributes(set)),
            Event::AttributesDeleted(deleted) => change(&|user| user.delete_attributes(deleted)),
            Event::AttributeChangeRequested(requested) => change(&|user| user.request_change(requested)),
            Event::AttributeVerified(verified) => change(&|user| user.verify(verified)),
            Event::GroupJoined(joined) => state.map(|mut user| {
                user.groups.extend(GroupId::parse(&joined.group_id));
                user
            }),
            Event::GroupLeft(left) => state.map(|mut user| {
                user.groups.retain(|group| Some(*group) != GroupId::parse(&left.group_id));
                user
            }),
            Event::SoftwareTokenAssociated(associated) => state.map(|mut user| {
                user.pending_software_token = Some(Sealed(associated.secret.clone()));
                user
            }),
            Event::SoftwareTokenVerified(verified) => change(&|user| user.verify_software_token(verified)),
            Event::PasskeyRegistered(registered) => {
                change(&|user| user.passkeys.extend(Passkey::registered(registered, at)))
            }
            Event::PasskeyDeleted(deleted) => change(&|user| {
                user.passkeys.retain(|passkey| Some(passkey.id) != PasskeyId::parse(&deleted.passkey_id));
            }),
            Event::MfaPreferenceSet(set) => change(&|user| user.mfa = MfaPreference::of_event(set)),
        }
    }
}

impl User {
    fn signed_up(stream: &StreamId, event: &UserSignedUp, at: Timestamp) -> Option<Self> {
        let password = Password::of(&event.password_hash, &event.srp_verifier);
        Self::created(stream, event.personal.as_ref(), UserStatus::Unconfirmed, password, at)
    }

    fn created_by_administrator(stream: &StreamId, event: &UserCreatedByAdministrator, at: Timestamp) -> Option<Self> {
        let password = Password::of(&event.password_hash, &event.srp_verifier);
        let user = Self::created(stream, event.personal.as_ref(), UserStatus::ForceChangePassword, password, at)?;
        // Unlike a user who signs up, a created user may have an address without a verification flag.
        let mut user = Self { unflagged: ADDRESSES.map(str::to_owned).into(), ..user };
        user.prove(&event.verified_attributes);
        Some(user)
    }

    fn migrated(stream: &StreamId, event: &UserMigrated, at: Timestamp) -> Option<Self> {
        let status = match event.must_reset_password {
            true => UserStatus::ResetRequired,
            false => UserStatus::Confirmed,
        };
        let password = Password::of(&event.password_hash, &event.srp_verifier);
        let user = Self::created(stream, event.personal.as_ref(), status, password, at)?;
        // As for a user whom an administrator has created, an address may have no verification flag.
        let mut user = Self { unflagged: ADDRESSES.map(str::to_owned).into(), ..user };
        user.prove(&event.verified_attributes);
        Some(user)
    }

    fn created(
        stream: &StreamId,
        personal: Option<&UserPersonal>,
        status: UserStatus,
        password: Option<Password>,
        at: Timestamp,
    ) -> Option<Self> {
        // A user's stream is named by the sub; a stream of another name yields no user.
        let sub = Sub(stream.owner().parse().ok()?);
        Some(Self {
            sub,
            username: personal.and_then(|it| it.username.clone()).into(),
            status,
            enabled: true,
            attributes: personal.map(|it| it.attributes.clone()).into(),
            verified: BTreeSet::new(),
            unflagged: BTreeSet::new(),
            requested: BTreeMap::new(),
            password,
            password_removed: false,
            former_passwords: Vec::new(),
            identities: Vec::new(),
            software_token: None,
            passkeys: Vec::new(),
            pending_software_token: None,
            mfa: MfaPreference::default(),
            token_generation: 1,
            groups: BTreeSet::new(),
            created_at: at,
            modified_at: at,
        })
    }

    fn prove(&mut self, attributes: &[String]) {
        for name in attributes {
            self.unflagged.remove(name);
            self.verified.insert(name.clone());
        }
    }

    /// An address that loses its proof takes its second factor with it.
    fn unprove(&mut self, attribute: &str) {
        if self.verified.remove(attribute) {
            self.lose_factor_of(attribute);
        }
    }

    fn set_password(&mut self, hash: &[u8], srp_verifier: &[u8]) {
        self.password = Password::of(hash, srp_verifier);
        self.password_removed = false;
    }

    fn choose_new_password(&mut self, chosen: &UserNewPasswordChosen) {
        self.set_password(&chosen.password_hash, &chosen.srp_verifier);
        self.status = UserStatus::Confirmed;
        if let (Personal::Known(attributes), Some(personal)) = (&mut self.attributes, &chosen.personal) {
            attributes.extend(personal.attributes.clone());
        }
    }

    fn set_attributes(&mut self, event: &UserAttributesSet) {
        let values = event.personal.iter().flat_map(|personal| &personal.attributes);
        if let Personal::Known(attributes) = &mut self.attributes {
            attributes.extend(values.map(|(name, value)| (name.clone(), value.clone())));
        }
        for name in &event.attributes {
            self.requested.remove(name);
            self.unflagged.remove(name);
        }
        for name in &event.unverified {
            self.unprove(name);
            self.unflagged.remove(name);
        }
        self.prove(&event.verified);
    }

    fn delete_attributes(&mut self, event: &UserAttributesDeleted) {
        for name in &event.attributes {
            if let Personal::Known(attributes) = &mut self.attributes {
                attributes.remove(name);
            }
            self.requested.remove(name);
            self.verified.remove(name);
            self.lose_factor_of(name);
            if ADDRESSES.contains(&name.as_str()) {
                self.unflagged.insert(name.clone());
            }
        }
    }

    fn request_change(&mut self, event: &UserAttributeChangeRequested) {
        let value = event.personal.as_ref().and_then(|personal| personal.attributes.get(&event.attribute));
        self.requested.insert(event.attribute.clone(), value.cloned().into());
    }

    fn verify(&mut self, event: &UserAttributeVerified) {
        let requested = self.requested.remove(&event.attribute);
        if let (Some(Personal::Known(value)), Personal::Known(attributes)) = (requested, &mut self.attributes) {
            attributes.insert(event.attribute.clone(), value);
        }
        self.prove(std::slice::from_ref(&event.attribute));
    }
}

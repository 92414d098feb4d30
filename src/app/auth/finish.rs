//! The end of every sign-in: starts a session, binds it to a device, resets the count of wrong guesses, remembers the
//! network, records the sign-in, issues tokens.

use crate::app::auth::answer::{Answer, AuthResponse};
use crate::app::auth::heard::heard;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::step::Step;
use crate::app::auth::token_changes::{Upcoming, source_of};
use crate::app::auth::tokens::first_tokens;
use crate::app::caller::Caller;
use crate::app::device::sealed::Vault;
use crate::app::telling::{self, Told};
use crate::app::triggers;
use crate::app::{App, Failure};
use crate::domain::auth::binding::{Binding, Bound};
use crate::domain::auth::session::Session;
use crate::domain::decision::Decision;
use crate::domain::device::LEVEL;
use crate::domain::ids::{DeviceId, UserPoolId};
use crate::domain::trigger::post_authentication::PostAuthentication;
use crate::domain::trigger::{self, Trigger};
use crate::domain::user::User;
use crate::proto::events::UserSignedIn;
use crate::proto::events::user_activity::Activity;
use crate::proto::v1::{AuthenticationResultType, NewDeviceMetadataType};
use crate::store::commit::OperationalRow;
use crate::store::loaded::LoadedUser;
use crate::store::read::Failures;
use crate::store::sign_in::{Accepted, UsedBy};
use crate::tokens::issue::Issue;

/// Ends a sign-in of a user, who is in the second state since its last step. Before anything is written, the pool's
/// trigger may change the tokens, or refuse them.
///
/// If that step changes no user, the end is one statement; else it is part of the step's commit.
pub async fn finish<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    (user, after): (&LoadedUser, &User),
    Step { proofs, answered }: Step<'_>,
) -> Result<Response, Failure> {
    let SignIn { found, client, client_metadata, at, .. } = sign_in;
    let (pool, groups) = (sign_in.pool(), &*found.groups);
    let source = source_of(&proofs);
    let upcoming = Upcoming { pool, client: &client.state, user: after, groups, source, client_metadata };
    let changes = upcoming.changes(app, caller).await?;
    let binding = binding(app, &sign_in);
    let session = Session::begin(app.random.event_id(at), &client.state, after, binding, at);
    let fact = Activity::SignedIn(UserSignedIn {
        client_id: client.state.client_id.to_string(),
        auth_flow: sign_in.flow.name().to_owned(),
        session_id: session.event_id.to_string(),
        second_factor: proofs.second_factor.map_or(0, |factor| factor.recorded().into()),
        device_id: session.device.map(|device| device.to_string()),
        passkey_id: proofs.passkey.map(|passkey| passkey.id.to_string()),
    });
    let (for_client, changes) = (&client.state, changes.as_ref());
    let wanted = Issue { pool, client: for_client, user: after, groups, session: &session, changes, at };
    let tokens = first_tokens(app, wanted)?;
    let tokens = AuthenticationResultType { new_device_metadata: metadata(&pool.id, binding), ..tokens };
    let response = Response::from(Answer::Tokens(Box::new(tokens)));
    let (network, device) = (sign_in.whence.to_remember(found.familiar_since, at), used(app, &sign_in, user, binding));
    let told = Told::of(sign_in.pool(), user, Some(&client.state.client_id));
    let question = question(&sign_in, after, binding);
    // What is told with the sign-in needs a commit.
    let in_commit = question.is_some() && !telling::is_awaited(app, Trigger::PostAuthentication);
    let (limits, spends) = match answered {
        None if !in_commit => ([sign_in.limited.cloned(), None], [sign_in.spends, None]),
        Some(answered) if answered.is_plain() && !in_commit => {
            (answered.limits, [Some(answered.session.spent()), answered.step])
        }
        answered => {
            let (commit, decision) = match answered {
                Some(answered) => (answered.commit(&sign_in), answered.decision),
                None => (heard(&sign_in, user), Decision::events(Vec::new(), ())),
            };
            let commit = commit.operational(rows_of_end(&sign_in, session, network, device));
            let decision = decision.map(|()| response).with_activity([fact]);
            return told.settle(app, caller, commit.decided(user, decision), question).await;
        }
    };
    let accepted = Accepted {
        user,
        session: &session,
        attempts: found.attempts,
        is_counted_by_name: found.attempts_by_name.is_some(),
        network,
        device,
        limits,
        spends,
        fact: &fact,
    };
    app.store.accept_sign_in(sign_in.attempt(), accepted, &response).await?;
    told.ask_afterwards(app, caller, question).await?;
    Ok(response)
}

/// What post authentication is told, if the pool has it.
fn question(sign_in: &SignIn<'_>, after: &User, binding: Binding) -> Option<PostAuthentication> {
    triggers::is_on(sign_in.pool(), Trigger::PostAuthentication).then(|| {
        let metadata = trigger::metadata(sign_in.client_metadata);
        PostAuthentication::new(after.trigger_attributes(), binding.new_device().is_some(), metadata)
    })
}

/// What the end of a sign-in adds to the commit of its last step.
fn rows_of_end(
    sign_in: &SignIn<'_>,
    session: Session,
    network: Option<&[u8]>,
    device: Option<UsedBy>,
) -> impl Iterator<Item = OperationalRow> + use<> {
    let (found, sub) = (sign_in.found, session.sub);
    let used = device.map(|UsedBy { id: device, version, address }| OperationalRow::DeviceUsed {
        sub,
        device,
        version: Some(version),
        address,
    });
    let forgotten = OperationalRow::FailuresForgotten {
        sub,
        told: sign_in.told,
        source: Failures::SignIn.counted(found.source()),
        version: found.attempts.map_or(0, |attempts| attempts.version),
    };
    let remembered = network.map(|network| OperationalRow::NetworkFamiliar { sub, network: network.to_vec() });
    used.into_iter().chain([OperationalRow::SessionBegun(session), forgotten]).chain(remembered)
}

/// The device that the sign-in is bound to.
fn binding(app: &App, sign_in: &SignIn<'_>) -> Binding {
    Binding::of(Bound {
        pool: &sign_in.pool().state,
        flow: sign_in.flow,
        known: sign_in.device().map(|device| &device.state),
        new: DeviceId(app.random.uuid()),
        confirmable: app.store.may_write_events_of(LEVEL),
    })
}

/// What the app needs in order to confirm a new device.
fn metadata(pool: &UserPoolId, binding: Binding) -> Option<NewDeviceMetadataType> {
    binding.new_device().map(|device| NewDeviceMetadataType {
        device_key: Some(device.key(pool)),
        device_group_key: Some(pool.device_group_key()),
    })
}

/// The use of the device that the user had before.
fn used(app: &App, sign_in: &SignIn<'_>, user: &LoadedUser, binding: Binding) -> Option<UsedBy> {
    let device = sign_in.device().filter(|device| binding == Binding::Known(device.state.id))?;
    let id = device.state.id;
    let vault = Vault { pool: &sign_in.pool().id, device: id, key: &user.key };
    let address = sign_in.whence.address.map(|address| vault.seal_address(app, address));
    Some(UsedBy { id, version: device.version, address })
}

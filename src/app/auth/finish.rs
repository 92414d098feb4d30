//! The end of every sign-in: starts a session, resets the count of wrong guesses, remembers the network, records the
//! sign-in, issues tokens.

use crate::app::auth::answer::{Answer, AuthResponse};
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::step::Step;
use crate::app::auth::tokens::first_tokens;
use crate::app::{App, Failure};
use crate::domain::auth::session::Session;
use crate::domain::user::User;
use crate::proto::events::UserSignedIn;
use crate::proto::events::user_activity::Activity;
use crate::store::commit::OperationalRow;
use crate::store::loaded::LoadedUser;
use crate::store::read::Failures;
use crate::store::sign_in::Accepted;

/// Ends a sign-in of a user, who is in the state `after` since its last step.
///
/// If that step changes nothing, the end is one statement; else it is part of the step's commit.
pub async fn finish<Response: AuthResponse>(
    app: &App,
    sign_in: SignIn<'_>,
    user: &LoadedUser,
    after: &User,
    Step { proofs, answered }: Step<'_>,
) -> Result<Response, Failure> {
    let SignIn { found, client, at, .. } = sign_in;
    let session = Session::begin(app.random.event_id(at), &client.state, after, at);
    let fact = Activity::SignedIn(UserSignedIn {
        client_id: client.state.client_id.to_string(),
        auth_flow: sign_in.flow.name().to_owned(),
        session_id: session.event_id.to_string(),
        second_factor: proofs.second_factor.map_or(0, |factor| factor.recorded().into()),
    });
    let tokens = first_tokens(app, sign_in.pool(), &client.state, after, &found.groups, &session, at)?;
    let response = Response::from(Answer::Tokens(Box::new(tokens)));
    let network = sign_in.whence.to_remember(found.familiar_since, at);
    let Some(answered) = answered else {
        let accepted = Accepted {
            user,
            session: &session,
            attempts: found.attempts,
            is_counted_by_name: found.attempts_by_name.is_some(),
            network,
            fact: &fact,
        };
        app.store.accept_sign_in(sign_in.attempt(), accepted, &response).await?;
        return Ok(response);
    };
    let sub = after.sub;
    let forgotten = OperationalRow::FailuresForgotten {
        sub,
        told: sign_in.told,
        source: Failures::SignIn.counted(found.source()),
        version: found.attempts.map_or(0, |attempts| attempts.version),
    };
    let remembered = network.map(|network| OperationalRow::NetworkFamiliar { sub, network: network.to_vec() });
    let commit = answered
        .commit(&sign_in)
        .operational([OperationalRow::SessionBegun(session), forgotten])
        .operational(remembered);
    let decision = answered.decision.map(|()| response).with_activity([fact]);
    app.store.settle(commit.decided(user, decision)).await
}

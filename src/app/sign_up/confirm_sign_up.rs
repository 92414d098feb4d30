//! ConfirmSignUp.

use crate::app::caller::Caller;
use crate::app::clients::{ByName, ClientProof, NamedThroughClient};
use crate::app::codes::Tried;
use crate::app::sign_up::session;
use crate::app::telling::{self, Told};
use crate::app::{App, Failure, codes};
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::domain::message::Medium;
use crate::domain::trigger::post_confirmation;
use crate::domain::user::codes::{CodeOutcome, Guess, SentCode, expired};
use crate::domain::user::confirm_sign_up::{self as rules, Confirmation, Proved};
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ConfirmSignUpRequest, ConfirmSignUpResponse};
use crate::store::commit::Kept;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;
use crate::store::read::{Snapshot, Wanted};

/// Confirms a user by the code that was sent to them. Where the client allows it, the answer has a session that signs in.
pub async fn confirm_sign_up(
    app: &App,
    caller: &Caller,
    request: &ConfirmSignUpRequest,
) -> Result<ConfirmSignUpResponse, Failure> {
    confirm(app, caller, request, Proof::Secret).await
}

/// What a caller proves besides the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The client's secret, if the client has one.
    Secret,
    /// Nothing: the user followed the link that the pool sends. Their browser does not know the secret.
    Link,
}

pub(super) async fn confirm(
    app: &App,
    caller: &Caller,
    request: &ConfirmSignUpRequest,
    proof: Proof,
) -> Result<ConfirmSignUpResponse, Failure> {
    let secret = match proof {
        Proof::Secret => ClientProof::SecretHash(request.secret_hash.as_deref()),
        Proof::Link => ClientProof::NotNeeded,
    };
    let by_name = ByName::find(app, request.client_id(), request.username(), secret, CodePurpose::SignUp).await?;
    let named = by_name.read(app, caller).await?;
    let found = &named.found;
    // Without links, guessing codes requires the client's secret.
    if proof == Proof::Link && !found.pool.state.confirms_with_link() {
        return Err(expired().into());
    }
    let at = app.clock.now();
    named.refuse_many_guesses(app, at)?;
    session::check(&named, request.session.as_deref())?;
    let origin = by_name.origin(caller);
    match (prove(app, request, &by_name, &named), &found.user) {
        (Err(refused), _) => {
            codes::answer_guess(app, &origin, &named, by_name.purpose, *refused).await?;
            Ok(ConfirmSignUpResponse::default())
        }
        (Ok(sent), Some(user)) => {
            // Read only after a right code, so that a wrong one takes as long for a name without a user.
            let alias_owner = alias_owner(app, &by_name.pool_id, found, user, sent).await?;
            let proved = Proved {
                user: &user.state,
                sent,
                alias_owner: alias_owner.as_ref().map(|owner| &owner.state),
                force_alias_creation: request.force_alias_creation(),
            };
            let confirmation = rules::confirm_sign_up(&found.pool.name_rules, &proved);
            let response =
                ConfirmSignUpResponse { session: session::next(app, &named, &user.state, medium_of(sent), at)? };
            let end = End { caller, request, origin: &origin, named: &named, user, sent };
            end.settle(app, (confirmation, response), alias_owner.as_ref()).await
        }
        (Ok(_), None) => Err(Error::internal("a right code without a user").into()),
    }
}

/// The medium that the code of a sign-up went by.
fn medium_of(sent: &SentCode) -> Medium {
    if sent.attribute == Medium::Sms.attribute() { Medium::Sms } else { Medium::Email }
}

fn prove<'a>(
    app: &App,
    request: &ConfirmSignUpRequest,
    by_name: &ByName<'_>,
    named: &'a NamedThroughClient,
) -> Result<&'a SentCode, Box<Guess>> {
    let (user, sent) = (named.found.user.as_ref().map(|user| &user.state), named.found.code.as_ref());
    let address = user.zip(sent).and_then(|(user, sent)| user.attribute(&sent.attribute)).unwrap_or_default();
    let keys = &named.found.pool.keys;
    let hash = codes::hash(keys, named.sub(), by_name.purpose, address, request.confirmation_code());
    rules::prove(user, &named.guessed(hash, app.clock.now()))
}

/// Another user with the address that the code proves, if addresses are aliases.
async fn alias_owner(
    app: &App,
    pool_id: &UserPoolId,
    found: &Snapshot,
    user: &LoadedUser,
    sent: &SentCode,
) -> Result<Option<LoadedUser>, Failure> {
    let rules = &found.pool.name_rules;
    let alias = Some(sent.attribute.as_str()).filter(|attribute| rules.alias_attributes.contains(*attribute));
    let Some(value) = alias.and_then(|alias| user.state.attribute(alias)) else { return Ok(None) };
    let name = rules.normalise(value);
    let owner = app.store.read(pool_id, None, Wanted { name: Some(&name), ..Wanted::default() }).await?.user;
    Ok(owner.filter(|owner| owner.state.sub != user.state.sub))
}

/// The end of a confirmation by a right code.
struct End<'a> {
    caller: &'a Caller,
    request: &'a ConfirmSignUpRequest,
    origin: &'a Origin,
    named: &'a NamedThroughClient,
    user: &'a LoadedUser,
    sent: &'a SentCode,
}

impl End<'_> {
    /// Writes the result. The code is kept until it expires: it can't confirm the user again, but a caller who has it, or
    /// whose answer was lost, can be told that the user is confirmed.
    async fn settle(
        &self,
        app: &App,
        (confirmation, response): (Confirmation, ConfirmSignUpResponse),
        alias_owner: Option<&LoadedUser>,
    ) -> Result<ConfirmSignUpResponse, Failure> {
        let Self { caller, request, origin, named, user, sent } = *self;
        let Confirmation { decision, alias_owner_events } = confirmation;
        let (at, purpose, pool) = (app.clock.now(), CodePurpose::SignUp, &named.found.pool);
        // The right code is asserted in any case: even a refused caller learns that it was right.
        let tried =
            Tried { kept: Kept::ForUser, sub: named.sub(), purpose, sent: Some(sent), guesser: named.guesser(), at };
        let rows = tried.row(CodeOutcome::Asserted).into_iter().chain(named.guess_row(app, false)).collect();
        let (source, whose) = (post_confirmation::CONFIRM_SIGN_UP, (user.state.sub, Some(&user.state)));
        let question = telling::confirmation(pool, source, whose, (&decision, at), &request.client_metadata)?;
        let mut commit = named.commit(origin, at);
        if let Some(owner) = alias_owner.filter(|_| !alias_owner_events.is_empty()) {
            commit = commit.other_user(owner, alias_owner_events);
        }
        let settlement = named.decided(app, commit, decision.map(|()| response), rows);
        let told = Told::of(pool, user, Some(&named.client.state.client_id));
        told.settle(app, caller, settlement, question).await
    }
}

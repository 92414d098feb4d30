//! ConfirmSignUp.

use crate::app::caller::Caller;
use crate::app::clients::{ByName, ClientProof};
use crate::app::{App, Failure, codes, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::UserPoolId;
use crate::domain::user::codes::{SentCode, expired, mismatch};
use crate::domain::user::confirm_sign_up::{self as rules, ConfirmSignUp, Confirmation};
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ConfirmSignUpRequest, ConfirmSignUpResponse};
use crate::store::commit::{Commit, LoadedUser};
use crate::store::read::{Snapshot, Wanted};

/// Confirms a user by the code that was sent to it.
pub async fn confirm_sign_up(
    app: &App,
    caller: &Caller,
    request: ConfirmSignUpRequest,
) -> Result<ConfirmSignUpResponse, Error> {
    confirm(app, caller, &request, Proof::Secret).await
}

/// What a caller shows beside the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// That it knows the client's secret, if there is one.
    Secret,
    /// Nothing: a person followed the link that the pool sends. That person's browser knows no secret.
    Link,
}

pub(super) async fn confirm(
    app: &App,
    caller: &Caller,
    request: &ConfirmSignUpRequest,
    proof: Proof,
) -> Result<ConfirmSignUpResponse, Error> {
    let secret = match proof {
        Proof::Secret => ClientProof::SecretHash(request.secret_hash.as_deref()),
        Proof::Link => ClientProof::NotNeeded,
    };
    let by_name = ByName::find(app, request.client_id(), request.username(), secret, CodePurpose::SignUp).await?;
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, request, proof, &by_name))
}

async fn attempt(
    app: &App,
    caller: &Caller,
    request: &ConfirmSignUpRequest,
    proof: Proof,
    by_name: &ByName<'_>,
) -> Result<ConfirmSignUpResponse, Failure> {
    let named = by_name.read(app).await?;
    let found = &named.found;
    // Whoever guesses codes without the client's secret gets no further where no link was sent.
    if proof == Proof::Link && !found.pool.state.confirms_with_link() {
        return Err(expired().into());
    }
    let Some(user) = &found.user else {
        // Who may not learn whether a user exists reads the same as after a wrong guess.
        let hidden = named.client.state.hides_users();
        return Err(if hidden { mismatch() } else { Error::no_such_user() }.into());
    };
    let alias_owner = alias_owner(app, &by_name.pool_id, found, user).await?;
    let address = found.code.as_ref().and_then(|code| user.state.attribute(&code.attribute)).unwrap_or_default();
    let guess = codes::hash(&found.pool.keys, user.state.sub, by_name.purpose, address, request.confirmation_code());
    let at = app.clock.now();
    let confirmation = rules::confirm_sign_up(
        &user.state,
        &found.pool.name_rules,
        ConfirmSignUp {
            sent: found.code.clone(),
            guess,
            alias_owner: alias_owner.as_ref().map(|owner| Box::new(owner.state.clone())),
            force_alias_creation: request.force_alias_creation(),
            at,
        },
    );
    let origin = by_name.origin(caller);
    let commit = Commit::new(&by_name.pool_id, &found.pool.keys, &found.pool.name_rules, &origin, at);
    settle(app, commit, confirmation, user, alias_owner.as_ref(), found.code.as_ref()).await
}

/// Another user who holds the address that the code proves, where that is an alias.
async fn alias_owner(
    app: &App,
    pool_id: &UserPoolId,
    found: &Snapshot,
    user: &LoadedUser,
) -> Result<Option<LoadedUser>, Error> {
    let rules = &found.pool.name_rules;
    let attribute = found.code.as_ref().map(|code| code.attribute.as_str());
    let alias = attribute.filter(|attribute| rules.alias_attributes.contains(*attribute));
    let Some(value) = alias.and_then(|alias| user.state.attribute(alias)) else { return Ok(None) };
    let name = rules.normalise(value);
    let owner = app.store.read(pool_id, None, Wanted { name: Some(&name), ..Wanted::default() }).await?.user;
    Ok(owner.filter(|owner| owner.state.sub != user.state.sub))
}

/// Writes what was decided, refusals that count included, and answers.
async fn settle(
    app: &App,
    commit: Commit,
    confirmation: Confirmation,
    user: &LoadedUser,
    alias_owner: Option<&LoadedUser>,
    code: Option<&SentCode>,
) -> Result<ConfirmSignUpResponse, Failure> {
    let Confirmation { decision, alias_owner_events, code: outcome } = confirmation;
    let sub = user.state.sub;
    let Some(row) = codes::outcome_row(sub, CodePurpose::SignUp, outcome, code) else {
        return decision.answer.map(|()| ConfirmSignUpResponse::default()).map_err(Failure::from);
    };
    let commit = commit.user(user, decision.events).activity(sub, &user.key, decision.activity).operational([row]);
    let commit = match alias_owner.filter(|_| !alias_owner_events.is_empty()) {
        Some(owner) => commit.other_user(owner, alias_owner_events),
        None => commit,
    };
    app.store.commit(commit).await?;
    decision.answer?;
    Ok(ConfirmSignUpResponse::default())
}

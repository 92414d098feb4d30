//! ConfirmSignUp.

use crate::app::caller::Caller;
use crate::app::clients::{self, NamedThroughClient, read_through_client};
use crate::app::{App, Failure, until_settled};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, UserPoolId};
use crate::domain::user::confirm_sign_up::{self as rules, CodeOutcome, ConfirmSignUp, Confirmation, SentCode};
use crate::proto::events::CodePurpose;
use crate::proto::v1::{ConfirmSignUpRequest, ConfirmSignUpResponse};
use crate::store::commit::{Commit, LoadedUser, OperationalRow};
use crate::store::metadata::ActorKind;
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
    let client_id = ClientId::new(request.client_id());
    let pool_id = app.store.pool_of_client(&client_id).await?;
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, request, proof, &pool_id, &client_id))
}

async fn attempt(
    app: &App,
    caller: &Caller,
    request: &ConfirmSignUpRequest,
    proof: Proof,
    pool_id: &UserPoolId,
    client_id: &ClientId,
) -> Result<ConfirmSignUpResponse, Failure> {
    let purpose = CodePurpose::SignUp;
    let NamedThroughClient { found, client } =
        read_through_client(app, pool_id, client_id, request.username(), purpose).await?;
    match proof {
        Proof::Secret => {
            let names = [request.username()];
            clients::check_secret_hash(&found.pool, &client.state, &names, request.secret_hash.as_deref())?;
        }
        Proof::Link if found.pool.state.confirms_with_link() => {}
        // Whoever guesses codes without the client's secret gets no further where no link was sent.
        Proof::Link => return Err(rules::expired().into()),
    }
    let Some(user) = found.user.clone() else {
        // Who may not learn whether a user exists reads the same as after a wrong guess.
        let hidden = client.state.hides_users();
        return Err(if hidden { rules::mismatch() } else { Error::no_such_user() }.into());
    };
    let alias_owner = alias_owner(app, pool_id, &found, &user).await?;
    let sub = user.state.sub.to_string();
    let guess =
        found.pool.keys.keyed_hash("code", &[&sub, CodePurpose::SignUp.as_str_name(), request.confirmation_code()]);
    let at = app.clock.now();
    let confirmation = rules::confirm_sign_up(
        &user.state,
        ConfirmSignUp {
            sent: found.code.clone(),
            guess,
            alias_owner: alias_owner.as_ref().map(|owner| Box::new(owner.state.clone())),
            force_alias_creation: request.force_alias_creation(),
            at,
        },
    );
    let origin = caller.origin(ActorKind::AppClient, client_id.to_string(), None);
    let commit = Commit::new(pool_id, &found.pool.keys, &found.pool.name_rules, &origin, at);
    settle(app, commit, confirmation, &user, alias_owner.as_ref(), found.code.as_ref()).await
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
    let (sub, purpose) = (user.state.sub, CodePurpose::SignUp);
    let row = match outcome {
        CodeOutcome::Kept => return decision.answer.map(|()| ConfirmSignUpResponse::default()).map_err(Failure::from),
        CodeOutcome::Guessed => {
            OperationalRow::CodeGuessed { sub, purpose, attempts: code.map_or(0, |code| code.attempts) }
        }
        CodeOutcome::Spent => OperationalRow::CodeSpent { sub, purpose },
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

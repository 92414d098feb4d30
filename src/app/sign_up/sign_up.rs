//! SignUp.

use std::sync::Arc;

use crate::app::alias_owners::alias_owners;
use crate::app::attempts::FirstRead;
use crate::app::caller::Caller;
use crate::app::codes::{self, NewCode};
use crate::app::hashing::forms::{Owner, PasswordForms};
use crate::app::sign_up::session;
use crate::app::telling::{self, Told};
use crate::app::triggers::{self, Subject};
use crate::app::whence::Whence;
use crate::app::wording::Wording;
use crate::app::{App, Failure, clients, shapes};
use crate::domain::addresses;
use crate::domain::auth::first_factor::FirstFactor;
use crate::domain::auth::sign_up_session::Stage;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, Sub, UserPoolId};
use crate::domain::source::Source;
use crate::domain::trigger;
use crate::domain::trigger::custom_message;
use crate::domain::trigger::post_confirmation;
use crate::domain::trigger::pre_sign_up::{self, PreSignUp};
use crate::domain::user::sign_up::{self as rules, Registration, SignUp, SignedUp};
use crate::domain::user::taken_alias::release_aliases;
use crate::domain::user_pool::NameRules;
use crate::proto::events::CodePurpose;
use crate::proto::v1::{SignUpRequest, SignUpResponse};
use crate::store::cache::{ClientView, PoolView};
use crate::store::commit::{Commit, NewUser, OperationalRow};
use crate::store::error::StoreError;
use crate::store::metadata::ActorKind;
use crate::store::read::{Snapshot, Wanted};

/// A registration whose password, if there is one, is hashed.
pub struct Prepared {
    client_id: ClientId,
    pool_id: UserPoolId,
    sub: Sub,
    found: FirstRead<Snapshot>,
    /// Absent if the user signs up without a password.
    forms: Option<PasswordForms>,
    /// Whether the pool's trigger confirms the user at once.
    confirmed: bool,
    /// The attributes that count as verified because the pool's trigger says so.
    verified: Vec<String>,
}

/// Checks a registration, asks the pool's trigger about it, and hashes its password, if there is one.
pub async fn prepare(app: &App, caller: &Caller, request: &SignUpRequest) -> Result<Prepared, Failure> {
    let client_id = ClientId::new(request.client_id());
    let pool_id = app.store.pool_of_client(&client_id).await?;
    let sub = Sub(app.random.uuid());
    let checked = async {
        let found = read(app, request, &pool_id, &client_id).await?;
        let (client, registration) = check(&found, request, &client_id, sub)?;
        let admission = admission(app, caller, &found.pool, &client, request, &registration).await?;
        let verified = admission.verified(&registration.attributes)?;
        let forms = match &request.password {
            Some(password) => Some(PasswordForms::make(app, caller, &pool_id, &registration.username, password).await?),
            None => None,
        };
        Ok(Prepared {
            client_id: client_id.clone(),
            pool_id: pool_id.clone(),
            sub,
            found: FirstRead::new(found),
            forms,
            confirmed: admission.auto_confirm_user,
            verified,
        })
    };
    let of_client = |failure: Failure| failure.map_refusal(|error| error.of_client(&client_id));
    checked.await.map_err(of_client)
}

/// What the pool's trigger says about a registration. Without one, the user proves an address first.
async fn admission(
    app: &App,
    caller: &Caller,
    pool: &PoolView,
    client: &ClientView,
    request: &SignUpRequest,
    registration: &Registration,
) -> Result<pre_sign_up::Answer, Error> {
    let subject = Subject { pool, user_name: &registration.username, client_id: Some(&client.state.client_id) };
    let question = PreSignUp::new(
        pre_sign_up::SIGN_UP,
        registration.attributes.clone(),
        trigger::validation_data(&request.validation_data),
        trigger::metadata(&request.client_metadata),
    );
    Ok(triggers::ask(app, caller, subject, &question).await?.unwrap_or_default())
}

/// Registers an unconfirmed user, and sends them a code.
pub async fn sign_up(
    app: &App,
    caller: &Caller,
    request: &SignUpRequest,
    prepared: &Prepared,
) -> Result<SignUpResponse, Failure> {
    let Prepared { client_id, pool_id, sub, .. } = prepared;
    let signed_up = async {
        let found = prepared.found.or(read(app, request, pool_id, client_id)).await?;
        let (client, registration) = check(&found, request, client_id, *sub)?;
        register(app, caller, (&found.pool, &client), registration, (request, prepared)).await
    };
    signed_up.await.map_err(|failure: Failure| failure.map_refusal(|error| error.of_client(client_id)))
}

async fn read(
    app: &App,
    request: &SignUpRequest,
    pool_id: &UserPoolId,
    client_id: &ClientId,
) -> Result<Snapshot, StoreError> {
    let rules_of_names = app.store.pool_hint(pool_id).await?.name_rules.clone();
    let names: Vec<_> = names_to_claim(&rules_of_names, request).into_iter().map(|(_, name)| name).collect();
    app.store.read(pool_id, Some(client_id), Wanted { taken: &names, ..Wanted::default() }).await
}

fn check(
    found: &Snapshot,
    request: &SignUpRequest,
    client_id: &ClientId,
    sub: Sub,
) -> Result<(Arc<ClientView>, Registration), Error> {
    let (pool, client) = (&found.pool, found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?);
    clients::check_secret_hash(pool, &client.state, &[request.username()], request.secret_hash.as_deref())?;
    let by_code = FirstFactor::codes(&pool.state, &client.state);
    let registration = rules::registration(&pool.state, &client.state, sub, request, &by_code)?;
    refuse_taken(&names_to_claim(&pool.name_rules, request), &found.taken)?;
    Ok((client, registration))
}

async fn register(
    app: &App,
    caller: &Caller,
    (pool, client): (&PoolView, &ClientView),
    registration: Registration,
    (request, Prepared { sub, forms, confirmed, verified, .. }): (&SignUpRequest, &Prepared),
) -> Result<SignUpResponse, Failure> {
    let (sub, confirmed) = (*sub, *confirmed);
    let aliases = rules::taken_aliases(&pool.name_rules, &registration.attributes, verified);
    let owners = alias_owners(app, &pool.id, aliases).await?;
    let (key, wrapped) = pool.keys.generate_user_key(sub.to_string(), &app.random);
    let owner = Owner { pool_id: &pool.id, key: &key, sub, username: &registration.username };
    let password = forms.as_ref().map(|forms| forms.seal(app, owner)).transpose()?;
    let at = app.clock.now();
    // Nobody has proved anything yet, so the session of a user who is confirmed at once would prove nothing.
    let session = match confirmed {
        true => None,
        false => session::begin(app, pool, &client.state, (sub, Stage::SignedUp), at)?,
    };
    let username = registration.username.clone();
    let (code, client_id) = (app.random.code(), client.state.client_id.to_string());
    let command =
        SignUp { registration, password, client_id, code: code.clone(), confirmed, verified: verified.clone() };
    let wording = Wording {
        source: custom_message::SIGN_UP,
        pool,
        client_id: Some(&client.state.client_id),
        shown: None,
        metadata: &request.client_metadata,
    };
    let decision = wording.of(app, caller, (sub, None), rules::sign_up(&pool.state, command), at).await?;
    let purpose = CodePurpose::SignUp;
    let whence = Whence::of_stranger(&pool.keys, caller).with_secret(client.state.client_secret.is_some());
    let (source, network) = (Source::Familiar, Some(&*whence.network));
    let mut sent = Vec::new();
    if let Some(delivery) = decision.accepted().and_then(|signed_up| signed_up.code_delivery.as_ref()) {
        app.limits.spend_code_by_client(&client.state.client_id)?;
        let by_address = codes::address_limit(app, &pool.keys, Source::Strange, delivery);
        let limits = whence.codes(app, delivery.0).into_iter().chain(by_address);
        let new = NewCode { sub, purpose, delivery, code: &code, before: None, source, network, at };
        sent.push(new.row(&pool.keys)?);
        sent.extend(codes::spent(limits.collect()));
    }
    let origin = caller.origin(ActorKind::AppClient, client.state.client_id.to_string(), None);
    let mut commit = Commit::about(pool, &origin, at)
        .decided_from(pool, Some(client))
        .operational([OperationalRow::Key(wrapped), OperationalRow::NetworkFamiliar { sub, network: whence.network }])
        .operational(sent);
    for (owner, taken) in &owners {
        commit = commit.other_user(owner, release_aliases(&owner.state, &pool.name_rules, taken)?);
    }
    let (source, metadata) = (post_confirmation::CONFIRM_SIGN_UP, &request.client_metadata);
    let question = match confirmed {
        true => telling::confirmation(pool, source, (sub, None), (&decision, at), metadata)?,
        false => None,
    };
    let settlement = commit.decided(&NewUser { sub, key: &key }, decision);
    let told = Told {
        subject: Subject { pool, user_name: &username, client_id: Some(&client.state.client_id) },
        sub,
        key: &key,
    };
    let settlement = settlement.map(|signed_up| response(sub, signed_up, session));
    told.settle(app, caller, settlement, question).await
}

fn response(sub: Sub, signed_up: SignedUp, session: Option<String>) -> SignUpResponse {
    SignUpResponse {
        user_confirmed: Some(signed_up.confirmed),
        user_sub: Some(sub.to_string()),
        code_delivery_details: signed_up.code_delivery.map(|(medium, address)| shapes::code_delivery(medium, &address)),
        session,
    }
}

/// The names that a registration would take at once, normalised, each with its attribute.
fn names_to_claim<'a>(rules: &NameRules, request: &'a SignUpRequest) -> Vec<(Option<&'a str>, String)> {
    let addresses = request.user_attributes.iter().filter(|it| rules.username_attributes.contains(it.name()));
    let addresses = addresses.map(|it| (Some(it.name()), it.value()));
    let username = match rules.username_attributes.is_empty() {
        true => None,
        false if addresses::is_email(request.username()) => Some("email"),
        false => Some("phone_number"),
    };
    let names = [(username, request.username())].into_iter().chain(addresses);
    names.filter(|(_, name)| !name.is_empty()).map(|(attribute, name)| (attribute, rules.normalise(name))).collect()
}

fn refuse_taken(wanted: &[(Option<&str>, String)], taken: &[String]) -> Result<(), Error> {
    let message = match wanted.iter().find(|(_, name)| taken.contains(name)) {
        None => return Ok(()),
        Some((None, _)) => "User already exists".to_owned(),
        Some((Some(attribute), _)) => format!("An account with the given {attribute} already exists."),
    };
    Err(Error::new(Exception::UsernameExistsException, message))
}

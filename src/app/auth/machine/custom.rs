//! The part of the machine for custom challenges: the pool's triggers say which comes next, make it, and judge its answer.
//!
//! ```text
//!   the flow, or an answer ──▶ define ──┬── CUSTOM_CHALLENGE ──▶ create ──▶ the caller answers ──▶ verify ──▶ define again
//!                                       ├── PASSWORD_VERIFIER, after SRP_A ──▶ the caller proves it ──▶ define again
//!                                       ├── issueTokens ──▶ advance ──▶ tokens
//!                                       └── failAuthentication ──▶ a refusal
//! ```
//! A trigger is asked before anything is written, and once a call, however often the call is decided.

use std::collections::BTreeMap;

use crate::app::auth::answer::{Answer, AuthResponse, Challenge};
use crate::app::auth::heard::{failure_counted, heard_row};
use crate::app::auth::machine;
use crate::app::auth::made_up;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::step::{Answered, Step, spent};
use crate::app::caller::Caller;
use crate::app::hashing::forms::Comparison;
use crate::app::{App, Failure, codes, triggers};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::custom::{History, Open};
use crate::domain::auth::factor::custom as factor;
use crate::domain::auth::refusal::Refusal;
use crate::domain::auth::session::{ChallengeSession, Proofs, expires_at};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::lockout::Hearing;
use crate::domain::trigger::create_auth_challenge::{self, CreateAuthChallenge};
use crate::domain::trigger::define_auth_challenge::{Challenge as Asked, DefineAuthChallenge, Ruling};
use crate::domain::trigger::verify_auth_challenge_response::VerifyAuthChallengeResponse;
use crate::domain::trigger::{Question, Texts, Trigger, reply};
use crate::domain::user::User;
use crate::proto::events::SignInRefusal;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::store::cache::PoolView;
use crate::store::commit::{Commit, Nobody, OperationalRow};
use crate::tokens::challenge_token;

/// A sign-in by custom challenges, at the point where the triggers say what comes next.
pub struct Round<'a> {
    /// The name as it was written.
    pub written: &'a str,
    /// The stand-in for the name, if no user has it.
    pub stands_for_name: Sub,
    /// The proofs so far.
    pub proofs: Proofs,
    /// The challenges so far.
    pub history: History,
    /// The metadata of an answer, for triggers. That of the call which begins the sign-in is not handed on.
    pub client_metadata: Option<Texts>,
    /// The custom challenge that has just been answered.
    pub answer: Option<Heard<'a>>,
}

/// The answer to a custom challenge.
#[derive(Clone, Copy)]
pub struct Heard<'a> {
    session: &'a ChallengeSession,
    hearing: Hearing,
}

/// What the caller answers to a custom challenge.
pub struct Given<'a> {
    /// The answer.
    pub answer: &'a str,
    /// The metadata of the call, for triggers.
    pub client_metadata: Option<Texts>,
}

/// Refuses a sign-in in a pool whose triggers don't define challenges.
pub fn check_configured(pool: &PoolView) -> Result<(), Error> {
    if triggers::is_on(pool, Trigger::DefineAuthChallenge) { Ok(()) } else { Err(not_configured()) }
}

fn not_configured() -> Error {
    Error::invalid_parameter("Custom auth lambda trigger is not configured for the user pool.")
}

/// Whether a sign-in is refused before any trigger is asked.
pub fn is_refused(sign_in: &SignIn<'_>) -> bool {
    machine::is_refused_by_name(sign_in) || factor::begin(&machine::guess(sign_in), user(sign_in)).is_err()
}

/// Refuses such a sign-in.
pub async fn refuse_early(app: &App, sign_in: SignIn<'_>, stands_for_name: Sub) -> Result<(), Failure> {
    machine::refuse_by_name(app, sign_in, stands_for_name).await?;
    match factor::begin(&machine::guess(&sign_in), user(&sign_in)) {
        Ok(()) => Ok(()),
        Err(refusal) => machine::refuse(app, sign_in, stands_for_name, *refusal).await,
    }
}

/// Whether the triggers want the password to be proved first.
pub async fn asks_for_password(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    round: &Round<'_>,
) -> Result<bool, Error> {
    Ok(define(app, caller, sign_in, round).await? == Ruling::PasswordVerifier)
}

/// Continues after a proof of the password.
pub async fn hear_password<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    (stands_for_name, comparison): (Sub, Option<&Comparison>),
    client_metadata: Option<Texts>,
) -> Result<Response, Failure> {
    let (user, proofs) = machine::prove_password(app, sign_in, stands_for_name, comparison).await?;
    let spends = sign_in.spends.ok_or_else(|| Error::internal("a proof of a password that can be given twice"))?;
    if app.store.is_nonce_spent(&sign_in.pool().id, spends.id).await? {
        return Err(Error::used_session().into());
    }
    let history = History::begun_by_srp().with(Asked::PasswordVerifier, true, None);
    let written = user.state.username();
    next(app, caller, sign_in, Round { written, stands_for_name, proofs, history, client_metadata, answer: None }).await
}

/// Continues after the answer to a custom challenge, at whichever name.
pub async fn hear<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    session: &ChallengeSession,
    given: Given<'_>,
) -> Result<Response, Failure> {
    let open = session.custom.as_ref().ok_or_else(Error::invalid_session)?;
    let guess = machine::guess(&sign_in);
    if let Some(locked) = guess.refuse_unheard() {
        let who = (session.sub, sign_in.found.user.as_ref());
        return machine::refuse_code(app, sign_in, who, locked, Vec::new()).await;
    }
    let written = open.written.as_deref().unwrap_or_default();
    let question = VerifyAuthChallengeResponse {
        user_attributes: sign_in.trigger_attributes(),
        private_challenge_parameters: open.private.clone(),
        challenge_answer: given.answer.to_owned(),
        client_metadata: given.client_metadata.clone(),
        user_not_found: sign_in.found.user.is_none(),
    };
    let verdict = ask(app, caller, sign_in, written, &question).await?;
    let (is_right, hearing) = factor::answered(&guess, verdict.is_right());
    let round = Round {
        written,
        stands_for_name: session.sub,
        proofs: session.proofs,
        history: open.history.clone().with(Asked::Custom, is_right, open.metadata.clone()),
        client_metadata: given.client_metadata,
        answer: Some(Heard { session, hearing }),
    };
    next(app, caller, sign_in, round).await
}

/// Asks the triggers what comes next, and does it.
pub async fn next<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    round: Round<'_>,
) -> Result<Response, Failure> {
    match define(app, caller, sign_in, &round).await? {
        Ruling::CustomChallenge => challenge(app, caller, sign_in, round).await,
        Ruling::Tokens => sign_in_user(app, caller, sign_in, round).await,
        Ruling::Failure => {
            let refusal = factor::failed(&machine::guess(&sign_in), user(&sign_in), hearing(&sign_in, &round));
            refuse(app, sign_in, &round, refusal).await
        }
        // Whoever was refused when the flow looked, and is not any more.
        Ruling::PasswordVerifier => Err(Failure::Outdated),
    }
}

async fn define(app: &App, caller: &Caller, sign_in: SignIn<'_>, round: &Round<'_>) -> Result<Ruling, Error> {
    let question = DefineAuthChallenge {
        user_attributes: sign_in.trigger_attributes(),
        session: round.history.results(),
        client_metadata: round.client_metadata.clone(),
        user_not_found: sign_in.found.user.is_none(),
    };
    ask(app, caller, sign_in, round.written, &question).await?.ruling(&question.session)
}

async fn create(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    round: &Round<'_>,
) -> Result<create_auth_challenge::Answer, Error> {
    let question = CreateAuthChallenge {
        user_attributes: sign_in.trigger_attributes(),
        challenge_name: Asked::Custom,
        session: round.history.results(),
        client_metadata: round.client_metadata.clone(),
        user_not_found: sign_in.found.user.is_none(),
    };
    ask(app, caller, sign_in, round.written, &question).await
}

async fn ask<Q: Question>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    written: &str,
    question: &Q,
) -> Result<Q::Answer, Error> {
    triggers::ask(app, caller, sign_in.subject(written), question).await?.ok_or_else(not_configured)
}

/// Signs in the user whom the triggers have accepted.
async fn sign_in_user<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    round: Round<'_>,
) -> Result<Response, Failure> {
    let accepted = factor::accept(&machine::guess(&sign_in), user(&sign_in), hearing(&sign_in, &round));
    let user = match (accepted, &sign_in.found.user) {
        (Ok(()), Some(user)) => user,
        (Ok(()), None) => return Err(Error::internal("custom challenges signed nobody in").into()),
        (Err(refusal), _) => return refuse(app, sign_in, &round, *refusal).await,
    };
    let answered = round.answer.map(|heard| {
        let (limits, rows) = ([sign_in.limited.cloned(), None], vec![heard_row(&sign_in, user)]);
        Answered { limits, rows, ..Answered::by(heard.session, Decision::events(Vec::new(), ())) }
    });
    let step = Step { proofs: round.proofs.with_custom_challenges(), answered };
    machine::advance(app, caller, sign_in, user, step).await
}

/// Makes the next custom challenge, and writes what the last answer was.
async fn challenge<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    round: Round<'_>,
) -> Result<Response, Failure> {
    let created = create(app, caller, sign_in, &round).await?;
    let response = Response::from(Answer::Challenge(issue(app, sign_in, &round, created)?));
    match (round.answer, &sign_in.found.user) {
        (None, Some(user)) => {
            caller.is_answered_about(user);
            if sign_in.spends.is_some() {
                app.store.assert_heard(sign_in.attempt(), user, sign_in.found.attempts).await?;
            }
            Ok(response)
        }
        (None, None) => Ok(response),
        (Some(heard), user) => {
            let commit = Commit::about(sign_in.pool(), sign_in.origin, sign_in.at)
                .decided_from(sign_in.pool(), Some(sign_in.client))
                .operational(rows(&sign_in, heard));
            let decision = Decision::<Event, Activity, Response>::events(Vec::new(), response);
            let settlement = match user {
                Some(user) => commit.decided(user, decision),
                None => commit.decided(&Nobody(heard.session.sub), decision),
            };
            app.store.settle(settlement).await
        }
    }
}

/// What an answer after which the sign-in goes on uses up, counts and asserts.
fn rows(sign_in: &SignIn<'_>, heard: Heard<'_>) -> Vec<OperationalRow> {
    let mut rows = vec![spent(heard.session)];
    let limited = sign_in.limited.cloned();
    match heard.hearing {
        Hearing::Wrong { attempts, by_name } => {
            rows.extend(codes::spent(limited.into_iter().collect()));
            rows.push(failure_counted(sign_in, heard.session.sub, attempts, by_name));
        }
        Hearing::Right | Hearing::Unheard => {
            rows.extend(limited.map(OperationalRow::RateAsserted));
            rows.extend(sign_in.found.user.as_ref().map(|user| heard_row(sign_in, user)));
        }
    }
    rows
}

/// The challenge as the caller gets it. What only the triggers may know is in the token, which is sealed.
fn issue(
    app: &App,
    sign_in: SignIn<'_>,
    round: &Round<'_>,
    created: create_auth_challenge::Answer,
) -> Result<Challenge, Error> {
    let (pool, client, found) = (sign_in.pool(), &sign_in.client.state, sign_in.found.user.as_ref());
    let (name, sub, written) = match found {
        Some(user) => (user.state.username().to_owned(), user.state.sub, None),
        None => (made_up::username(pool, round.written), round.stands_for_name, Some(round.written.to_owned())),
    };
    let open = Open {
        history: round.history.clone(),
        private: created.private_challenge_parameters.unwrap_or_default(),
        metadata: created.challenge_metadata,
        written,
    };
    let session = ChallengeSession {
        nonce: app.random.uuid(),
        challenge: ChallengeName::Custom,
        flow: sign_in.flow,
        client_id: client.client_id.clone(),
        sub,
        proofs: round.proofs,
        told: sign_in.told,
        exchange: None,
        custom: Some(open),
        device: sign_in.device().map(|device| device.state.id),
        expires_at: expires_at(client, sign_in.at),
    };
    let token = challenge_token::seal_if_it_fits(&pool.id, &pool.keys, &session, &app.random)?;
    let token = token.ok_or_else(|| {
        reply::impossible("privateChallengeParameters and challengeMetadata are too long for a session")
    })?;
    let mut parameters: BTreeMap<_, _> = created.public_challenge_parameters.unwrap_or_default();
    parameters.insert("USERNAME".to_owned(), name);
    Ok(Challenge { name: ChallengeName::Custom, session: Some(token), parameters, available: Vec::new() })
}

/// How the sign-in counts if it ends here. A proof of the password is asserted like any other.
fn hearing(sign_in: &SignIn<'_>, round: &Round<'_>) -> Hearing {
    match (round.answer, sign_in.spends) {
        (Some(heard), _) => heard.hearing,
        (None, Some(_)) => Hearing::Right,
        (None, None) => Hearing::Unheard,
    }
}

async fn refuse<Response: AuthResponse>(
    app: &App,
    sign_in: SignIn<'_>,
    round: &Round<'_>,
    mut refusal: Refusal,
) -> Result<Response, Failure> {
    if !app.store.may_write_events_of(factor::LEVEL) && refusal.activity.reason() == SignInRefusal::FailedByTrigger {
        // Servers of the release before can't read the reason.
        refusal.activity.set_reason(SignInRefusal::WrongPassword);
    }
    match round.answer {
        None => machine::refuse(app, sign_in, round.stands_for_name, refusal).await,
        Some(heard) => {
            let who = (heard.session.sub, sign_in.found.user.as_ref());
            machine::refuse_code(app, sign_in, who, refusal, vec![spent(heard.session)]).await
        }
    }
}

fn user<'a>(sign_in: &SignIn<'a>) -> Option<&'a User> {
    sign_in.found.user.as_ref().map(|user| &user.state)
}

//! The sign-in machine: what was heard, whether it is a proof, what comes next. Only this module
//! asks the factors, and its part for custom challenges.

pub mod custom;

use std::borrow::Cow;

use crate::app::auth::answer::{Answer, AuthResponse};
use crate::app::auth::answering::guesses_in;
use crate::app::auth::finish::finish;
use crate::app::auth::heard::{awaited, failure_counted, heard, heard_row, limits, within_session};
use crate::app::auth::issue::{Issued, issue};
use crate::app::auth::passkeys;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::step::{Answered, Step};
use crate::app::auth::verification::verification;
use crate::app::caller::Caller;
use crate::app::codes::Tried;
use crate::app::hashing::forms::{self, Comparison};
use crate::app::{App, Failure, codes, software_tokens};
use crate::domain::auth::account::may_sign_in;
use crate::domain::auth::factor::{code, confirmation, device, one_time_code, software_token, web_authn};
use crate::domain::auth::guess::Guess;
use crate::domain::auth::refusal::Refusal;
use crate::domain::auth::second_proof::{SecondProof, no_factor};
use crate::domain::auth::session::{ChallengeSession, Proofs};
use crate::domain::auth::sign_up_session::Proved;
use crate::domain::auth::steps::{self, Next};
use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::Sub;
use crate::domain::lockout::Hearing;
use crate::domain::message::Medium;
use crate::domain::second_factor::SecondFactor;
use crate::domain::user::codes::{self as code_rules, CodeOutcome, Guessed, Guesser};
use crate::domain::user::passkeys::LEVEL;
use crate::domain::web_authn::{Assertion, Fault};
use crate::proto::events::SignInRefusal;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::store::commit::{Commit, Kept, Nobody, OperationalRow};
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;
use crate::store::sign_in::{Refused, Who};

/// Whether the password can be skipped, because the caller may learn that the user is locked.
pub fn is_unheard(sign_in: &SignIn<'_>) -> bool {
    guess(sign_in).refuse_unheard().is_some()
}

/// Whether guesses at the name are not heard at present, whoever may learn that.
pub fn is_locked(sign_in: &SignIn<'_>) -> bool {
    guess(sign_in).refuse_locked().is_some()
}

/// Refuses a password at a name that nobody has, in the words of the trigger that knows other users. It counts like any wrong
/// one, so that nobody guesses passwords of another directory without a limit.
pub async fn refuse_stranger<Response>(
    app: &App,
    sign_in: SignIn<'_>,
    stands_for_name: Sub,
    error: Error,
) -> Result<Response, Failure> {
    let refusal = match is_locked(&sign_in) {
        true => guess(&sign_in).judge_at_nobody(),
        false => Refusal { error, ..guess(&sign_in).judge_at_nobody() },
    };
    refuse(app, sign_in, stands_for_name, refusal).await
}

/// Whether a sign-in is refused by its name alone.
pub fn is_refused_by_name(sign_in: &SignIn<'_>) -> bool {
    refusal_by_name(sign_in).is_some()
}

/// Refuses a sign-in that has proved nothing yet, where the caller may learn from the name that it can't succeed.
pub async fn refuse_by_name(app: &App, sign_in: SignIn<'_>, stands_for_name: Sub) -> Result<(), Failure> {
    match refusal_by_name(&sign_in) {
        Some(refusal) => refuse(app, sign_in, stands_for_name, refusal).await,
        None => Ok(()),
    }
}

fn refusal_by_name(sign_in: &SignIn<'_>) -> Option<Refusal> {
    let guess = guess(sign_in);
    let is_unknown = sign_in.found.user.is_none() && !sign_in.client.state.hides_users();
    guess.refuse_unheard().or_else(|| is_unknown.then(|| guess.judge_at_nobody()))
}

/// Continues after a password at a name. If no user has the name, the guess counts for the name's stand-in.
///
/// Outdated if the password was compared with an older one, or should have been compared and was not.
pub async fn hear_password<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    stands_for_name: Sub,
    comparison: Option<&Comparison>,
) -> Result<Response, Failure> {
    let (user, proofs) = prove_password(app, sign_in, stands_for_name, comparison).await?;
    advance(app, caller, sign_in, user, Step { proofs, answered: None }).await
}

/// The user whose password was proved, and the proof; or the refusal of the guess.
async fn prove_password<'a>(
    app: &App,
    sign_in: SignIn<'a>,
    stands_for_name: Sub,
    comparison: Option<&Comparison>,
) -> Result<(&'a LoadedUser, Proofs), Failure> {
    let guess = guess(&sign_in);
    if let Some(locked) = guess.refuse_unheard() {
        return refuse(app, sign_in, stands_for_name, locked).await;
    }
    let (pool, user) = (sign_in.pool(), sign_in.found.user.as_ref());
    let matches = comparison.ok_or(Failure::Outdated)?.matches(pool, user)?;
    let Some(user) = user else {
        return refuse(app, sign_in, stands_for_name, guess.judge_at_nobody()).await;
    };
    match guess.judge(&user.state, matches) {
        Ok(()) => Ok((user, Proofs::default().with_password(forms::id_of(user.state.password.as_ref())?))),
        Err(refusal) => refuse(app, sign_in, stands_for_name, *refusal).await,
    }
}

/// Continues after the code that has just confirmed the user.
pub async fn hear_confirmation<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    user: &LoadedUser,
    proved: &Proved,
) -> Result<Response, Failure> {
    match confirmation::judge(&guess(&sign_in), &user.state, proved) {
        Ok(()) => {
            let step = Step { proofs: Proofs::default().with_code(proved.medium), answered: None };
            advance(app, caller, sign_in, user, step).await
        }
        Err(refusal) => refuse(app, sign_in, user.state.sub, *refusal).await,
    }
}

/// Continues after a step: with the next challenge, or with tokens.
pub async fn advance<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    user: &LoadedUser,
    step: Step<'_>,
) -> Result<Response, Failure> {
    let after = match &step.answered {
        Some(answered) => Cow::Owned(answered.user_afterwards(&user.state, sign_in.at)?),
        None => Cow::Borrowed(&user.state),
    };
    let name = match steps::next(&step.proofs, sign_in.account(&after)).map_err(Error::internal)? {
        Next::Tokens => return finish(app, caller, sign_in, (user, &after), step).await,
        Next::Challenge(name) => name,
    };
    let Issued { challenge, sent } = issue(app, caller, sign_in, (&after, step.proofs), name).await?;
    let awaited = awaited(&sign_in, &challenge);
    let response = Response::from(Answer::Challenge(challenge));
    let (commit, decision) = match (step.answered, sent) {
        (None, None) => {
            caller.is_answered_about(user);
            app.store.assert_heard(sign_in.attempt(), user, sign_in.found.attempts).await?;
            if let Some((device, token)) = awaited {
                app.store.await_device(&sign_in.pool().id, device, token).await?;
            }
            return Ok(response);
        }
        // The proof is asserted by the commit that sends the code.
        (None, Some(sent)) => (heard(&sign_in, user).operational(sent.rows), sent.decision),
        (Some(answered), None) => (answered.commit(&sign_in), answered.decision),
        (Some(answered), Some(sent)) => {
            (answered.commit(&sign_in).operational(sent.rows), answered.decision.then(sent.decision))
        }
    };
    let commit = commit.operational(awaited.map(|(device, token)| OperationalRow::DeviceAwaited { device, token }));
    app.store.settle(commit.decided(user, decision.map(|()| response))).await
}

/// Continues after the proof of a device, which is right or wrong.
pub async fn hear_device<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    user: &LoadedUser,
    (proofs, is_right): (Proofs, bool),
) -> Result<Response, Failure> {
    let proof = device::Proof {
        account: sign_in.account(&user.state),
        flow: sign_in.flow,
        attempts: sign_in.found.attempts.map(|attempts| attempts.attempts),
        attempts_by_name: sign_in.found.attempts_by_name,
        at: sign_in.at,
    };
    match proof.judge(is_right) {
        Ok(()) => advance(app, caller, sign_in, user, Step { proofs, answered: None }).await,
        Err(refusal) => refuse(app, sign_in, user.state.sub, *refusal).await,
    }
}

fn guess<'a>(sign_in: &SignIn<'a>) -> Guess<'a> {
    Guess {
        pool: &sign_in.pool().state,
        client: &sign_in.client.state,
        flow: sign_in.flow,
        attempts: sign_in.found.attempts.map(|attempts| attempts.attempts),
        attempts_by_name: sign_in.found.attempts_by_name,
        at: sign_in.at,
    }
}

/// Records a refusal, counts the guess, and answers.
async fn refuse<Response>(
    app: &App,
    sign_in: SignIn<'_>,
    stands_for_name: Sub,
    Refusal { activity, hearing, error }: Refusal,
) -> Result<Response, Failure> {
    let who = sign_in.found.user.as_ref().map_or(Who::Nobody(stands_for_name), Who::User);
    // The lock-out bounds the number of guesses at a user.
    let is_bounded = matches!(who, Who::User(_)) && hearing != Hearing::Unheard;
    let is_recorded = is_bounded || app.limits.records(&sign_in.pool().id);
    let refused = Refused { who, before: sign_in.found.attempts, hearing, is_recorded };
    app.store.refuse_sign_in(sign_in.attempt(), refused, &Activity::SignInRefused(activity)).await?;
    Err(error.into())
}

/// The user who answers a challenge, and the session of it.
type Answerer<'a> = (&'a LoadedUser, &'a ChallengeSession);

/// Continues after a code in the place of a password, at whichever name.
pub async fn hear_one_time_code<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    session: &ChallengeSession,
    (medium, given): (Medium, &str),
) -> Result<Response, Failure> {
    let (found, pool, at) = (sign_in.found, sign_in.pool(), sign_in.at);
    let (sub, purpose, user) = (session.sub, code_rules::sign_in(medium), found.user.as_ref());
    let address = user.and_then(|user| user.state.attribute(medium.attribute())).unwrap_or_default();
    let hash = codes::hash(&pool.keys, sub, purpose, address, given);
    let guesser = Guesser { network: &sign_in.whence.network, source: found.source(), is_known: found.is_known };
    let (sent, by_name) = (found.code.as_ref(), found.code_by_name.as_ref());
    let hides_users = sign_in.client.state.hides_users();
    let checked = Guessed { sent, by_name, hides_users, hash, guesser, at }.check().map(drop);
    let tried = |kept, sub, sent, outcome| Tried { kept, sub, purpose, sent, guesser, at }.row(outcome);
    match (one_time_code::judge(&guess(&sign_in), user.map(|user| &user.state), checked), user) {
        (Ok(()), Some(user)) => {
            let spent = tried(Kept::ForUser, sub, sent, CodeOutcome::Spent);
            let rows = spent.into_iter().chain([heard_row(&sign_in, user)]).collect();
            let limits = [sign_in.limited.cloned(), None];
            let answered = Answered { limits, rows, ..Answered::by(session, Decision::events(Vec::new(), ())) };
            let step = Step { proofs: session.proofs.with_code(medium), answered: Some(answered) };
            advance(app, caller, sign_in, user, step).await
        }
        (Ok(()), None) => Err(Error::internal("a right code without a user").into()),
        (Err(refused), user) => {
            let for_user = tried(Kept::ForUser, sub, sent, refused.code);
            let told = sign_in.told.and_then(|told| tried(Kept::ByName, told, by_name, refused.by_name));
            let rows = for_user.into_iter().chain(told).collect();
            refuse_code(app, sign_in, (sub, user), *refused.refusal, rows).await
        }
    }
}

/// Continues after what a passkey has signed, at whichever name.
pub async fn hear_passkey<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    session: &ChallengeSession,
    assertion: &Assertion,
) -> Result<Response, Failure> {
    let user = sign_in.found.user.as_ref();
    let judge = |proved| web_authn::judge(&guess(&sign_in), user.map(|user| &user.state), proved);
    let signed = passkeys::signed(sign_in, session, assertion)?;
    let (signed, user) = match (judge(signed.as_ref().map(|_| ()).map_err(|fault| *fault)), signed, user) {
        (Ok(()), Ok(signed), Some(user)) => (signed, user),
        (Ok(()), ..) => return Err(Error::internal("a right passkey without a user").into()),
        (Err(refusal), ..) => return refuse_passkey(app, sign_in, session, *refusal).await,
    };
    let limits = limits(app, &sign_in, session);
    let rows = vec![signed.used, heard_row(&sign_in, user)];
    let answered = Answered { limits, rows, ..Answered::by(session, Decision::events(Vec::new(), ())) };
    let step = Step { proofs: session.proofs.with_passkey(signed.proved), answered: Some(answered) };
    match advance(app, caller, sign_in, user, step).await.map_err(within_session) {
        Err(Failure::Store(StoreError::PasskeyCopied)) => match judge(Err(Fault::Copied)) {
            Err(refusal) => refuse_passkey(app, sign_in, session, *refusal).await,
            Ok(()) => Err(Error::internal("a copied passkey that was accepted").into()),
        },
        answer => answer,
    }
}

/// Records the refusal of a passkey, counts the guess for the session too, and answers.
async fn refuse_passkey<Response: AuthResponse>(
    app: &App,
    sign_in: SignIn<'_>,
    session: &ChallengeSession,
    mut refusal: Refusal,
) -> Result<Response, Failure> {
    if !app.store.may_write_events_of(LEVEL) && refusal.activity.reason() == SignInRefusal::WrongPasskey {
        // Servers of the release before can't read the reason, and the guess has to count.
        refusal.activity.set_reason(SignInRefusal::WrongPassword);
    }
    let counts = matches!(refusal.hearing, Hearing::Wrong { .. });
    let limits = limits(app, &sign_in, session).into_iter().flatten().collect();
    let rows = codes::spent(limits).filter(|_| counts).into_iter().collect();
    let user = (session.sub, sign_in.found.user.as_ref());
    refuse_code(app, SignIn { limited: None, ..sign_in }, user, refusal, rows).await.map_err(within_session)
}

/// Records the refusal of a code in the place of a password, counts the guess, and answers.
async fn refuse_code<Response: AuthResponse>(
    app: &App,
    sign_in: SignIn<'_>,
    (sub, user): (Sub, Option<&LoadedUser>),
    Refusal { activity, hearing, error }: Refusal,
    mut rows: Vec<OperationalRow>,
) -> Result<Response, Failure> {
    let pool = sign_in.pool();
    if let Hearing::Wrong { attempts, by_name } = hearing {
        rows.extend(codes::spent(sign_in.limited.cloned().into_iter().collect()));
        rows.push(failure_counted(&sign_in, sub, attempts, by_name));
    }
    let is_recorded = user.is_some() && hearing != Hearing::Unheard || app.limits.records(&pool.id);
    let fact = is_recorded.then_some(Activity::SignInRefused(activity));
    let decision = Decision::<Event, Activity, Response>::refuse(error).with_activity(fact);
    let commit = Commit::about(pool, sign_in.origin, sign_in.at);
    let settlement = match user {
        Some(user) => commit.decided(user, decision),
        None => commit.decided(&Nobody(sub), decision),
    };
    app.store.settle(settlement.always(rows)).await
}

/// Continues after a code that was sent to the user by this medium.
pub async fn hear_code<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    (user, session): Answerer<'_>,
    (medium, given): (Medium, &str),
) -> Result<Response, Failure> {
    let (found, pool, at) = (sign_in.found, sign_in.pool(), sign_in.at);
    let (sub, purpose, sent) = (user.state.sub, code_rules::sign_in(medium), found.code.as_ref());
    let address = user.state.attribute(medium.attribute()).unwrap_or_default();
    let hash = codes::hash(&pool.keys, sub, purpose, address, given);
    let guesser = Guesser { network: &sign_in.whence.network, source: found.source(), is_known: found.is_known };
    let guessed = Guessed { sent, by_name: None, hides_users: false, hash, guesser, at };
    let factor = SecondFactor::by(medium);
    let tried = Tried { kept: Kept::ForUser, sub, purpose, sent, guesser, at };
    match code::judge(&second_proof(app, &sign_in, (user, session), factor), &guessed) {
        Ok(()) => {
            let decision = verification(app, &sign_in, user, medium).await?;
            let rows = tried.row(CodeOutcome::Spent).into_iter().collect();
            accept(app, caller, sign_in, (user, factor), Answered { rows, ..Answered::by(session, decision) }).await
        }
        Err(refused) => {
            let code::Refused { refusal, code } = refused;
            refuse_second(app, sign_in, (user, session), refusal, tried.row(code)).await
        }
    }
}

/// Continues after a code that the user's authenticator app shows.
pub async fn hear_software_token<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    (user, session): Answerer<'_>,
    given: &str,
) -> Result<Response, Failure> {
    let (pool, factor) = (sign_in.pool(), SecondFactor::SoftwareToken);
    let secret = &user.state.software_token.as_ref().ok_or_else(|| no_factor(factor))?.secret;
    let proof = second_proof(app, &sign_in, (user, session), factor);
    let opened = software_tokens::open_secret(&pool.id, user, secret)?;
    let step = match software_token::judge(&proof, &opened, given) {
        Ok(step) => step,
        Err(refusal) => return refuse_second(app, sign_in, (user, session), refusal, None).await,
    };
    let step = Some(software_tokens::step_once(pool, user, secret, step)?);
    let answered = Answered { step, ..Answered::by(session, Decision::events(Vec::new(), ())) };
    match accept(app, caller, sign_in, (user, factor), answered).await {
        Err(Failure::Store(StoreError::CodeUsed)) => {
            refuse_second(app, sign_in, (user, session), proof.used(), None).await
        }
        answer => answer,
    }
}

/// Continues after the choice of a second factor: asks for it.
pub async fn hear_choice<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    (user, session): Answerer<'_>,
    choice: &str,
) -> Result<Response, Failure> {
    let factor = SecondFactor::by_name(choice)
        .ok_or_else(|| Error::invalid_parameter("ANSWER must be one of the factors in MFAS_CAN_CHOOSE."))?;
    let pool = &sign_in.pool().state;
    may_sign_in(pool, &user.state, sign_in.at).map_err(|(_, error)| error)?;
    if !user.state.usable_factors(pool).contains(&factor) {
        return Err(no_factor(factor).into());
    }
    let answered = Answered::by(session, Decision::events(Vec::new(), ()));
    let step = Step { proofs: session.proofs.with_chosen_factor(factor), answered: Some(answered) };
    advance(app, caller, sign_in, user, step).await
}

/// Continues after a set-up by the session, whose proofs say whether there was one.
pub async fn hear_set_up<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    (user, session): Answerer<'_>,
) -> Result<Response, Failure> {
    if session.proofs.second_factor.is_none() {
        let message = "No second factor was set up by this session: VerifySoftwareToken comes first.";
        return Err(Error::new(Exception::MFAMethodNotFoundException, message).into());
    }
    may_sign_in(&sign_in.pool().state, &user.state, sign_in.at).map_err(|(_, error)| error)?;
    let answered = Answered::by(session, Decision::events(Vec::new(), ()));
    let step = Step { proofs: session.proofs, answered: Some(answered) };
    advance(app, caller, sign_in, user, step).await
}

/// A guess at a second factor.
fn second_proof<'a>(
    app: &App,
    sign_in: &SignIn<'a>,
    (user, session): Answerer<'a>,
    factor: SecondFactor,
) -> SecondProof<'a> {
    let in_session = guesses_in(app, &sign_in.pool().keys, session);
    SecondProof {
        account: sign_in.account(&user.state),
        flow: sign_in.flow,
        factor,
        attempts: sign_in.found.attempts.map(|attempts| attempts.attempts),
        attempts_by_name: sign_in.found.attempts_by_name,
        is_used_up: in_session.is_some_and(|limited| limited.check(sign_in.found.arrival, sign_in.at).is_err()),
        at: sign_in.at,
    }
}

/// Continues after a right code. What bounds guesses is asserted by the commit that accepts it.
async fn accept<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    (user, factor): (&LoadedUser, SecondFactor),
    mut answered: Answered<'_>,
) -> Result<Response, Failure> {
    let session = answered.session;
    answered.limits = limits(app, &sign_in, session);
    let step = Step { proofs: session.proofs.with_second_factor(factor), answered: Some(answered) };
    advance(app, caller, sign_in, user, step).await.map_err(within_session)
}

/// Records the refusal of a second factor, counts the guess, and answers.
async fn refuse_second<Response: AuthResponse>(
    app: &App,
    sign_in: SignIn<'_>,
    (user, session): Answerer<'_>,
    refusal: Box<Refusal>,
    tried: Option<OperationalRow>,
) -> Result<Response, Failure> {
    let Refusal { activity, hearing, error } = *refusal;
    let pool = sign_in.pool();
    if app.store.is_nonce_spent(&pool.id, session.nonce).await? {
        return Err(Error::used_session().into());
    }
    let mut rows: Vec<_> = tried.into_iter().collect();
    if let Hearing::Wrong { attempts, by_name } = hearing {
        rows.extend(codes::spent(limits(app, &sign_in, session).into_iter().flatten().collect()));
        rows.push(failure_counted(&sign_in, user.state.sub, attempts, by_name));
    }
    let is_recorded = hearing != Hearing::Unheard || app.limits.records(&pool.id);
    let fact = is_recorded.then_some(Activity::SignInRefused(activity));
    let decision = Decision::<Event, Activity, Response>::refuse(error).with_activity(fact);
    let commit = Commit::about(pool, sign_in.origin, sign_in.at).decided(user, decision).always(rows);
    app.store.settle(commit).await.map_err(within_session)
}

//! Codes, between the rules and the table that stores them.

use crate::app::caller::Caller;
use crate::app::clients::{ByName, NamedThroughClient};
use crate::app::wording::Wording;
use crate::app::{App, Failure, shapes};
use crate::domain::addresses::mailbox;
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, Sub};
use crate::domain::message::Medium;
use crate::domain::rate::Limited;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::domain::trigger::{self, Texts};
use crate::domain::user::codes::{self, CodeOutcome, Delivery, Guess, Guesser, SentCode, Wish};
use crate::domain::user::withheld::{Requested, Withheld};
use crate::proto::events::CodePurpose;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::v1::CodeDeliveryDetailsType;
use crate::store::commit::{Kept, OperationalRow, Settlement, Trial};
use crate::store::keys::PoolKeys;
use crate::store::metadata::Origin;

/// The form in which a code is stored and compared. It covers the address, so that a code proves only the address that
/// it was sent to, however the user's attributes change meanwhile.
pub fn hash(keys: &PoolKeys, sub: Sub, purpose: CodePurpose, address: &str, code: &str) -> Vec<u8> {
    keys.keyed_hash("code", &[&sub.to_string(), purpose.as_str_name(), address, code])
}

/// The seed of the made-up answer about a name that no user has.
pub fn disguise(keys: &PoolKeys, nobody: Sub) -> Vec<u8> {
    keys.keyed_hash("disguise", &[&nobody.to_string()])
}

/// The limit of codes to one address, for all users of the pool and all spellings. Codes for callers on known networks
/// are counted apart, so that strangers can't use them up.
pub fn address_limit(app: &App, keys: &PoolKeys, source: Source, (medium, address): &Delivery) -> Option<Limited> {
    let mailbox = mailbox(address).unwrap_or_else(|| address.clone()).to_lowercase();
    app.limits.code_to_address(|| keys.keyed_hash("address", &[source.name(), medium.name(), &mailbox]))
}

/// A code to be sent to an address.
pub struct NewCode<'a> {
    /// The user, or the stand-in for a name that no user has.
    pub sub: Sub,
    /// What a right guess at the code allows.
    pub purpose: CodePurpose,
    /// The medium, and the address on it.
    pub delivery: &'a Delivery,
    /// The code itself, which is stored only as a hash.
    pub code: &'a str,
    /// The last code of this user and purpose, if there is one.
    pub before: Option<&'a SentCode>,
    /// Whether the user is known on the network of the request.
    pub source: Source,
    /// The network of the request, by keyed hash; absent for users with an access token and for administrators.
    pub network: Option<&'a [u8]>,
    /// The time of the request.
    pub at: Timestamp,
}

impl NewCode<'_> {
    /// The row that stores the code. Refused after too many codes.
    pub fn row(&self, keys: &PoolKeys) -> Result<OperationalRow, Error> {
        let hash = hash(keys, self.sub, self.purpose, &self.delivery.1, self.code);
        self.row_with(Kept::ForUser, hash)
    }

    /// The row of a code that is not sent: it counts like a sent one, and no guess is right.
    fn withheld_row(&self, app: &App, kept: Kept) -> Result<OperationalRow, Error> {
        self.row_with(kept, app.random.bytes::<32>().to_vec())
    }

    fn row_with(&self, kept: Kept, hash: Vec<u8>) -> Result<OperationalRow, Error> {
        let (medium, _) = self.delivery;
        let wish = Wish { source: self.source, network: self.network, at: self.at };
        let code = codes::one_more(self.before, self.purpose, *medium, hash, wish)?;
        let before = self.before.map(|before| before.hash.clone());
        Ok(OperationalRow::Code { sub: self.sub, purpose: self.purpose, kept, code, before })
    }
}

/// Stores and sends a code that a caller asks for by a user's name, through a client; answers where it went.
pub async fn answer_request(
    app: &App,
    caller: &Caller,
    by_name: &ByName<'_>,
    named: &NamedThroughClient,
    (source, metadata): (trigger::Source, &Texts),
    (code, decision): (&str, Decision<Event, Activity, Requested>),
) -> Result<CodeDeliveryDetailsType, Failure> {
    let (origin, at) = (by_name.origin(caller), app.clock.now());
    let (client_id, purpose) = (&by_name.client_id, by_name.purpose);
    let request = Request { named, origin: &origin, client_id, source, metadata, purpose, code, at };
    request.answer(app, caller, decision).await
}

/// A request for a code by a user's name, through a client.
pub struct Request<'a> {
    /// What was found by the name.
    pub named: &'a NamedThroughClient,
    /// The origin of what is written.
    pub origin: &'a Origin,
    /// The client that the request names.
    pub client_id: &'a ClientId,
    /// Why the code is sent, as the pool's trigger is told.
    pub source: trigger::Source,
    /// The metadata for the pool's trigger.
    pub metadata: &'a Texts,
    /// What a right guess at the code allows.
    pub purpose: CodePurpose,
    /// The code to store and send.
    pub code: &'a str,
    /// The time of the request.
    pub at: Timestamp,
}

impl Request<'_> {
    /// Stores a code and sends it; does as much work if none is sent. Answers where it went.
    ///
    /// If callers may not learn which users exist, the limit that they see counts only what their own network asked for
    /// by this name. A user who got too many codes through other networks is silently sent none.
    pub async fn answer(
        &self,
        app: &App,
        caller: &Caller,
        decision: Decision<Event, Activity, Requested>,
    ) -> Result<CodeDeliveryDetailsType, Failure> {
        let Some(Requested { delivery, is_sent }) = decision.accepted().cloned() else {
            return self.settle(app, decision, Vec::new()).await;
        };
        let (named, keys) = (self.named, &self.named.found.pool.keys);
        let (source, hides_users) = (named.source(), named.client.state.hides_users());
        let mut limits = self.limits_of_strangers(app, delivery.0)?;
        let new = self.new_code(named.sub(), &delivery, named.found.code.as_ref());
        let mut rows = Vec::new();
        if hides_users {
            let told = self.new_code(named.told, &delivery, named.found.code_by_name.as_ref());
            rows.push(told.withheld_row(app, Kept::ByName)?);
        }
        let address = match is_sent {
            true => address_limit(app, keys, source, &delivery),
            // A limit of no address, so that it takes as long.
            false => app.limits.code_to_address(|| keys.keyed_hash("no address", &[&named.sub().to_string()])),
        };
        let is_full = hides_users && self.is_full(app, address.as_ref()).await?;
        limits.extend(address.filter(|_| !is_full));
        let decision = match new.row(keys) {
            Ok(row) if is_sent && !is_full => {
                rows.push(row);
                self.in_words(app, caller, decision).await?
            }
            Err(limit) if !hides_users => return Err(limit.into()),
            _ if is_sent => {
                rows.extend([OperationalRow::AsIfUser, OperationalRow::AsIfSent]);
                decision.withheld(vec![Withheld::Limit.fact(self.purpose)])
            }
            _ => {
                rows.extend(new.withheld_row(app, Kept::ForUser).ok());
                rows.push(OperationalRow::AsIfSent);
                decision
            }
        };
        rows.extend(spent(limits));
        self.settle(app, decision, rows).await
    }

    /// The decision with its message in the words of the pool's trigger.
    async fn in_words(
        &self,
        app: &App,
        caller: &Caller,
        decision: Decision<Event, Activity, Requested>,
    ) -> Result<Decision<Event, Activity, Requested>, Error> {
        let Self { source, client_id, metadata, .. } = *self;
        let found = &self.named.found;
        let wording = Wording { source, pool: &found.pool, client_id: Some(client_id), shown: None, metadata };
        let user = found.user.as_ref().map(|user| &user.state);
        wording.of(app, caller, (self.named.sub(), user), decision, self.at).await
    }

    /// The limits of codes that strangers ask for: by the caller's network, and by the client. On networks that the
    /// user is known on, their own five an hour are the limit.
    fn limits_of_strangers(&self, app: &App, medium: Medium) -> Result<Vec<Limited>, Error> {
        if self.named.source() == Source::Familiar {
            return Ok(Vec::new());
        }
        app.limits.spend_code_by_client(self.client_id)?;
        Ok(self.named.whence.codes(app, medium))
    }

    /// Whether too many codes went to an address already. It is asked before the commit, so that a silent refusal takes
    /// as long as a name without a user; in a burst, the commit refuses what this has let through.
    async fn is_full(&self, app: &App, address: Option<&Limited>) -> Result<bool, Failure> {
        let Some(limited) = address else { return Ok(false) };
        let arrival = app.store.arrival(&self.named.found.pool.id, limited).await?;
        Ok(limited.rate.wait(arrival, self.at).is_some())
    }

    async fn settle(
        &self,
        app: &App,
        decision: Decision<Event, Activity, Requested>,
        rows: Vec<OperationalRow>,
    ) -> Result<CodeDeliveryDetailsType, Failure> {
        let settlement = self.named.decided(app, self.named.commit(self.origin, self.at), decision, rows);
        let answered =
            settlement.map(|Requested { delivery: (medium, address), .. }| shapes::code_delivery(medium, &address));
        app.store.settle(answered).await
    }

    fn new_code<'a>(&'a self, sub: Sub, delivery: &'a Delivery, before: Option<&'a SentCode>) -> NewCode<'a> {
        let (source, network) = (self.named.source(), Some(&*self.named.whence.network));
        NewCode { sub, purpose: self.purpose, delivery, code: self.code, before, source, network, at: self.at }
    }
}

/// The row that spends these limits, if there are any.
pub fn spent(limits: Vec<Limited>) -> Option<OperationalRow> {
    (!limits.is_empty()).then_some(OperationalRow::RatesSpent(limits))
}

/// Writes the result of a guess at a code, also for a refusal that counts, and answers.
pub async fn answer_guess(
    app: &App,
    origin: &Origin,
    named: &NamedThroughClient,
    purpose: CodePurpose,
    guess: Guess,
) -> Result<(), Failure> {
    app.store.settle(guess_settlement(app, origin, named, purpose, (guess, app.clock.now()))).await
}

/// What is written about a guess at a code.
pub fn guess_settlement(
    app: &App,
    origin: &Origin,
    named: &NamedThroughClient,
    purpose: CodePurpose,
    (guess, at): (Guess, Timestamp),
) -> Settlement<()> {
    let rows = guess_rows(app, named, purpose, &guess, at);
    named.decided(app, named.commit(origin, at), guess.decision, rows)
}

/// The rows that record a guess through a client: the code's, the name's as told to the network, and the limit of the
/// network. Empty if the guess changes nothing.
pub fn guess_rows(
    app: &App,
    named: &NamedThroughClient,
    purpose: CodePurpose,
    guess: &Guess,
    at: Timestamp,
) -> Vec<OperationalRow> {
    let guesser = named.guesser();
    let tried =
        |kept, sub, sent: Option<&SentCode>, outcome| Tried { kept, sub, purpose, sent, guesser, at }.row(outcome);
    let for_user = tried(Kept::ForUser, named.sub(), named.found.code.as_ref(), guess.code);
    let by_name = tried(Kept::ByName, named.told, named.found.code_by_name.as_ref(), guess.by_name);
    let mut rows: Vec<_> = for_user.into_iter().chain(by_name).collect();
    if !rows.is_empty() {
        let is_wrong = [guess.code, guess.by_name].contains(&CodeOutcome::Guessed);
        rows.extend(named.guess_row(app, is_wrong));
    }
    rows
}

/// A code after a guess at it.
pub struct Tried<'a> {
    /// Which of the two stored codes it is.
    pub kept: Kept,
    /// The user, or the stand-in for a name that no user has.
    pub sub: Sub,
    /// What a right guess at the code allows.
    pub purpose: CodePurpose,
    /// The code, if one is stored.
    pub sent: Option<&'a SentCode>,
    /// The network of the guess.
    pub guesser: Guesser<'a>,
    /// The time of the guess.
    pub at: Timestamp,
}

impl Tried<'_> {
    /// The row that records the guess, if it changes anything.
    pub fn row(&self, outcome: CodeOutcome) -> Option<OperationalRow> {
        let Self { kept, sub, purpose, sent, guesser, at } = *self;
        let outcome = match (outcome, sent) {
            (CodeOutcome::Kept, _) | (CodeOutcome::Asserted | CodeOutcome::Spent, None) => return None,
            (CodeOutcome::Guessed, None) => {
                let code = codes::never_sent(Some(guesser.network), at);
                return Some(OperationalRow::Code { sub, purpose, kept, code, before: None });
            }
            (CodeOutcome::Guessed, Some(sent)) => Trial::Wrong(sent.attempts_with(guesser)),
            (CodeOutcome::Asserted, Some(_)) => Trial::Asserted,
            (CodeOutcome::Spent, Some(_)) => Trial::Spent,
        };
        let sent = sent?;
        let (hash, attempts) = (sent.hash.clone(), sent.attempts);
        Some(OperationalRow::CodeTried { sub, purpose, kept, hash, attempts, outcome })
    }
}

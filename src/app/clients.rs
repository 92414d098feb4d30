//! What every operation through an app client begins with: the client's pool, and the proof that it knows its secret.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use crate::app::caller::Caller;
use crate::app::whence::Whence;
use crate::app::{App, Failure};
use crate::domain::app_client::AppClient;
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, StreamId, Sub, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::rate::Limited;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::domain::user::codes::{Guessed, Guesser};
use crate::proto::events::CodePurpose;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::store::cache::{ClientView, PoolView};
use crate::store::commit::{Commit, Nobody, OperationalRow, Settlement};
use crate::store::error::StoreError;
use crate::store::keys::PoolKeys;
use crate::store::metadata::{ActorKind, Origin};
use crate::store::read::{Snapshot, Wanted};
use crate::store::seal::{FieldClass, Place};

/// The place of a client's secret.
fn place<'a>(pool: &'a UserPoolId, stream: &'a StreamId) -> Place<'a> {
    Place { pool, stream, class: FieldClass::ClientSecret }
}

/// Seals the secret of a new client.
pub fn seal_secret(app: &App, pool: &UserPoolId, keys: &PoolKeys, client: &ClientId, secret: &str) -> Sealed {
    keys.pool.seal(place(pool, &StreamId::client(client)), app.random.uuid(), secret.as_bytes())
}

/// The secret of a client, if it has one.
pub fn secret(pool: &PoolView, client: &AppClient) -> Result<Option<String>, Error> {
    let Some(sealed) = &client.client_secret else { return Ok(None) };
    let opened =
        pool.keys.pool.open(place(&pool.id, &StreamId::client(&client.client_id)), sealed).map_err(Error::internal)?;
    String::from_utf8(opened).map(Some).map_err(Error::internal)
}

/// Checks that a caller knows the client's secret: base64 of HMAC-SHA256 under it over the user's name and the client id.
/// A name may be given in several forms, any of which counts.
pub fn check_secret_hash(
    pool: &PoolView,
    client: &AppClient,
    names: &[&str],
    secret_hash: Option<&str>,
) -> Result<(), Error> {
    if secret_hash_matches(pool, client, names, secret_hash)? {
        return Ok(());
    }
    Err(Error::not_authorized(format!("Unable to verify secret hash for client {}", client.client_id)))
}

/// Whether the hash is one of a name, as each is where the client has no secret. Refused if there must be one and is none.
pub fn secret_hash_matches(
    pool: &PoolView,
    client: &AppClient,
    names: &[&str],
    secret_hash: Option<&str>,
) -> Result<bool, Error> {
    let Some(secret) = secret(pool, client)? else { return Ok(true) };
    let (id, given) = (&client.client_id, given_hash(client, secret_hash)?);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    Ok(names.iter().any(|name| {
        let expected = STANDARD.encode(hmac::sign(&key, format!("{name}{id}").as_bytes()));
        bool::from(expected.as_bytes().ct_eq(given.as_bytes()))
    }))
}

/// Checks that there is a hash where the client has a secret, whatever it is.
pub fn require_secret_hash(pool: &PoolView, client: &AppClient, secret_hash: Option<&str>) -> Result<(), Error> {
    match secret(pool, client)? {
        Some(_) => given_hash(client, secret_hash).map(drop),
        None => Ok(()),
    }
}

fn given_hash<'a>(client: &AppClient, secret_hash: Option<&'a str>) -> Result<&'a str, Error> {
    secret_hash.ok_or_else(|| {
        let id = &client.client_id;
        Error::not_authorized(format!("Client {id} is configured with secret but SECRET_HASH was not received"))
    })
}

/// Checks that a caller knows the client's secret, given as it is.
pub fn check_client_secret(pool: &PoolView, client: &AppClient, given: Option<&str>) -> Result<(), Error> {
    let Some(secret) = secret(pool, client)? else { return Ok(()) };
    let given = given.unwrap_or_default();
    let matches = bool::from(secret.as_bytes().ct_eq(given.as_bytes()));
    if matches { Ok(()) } else { Err(Error::not_authorized("Invalid client secret.")) }
}

/// What shows that a caller may use a client.
#[derive(Clone, Copy, Debug)]
pub enum ClientProof<'a> {
    /// The hash that only who knows the client's secret can make; needed where there is a secret.
    SecretHash(Option<&'a str>),
    /// Nothing: the caller has something else to prove.
    NotNeeded,
}

/// A call through a client about a user by name, which has a code or asks for one.
pub struct ByName<'a> {
    /// The client's pool.
    pub pool_id: UserPoolId,
    /// The client.
    pub client_id: ClientId,
    /// The name, alias or `sub` as the caller wrote it.
    pub username: &'a str,
    /// The proof that the caller knows the client's secret.
    proof: ClientProof<'a>,
    /// What the code is for.
    pub purpose: CodePurpose,
}

impl<'a> ByName<'a> {
    /// Finds the client's pool.
    pub async fn find(
        app: &App,
        client_id: &str,
        username: &'a str,
        proof: ClientProof<'a>,
        purpose: CodePurpose,
    ) -> Result<Self, Error> {
        let client_id = ClientId::new(client_id);
        let pool_id = app.store.pool_of_client(&client_id).await?;
        Ok(Self { pool_id, client_id, username, proof, purpose })
    }

    /// Reads pool, client, user and the user's code for the purpose, and checks the secret hash.
    pub async fn read(&self, app: &App, caller: &Caller) -> Result<NamedThroughClient, Failure> {
        let of_client = |error: StoreError| Failure::from(error).map_refusal(|error| error.of_client(&self.client_id));
        let hint = app.store.pool_hint(&self.pool_id).await.map_err(of_client)?;
        let name = hint.name_rules.normalise(self.username);
        let nobody = nobody(&hint.keys, &name);
        let whence = Whence::of_stranger(&hint.keys, caller);
        let told = told(&hint.keys, &name, &whence.network);
        let limited = whence.guess(app);
        let wanted = Wanted {
            name: Some(&name),
            network: Some(&whence.network),
            code: Some(self.purpose),
            nobody: Some(nobody),
            told: Some(told),
            rate: limited.as_ref(),
            ..Wanted::default()
        };
        let found = app.store.read(&self.pool_id, Some(&self.client_id), wanted).await.map_err(of_client)?;
        let client = found.client.clone().ok_or_else(|| Error::no_such_client(&self.client_id))?;
        if let ClientProof::SecretHash(hash) = self.proof {
            check_secret_hash(&found.pool, &client.state, &[self.username], hash)?;
        }
        let has_shown = matches!(self.proof, ClientProof::SecretHash(_));
        let whence = whence.with_secret(has_shown && client.state.client_secret.is_some());
        Ok(NamedThroughClient { found, client, nobody, told, whence })
    }

    /// The origin of what the caller does.
    pub fn origin(&self, caller: &Caller) -> Origin {
        caller.origin(ActorKind::AppClient, self.client_id.to_string(), None)
    }
}

/// Who stands for a name that nobody has: what is counted at it is counted under this id.
pub fn nobody(keys: &PoolKeys, name: &str) -> Sub {
    stand_in(&keys.keyed_hash("nobody", &[name]))
}

/// Who stands for a name as one network calls it: what is told to callers who may not learn who exists is counted under this
/// id. Of the network too, because by what another one did a caller could find out that the user knows its own.
pub fn told(keys: &PoolKeys, name: &str, network: &[u8]) -> Sub {
    stand_in(&keys.keyed_hash("told", &[name, &hex::encode(network)]))
}

fn stand_in(hash: &[u8]) -> Sub {
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash) {
        *byte = *hashed;
    }
    // Of another version than the ids of users, so that it is none of theirs.
    Sub(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// What was found of such a call: the client has proved itself.
pub struct NamedThroughClient {
    /// What was found; the user only if there is one of that name.
    pub found: Snapshot,
    /// The client.
    pub client: Arc<ClientView>,
    /// Who stands for the name where nobody has it.
    pub nobody: Sub,
    /// Who stands for the name as this network calls it.
    pub told: Sub,
    /// Where the call comes from.
    pub whence: Whence,
}

impl NamedThroughClient {
    /// Whether the user is known to be where the call comes from.
    pub fn source(&self) -> Source {
        self.found.source()
    }

    /// What limits guesses of the caller: none where the user is known to be, so that nobody else there can keep it out.
    fn guess_limit(&self, app: &App) -> Option<Limited> {
        self.whence.guess(app).filter(|_| self.source() == Source::Strange)
    }

    /// A guess at the user's code, hashed as that was.
    pub fn guessed(&self, hash: Vec<u8>, at: Timestamp) -> Guessed<'_> {
        Guessed {
            sent: self.found.code.as_ref(),
            by_name: self.found.code_by_name.as_ref(),
            hides_users: self.client.state.hides_users(),
            hash,
            guesser: self.guesser(),
            at,
        }
    }

    /// Where the caller is, as codes of the user see it.
    pub fn guesser(&self) -> Guesser<'_> {
        Guesser { network: &self.whence.network, source: self.source(), is_known: self.found.is_known }
    }

    /// Refuses a guess where so many came from the caller's network already. The commit that follows asserts it.
    pub fn refuse_many_guesses(&self, app: &App, at: Timestamp) -> Result<(), Error> {
        let wait = self.guess_limit(app).and_then(|limited| limited.rate.wait(self.found.arrival, at));
        wait.map_or(Ok(()), |wait| Err(Error::limit_exceeded_for(wait)))
    }

    /// What a guess of the caller spends, if it is wrong, or asserts.
    pub fn guess_row(&self, app: &App, is_wrong: bool) -> Option<OperationalRow> {
        let limited = self.guess_limit(app)?;
        Some(if is_wrong { OperationalRow::RatesSpent(vec![limited]) } else { OperationalRow::RateAsserted(limited) })
    }

    /// The user's id, or that of whoever stands for it.
    pub fn sub(&self) -> Sub {
        self.found.user.as_ref().map_or(self.nobody, |user| user.state.sub)
    }

    /// An empty commit in the pool of the name.
    pub fn commit(&self, origin: &Origin, at: Timestamp) -> Commit {
        Commit::about(&self.found.pool, origin, at)
    }

    /// A decision about the user, whose version is asserted, or about nobody, with rows that are written whatever it answers.
    /// Where anything is written of nobody, it takes as long as of a user.
    pub fn decided<Answer>(
        &self,
        app: &App,
        commit: Commit,
        decision: Decision<Event, Activity, Answer>,
        mut rows: Vec<OperationalRow>,
    ) -> Settlement<Answer> {
        let Some(user) = &self.found.user else {
            if !rows.is_empty() || !decision.is_empty() {
                rows.push(OperationalRow::AsIfUser);
            }
            let pool = &self.found.pool.id;
            let (decision, left_out) = decision.keeping(|_| app.limits.records(pool));
            rows.extend(vec![OperationalRow::AsIfUser; left_out]);
            return commit.decided(&Nobody(self.nobody), decision).always(rows);
        };
        commit.decided(user, decision).always(rows)
    }
}

//! The first steps of every operation through an app client: its pool, and the proof that the caller knows its secret.

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

/// The place of a client's secret, which its encryption is bound to.
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

/// Checks that a caller knows the client's secret. The hash is base64 of HMAC-SHA256, keyed by the secret, over user
/// name and client id. A user may have several names; a hash of any of them counts.
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

/// Whether the hash matches one of the names; true if the client has no secret. Refused if the client has a secret and
/// there is no hash.
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

/// Checks that a hash is given if the client has a secret, without comparing it.
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

/// Checks the client's secret, given as plain text.
pub fn check_client_secret(pool: &PoolView, client: &AppClient, given: Option<&str>) -> Result<(), Error> {
    let Some(secret) = secret(pool, client)? else { return Ok(()) };
    let given = given.unwrap_or_default();
    let matches = bool::from(secret.as_bytes().ct_eq(given.as_bytes()));
    if matches { Ok(()) } else { Err(Error::not_authorized("Invalid client secret.")) }
}

/// A caller's proof that they may use a client.
#[derive(Clone, Copy, Debug)]
pub enum ClientProof<'a> {
    /// A hash that needs the client's secret; required if the client has one.
    SecretHash(Option<&'a str>),
    /// None: the caller proves something else.
    NotNeeded,
}

/// A call through a client about a user by name, which asks for a code or brings one.
pub struct ByName<'a> {
    /// The pool that the client belongs to.
    pub pool_id: UserPoolId,
    /// The client that the request names.
    pub client_id: ClientId,
    /// The name, alias or `sub` as the caller wrote it.
    pub username: &'a str,
    /// The proof that the caller knows the client's secret.
    proof: ClientProof<'a>,
    /// The purpose of the code.
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

    /// The origin of what the caller writes.
    pub fn origin(&self, caller: &Caller) -> Origin {
        caller.origin(ActorKind::AppClient, self.client_id.to_string(), None)
    }
}

/// The stand-in for a name that no user has: guesses at the name are counted under this id.
pub fn nobody(keys: &PoolKeys, name: &str) -> Sub {
    stand_in(&keys.keyed_hash("nobody", &[name]))
}

/// The stand-in for a name as one network uses it: the guesses that its callers are told about are counted under this
/// id. It depends on the network, else a caller could learn from the count of another network that the user is known
/// there.
pub fn told(keys: &PoolKeys, name: &str, network: &[u8]) -> Sub {
    stand_in(&keys.keyed_hash("told", &[name, &hex::encode(network)]))
}

fn stand_in(hash: &[u8]) -> Sub {
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash) {
        *byte = *hashed;
    }
    // Another UUID version than that of user ids, so that it can't be a user's.
    Sub(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The result of such a call's read: the client has proved itself.
pub struct NamedThroughClient {
    /// What was read; with a user only if one has the name.
    pub found: Snapshot,
    /// The client, with its secret checked.
    pub client: Arc<ClientView>,
    /// The stand-in for the name if no user has it.
    pub nobody: Sub,
    /// The stand-in for the name as this network uses it.
    pub told: Sub,
    /// The network that the call comes from.
    pub whence: Whence,
}

impl NamedThroughClient {
    /// Whether the user is known on the network of the call.
    pub fn source(&self) -> Source {
        self.found.source()
    }

    /// The limit of the caller's guesses: none on networks that the user is known on, so that others there can't lock
    /// them out.
    fn guess_limit(&self, app: &App) -> Option<Limited> {
        self.whence.guess(app).filter(|_| self.source() == Source::Strange)
    }

    /// A guess at the user's code, hashed as the code was.
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

    /// The caller's network, and whether the user is known on it.
    pub fn guesser(&self) -> Guesser<'_> {
        Guesser { network: &self.whence.network, source: self.source(), is_known: self.found.is_known }
    }

    /// Refuses a guess after too many from the caller's network. The commit that follows asserts it.
    pub fn refuse_many_guesses(&self, app: &App, at: Timestamp) -> Result<(), Error> {
        self.guess_limit(app).map_or(Ok(()), |limited| limited.check(self.found.arrival, at))
    }

    /// The row with which a guess spends the limit if it is wrong, or asserts it.
    pub fn guess_row(&self, app: &App, is_wrong: bool) -> Option<OperationalRow> {
        let limited = self.guess_limit(app)?;
        Some(if is_wrong { OperationalRow::RatesSpent(vec![limited]) } else { OperationalRow::RateAsserted(limited) })
    }

    /// The user's id, or that of the stand-in.
    pub fn sub(&self) -> Sub {
        self.found.user.as_ref().map_or(self.nobody, |user| user.state.sub)
    }

    /// An empty commit in the pool of the name.
    pub fn commit(&self, origin: &Origin, at: Timestamp) -> Commit {
        Commit::about(&self.found.pool, origin, at)
    }

    /// A decision about the user, whose version is asserted, or about the stand-in, with rows that are written in any
    /// case. Writing for the stand-in takes as long as for a user.
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

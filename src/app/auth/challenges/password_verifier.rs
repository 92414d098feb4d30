//! The answer to PASSWORD_VERIFIER, which is a guess of a password: one read, two exponentiations, one commit.
//!
//! It needs no Session: SECRET_BLOCK holds the whole exchange, and is used up by its first answer.

use std::sync::Arc;

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::AuthResponse;
use crate::app::auth::answering::Response;
use crate::app::auth::machine;
use crate::app::auth::named::guess_limit;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::srp::{Basis, Proof};
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::hashing::forms::Comparison;
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients};
use crate::domain::auth::AuthFlow;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::Exchange;
use crate::domain::auth::srp::exchange::session_key;
use crate::domain::error::Error;
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::domain::trigger::metadata;
use crate::store::cache::ClientView;
use crate::store::error::StoreError;
use crate::store::read::{Failures, Snapshot, Wanted};

/// A guess whose signature is compared.
pub struct PasswordVerifier<'a> {
    claim: Claimed<'a>,
    found: FirstRead<Snapshot>,
    comparison: Option<Comparison>,
    _alone: OneGuess,
}

/// A guess as the caller sent it.
struct Claimed<'a> {
    response: Response<'a>,
    proof: Proof<'a>,
    whence: Whence,
}

/// Compares the signature, unless the guess will be refused without it.
pub async fn prepare<'a>(app: &App, caller: &Caller, response: Response<'a>) -> Result<PasswordVerifier<'a>, Failure> {
    app.hasher.refuse_beyond(&caller.turn(&response.pool_id)).await?;
    let hint = app.store.pool_hint(&response.pool_id).await?;
    let proof = Proof::of(&response, &hint.keys)?;
    let whence = Whence::of_person(&hint.keys, caller, response.server);
    let claim = Claimed { response, proof, whence };
    let alone = claim.alone(app, caller).await?;
    let found = claim.read(app).await?;
    let comparison = claim.compare(app, caller, &found).await?;
    Ok(PasswordVerifier { claim, found: FirstRead::new(found), comparison, _alone: alone })
}

impl Claimed<'_> {
    async fn alone(&self, app: &App, caller: &Caller) -> Result<OneGuess, Error> {
        let key = [self.proof.session.sub.0.as_bytes(), &*self.whence.network].concat();
        app.guesses.begin(&key, caller.patience).await
    }

    async fn read(&self, app: &App) -> Result<Snapshot, StoreError> {
        let Response { pool_id, client_id, .. } = &self.response;
        let limited = self.whence.guess(app);
        let wanted = Wanted {
            sub: Some(self.proof.session.sub),
            nobody: Some(self.proof.session.sub),
            told: self.proof.session.told,
            failures: Some(Failures::SignIn),
            network: Some(&self.whence.network),
            rate: limited.as_ref(),
            device: self.response.device(Some(&self.proof.session)),
            groups: true,
            ..Wanted::default()
        };
        app.store.read(pool_id, Some(client_id), wanted).await
    }

    /// The client, if it is the one of the exchange, and the limit that the guess spends.
    fn check(&self, app: &App, found: &Snapshot, at: Timestamp) -> Result<(Arc<ClientView>, Option<Limited>), Error> {
        let Response { client_id, .. } = &self.response;
        let client = found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?;
        clients::check_secret_hash(&found.pool, &client.state, &[self.proof.username], self.response.secret_hash())?;
        let session = &self.proof.session;
        if !session.is_for(ChallengeName::PasswordVerifier, &client.state.client_id) {
            return Err(Error::invalid_session());
        }
        session.check_time(at)?;
        let limited = guess_limit(app, &self.whence, found, &client);
        limited.as_ref().map_or(Ok(()), |limited| limited.check(found.arrival, at))?;
        Ok((client, limited))
    }

    fn sign_in<'b>(
        &'b self,
        found: &'b Snapshot,
        client: &'b ClientView,
        limited: Option<&'b Limited>,
        at: Timestamp,
    ) -> SignIn<'b> {
        let session = &self.proof.session;
        SignIn {
            flow: session.flow,
            found,
            client,
            client_metadata: self.response.client_metadata,
            origin: &self.response.origin,
            whence: &self.whence,
            told: session.told,
            limited,
            spends: Some(session.spent()),
            at,
        }
    }

    /// The exponentiations are done for any exchange, so that an unknown user takes no less time.
    async fn compare(&self, app: &App, caller: &Caller, found: &Snapshot) -> Result<Option<Comparison>, Failure> {
        let at = app.clock.now();
        let (client, limited) = self.check(app, found, at)?;
        if machine::is_unheard(&self.sign_in(found, &client, limited.as_ref(), at)) {
            return Ok(None);
        }
        let pool = &found.pool;
        let of_user = found.user.as_ref().map(|user| Basis::of_user(pool, user)).transpose()?.flatten();
        let Basis { verifier, password, .. } = of_user.unwrap_or_else(|| Basis::made_up(pool, self.proof.username));
        let Exchange { secret, client, server, .. } = self.proof.exchange.clone();
        let compute = move || session_key(&verifier, &secret, &client, &server);
        let key = app.hasher.work(&caller.turn(&pool.id), compute).await?;
        let is_same = password.is_some() && password == self.proof.exchange.password && self.names_user(found);
        let is_signed = self.proof.is_signed_by(&key, pool.id.pool_name());
        Ok(Some(Comparison::by_verifier(password, is_signed & is_same)))
    }

    fn names_user(&self, found: &Snapshot) -> bool {
        let rules = &found.pool.name_rules;
        found.user.as_ref().is_some_and(|user| user.state.names(rules).contains(&rules.normalise(self.proof.username)))
    }
}

impl PasswordVerifier<'_> {
    /// Signs the user in, asks for what is missing, or refuses the guess.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let claim = &self.claim;
        let found = self.found.or(claim.read(app)).await?;
        let at = app.clock.now();
        let (client, limited) = claim.check(app, &found, at)?;
        let sign_in = claim.sign_in(&found, &client, limited.as_ref(), at);
        let (sub, comparison) = (claim.proof.session.sub, self.comparison.as_ref());
        match claim.proof.session.flow {
            AuthFlow::Custom => {
                let client_metadata = metadata(claim.response.client_metadata);
                machine::custom::hear_password(app, caller, sign_in, (sub, comparison), client_metadata).await
            }
            _ => machine::hear_password(app, caller, sign_in, sub, comparison).await,
        }
    }
}

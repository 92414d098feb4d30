//! The user migration trigger: a user whom the pool does not know comes over from another directory.

use crate::app::alias_owners::alias_owners;
use crate::app::caller::Caller;
use crate::app::hashing::forms::{Owner, PasswordForms};
use crate::app::triggers::{self, Subject};
use crate::app::{App, Failure};
use crate::domain::ids::Sub;
use crate::domain::trigger::reply::silent;
use crate::domain::trigger::user_migration::{Profile, UserMigration};
use crate::domain::trigger::{Texts, Trigger, metadata};
use crate::domain::user::migrate::{self as rules, LEVEL};
use crate::domain::user::taken_alias::release_aliases;
use crate::store::cache::{ClientView, PoolView};
use crate::store::commit::{Commit, NewUser, OperationalRow};
use crate::store::metadata::Origin;
use crate::store::read::Wanted;

/// Who asks to be let in by a name that nobody has.
pub struct Stranger<'a> {
    /// The pool.
    pub pool: &'a PoolView,
    /// The client that they use.
    pub client: &'a ClientView,
    /// The name as they typed it.
    pub username: &'a str,
    /// The password that they typed; absent if they have forgotten it.
    pub password: Option<&'a str>,
    /// What the app says about the sign-in.
    pub validation_data: &'a Texts,
    /// The metadata that the app sent for triggers.
    pub client_metadata: &'a Texts,
    /// The caller, for what is written.
    pub origin: &'a Origin,
}

/// Whether unknown users of a pool may come over. Not before an upgrade is finished: the servers of the release before
/// don't know them.
pub fn is_on(app: &App, pool: &PoolView) -> bool {
    triggers::is_on(pool, Trigger::UserMigration) && app.store.may_write_events_of(LEVEL)
}

impl Stranger<'_> {
    /// Asks the pool's trigger, and creates the user whom it knows. Says whether there is a user by now. Collides if the
    /// user comes over by another call at the same time.
    pub async fn come_over(&self, app: &App, caller: &Caller) -> Result<bool, Failure> {
        let Some(profile) = self.ask(app, caller).await? else { return Ok(false) };
        let sub = Sub(app.random.uuid());
        let name = self.pool.name_rules.normalise(self.username);
        let names = rules::possible_names(&self.pool.state, self.username, &profile);
        let wanted = Wanted { name: Some(&name), taken: &names, ..Wanted::default() };
        let found = app.store.read(&self.pool.id, Some(&self.client.state.client_id), wanted).await?;
        if found.user.is_some() {
            return Ok(true);
        }
        let newcomer = rules::newcomer(&found.pool.state, sub, self.username, &profile)?;
        let aliases = newcomer.conflicts(&found.pool.name_rules, &found.taken)?;
        let owners = alias_owners(app, &self.pool.id, aliases).await?;
        let forms = match self.password {
            Some(password) => {
                let username = &newcomer.invitee.username;
                Some(PasswordForms::make(app, caller, &self.pool.id, username, password).await?)
            }
            None => None,
        };
        let (key, wrapped) = found.pool.keys.generate_user_key(sub.to_string(), &app.random);
        let owner = Owner { pool_id: &self.pool.id, key: &key, sub, username: &newcomer.invitee.username };
        let password = forms.map(|forms| forms.seal(app, owner)).transpose()?;
        let client_id = self.client.state.client_id.to_string();
        let decision = rules::migrate(&found.pool.state, &newcomer, self.username, password, client_id);
        // The idempotency key belongs to the call, which goes on.
        let origin = Origin { command: None, ..self.origin.clone() };
        let mut commit = Commit::about(&found.pool, &origin, app.clock.now())
            .decided_from(&found.pool, found.client.as_deref())
            .operational([OperationalRow::Key(wrapped)]);
        for (owner, taken) in &owners {
            let released = release_aliases(&owner.state, &found.pool.name_rules, taken).map_err(rules::of_trigger)?;
            commit = commit.other_user(owner, released);
        }
        app.store.settle(commit.decided(&NewUser { sub, key: &key }, decision)).await?;
        Ok(true)
    }

    async fn ask(&self, app: &App, caller: &Caller) -> Result<Option<Profile>, Failure> {
        // A pool may have been made when the connection to the brokers was another one.
        if !app.settings.sends_passwords {
            tracing::warn!(pool = %self.pool.id, "user migration needs an encrypted connection to Kafka");
            return Err(silent(Trigger::UserMigration).into());
        }
        let client_metadata = metadata(self.client_metadata);
        let question = match self.password {
            Some(password) => {
                UserMigration::at_sign_in(password.to_owned(), metadata(self.validation_data), client_metadata)
            }
            None => UserMigration::at_forgot_password(client_metadata),
        };
        let client_id = Some(&self.client.state.client_id);
        let subject = Subject { pool: self.pool, user_name: self.username, client_id };
        let answer = triggers::ask(app, caller, subject, &question).await?;
        Ok(answer.unwrap_or_default().profile()?)
    }
}

//! The loads, each declared with the floor under it. Another one is another entry here.

use crate::caller::{NoAnswer, Prepared};
use crate::floor::{Commit, Floor};
use crate::stage::{Person, Stage};

/// What is called, and measured as one.
pub struct Load {
    /// Its name.
    pub name: String,
    /// The ratio to its floor that it should reach, where one was set.
    pub aim: Option<f64>,
    /// The operations that are called in turn; a load of one operation has one.
    pub mix: &'static [Operation],
    /// What it is measured beside.
    pub beside: Beside,
}

/// What a load is measured beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// The floor under its operations, in slices of its own.
    Floor,
    /// The same calls without those who guess passwords meanwhile, each over a connection, all from one address.
    Quiet,
}

/// An operation with its floor.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What must be done for it.
    pub floor: Floor,
    /// What is called.
    pub call: Call,
}

/// A call of the operation of the same name.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// Of a name that nobody had before.
    SignUp,
    /// Likewise, with an invitation.
    AdminCreateUser,
    /// InitiateAuth by password.
    SignIn,
    /// InitiateAuth by refresh token.
    Refresh,
    /// By access token.
    GetUser,
    /// By name.
    AdminGetUser,
    /// Another value of an attribute by which nobody is found.
    AdminUpdateUserAttributes,
    /// ListUsers: a page of one of the directories.
    Page(usize),
    /// ListUsers: those of a directory whose e-mail begins so.
    Filter(usize),
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Which worker calls.
    pub worker: usize,
    /// The number of the call in this run.
    pub number: u64,
}

impl Turn {
    /// An index of a list of so many: each turn has the next.
    pub fn index(self, many: usize) -> usize {
        // The remainder is smaller than the number of entries.
        (self.number % many as u64) as usize
    }
}

impl Load {
    /// Whether a directory is listed.
    pub fn is_list(&self) -> bool {
        self.mix.iter().any(|operation| operation.floor.page.is_some())
    }
}

/// So many directories of different sizes are listed.
pub const DIRECTORIES: usize = 3;

/// All loads, in the order in which they take their turns; the directories have so many users.
pub fn all(sizes: [usize; DIRECTORIES]) -> Vec<Load> {
    let load = |name: &str, aim, mix| Load { name: name.to_owned(), aim, mix, beside: Beside::Floor };
    let mut loads = vec![
        load("SignUp", Some(0.6), &[SIGN_UP][..]),
        load("AdminCreateUser", Some(0.6), &[ADMIN_CREATE_USER]),
        load("AdminUpdateUserAttributes", Some(0.6), &[ADMIN_UPDATE_USER_ATTRIBUTES]),
        load("PasswordSignIn", Some(0.9), &[SIGN_IN]),
        load("Refresh", Some(0.7), &[REFRESH]),
        load("GetUser", Some(0.5), &[GET_USER]),
        load("AdminGetUser", None, &[ADMIN_GET_USER]),
    ];
    for (index, size) in sizes.into_iter().enumerate() {
        loads.push(load(&page_of(size), None, &PAGES[index..=index]));
        loads.push(load(&filter_of(size), None, &FILTERS[index..=index]));
    }
    loads.push(load("Mixed", None, &MIXED));
    loads.push(Load { beside: Beside::Quiet, ..load("SignInBesideGuessers", Some(0.9), &[SIGN_IN]) });
    loads
}

/// The load of pages of a directory.
pub fn page_of(size: usize) -> String {
    format!("ListUsers/page/{size}")
}

/// The load of filters in a directory.
pub fn filter_of(size: usize) -> String {
    format!("ListUsers/filter/{size}")
}

/// One read; hash and verifier; one transaction that asserts the versions of pool and client and writes to log, users,
/// names, search, keys, codes, activity and outbox.
const SIGN_UP: Operation = Operation {
    floor: Floor {
        reads: 1,
        hash: true,
        exponentiation: true,
        commit: Commit::Transaction { checks: 2, rows: 8 },
        ..NOTHING
    },
    call: Call::SignUp,
};

/// Two reads: the service account and the names that are taken; hash and verifier of the temporary password; one transaction
/// that asserts the version of the pool and writes to log, users, names, search, keys and outbox.
const ADMIN_CREATE_USER: Operation = Operation {
    floor: Floor {
        reads: 2,
        hash: true,
        exponentiation: true,
        commit: Commit::Transaction { checks: 1, rows: 6 },
        ..NOTHING
    },
    call: Call::AdminCreateUser,
};

/// Two reads; one transaction that asserts the version of the pool and writes to log and users.
const ADMIN_UPDATE_USER_ATTRIBUTES: Operation = Operation {
    floor: Floor { reads: 2, commit: Commit::Transaction { checks: 1, rows: 2 }, ..NOTHING },
    call: Call::AdminUpdateUserAttributes,
};

/// One read; the hash; two tokens; session and fact in one statement.
const SIGN_IN: Operation = Operation {
    floor: Floor { reads: 1, hash: true, signatures: 2, commit: Commit::Statement { rows: 2 }, ..NOTHING },
    call: Call::SignIn,
};

/// One read and two tokens.
const REFRESH: Operation = Operation { floor: Floor { reads: 1, signatures: 2, ..NOTHING }, call: Call::Refresh };

/// One read.
const GET_USER: Operation = Operation { floor: Floor { reads: 1, ..NOTHING }, call: Call::GetUser };

/// Two reads: the service account, which may have been revoked, and the user.
const ADMIN_GET_USER: Operation = Operation { floor: Floor { reads: 2, ..NOTHING }, call: Call::AdminGetUser };

/// Three reads: the service account, the pool, and the users of the page.
const PAGES: [Operation; DIRECTORIES] = [page(0), page(1), page(2)];
const FILTERS: [Operation; DIRECTORIES] = [filter(0), filter(1), filter(2)];

const fn page(directory: usize) -> Operation {
    Operation { floor: Floor { reads: 2, page: Some(directory), ..NOTHING }, call: Call::Page(directory) }
}

const fn filter(directory: usize) -> Operation {
    Operation { floor: Floor { reads: 2, page: Some(directory), ..NOTHING }, call: Call::Filter(directory) }
}

const MIXED: [Operation; 10] =
    [SIGN_IN, GET_USER, REFRESH, GET_USER, ADMIN_GET_USER, GET_USER, REFRESH, GET_USER, REFRESH, GET_USER];

const NOTHING: Floor =
    Floor { reads: 0, page: None, hash: false, exponentiation: false, signatures: 0, commit: Commit::None };

impl Call {
    /// Makes it once.
    pub async fn make(self, stage: &Stage, turn: Turn) -> Result<(), NoAnswer> {
        let caller = &stage.callers[turn.worker];
        match self {
            Self::SignUp => caller.call(&stage.registration()).await.map(drop),
            Self::AdminCreateUser => caller.call(&stage.invitation()).await.map(drop),
            Self::AdminUpdateUserAttributes => {
                caller.call(&stage.update(person(stage, turn), turn.number)).await.map(drop)
            }
            prepared => caller.make(prepared.prepared(stage, turn)).await.map(drop),
        }
    }

    /// A call that was encoded before.
    fn prepared(self, stage: &Stage, turn: Turn) -> &Prepared {
        match self {
            Self::Refresh => &person(stage, turn).refresh,
            Self::GetUser => &person(stage, turn).get_user,
            Self::AdminGetUser => &person(stage, turn).admin_get_user,
            Self::Page(directory) => one_of(&stage.directories[directory].pages, turn),
            Self::Filter(directory) => one_of(&stage.directories[directory].filters, turn),
            _ => &person(stage, turn).sign_in,
        }
    }
}

fn one_of(calls: &[Prepared], turn: Turn) -> &Prepared {
    &calls[turn.index(calls.len())]
}

/// One of the users who are this worker's own: no two workers wait for each other at one name.
fn person(stage: &Stage, turn: Turn) -> &Person {
    let workers = stage.callers.len();
    let own = (stage.people.len() - turn.worker).div_ceil(workers);
    &stage.people[turn.worker + workers * turn.index(own)]
}

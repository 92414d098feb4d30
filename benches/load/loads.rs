//! The loads, each declared with the floor under it. Another one is another entry here.

use std::time::Duration;

use crate::apps;
use crate::caller::{NoAnswer, Prepared};
use crate::floor::{Commit, Floor};
use crate::stage::{Person, Stage};

/// One or more operations that are measured together.
pub struct Load {
    /// Its name in the report and on the command line, such as `Refresh`.
    pub name: String,
    /// What it should reach; `None` if there is no aim.
    pub aim: Option<Aim>,
    /// The operations, called in turn.
    pub mix: &'static [Operation],
    /// What the load is compared with.
    pub beside: Beside,
    /// How long a caller waits after each call.
    pub pause: Duration,
}

/// What a load should reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// At least this ratio to what it is compared with.
    Ratio(f64),
    /// At most this time for 99 of a hundred calls.
    Percentile99(Duration),
}

/// What a load is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// The floor under its operations, measured in slices of its own.
    Floor,
    /// The same calls without this crowd of other callers.
    Quiet(Crowd),
}

/// Others who call without a pause while a load is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// They guess passwords, over a connection each, all from one address.
    Guessers,
    /// They sign in with right passwords, each from an address of its own: more than there are threads that hash.
    SignIns,
}

/// An operation with its floor.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The work that the operation can't avoid.
    pub floor: Floor,
    /// The call that is measured.
    pub call: Call,
}

/// A call of the operation of the same name, unless its comment says otherwise.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// With a new name each time.
    SignUp,
    /// With a new name each time, and with an invitation.
    AdminCreateUser,
    /// InitiateAuth with the flow USER_PASSWORD_AUTH.
    SignIn,
    /// InitiateAuth with the flow USER_SRP_AUTH, and RespondToAuthChallenge with PASSWORD_VERIFIER.
    SrpSignIn,
    /// InitiateAuth with the flow USER_PASSWORD_AUTH, and RespondToAuthChallenge with SOFTWARE_TOKEN_MFA.
    TotpSignIn,
    /// InitiateAuth with the flow REFRESH_TOKEN_AUTH.
    Refresh,
    /// With an access token that is prepared beforehand.
    GetUser,
    /// By user name, as the service account.
    AdminGetUser,
    /// Sets a new value of an attribute that is not searchable.
    AdminUpdateUserAttributes,
    /// ListUsers: a page of the directory with this index.
    Page(usize),
    /// ListUsers: a filter on the beginning of `email`, in the directory with this index.
    Filter(usize),
}

/// Identifies one call of a run.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Index of the worker that calls.
    pub worker: usize,
    /// The number of the call in this run.
    pub number: u64,
}

impl Turn {
    /// An index into a list of this length, the next one each turn.
    pub fn index(self, many: usize) -> usize {
        // The remainder is smaller than the number of entries.
        (self.number % many as u64) as usize
    }

    /// One that belongs to this worker alone, so that workers don't wait for each other's locks.
    pub fn own<T>(self, all: &[T], workers: usize) -> &T {
        let own = (all.len() - self.worker).div_ceil(workers);
        &all[self.worker + workers * self.index(own)]
    }
}

impl Load {
    /// Whether the load lists a directory.
    pub fn is_list(&self) -> bool {
        self.mix.iter().any(|operation| operation.floor.page.is_some())
    }

    /// Whether the load signs users in who have an authenticator app.
    pub fn has_apps(&self) -> bool {
        self.mix.iter().any(|operation| matches!(operation.call, Call::TotpSignIn))
    }
}

/// How many directories of different sizes are listed.
pub const DIRECTORIES: usize = 3;

/// All loads, in the order in which they are measured; `sizes` are the users of each directory.
pub fn all(sizes: [usize; DIRECTORIES]) -> Vec<Load> {
    let load = |name: &str, ratio: Option<f64>, mix| Load {
        name: name.to_owned(),
        aim: ratio.map(Aim::Ratio),
        mix,
        beside: Beside::Floor,
        pause: Duration::ZERO,
    };
    let mut loads = vec![
        load("SignUp", Some(0.6), &[SIGN_UP][..]),
        load("AdminCreateUser", Some(0.6), &[ADMIN_CREATE_USER]),
        load("AdminUpdateUserAttributes", Some(0.6), &[ADMIN_UPDATE_USER_ATTRIBUTES]),
        load("PasswordSignIn", Some(0.9), &[SIGN_IN]),
        load("SrpSignIn", Some(0.7), &[SRP_SIGN_IN]),
        load("TotpSignIn", Some(0.85), &[TOTP_SIGN_IN]),
        load("Refresh", Some(0.7), &[REFRESH]),
        load("GetUser", Some(0.5), &[GET_USER]),
        load("AdminGetUser", None, &[ADMIN_GET_USER]),
    ];
    for (index, size) in sizes.into_iter().enumerate() {
        loads.push(load(&page_of(size), None, &PAGES[index..=index]));
        loads.push(load(&filter_of(size), None, &FILTERS[index..=index]));
    }
    loads.push(load("Mixed", None, &MIXED));
    let beside = |crowd, load| Load { beside: Beside::Quiet(crowd), ..load };
    loads.push(beside(Crowd::Guessers, load("SignInBesideGuessers", Some(0.9), &[SIGN_IN])));
    loads.push(Load {
        aim: Some(Aim::Percentile99(Duration::from_millis(20))),
        // 64 callers leave most of the processors to the sign-ins.
        pause: Duration::from_millis(100),
        ..beside(Crowd::SignIns, load("GetUserBesideSignIns", None, &[GET_USER]))
    });
    loads
}

/// The name of the load that reads pages of a directory.
pub fn page_of(size: usize) -> String {
    format!("ListUsers/page/{size}")
}

/// The name of the load that filters a directory.
pub fn filter_of(size: usize) -> String {
    format!("ListUsers/filter/{size}")
}

/// One read; hash and verifier; one transaction that asserts the versions of pool and client and writes to log, users,
/// names, search, keys, codes, activity and outbox.
const SIGN_UP: Operation = Operation {
    floor: Floor {
        reads: 1,
        hash: true,
        exponentiations: 1,
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
        exponentiations: 1,
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

/// Two calls, with a read each; three exponentiations and those of the client; two tokens; session, fact and nonce in one
/// statement.
const SRP_SIGN_IN: Operation = Operation {
    floor: Floor {
        calls: 2,
        reads: 2,
        exponentiations: 3,
        srp_client: true,
        signatures: 2,
        commit: Commit::Statement { rows: 3 },
        ..NOTHING
    },
    call: Call::SrpSignIn,
};

/// Two calls, with a read each; the hash; two tokens; session, fact, nonce and time step in one statement.
const TOTP_SIGN_IN: Operation = Operation {
    floor: Floor { calls: 2, reads: 2, hash: true, signatures: 2, commit: Commit::Statement { rows: 4 }, ..NOTHING },
    call: Call::TotpSignIn,
};

const REFRESH: Operation = Operation { floor: Floor { reads: 1, signatures: 2, ..NOTHING }, call: Call::Refresh };

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

const NOTHING: Floor = Floor {
    calls: 1,
    reads: 0,
    page: None,
    hash: false,
    exponentiations: 0,
    srp_client: false,
    signatures: 0,
    commit: Commit::None,
};

impl Call {
    /// Makes the call once.
    pub async fn make(self, stage: &Stage, turn: Turn) -> Result<(), NoAnswer> {
        let caller = &stage.callers[turn.worker];
        match self {
            Self::SignUp => caller.call(&stage.registration()).await.map(drop),
            Self::AdminCreateUser => caller.call(&stage.invitation()).await.map(drop),
            Self::AdminUpdateUserAttributes => {
                caller.call(&stage.update(person(stage, turn), turn.number)).await.map(drop)
            }
            Self::SrpSignIn => stage.sign_in_by_srp(caller, person(stage, turn)).await,
            Self::TotpSignIn => apps::sign_in(&stage.apps, caller, turn, stage.callers.len()).await,
            prepared => caller.make(prepared.prepared(stage, turn)).await.map(drop),
        }
    }

    /// The call, where it was encoded beforehand.
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

fn person(stage: &Stage, turn: Turn) -> &Person {
    turn.own(&stage.people, stage.callers.len())
}

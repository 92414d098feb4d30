//! The loads, each declared with the floor under it. Another one is another entry here.

use futures::future::BoxFuture;

use crate::caller::{NoAnswer, Prepared};
use crate::floor::{Commit, Floor};
use crate::stage::{Person, Stage};

/// What is called, and measured as one.
pub struct Load {
    /// Its name.
    pub name: &'static str,
    /// The ratio to its floor that it should reach, where one was set.
    pub aim: Option<f64>,
    /// The operations that are called in turn; a load of one operation has one.
    pub mix: &'static [Operation],
}

/// An operation with its floor.
#[derive(Clone, Copy)]
pub struct Operation {
    /// What must be done for it.
    pub floor: Floor,
    /// Calls it once.
    pub call: for<'a> fn(&'a Stage, Turn) -> BoxFuture<'a, Result<(), NoAnswer>>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Which worker calls.
    pub worker: usize,
    /// The number of the call in this run.
    pub number: u64,
}

impl Load {
    /// The operation of a turn.
    pub fn operation(&self, turn: Turn) -> Operation {
        // The remainder is an index of the list.
        self.mix[(turn.number % self.mix.len() as u64) as usize]
    }
}

/// All loads, in the order in which they take their turns.
pub static LOADS: [Load; 6] = [
    Load { name: "SignUp", aim: None, mix: &[SIGN_UP] },
    Load { name: "PasswordSignIn", aim: Some(0.9), mix: &[SIGN_IN] },
    Load { name: "Refresh", aim: Some(0.7), mix: &[REFRESH] },
    Load { name: "GetUser", aim: Some(0.5), mix: &[GET_USER] },
    Load { name: "AdminGetUser", aim: None, mix: &[ADMIN_GET_USER] },
    Load {
        name: "Mixed",
        aim: None,
        mix: &[SIGN_IN, GET_USER, REFRESH, GET_USER, ADMIN_GET_USER, GET_USER, REFRESH, GET_USER, REFRESH, GET_USER],
    },
];

/// One read; hash and verifier; one transaction that asserts the versions of pool and client and writes to log, users,
/// names, keys, codes, activity and outbox.
const SIGN_UP: Operation = Operation {
    floor: Floor {
        reads: 1,
        hash: true,
        exponentiation: true,
        signatures: 0,
        commit: Commit::Transaction { checks: 2, rows: 7 },
    },
    call: |stage, turn| Box::pin(async move { stage.callers[turn.worker].call(&stage.registration()).await.map(drop) }),
};

/// One read; the hash; two tokens; session and fact in one statement.
const SIGN_IN: Operation = Operation {
    floor: Floor { reads: 1, hash: true, exponentiation: false, signatures: 2, commit: Commit::Statement { rows: 2 } },
    call: |stage, turn| prepared(stage, turn, |person| &person.sign_in),
};

/// One read and two tokens.
const REFRESH: Operation = Operation {
    floor: Floor { reads: 1, signatures: 2, ..NOTHING },
    call: |stage, turn| prepared(stage, turn, |person| &person.refresh),
};

/// One read.
const GET_USER: Operation = Operation {
    floor: Floor { reads: 1, ..NOTHING },
    call: |stage, turn| prepared(stage, turn, |person| &person.get_user),
};

/// Two reads: the service account, which may have been revoked, and the user.
const ADMIN_GET_USER: Operation = Operation {
    floor: Floor { reads: 2, ..NOTHING },
    call: |stage, turn| prepared(stage, turn, |person| &person.admin_get_user),
};

const NOTHING: Floor = Floor { reads: 0, hash: false, exponentiation: false, signatures: 0, commit: Commit::None };

/// Makes a call about one of the users who are this worker's own: no two workers wait for each other at one name.
fn prepared(stage: &Stage, turn: Turn, call: fn(&Person) -> &Prepared) -> BoxFuture<'_, Result<(), NoAnswer>> {
    let workers = stage.callers.len();
    let own = (stage.people.len() - turn.worker).div_ceil(workers);
    // The remainder is the number of one of the worker's own.
    let person = &stage.people[turn.worker + workers * (turn.number % own as u64) as usize];
    Box::pin(async move { stage.callers[turn.worker].make(call(person)).await.map(drop) })
}

//! AuthService, and the path of a sign-in through it.
//!
//! ```text
//!   InitiateAuth ───────────▶ flows/ ───────┐             ┌── next: a challenge ──▶ issue ──▶ the caller answers it ─┐
//!                                           ├─▶ machine ──┤                                                        │
//!   RespondToAuthChallenge ─▶ challenges/ ──┘             └── next: tokens ──▶ finish                              │
//!              ▲                                                                                                   │
//!              └───────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! A flow or a challenge reads and does its slow work. It passes what it has heard to the machine. Only the machine
//! asks the factors whether that is a proof, and what comes next.

pub mod admin_initiate_auth;
pub mod admin_respond_to_auth_challenge;
pub mod admin_user_global_sign_out;
mod admission;
mod answer;
mod answering;
mod asked;
mod challenges;
mod finish;
mod flows;
pub mod get_tokens_from_refresh_token;
pub mod global_sign_out;
mod heard;
pub mod initiate_auth;
mod issue;
mod machine;
mod made_up;
mod named;
mod passkeys;
pub mod respond_to_auth_challenge;
pub mod revoke_token;
pub mod set_up;
mod sign_in;
mod srp;
mod step;
mod token_changes;
mod tokens;
mod verification;

//! Sign-ins by SRP in scenarios.

use userpool::proto::v1::{InitiateAuthRequest, InitiateAuthResponse, RespondToAuthChallengeRequest};

use super::client::Refusal;
use super::pool::{Pool, parameters};
pub use super::srp_client::{Client, TIMESTAMP, prime};

impl Pool {
    /// The part of the pool's id that SRP covers.
    pub fn name(&self) -> &str {
        self.id.split_once('_').expect("a region and a name").1
    }

    pub fn srp_request(&self, client: &Client, username: &str) -> InitiateAuthRequest {
        InitiateAuthRequest {
            auth_flow: Some("USER_SRP_AUTH".into()),
            client_id: Some(self.client_id.clone()),
            auth_parameters: parameters(&[("USERNAME", username), ("SRP_A", &client.public())]),
            ..Default::default()
        }
    }

    /// Asks for PASSWORD_VERIFIER.
    pub async fn begin_srp(&self, client: &Client, username: &str) -> Result<InitiateAuthResponse, Refusal> {
        let challenge = self.api.call(self.srp_request(client, username)).await?;
        assert_eq!(challenge.challenge_name(), "PASSWORD_VERIFIER");
        Ok(challenge)
    }

    pub fn verifier_request(
        &self,
        client: &Client,
        challenge: &InitiateAuthResponse,
        password: &str,
    ) -> RespondToAuthChallengeRequest {
        let told = &challenge.challenge_parameters;
        let signature = client.signature(self.name(), password, challenge, TIMESTAMP);
        RespondToAuthChallengeRequest {
            client_id: Some(self.client_id.clone()),
            challenge_name: Some("PASSWORD_VERIFIER".into()),
            challenge_responses: parameters(&[
                ("USERNAME", &told["USERNAME"]),
                ("PASSWORD_CLAIM_SECRET_BLOCK", &told["SECRET_BLOCK"]),
                ("PASSWORD_CLAIM_SIGNATURE", &signature),
                ("TIMESTAMP", TIMESTAMP),
            ]),
            ..Default::default()
        }
    }
}

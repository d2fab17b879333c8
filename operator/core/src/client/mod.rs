//! What a Client may use, and the identity that it gets for that.

use entente_crds::Client;
use entente_crds::client::ClientStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::object::Reported;

pub mod access;
pub mod brownout;
pub mod diff;
pub mod grants;
pub mod identity;
pub mod password;
pub mod rights;
pub mod rotation;
pub mod secret;
pub mod status;
pub mod users;
pub mod validate;

impl Reported for Client {
    type Status = ClientStatus;
    const KIND: &'static str = "Client";

    fn last_status(&self) -> Option<&ClientStatus> {
        self.status.as_ref()
    }

    fn set_last_status(&mut self, status: Option<ClientStatus>) {
        self.status = status;
    }

    fn conditions(status: &ClientStatus) -> &[Condition] {
        &status.conditions
    }
}

//! What the other kinds have too; goes when these are shared.
pub use crate::queue::status::{Outcome, broker_key};
pub use crate::queue::validate::Refusal;
use entente_crds::condition::reasons;
pub fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dead")
}
pub fn front(queue: &str) -> String {
    format!("queue.{queue}")
}
pub fn subscription_queue(namespace: &str, name: &str) -> String {
    format!("subscription.{namespace}.{name}")
}
pub fn queue_address(queue: &str) -> String {
    format!("/queues/{queue}")
}
pub fn exchange_address(exchange: &str) -> String {
    format!("/exchanges/{exchange}")
}
pub fn check_name(kind: &str, name: &str, problems: &mut Vec<String>) {
    let label = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !label {
        problems.push(format!("the name {name:?} is not a DNS label of at most 63 lower-case letters, digits and '-'; create a {kind} of such a name"));
    }
}
pub fn refuse_if_any(problems: &[String]) -> Result<(), Refusal> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Refusal { reason: reasons::INVALID, message: problems.join("; ") })
}

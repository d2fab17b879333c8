//! `(status before, what the RabbitMQ says) → status` of an external Broker.

use entente_crds::broker::NodeStatus;
use entente_crds::condition::{reasons, types};
use entente_crds::{Broker, BrokerStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{ADMINISTRATOR, FILTER_PLUGIN, OLDEST, SeenExternal, Target, Trouble};
use crate::cluster::status::{RESOURCE_ALARM, SILENCE_LIMIT, SINGLE_NODE, VERSION_MISMATCH, majority};
use crate::conditions::{self, Status};

/// What came of a look.
#[derive(Clone, Copy, Debug)]
pub enum Look<'a> {
    /// It answered.
    Seen(&'a SeenExternal),
    /// It did not, this many times in a row.
    Failed {
        /// Why.
        trouble: &'a Trouble,
        /// How often.
        times: u32,
    },
    /// The Broker is not asked at all.
    Refused(&'a crate::cluster::validate::Refusal),
}

struct Verdict {
    status: Status,
    reason: &'static str,
    message: String,
}

fn no(reason: &'static str, message: String) -> Verdict {
    Verdict { status: Status::False, reason, message }
}

fn yes(message: String) -> Verdict {
    Verdict { status: Status::True, reason: reasons::READY, message }
}

/// The next status.
pub fn next(before: &BrokerStatus, broker: &Broker, look: Look<'_>, now: Timestamp) -> BrokerStatus {
    let mut after = before.clone();
    let generation = broker.metadata.generation;
    let same = before.observed_generation == generation;
    after.observed_generation = generation;
    after.endpoints =
        broker.spec.external.as_ref().and_then(|external| Target::of(external).ok()).map(|target| target.endpoints());
    // One answer that does not come is a hiccup.
    let hiccup = matches!(look, Look::Failed { trouble: Trouble::Silent(_), times } if times < SILENCE_LIMIT)
        && same
        && conditions::get(&before.conditions, types::READY).is_some();
    if !hiccup {
        let mut set = |type_: &str, verdict: Verdict| {
            let Verdict { status, reason, message } = verdict;
            conditions::set(&mut after.conditions, type_, status, reason, message, generation, now);
        };
        set(types::READY, ready(broker, look));
        // How nodes form a cluster is not ours to judge.
        match look {
            Look::Seen(seen) => {
                set(types::QUORUM_SAFE, quorum_safe(seen));
                set(types::EVENTS_HEARD, resync_only());
                if let Some(verdict) = filters(seen) {
                    set(types::FILTERS_SUPPORTED, verdict);
                }
            }
            Look::Failed { trouble, .. } => {
                let verdict = Verdict {
                    status: Status::Unknown,
                    reason: reasons::BROKER_UNREACHABLE,
                    message: "see Ready: the RabbitMQ did not say".to_owned(),
                };
                set(types::QUORUM_SAFE, verdict);
                // What it lacked when last asked, it lacks until it says otherwise (invariant I5). Of another one nothing is known.
                if !same || matches!(trouble, Trouble::NotRabbitMq) {
                    conditions::remove(&mut after.conditions, types::FILTERS_SUPPORTED);
                }
            }
            Look::Refused(_) => {}
        }
    }
    if let Look::Seen(seen) = look {
        after.version = Some(seen.version.clone());
        after.nodes = nodes(seen);
        let (running, all) = count(seen);
        after.ready_nodes = Some(format!("{running}/{all}"));
        after.failures_survived = Some((running - majority(all)).max(0));
    }
    conditions::set_paused(&mut after.conditions, false, generation, now);
    for condition in &mut after.conditions {
        condition.observed_generation = generation;
    }
    if matches!(look, Look::Seen(_)) && after != *before {
        after.observed_at = Some(Time(conditions::whole_second(now)));
    }
    after
}

fn ready(broker: &Broker, look: Look<'_>) -> Verdict {
    let secret = broker.spec.external.as_ref().map(super::secret).unwrap_or_default();
    match look {
        Look::Refused(refusal) => no(refusal.reason, refusal.message.clone()),
        Look::Failed { trouble: Trouble::Secret(problem), .. } => no(
            reasons::CREDENTIALS_REFUSED,
            format!("{problem}; external.secretRef needs a Secret of this namespace with username, password and, with https, ca.crt"),
        ),
        Look::Failed { trouble: Trouble::Credentials, .. } => no(
            reasons::CREDENTIALS_REFUSED,
            format!(
                "the RabbitMQ does not accept the username and password in the Secret {secret}, or the user may not read its nodes; correct the Secret, or give the user the tag {ADMINISTRATOR}. It is tried again within seconds"
            ),
        ),
        Look::Failed { trouble: Trouble::NotRabbitMq, .. } => no(
            reasons::NOT_RABBITMQ,
            "what answers at external.uri is not the HTTP API of a RabbitMQ; check host and port (15671 with TLS, 15672 without), and that rabbitmq_management is enabled".to_owned(),
        ),
        Look::Failed { trouble: Trouble::Silent(why), .. } => Verdict {
            status: Status::Unknown,
            reason: reasons::BROKER_UNREACHABLE,
            message: format!("the RabbitMQ at external.uri does not answer ({why}); objects are kept as last seen until it does"),
        },
        Look::Seen(seen) => seen_ready(broker, seen, secret),
    }
}

fn seen_ready(broker: &Broker, seen: &SeenExternal, secret: &str) -> Verdict {
    if !seen.tags.iter().any(|tag| tag == ADMINISTRATOR) {
        let message = format!(
            "the user in the Secret {secret} lacks the tag {ADMINISTRATOR}, without which it can make no virtual host; give it the tag, or name another user"
        );
        return no(reasons::CREDENTIALS_REFUSED, message);
    }
    let is = &seen.version;
    if seen.is_too_old() {
        let (major, minor) = OLDEST;
        return no(VERSION_MISMATCH, format!("RabbitMQ {is} runs, and Queues need {major}.{minor} or later; upgrade it"));
    }
    if let Some(wanted) = broker.spec.version.as_deref()
        && !(*is == wanted || is.starts_with(&format!("{wanted}.")))
    {
        let message = format!("spec.version is {wanted}, and RabbitMQ {is} runs; change spec.version, or upgrade the RabbitMQ");
        return no(VERSION_MISMATCH, message);
    }
    let (running, all) = count(seen);
    if running < majority(all) {
        return no(
            reasons::NODES_MISSING,
            format!("{running} of {all} nodes run; queues stand still until {} do", majority(all)),
        );
    }
    let alarms: Vec<String> = seen
        .nodes
        .iter()
        .filter(|(node, _)| !node.alarms.is_empty())
        .map(|(node, _)| format!("{}: {}", node.name, node.alarms.join(", ")))
        .collect();
    if !alarms.is_empty() {
        let message = format!("RabbitMQ stops all publishers, since resources are short ({})", alarms.join("; "));
        return no(RESOURCE_ALARM, message);
    }
    let lacking = seen.without_filters().is_some_and(|lacking| !lacking.is_empty());
    let lacks = if lacking { "; it cannot filter, see FiltersSupported" } else { "" };
    yes(format!("RabbitMQ {is} answers, {running} of {all} nodes run{lacks}"))
}

/// `None` while a node does not say: what was seen before stays.
fn filters(seen: &SeenExternal) -> Option<Verdict> {
    let without = seen.without_filters()?;
    if without.is_empty() {
        return Some(yes(format!("the plugin {FILTER_PLUGIN} is enabled on every node that runs")));
    }
    let message = format!(
        "the plugin {FILTER_PLUGIN} is not enabled on {}: Topics, Subscriptions, taps, and Clients that send are not served. Install and enable it on every node, or use a Broker that Entente runs",
        without.join(", ")
    );
    Some(no(reasons::PLUGIN_MISSING, message))
}

fn resync_only() -> Verdict {
    let message = "what others change in the RabbitMQ is seen at each resync and not at once: to hear its events, a queue would have to be made in the virtual host /, which is not Entente's";
    no(reasons::RESYNC_ONLY, message.to_owned())
}

fn quorum_safe(seen: &SeenExternal) -> Verdict {
    let (running, all) = count(seen);
    match running - majority(all) {
        spare if spare > 0 => yes(format!("{running} of {all} nodes run: {spare} more may fail")),
        _ if all == 1 => no(SINGLE_NODE, "a single node has no follower".to_owned()),
        _ => no(reasons::NODES_MISSING, format!("{running} of {all} nodes run: none more may fail")),
    }
}

fn count(seen: &SeenExternal) -> (i32, i32) {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    (count(seen.nodes.iter().filter(|(node, _)| node.running).count()), count(seen.nodes.len()))
}

/// Sorted, as the RabbitMQ names them in any order.
fn nodes(seen: &SeenExternal) -> Vec<NodeStatus> {
    let mut nodes: Vec<NodeStatus> = seen
        .nodes
        .iter()
        .map(|(node, _)| NodeStatus { name: node.name.clone(), running: node.running, alarms: node.alarms.clone() })
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

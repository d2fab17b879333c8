//! Names of broker objects in a virtual host, and whose they are.
//!
//! The name of a Queue, Topic or Subscription is a DNS label and has no dot; every name with a dot is Entente's own. So
//! no two objects can want one name, whatever they are called:
//!
//! | Object | queues | exchanges | policies |
//! | --- | --- | --- | --- |
//! | Queue `q` | `q`, `q.dead` | `queue.q` | `entente.queue.q`, `entente.closed.q` |
//! | Queue `q` with `partitions` | `part.q.0`, `part.q.1`, …, `q.dead` | `queue.q`, `part.q` | the same |
//! | Topic `t` | `topic.t.dead`, `topic.t.retained` | `topic.t`, `topic.t.dead` | `entente.topic.t`, `entente.queue.topic.t.retained` |
//! | ServiceContract `c` with version `v` and operation `o` | (`entente.check.c.o`) | `contract.c.v.o`, `contract.c.v.o.out` | |
//! | Subscription `s` of namespace `n` | `subscription.n.s`, `subscription.n.s.dead` | | `entente.queue.subscription.n.s` |
//!
//! What is in brackets is nobody's: it is made beside its object, and goes by itself.
//!
//! While the past is replayed into a Subscription's queue, there are besides the exchanges `subscription.n.s.past` and
//! `subscription.n.s.seam` and the stream `subscription.n.s.seam`, see [`crate::subscription::replay`].

/// Suffix of an own dead-letter queue.
pub const DEAD_LETTER_SUFFIX: &str = ".dead";
const PART: &str = "part.";
const RETAINED_SUFFIX: &str = ".retained";
const PAST_SUFFIX: &str = ".past";
const SEAM_SUFFIX: &str = ".seam";
const QUEUE_POLICY: &str = "entente.queue.";
const TOPIC_POLICY: &str = "entente.topic.";
/// Not a suffix of the queue's own policy: a Subscription may be called `closed`.
const CLOSING_POLICY: &str = "entente.closed.";

/// Name of the own dead-letter queue of a queue.
pub fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}{DEAD_LETTER_SUFFIX}")
}

/// Name of a queue's own policy.
pub fn queue_policy(queue: &str) -> String {
    format!("{QUEUE_POLICY}{queue}")
}

/// Name of the policy that closes a queue to new messages.
pub fn closing_policy(queue: &str) -> String {
    format!("{CLOSING_POLICY}{queue}")
}

/// Name of the exchange in front of a Queue, which copies to its taps.
pub fn front(queue: &str) -> String {
    format!("queue.{queue}")
}

/// Name of a part of a partitioned Queue. Parts are counted from 0.
///
/// The word comes first: `<queue>.part.<n>` would be the name of a Subscription's queue for a Queue `subscription`.
pub fn part(queue: &str, number: usize) -> String {
    format!("{}{number}", parts_prefix(queue))
}

/// Beginning of the names of all parts of a Queue, and of nothing else.
pub fn parts_prefix(queue: &str) -> String {
    format!("{PART}{queue}.")
}

/// The number of a part, if a queue of this name is a part of that Queue.
pub fn part_number(queue: &str, name: &str) -> Option<usize> {
    let number = name.strip_prefix(&parts_prefix(queue))?;
    number.parse().ok().filter(|parsed: &usize| parsed.to_string() == number)
}

/// Name of the exchange that spreads messages over the parts of a Queue.
pub fn hash_exchange(queue: &str) -> String {
    format!("{PART}{queue}")
}

/// Name of a Topic's exchange.
///
/// RabbitMQ's permissions are over names, whatever has them: the right to receive from a queue would also be one to bind
/// an exchange of the same name. So no exchange that somebody may use is called like a queue ([`RESERVED`]).
pub fn topic_exchange(topic: &str) -> String {
    format!("topic.{topic}")
}

/// Whether an exchange is that of a Topic.
pub fn is_topic_exchange(name: &str) -> bool {
    name.strip_prefix("topic.").is_some_and(|topic| !topic.contains('.'))
}

/// No Queue or Topic can be called so: `queue.dead` would be an exchange, and the dead letters of a Queue `queue`.
pub const RESERVED: &str = "dead";

/// Name of a Topic's own policy.
pub fn topic_policy(topic: &str) -> String {
    format!("{TOPIC_POLICY}{topic}")
}

/// Name of the queue, and of the exchange that leads to it, for messages that no Subscription of a Topic matches.
pub fn unrouted_queue(topic: &str) -> String {
    format!("topic.{topic}{DEAD_LETTER_SUFFIX}")
}

/// Name of the exchange that an operation of a contract's version is sent to.
pub fn contract_exchange(contract: &str, version: &str, operation: &str) -> String {
    format!("contract.{contract}.{version}.{operation}")
}

/// Name of the exchange that Subscriptions to an operation of a contract's version are bound to.
///
/// Not that which is sent to: a newer version leads to the older ones' outlets, and nothing leads on from there. So what
/// leads from one version to another makes no chain and no loop, whichever versions can read each other.
pub fn contract_outlet(contract: &str, version: &str, operation: &str) -> String {
    format!("{}{OUTLET_SUFFIX}", contract_exchange(contract, version, operation))
}

const OUTLET_SUFFIX: &str = ".out";

/// What an exchange of a contract is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered<'a> {
    /// The contract.
    pub contract: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The version's operation.
    pub operation: &'a str,
    /// It is the outlet, to which Subscriptions are bound, and not what is sent to.
    pub outlet: bool,
}

/// What an exchange is for, if it is a contract's.
pub fn offered(exchange: &str) -> Option<Offered<'_>> {
    let parts: Vec<&str> = exchange.split('.').collect();
    match parts[..] {
        ["contract", contract, version, operation] => Some(Offered { contract, version, operation, outlet: false }),
        ["contract", contract, version, operation, "out"] => Some(Offered { contract, version, operation, outlet: true }),
        _ => None,
    }
}

const CHECK: &str = "entente.check.";

/// Name of the queue for the sample of a contract's operation that is checked. It is nobody's: no Client may read it, and it is no use.
pub fn check_queue(contract: &str, operation: &str) -> String {
    format!("{}{operation}", check_queues(contract))
}

/// Beginning of the names of all such queues of a contract, and of nothing else.
pub fn check_queues(contract: &str) -> String {
    format!("{CHECK}{contract}.")
}

/// Whether a queue holds a sample that is checked.
pub fn is_check_queue(name: &str) -> bool {
    name.starts_with(CHECK)
}

/// Name of the stream with what a Topic has kept.
pub fn retained(topic: &str) -> String {
    format!("topic.{topic}{RETAINED_SUFFIX}")
}

/// Name of the exchange whose being there says that the past is being replayed into a Subscription's queue.
pub fn past_mark(queue: &str) -> String {
    format!("{queue}{PAST_SUFFIX}")
}

/// Name of the exchange that gives what comes to a Subscription's queue and to a stream, and of that stream.
pub fn seam(queue: &str) -> String {
    format!("{queue}{SEAM_SUFFIX}")
}

/// Whether a queue holds only copies of what has been, which are not for anybody to consume.
pub fn is_history(queue: &str) -> bool {
    let parts: Vec<&str> = queue.split('.').collect();
    matches!(parts[..], ["topic", _, "retained"]) || is_seam(queue)
}

/// Whether a queue is the ledger of a replay, which goes when the past was replayed.
pub fn is_seam(queue: &str) -> bool {
    let parts: Vec<&str> = queue.split('.').collect();
    matches!(parts[..], ["subscription", _, _, "seam"])
}

/// Name of a Subscription's queue. The namespace is in it, as several namespaces may subscribe to one Topic.
pub fn subscription_queue(namespace: &str, name: &str) -> String {
    format!("subscription.{namespace}.{name}")
}

/// A regular expression, as policies have it, that matches this name alone.
pub fn exactly(name: &str) -> String {
    format!("^{}$", name.replace('.', "\\."))
}

/// A regular expression, as policies have it, that matches every part of a Queue, those to come among them.
pub fn any_part(queue: &str) -> String {
    format!("^part\\.{queue}\\.[0-9]+$")
}

/// The AMQP 1.0 address (version 2) of a queue. Names of ours need no percent-encoding.
pub fn queue_address(queue: &str) -> String {
    format!("/queues/{queue}")
}

/// The AMQP 1.0 address (version 2) of an exchange.
pub fn exchange_address(exchange: &str) -> String {
    format!("/exchanges/{exchange}")
}

/// The object that something at the broker belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A Queue of the virtual host's namespace.
    Queue(String),
    /// A Topic of the virtual host's namespace.
    Topic(String),
    /// A ServiceContract of the virtual host's namespace.
    Contract(String),
    /// A Subscription, which may be of another namespace.
    Subscription {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Owner {
    /// Whose a queue is. Names that no object of ours can have belong to nobody.
    pub fn of_queue(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('.').collect();
        match parts[..] {
            [queue] | [queue, "dead"] => Some(Self::Queue(queue.to_owned())),
            ["part", queue, _] if part_number(queue, name).is_some() => Some(Self::Queue(queue.to_owned())),
            ["topic", topic, "dead" | "retained"] => Some(Self::Topic(topic.to_owned())),
            ["subscription", namespace, name] | ["subscription", namespace, name, "dead" | "seam"] => {
                Some(Self::Subscription { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => None,
        }
    }

    /// Whose an exchange is.
    pub fn of_exchange(name: &str) -> Option<Self> {
        if let Some(offered) = offered(name) {
            return Some(Self::Contract(offered.contract.to_owned()));
        }
        let parts: Vec<&str> = name.split('.').collect();
        match parts[..] {
            ["topic", topic] | ["topic", topic, "dead"] => Some(Self::Topic(topic.to_owned())),
            ["queue" | "part", queue] => Some(Self::Queue(queue.to_owned())),
            ["subscription", namespace, name, "past" | "seam"] => {
                Some(Self::Subscription { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => None,
        }
    }

    /// Whose a policy is.
    pub fn of_policy(name: &str) -> Option<Self> {
        if let Some(topic) = name.strip_prefix(TOPIC_POLICY) {
            return Some(Self::Topic(topic.to_owned()));
        }
        Self::of_queue(name.strip_prefix(QUEUE_POLICY).or_else(|| name.strip_prefix(CLOSING_POLICY))?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9]([-a-z0-9]{0,6}[a-z0-9])?",
            Just("dead".to_owned()),
            Just("queue".to_owned()),
            Just("topic".to_owned()),
            Just("subscription".to_owned()),
            Just("entente".to_owned()),
            Just("closed".to_owned()),
            Just("contract".to_owned()),
            Just("out".to_owned()),
            Just("part".to_owned()),
            Just("0".to_owned()),
            Just("12".to_owned()),
            Just("retained".to_owned()),
            Just("past".to_owned()),
            Just("seam".to_owned()),
        ]
    }

    fn names(owner: &Owner) -> (Vec<String>, Vec<String>, Vec<String>) {
        match owner {
            Owner::Queue(name) => {
                let queues =
                    [0, 1, 127].map(|number| part(name, number)).into_iter().chain([name.clone(), dead_letter_queue(name)]);
                (queues.collect(), vec![front(name), hash_exchange(name)], vec![queue_policy(name), closing_policy(name)])
            }
            Owner::Topic(name) => {
                let (kept, unrouted) = (retained(name), unrouted_queue(name));
                let policies = vec![topic_policy(name), queue_policy(&kept)];
                (vec![unrouted.clone(), kept], vec![topic_exchange(name), unrouted], policies)
            }
            Owner::Contract(name) => {
                let of =
                    |version, operation| [contract_exchange(name, version, operation), contract_outlet(name, version, operation)];
                (vec![], [of("v1", "placed"), of("dead", "out"), of("out", "dead")].concat(), vec![])
            }
            Owner::Subscription { namespace, name } => {
                let queue = subscription_queue(namespace, name);
                let exchanges = vec![past_mark(&queue), seam(&queue)];
                let policies = vec![queue_policy(&queue), closing_policy(&queue)];
                (vec![queue.clone(), dead_letter_queue(&queue), seam(&queue)], exchanges, policies)
            }
        }
    }

    fn owner() -> impl Strategy<Value = Owner> {
        prop_oneof![
            label().prop_map(Owner::Queue),
            label().prop_map(Owner::Topic),
            label().prop_map(Owner::Contract),
            (label(), label()).prop_map(|(namespace, name)| Owner::Subscription { namespace, name }),
        ]
    }

    proptest! {
        /// I3: whatever objects are called, each broker object has one owner.
        #[test]
        fn i3_every_name_leads_back_to_its_owner(owner in owner()) {
            let (queues, exchanges, policies) = names(&owner);
            for name in queues {
                prop_assert_eq!(Owner::of_queue(&name), Some(owner.clone()), "queue {}", name);
            }
            for name in exchanges {
                prop_assert_eq!(Owner::of_exchange(&name), Some(owner.clone()), "exchange {}", name);
            }
            for name in policies {
                prop_assert_eq!(Owner::of_policy(&name), Some(owner.clone()), "policy {}", name);
            }
        }
    }

    proptest! {
        #[test]
        fn an_exchange_of_a_contract_says_what_it_is_for(contract in label(), version in label(), operation in label()) {
            let of = |outlet| Some(Offered { contract: &contract, version: &version, operation: &operation, outlet });
            let (exchange, outlet) =
                (contract_exchange(&contract, &version, &operation), contract_outlet(&contract, &version, &operation));
            prop_assert_eq!((offered(&exchange), offered(&outlet)), (of(false), of(true)));
        }
    }

    proptest! {
        /// I3: a right to a queue is never one to an exchange, as both are one right to a name.
        #[test]
        fn i3_no_exchange_that_may_be_used_is_called_like_a_queue(queue in owner(), used in label()) {
            let reserved = |name: &str| name == RESERVED;
            prop_assume!(!reserved(&used));
            if let Owner::Queue(name) | Owner::Topic(name) = &queue {
                prop_assume!(!reserved(name));
            }
            let contract = [contract_exchange(&used, &used, &used), contract_outlet(&used, &used, &used)];
            for exchange in [front(&used), hash_exchange(&used), topic_exchange(&used)].into_iter().chain(contract) {
                prop_assert!(!names(&queue).0.contains(&exchange), "{} is both", exchange);
            }
        }
    }

    #[test]
    fn the_expression_for_parts_matches_them_and_nothing_else() {
        let expression = regex::Regex::new(&any_part("q")).unwrap();
        assert!([0, 9, 127].iter().all(|number| expression.is_match(&part("q", *number))));
        for other in ["part.q", "part.q.dead", "part.qq.1", "part.q.1.dead", "partxq.1", "q", "q.dead"] {
            assert!(!expression.is_match(other), "{other}");
        }
    }

    #[test]
    fn what_is_to_be_consumed_is_no_history() {
        assert!(is_history(&retained("t")) && is_history(&seam(&subscription_queue("n", "s"))));
        let queue = subscription_queue("n", "seam");
        for name in ["q", "q.dead", "retained", &queue, &subscription_queue("topic", "retained"), &unrouted_queue("retained")] {
            assert!(!is_history(name), "{name}");
        }
        assert!(!is_history(&dead_letter_queue(&queue)));
    }

    #[test]
    fn names_of_nobody_have_no_owner() {
        let parts = ["part.q.x", "part.q.01", "part.q.-1", "part.q.1.dead", "part.q.", "q.part.1"];
        let others =
            ["entente.dead-letters", "a.b.c", "subscription.a.b.dead.dead", "entente.events.x", "entente.check.orders.placed"];
        for name in parts.into_iter().chain(others) {
            assert_eq!(Owner::of_queue(name), None, "{name}");
        }
        assert_eq!(Owner::of_exchange("entente.dead-letters"), None);
        assert_eq!(Owner::of_policy("entente.default"), None);
    }
}

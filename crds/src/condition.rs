//! Condition types and reasons, each spelled once.
//!
//! Reasons are CamelCase and stable: people alert on them.

/// Condition types.
pub mod types {
    /// Whether the object is as declared and usable.
    pub const READY: &str = "Ready";
    /// Whether dead letters of a queue have a place (absent where they are discarded).
    pub const DEAD_LETTER_READY: &str = "DeadLetterReady";
    /// Whether each tap leads to a queue that is there (absent without taps).
    pub const TAPS_READY: &str = "TapsReady";
    /// Whether every part of a Queue gets messages (absent without partitions).
    pub const PARTITIONS_READY: &str = "PartitionsReady";
    /// Whether a contract's version that it depends on ends (absent where none does).
    pub const CONTRACT_DEPRECATED: &str = "ContractDeprecated";
    /// Whether a contract's version that it depends on is closed as a rehearsal (absent where none is announced).
    pub const CONTRACT_BROWNOUT: &str = "ContractBrownout";
    /// Whether reconciling goes on (`False` while paused).
    pub const RECONCILING: &str = "Reconciling";
    /// Whether every node of a Broker is a running member of one cluster.
    pub const CLUSTER_FORMED: &str = "ClusterFormed";
    /// Whether the Broker, or a Queue or Subscription, survives the loss of at least one more node.
    pub const QUORUM_SAFE: &str = "QuorumSafe";
    /// What planned work does or waits for (absent while there is none).
    pub const PLANNED_WORK: &str = "PlannedWork";
    /// Whether leaders are spread evenly again after a node was away (absent before that).
    pub const LEADERS_BALANCED: &str = "LeadersBalanced";
    /// Whether an external Broker has the plugin that Topics, Subscriptions and taps need.
    pub const FILTERS_SUPPORTED: &str = "FiltersSupported";
    /// Whether changes by others in an external Broker are heard at once, or only seen at a resync.
    pub const EVENTS_HEARD: &str = "EventsHeard";
}

/// Condition reasons.
pub mod reasons {
    /// The object is as declared.
    pub const READY: &str = "Ready";
    /// Work towards the declared state is under way.
    pub const PROGRESSING: &str = "Progressing";
    /// The object asks for something that its rules refuse.
    pub const INVALID: &str = "Invalid";
    /// The object asks for something that this version does not serve yet.
    pub const NOT_SUPPORTED: &str = "NotSupported";
    /// `entente.dev/paused` is `"true"`.
    pub const PAUSED: &str = "Paused";
    /// No Broker is named and none is the default.
    pub const NO_DEFAULT_BROKER: &str = "NoDefaultBroker";
    /// More than one Broker is marked as the default.
    pub const SEVERAL_DEFAULT_BROKERS: &str = "SeveralDefaultBrokers";
    /// The Broker is absent or does not grant use to this namespace: one answer for both.
    pub const BROKER_NOT_USABLE: &str = "BrokerNotUsable";
    /// Something that a Client refers to is absent or is not granted to its namespace: one answer for both.
    pub const ACCESS_NOT_GRANTED: &str = "AccessNotGranted";
    /// The Broker exists but does not serve yet.
    pub const BROKER_NOT_READY: &str = "BrokerNotReady";
    /// The broker did not answer in time.
    pub const BROKER_UNREACHABLE: &str = "BrokerUnreachable";
    /// The broker answered and refused.
    pub const BROKER_REFUSED: &str = "BrokerRefused";
    /// A virtual host or queue of that name exists and is not ours or not alike.
    pub const CONFLICT: &str = "Conflict";
    /// The namespace may not take more of the Broker: its `limits.bytes`.
    pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    /// The Queue that `deadLetter.queueRef` names is not in the broker. Dead letters wait in the queue.
    pub const DEAD_LETTER_QUEUE_MISSING: &str = "DeadLetterQueueMissing";
    /// The Queue that a tap names is not in the broker. Its copies are not made.
    pub const TAP_QUEUE_MISSING: &str = "TapQueueMissing";
    /// Further parts get messages once all parts are empty.
    pub const PARTS_NOT_EMPTY: &str = "PartsNotEmpty";
    /// The Topic is absent or does not grant use to this namespace: one answer for both.
    pub const TOPIC_NOT_USABLE: &str = "TopicNotUsable";
    /// The Topic exists but is not in the broker yet.
    pub const TOPIC_NOT_READY: &str = "TopicNotReady";
    /// The ServiceContract is absent or does not grant use to this namespace: one answer for both.
    pub const CONTRACT_NOT_USABLE: &str = "ContractNotUsable";
    /// The contract does not offer the version, or the operation in it.
    pub const VERSION_NOT_OFFERED: &str = "VersionNotOffered";
    /// The contract's version ends at a date.
    pub const VERSION_DEPRECATED: &str = "VersionDeprecated";
    /// The contract's version ended: it takes in nobody else.
    pub const VERSION_SUNSET: &str = "VersionSunset";
    /// The contract's version will be closed for a short while, as a rehearsal.
    pub const BROWNOUT_ANNOUNCED: &str = "BrownoutAnnounced";
    /// The contract's version is closed for a short while, as a rehearsal.
    pub const VERSION_BROWNOUT: &str = "VersionBrownout";
    /// The contract's version is closed, for ever.
    pub const VERSION_RETIRED: &str = "VersionRetired";
    /// A version of the contract is not in the state that was asked for, and will not be until the spec changes.
    pub const VERSION_REFUSED: &str = "VersionRefused";
    /// Deletion waits until nobody depends on the contract.
    pub const IN_USE: &str = "InUse";
    /// A Subscription begins in the past, and its Topic keeps none.
    pub const NOT_RETAINED: &str = "NotRetained";
    /// The past is being replayed into the queue of a Subscription.
    pub const REPLAYING: &str = "Replaying";
    /// Deletion waits until the queue is empty.
    pub const NOT_EMPTY: &str = "NotEmpty";
    /// Deletion is under way.
    pub const DELETING: &str = "Deleting";
    /// The operator may not read or write what it needs in this namespace.
    pub const FORBIDDEN: &str = "Forbidden";
    /// Nodes are missing or have not joined yet.
    pub const NODES_MISSING: &str = "NodesMissing";
    /// The broker's pods are starting.
    pub const STARTING: &str = "Starting";
    /// A node is restarted, or taken out to be.
    pub const RESTARTING: &str = "Restarting";
    /// All nodes run, or a majority of a queue's members, and no more may be lost.
    pub const MEMBERS_MISSING: &str = "MembersMissing";
    /// A queue has one member.
    pub const SINGLE_MEMBER: &str = "SingleMember";
    /// Fewer members of a queue run than a majority: it stands still.
    pub const QUORUM_LOST: &str = "QuorumLost";
    /// Leaders are moved away from a node.
    pub const SWITCHING_OVER: &str = "SwitchingOver";
    /// Members and leaders are spread over all nodes.
    pub const BALANCING: &str = "Balancing";
    /// A node is removed.
    pub const REMOVING: &str = "Removing";
    /// Planned work waits.
    pub const WAITING: &str = "Waiting";
    /// A node was away, and leads nothing since.
    pub const NODE_WAS_AWAY: &str = "NodeWasAway";
    /// An external Broker's Secret is missing, lacks something, or its user is not accepted or may too little.
    pub const CREDENTIALS_REFUSED: &str = "CredentialsRefused";
    /// What answers at an external Broker's URI is no RabbitMQ.
    pub const NOT_RABBITMQ: &str = "NotRabbitMQ";
    /// A plugin is not enabled on every node of an external Broker.
    pub const PLUGIN_MISSING: &str = "PluginMissing";
    /// The object needs a plugin that the external Broker lacks.
    pub const FILTERS_NOT_SUPPORTED: &str = "FiltersNotSupported";
    /// Changes by others are seen at each resync, and not at once.
    pub const RESYNC_ONLY: &str = "ResyncOnly";
}

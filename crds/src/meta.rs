//! Names that appear in object metadata, each defined once.

/// API group of every kind.
pub const GROUP: &str = "entente.dev";

/// Finalizer on objects that stand for something in a broker.
pub const FINALIZER: &str = "entente.dev/broker-objects";

/// Annotation that stops reconciling an object while its value is `"true"`.
pub const PAUSED_ANNOTATION: &str = "entente.dev/paused";

/// Annotation on a pod template: hash of the configuration the pods must run with.
pub const CONFIG_HASH_ANNOTATION: &str = "entente.dev/config-hash";

/// Label with the name of the Broker that owns a Kubernetes object.
pub const BROKER_LABEL: &str = "entente.dev/broker";

/// Value of `app.kubernetes.io/managed-by`, and the field manager of server-side apply.
pub const MANAGER: &str = "entente";

/// Annotation on a Client: a new value changes its password at once.
pub const ROTATE_ANNOTATION: &str = "entente.dev/rotate";

/// Label on a Client's Secret: the Client's name.
pub const CLIENT_LABEL: &str = "entente.dev/client";

/// Annotation on a Client's Secret: when its password was made.
pub const ROTATED_AT_ANNOTATION: &str = "entente.dev/rotated-at";

/// Annotation on a Client's Secret: the broker user of before, which still works for a while.
pub const PREVIOUS_USER_ANNOTATION: &str = "entente.dev/previous-user";

/// Annotation on a Client's Secret: digest of what we wrote, by which a change by hand is seen.
pub const CREDENTIALS_ANNOTATION: &str = "entente.dev/credentials";

/// Label on a node's pod: the client Service takes in those with `"true"`.
pub const SERVING_LABEL: &str = "entente.dev/serving";

/// Annotation on a Broker: a new value restarts its nodes one by one. On the pod template: the value they were made with.
pub const RESTART_ANNOTATION: &str = "entente.dev/restart";

/// Annotation on a Broker: name of a node's pod, and any text after a space. A new value moves leaders away from that node.
pub const SWITCHOVER_ANNOTATION: &str = "entente.dev/switchover";

/// Annotation on a ServiceContract: why it may be deleted although somebody uses it.
pub const DELETE_IN_USE_ANNOTATION: &str = "entente.dev/delete-in-use";

//! `spec.additionalConfig`: lines that users add to `rabbitmq.conf`.

use super::config;
use super::names::Identity;
use entente_crds::Broker;

/// Settings below these names are Entente's, whether it makes them for this Broker or not: others
/// would open a door that the Broker's spec says is closed, or let the operator lose its way in.
const OWNED_FAMILIES: [&str; 21] = [
    "anonymous_login_",
    "auth_backends",
    "cluster_formation",
    "default_pass",
    "default_permissions",
    "default_user",
    "definitions",
    "disk_free_limit",
    "event_exchange",
    "listeners",
    "load_definitions",
    "loopback_users",
    "management.listener",
    "management.load_definitions",
    "management.ssl",
    "management.tcp",
    "mqtt.listeners",
    "prometheus.ssl",
    "prometheus.tcp",
    "ssl_options",
    "vm_memory_high_watermark",
];

/// Further families, of the channels' plugins.
const OWNED_CHANNEL_FAMILIES: [&str; 6] =
    ["stomp.listeners", "stream.listeners", "web_mqtt.ssl", "web_mqtt.tcp", "web_stomp.ssl", "web_stomp.tcp"];

/// What is wrong with `spec.additionalConfig`, a sentence each.
pub fn problems(broker: &Broker, identity: Identity<'_>) -> Vec<String> {
    let Some(text) = &broker.spec.additional_config else { return Vec::new() };
    let own: Vec<String> =
        config::settings(broker, identity, &broker.spec.storage.size).into_iter().map(|(key, _)| key).collect();
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some(key) = key_of(line) else {
            problems.push(format!("additionalConfig, line {number}: write `key = value`, as rabbitmq.conf has it"));
            continue;
        };
        if own.iter().any(|owned| owned == key) || is_in_owned_family(key) {
            problems.push(format!(
                "additionalConfig, line {number}: {key} is set by Entente; remove the line, and use the Broker's own fields where it has one for it"
            ));
        }
    }
    problems
}

/// The settings that `spec.additionalConfig` names.
pub fn keys(broker: &Broker) -> Vec<&str> {
    let lines = broker.spec.additional_config.as_deref().unwrap_or_default().lines().map(str::trim);
    lines.filter(|line| !line.starts_with('#')).filter_map(key_of).collect()
}

fn key_of(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let sound = |c: char| c.is_ascii_alphanumeric() || "_.-/$".contains(c);
    (!key.is_empty() && key.chars().all(sound) && !value.trim().is_empty()).then_some(key)
}

/// A family is a whole name or a name up to a dot; one that ends in `_` is a mere beginning.
fn is_in_owned_family(key: &str) -> bool {
    OWNED_FAMILIES.iter().chain(&OWNED_CHANNEL_FAMILIES).any(|family| {
        key.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_', 's']) || family.ends_with('_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::names::identity;
    use crate::cluster::testing::broker;

    fn check(text: &str) -> Vec<String> {
        let main = broker("main", "messaging", |spec| spec.additional_config = Some(text.to_owned()));
        problems(&main, identity(&main).unwrap())
    }

    #[test]
    fn ordinary_settings_are_taken() {
        let text =
            "# a comment\n\nheartbeat = 10\nmanagement.path_prefix = /mq\nlog.connection.level = error\nconsumer_timeout=1\n";
        assert_eq!(check(text), Vec::<String>::new());
        assert!(problems(&broker("main", "messaging", |_| {}), identity(&broker("main", "m", |_| {})).unwrap()).is_empty());
    }

    #[test]
    fn what_entente_sets_is_refused_by_line() {
        for key in [
            "listeners.tcp.9 ",
            "listeners.tcp",
            "ssl_options.verify",
            "default_user",
            "default_users.eve.password",
            "default_user_tags.administrator",
            "loopback_users.guest",
            "load_definitions",
            "definitions.https.url",
            "cluster_name",
            "cluster_formation.peer_discovery_backend",
            "vm_memory_high_watermark.relative",
            "disk_free_limit.relative",
            "auth_backends.1",
            "anonymous_login_pass",
            "web_mqtt.tcp.port",
            "management.tcp.ip",
        ] {
            let problems = check(&format!("heartbeat = 10\n{key} = x"));
            assert_eq!(problems.len(), 1, "{key}: {problems:?}");
            assert!(problems[0].contains("line 2") && problems[0].contains(key.trim()), "{problems:?}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for line in ["include /etc/passwd", "heartbeat", "= 3", "heartbeat =", "[{rabbit, []}].", "a b = c"] {
            assert_eq!(check(line).len(), 1, "{line}");
        }
    }
}

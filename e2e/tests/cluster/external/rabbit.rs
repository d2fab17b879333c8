//! A RabbitMQ that is nobody's Broker: the image's RabbitMQ with RabbitMQ's own settings, and of plugins the management alone.

use anyhow::{Context, Result};
use entente_e2e::broker::BrokerAccess;
use entente_e2e::scene::Scene;
use entente_e2e::wait::{holds, seconds};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const NAME: &str = "rabbit";
/// As its owner would configure it: nothing of the image's own settings is read.
const START: &str = r#"mkdir -p /tmp/rabbitmq
printf '[%s].' "$PLUGINS" >/tmp/rabbitmq/enabled_plugins
printf 'loopback_users = none\ndefault_user = %s\ndefault_pass = %s\n' "$OWNER" "$OWNERS_PASSWORD" >/tmp/rabbitmq/rabbitmq.conf
export HOME=/tmp/rabbitmq RABBITMQ_CONF_ENV_FILE=/tmp/rabbitmq/none RABBITMQ_CONFIG_FILES=/tmp/rabbitmq/none.d
export RABBITMQ_CONFIG_FILE=/tmp/rabbitmq/rabbitmq.conf RABBITMQ_ENABLED_PLUGINS_FILE=/tmp/rabbitmq/enabled_plugins
export RABBITMQ_MNESIA_BASE=/var/lib/rabbitmq/mnesia RABBITMQ_LOGS=- RABBITMQ_PLUGINS_EXPAND_DIR=/tmp/rabbitmq/plugins
exec rabbitmq-server"#;

/// One node, its Service, and who owns it.
pub struct Rabbit {
    pub username: String,
    pub password: String,
    namespace: String,
    address: String,
}

fn sets(scene: &Scene) -> Api<StatefulSet> {
    Api::namespaced(scene.cluster.client.clone(), &scene.namespace)
}

fn plugins(more: &[&str]) -> String {
    [&["rabbitmq_management"][..], more].concat().join(",")
}

impl Rabbit {
    /// Starts it in the test's namespace.
    pub async fn start(scene: &Scene) -> Result<Self> {
        let (namespace, create) = (&scene.namespace, PostParams::default());
        let (username, password) = ("owner".to_owned(), format!("pw-{namespace}"));
        let secret: Secret = serde_json::from_value(json!({"metadata": {"name": NAME}, "stringData": {"password": password}}))?;
        scene.cluster.secrets(namespace).create(&create, &secret).await?;
        let ports = json!([{"name": "amqp", "port": 5672}, {"name": "http", "port": 15672}]);
        let spec = json!({"selector": {"app": NAME}, "ports": ports});
        let service: Service = serde_json::from_value(json!({"metadata": {"name": NAME}, "spec": spec}))?;
        let service = scene.cluster.services(namespace).create(&create, &service).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?;
        let environment = json!([
            {"name": "PLUGINS", "value": plugins(&[])},
            {"name": "OWNER", "value": username},
            {"name": "OWNERS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": NAME, "key": "password"}}},
        ]);
        let container = json!({
            "name": NAME, "image": "localhost/entente-broker:dev", "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-ec", START], "env": environment,
            "readinessProbe": {"tcpSocket": {"port": 15672}, "periodSeconds": 1},
            "volumeMounts": [{"name": "data", "mountPath": "/var/lib/rabbitmq"}, {"name": "tmp", "mountPath": "/tmp"}],
        });
        let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        let set: StatefulSet = serde_json::from_value(json!({
            "metadata": {"name": NAME},
            "spec": {
                "replicas": 1, "serviceName": NAME, "selector": {"matchLabels": {"app": NAME}},
                "volumeClaimTemplates": [claim],
                "template": {
                    "metadata": {"labels": {"app": NAME}},
                    "spec": {
                        "containers": [container], "terminationGracePeriodSeconds": 20,
                        "securityContext": {"fsGroup": 999, "runAsUser": 999},
                        "volumes": [{"name": "tmp", "emptyDir": {}}],
                    },
                },
            },
        }))?;
        sets(scene).create(&create, &set).await?;
        let rabbit = Self { username, password, namespace: namespace.clone(), address };
        rabbit.is_up(scene).await?;
        Ok(rabbit)
    }

    async fn is_up(&self, scene: &Scene) -> Result<()> {
        let broker = self.access()?;
        let ready = async || {
            let ready = sets(scene).get(NAME).await?.status.and_then(|status| status.ready_replicas) == Some(1);
            Ok(ready && broker.get("overview").await?.is_some())
        };
        holds("the RabbitMQ runs", seconds(120), ready).await.map(drop)
    }

    /// As its owner.
    pub fn access(&self) -> Result<BrokerAccess> {
        BrokerAccess::plain(&self.address, &self.username, &self.password)
    }

    /// Of its HTTP API, within the cluster.
    pub fn uri(&self) -> String {
        format!("http://{NAME}.{}.svc.cluster.local:15672", self.namespace)
    }

    /// Where clients connect, within the cluster.
    pub fn amqp_uri(&self) -> String {
        format!("amqp://{NAME}.{}.svc.cluster.local:5672", self.namespace)
    }

    /// What its owner has there besides.
    pub async fn furnish(&self, broker: &BrokerAccess) -> Result<()> {
        broker.put("vhosts/theirs", json!({"tags": "production"})).await?;
        for host in ["theirs", "%2F"] {
            broker.put(&format!("queues/{host}/stock"), json!({"durable": true})).await?;
            broker.put(&format!("policies/{host}/bound"), json!({"pattern": ".*", "definition": {"max-length": 9}})).await?;
        }
        broker.put("users/clerk", json!({"password": "x", "tags": "monitoring"})).await
    }

    /// All of that, as it is now.
    pub async fn belongings(&self, broker: &BrokerAccess) -> Result<Value> {
        let mut all = serde_json::Map::new();
        for path in ["definitions/theirs", "definitions/%2F", "users/clerk", "users/owner", "vhosts"] {
            let mut found = broker.get(path).await?.with_context(|| format!("{path} is gone"))?;
            if let Some(hosts) = found.as_array_mut() {
                hosts.retain(|host| host["name"] != self.namespace.as_str());
                hosts.sort_by_key(|host| host["name"].to_string());
                // What they are, and not what flows in them.
                for host in hosts.iter_mut() {
                    *host = json!({"name": host["name"], "metadata": host["metadata"]});
                }
            }
            all.insert(path.to_owned(), found);
        }
        Ok(Value::Object(all))
    }

    /// Stops the node; its disk stays.
    pub async fn stop(&self, scene: &Scene) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"replicas": 0}}));
        sets(scene).patch(NAME, &PatchParams::default(), &patch).await?;
        let pods = scene.cluster.pods(&self.namespace);
        let gone = async || Ok(pods.get_opt(&format!("{NAME}-0")).await?.is_none());
        holds("the RabbitMQ is down", seconds(60), gone).await.map(drop)
    }

    /// Starts it again, with more plugins.
    pub async fn resume(&self, scene: &Scene, more: &[&str]) -> Result<()> {
        let container = json!({"name": NAME, "env": [{"name": "PLUGINS", "value": plugins(more)}]});
        let patch = Patch::Strategic(json!({"spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}}}));
        sets(scene).patch(NAME, &PatchParams::default(), &patch).await?;
        self.is_up(scene).await
    }
}

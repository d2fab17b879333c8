//! The way to a RabbitMQ that Entente does not run, and what it says of itself.
//!
//! Security: address and Secret are the choice of whoever may write the Broker. The Secret is one of the Broker's own namespace
//! and none that Entente made; the address never leads to the operator's own machine (see `Target` and
//! [`RabbitMq::elsewhere`](entente_broker::rabbitmq::RabbitMq::elsewhere)); and until a RabbitMQ was seen there, no word of what answers gets into a status.

use entente_broker::admin::{AdminError, BrokerAdmin};
use entente_broker::rabbitmq::Endpoint;
use entente_core::cluster::external::{SeenExternal, Target, Trouble};
use entente_core::cluster::names;
use entente_core::cluster::observation::SeenNode;
use entente_crds::Broker;
use entente_crds::broker::External;
use futures::try_join;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};

use super::link::LinkError;
use super::registry::{Access, Links, NoLink};

/// Reads the Secret and makes of it and of the addresses what is needed to connect.
pub async fn access(client: &Client, broker: &Broker, declared: &External) -> Result<Access, NoLink> {
    let name = &declared.secret_ref.name;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &broker.namespace().unwrap_or_default());
    let secret = secrets.get_opt(name).await.map_err(NoLink::Api)?.ok_or_else(|| NoLink::NoCredentials(name.clone()))?;
    of(&secret, declared).map_err(|problem| NoLink::BadCredentials(name.clone(), problem))
}

fn of(secret: &Secret, declared: &External) -> Result<Access, String> {
    let Target { management, amqp } = Target::of(declared)?;
    // The Secrets of Brokers and Clients are in the same namespace. Whoever may write a Broker could otherwise have what
    // they hold sent to an address of theirs.
    let ours =
        |owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference| owner.api_version.starts_with("entente.dev/");
    if secret.owner_references().iter().any(ours) {
        return Err("it was made by Entente for something else; make one of your own".to_owned());
    }
    let data = secret.data.as_ref();
    let text = |key: &str| {
        let value = data.and_then(|data| data.get(key)).and_then(|value| String::from_utf8(value.0.clone()).ok());
        value.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty())
    };
    let needed = |key: &str| text(key).ok_or_else(|| format!("{key} is missing, empty or not text"));
    let ca = text(names::AUTHORITY_KEY);
    if management.tls && ca.is_none() {
        return Err(format!(
            "{} is missing: external.uri is https, and no authority is trusted by default",
            names::AUTHORITY_KEY
        ));
    }
    let endpoint = Endpoint {
        uri: declared.uri.trim_end_matches('/').to_owned(),
        username: needed(names::USERNAME_KEY)?,
        password: needed(names::PASSWORD_KEY)?,
        ca_pem: ca.map(String::into_bytes),
        address: None,
    };
    Ok(Access { endpoint, host: amqp.host, amqp_port: amqp.port, amqp_tls: amqp.tls, external: true })
}

/// Asks it. What changed in the Secret is taken up first.
pub async fn probe(links: &Links, broker: &Broker) -> Result<SeenExternal, Trouble> {
    let secret = broker.spec.external.as_ref().map(|external| external.secret_ref.name.clone()).unwrap_or_default();
    let no_link = |error: NoLink| match error {
        NoLink::NoCredentials(name) => Trouble::Secret(format!("the Secret {name} does not exist")),
        NoLink::BadCredentials(name, problem) => Trouble::Secret(format!("the Secret {name} cannot be used: {problem}")),
        NoLink::Api(error) => Trouble::Silent(format!("the Secret {secret} cannot be read: {error}")),
    };
    links.renew(broker).await.map_err(no_link)?;
    let link = links.get(broker).await.map_err(no_link)?;
    // First what every RabbitMQ answers: whether it is one.
    let overview = link.read(BrokerAdmin::overview).await.map_err(|error| trouble(&error))?;
    let (nodes, tags) =
        try_join!(link.read(BrokerAdmin::nodes), link.read(BrokerAdmin::own_tags)).map_err(|error| trouble(&error))?;
    let nodes = nodes
        .into_iter()
        .map(|entente_broker::admin::Node { name, running, alarms, plugins }| (SeenNode { name, running, alarms }, plugins))
        .collect();
    Ok(SeenExternal { version: overview.version, exchange_types: overview.exchange_types, nodes, tags })
}

fn trouble(error: &LinkError) -> Trouble {
    match error {
        LinkError::Admin(AdminError::Unauthorized) => Trouble::Credentials,
        LinkError::Admin(AdminError::NotFound(_) | AdminError::Refused { .. } | AdminError::Unintelligible(_)) => {
            Trouble::NotRabbitMq
        }
        LinkError::Admin(AdminError::Failed { status, .. }) => Trouble::Silent(format!("its answer has the status {status}")),
        LinkError::Admin(error @ (AdminError::Unreachable(_) | AdminError::TimedOut(_))) => Trouble::Silent(error.to_string()),
        // Not asked this time.
        LinkError::HeldBack | LinkError::NotOurs(_) => Trouble::Silent(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use entente_crds::queue::LocalRef;
    use serde_json::json;

    use super::*;

    fn declared(uri: &str) -> External {
        External { uri: uri.into(), secret_ref: LocalRef { name: "s".into() }, amqp_uri: None }
    }

    fn secret(data: &[(&str, &str)]) -> Secret {
        let strings: serde_json::Map<String, serde_json::Value> = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(k8s_openapi::ByteString(value.as_bytes().to_vec()))))
            .collect();
        serde_json::from_value(json!({"metadata": {"name": "s"}, "data": strings})).unwrap()
    }

    #[test]
    fn a_secret_has_all_that_is_needed_or_says_what_is_missing() {
        let plain = declared("http://rabbit.example:15672");
        let whole = of(&secret(&[("username", "u"), ("password", "p\n")]), &plain).unwrap();
        assert_eq!((whole.endpoint.username.as_str(), whole.endpoint.password.as_str()), ("u", "p"));
        assert_eq!((whole.host.as_str(), whole.amqp_port, whole.amqp_tls), ("rabbit.example", 5672, false));
        assert!(of(&secret(&[("username", "u")]), &plain).unwrap_err().contains("password"));
        let secure = declared("https://rabbit.example:15671");
        let both = [("username", "u"), ("password", "p")];
        assert!(of(&secret(&both), &secure).unwrap_err().contains("ca.crt"));
        assert!(of(&secret(&[&both[..], &[("ca.crt", "PEM")]].concat()), &secure).unwrap().amqp_tls);
    }

    /// I8: the operator is nobody's courier for credentials that it made itself.
    #[test]
    fn i8_a_secret_of_ours_is_not_sent_elsewhere() {
        let mut taken = secret(&[("username", "u"), ("password", "p")]);
        taken.metadata.owner_references = Some(vec![
            serde_json::from_value(json!({"apiVersion": "entente.dev/v1alpha1", "kind": "Broker", "name": "main", "uid": "x"}))
                .unwrap(),
        ]);
        assert!(of(&taken, &declared("http://rabbit.example")).unwrap_err().contains("made by Entente"));
    }

    #[test]
    fn nothing_of_an_answer_is_repeated_before_it_is_known_to_be_a_rabbitmq() {
        for error in [
            AdminError::Refused { status: 400, reason: "sesame".into() },
            AdminError::Failed { status: 500, reason: "sesame".into() },
            AdminError::Unintelligible("sesame".into()),
            AdminError::NotFound("sesame".into()),
        ] {
            assert!(!format!("{:?}", trouble(&LinkError::Admin(error.clone()))).contains("sesame"), "{error}");
        }
    }
}

//! Each action of a plan as a request.

use entente_core::topology::model::{Binding, DestinationKind, ExchangeDeclaration, Policy, QueueDeclaration, VirtualHost};
use entente_core::topology::plan::Action;
use serde_json::json;

use super::answers;
use super::http::{Http, NO_SUCH_HOST, Path, path};
use crate::admin::AdminError;

pub async fn execute(http: &Http, host: &str, action: &Action) -> Result<(), AdminError> {
    match action {
        Action::CreateVirtualHost(VirtualHost { name, description, tags }) => {
            let body = json!({"description": description, "tags": tags.join(","), "default_queue_type": "quorum"});
            http.put(&path(&["vhosts", name])?, &body).await
        }
        Action::DeleteVirtualHost => match http.delete(&path(&["vhosts", host])?).await {
            // A node that has not heard yet that it is gone fails instead of saying so.
            Err(AdminError::Failed { reason, .. }) if reason.contains(NO_SUCH_HOST) => Ok(()),
            result => result,
        },
        Action::SetLimit { name, value: Some(value) } => {
            http.put(&path(&["vhost-limits", host, name])?, &json!({"value": value})).await
        }
        Action::SetLimit { name, value: None } => http.delete(&path(&["vhost-limits", host, name])?).await,
        Action::PutPolicy(Policy { name, pattern, apply_to, priority, definition }) => {
            let body = json!({"pattern": pattern, "apply-to": apply_to, "priority": priority, "definition": definition});
            http.put(&path(&["policies", host, name])?, &body).await
        }
        Action::DeletePolicy { name } => http.delete(&path(&["policies", host, name])?).await,
        Action::DeclareExchange(ExchangeDeclaration { name, kind, arguments }) => {
            let body = json!({"type": kind, "durable": true, "arguments": arguments});
            http.put(&path(&["exchanges", host, name])?, &body).await
        }
        Action::DeclareQueue(QueueDeclaration { name, kind, arguments }) => {
            let mut arguments = arguments.clone();
            arguments.insert("x-queue-type".to_owned(), json!(kind.as_str()));
            http.put(&path(&["queues", host, name])?, &json!({"durable": true, "arguments": arguments})).await
        }
        Action::DeleteQueue { name } => http.delete(&path(&["queues", host, name])?).await,
        Action::DeleteExchange { name } => http.delete(&path(&["exchanges", host, name])?).await,
        Action::Bind(binding) => {
            let body = json!({"routing_key": binding.routing_key, "arguments": binding.arguments});
            http.post(&bindings(host, binding)?, &body).await
        }
        Action::Unbind(binding) => unbind(http, host, binding).await,
    }
}

async fn unbind(http: &Http, host: &str, binding: &Binding) -> Result<(), AdminError> {
    let Binding { routing_key, arguments, .. } = binding;
    let mut keys = Vec::new();
    if arguments.is_empty() {
        // A binding without arguments has its routing key as its properties key, and "~" stands for an empty one.
        keys.push(if routing_key.is_empty() { "~".to_owned() } else { routing_key.clone() });
    } else {
        // One with arguments has a key that the broker makes of them; it must be asked for.
        let found: Vec<answers::Binding> = match http.get(&bindings(host, binding)?).await {
            Err(AdminError::NotFound(_)) => Vec::new(),
            answer => answer?,
        };
        let alike = |(found, key): (Binding, String)| (found == *binding).then_some(key);
        keys.extend(found.into_iter().filter_map(answers::Binding::with_key).filter_map(alike));
    }
    for key in keys {
        http.delete(&path(&[&ends(host, binding)[..], &[key.as_str()]].concat())?).await?;
    }
    Ok(())
}

fn bindings(host: &str, binding: &Binding) -> Result<Path, AdminError> {
    path(&ends(host, binding))
}

/// Where the HTTP API has the bindings between the two ends of one.
fn ends<'a>(host: &'a str, binding: &'a Binding) -> [&'a str; 6] {
    let Binding { source, destination, destination_kind, routing_key: _, arguments: _ } = binding;
    let kind = match destination_kind {
        DestinationKind::Queue => "q",
        DestinationKind::Exchange => "e",
    };
    ["bindings", host, "e", source, kind, destination]
}

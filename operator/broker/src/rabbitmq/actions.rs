//! Each action of a plan as a request.

use entente_core::topology::model::{Binding, ExchangeDeclaration, Policy, QueueDeclaration, VirtualHost};
use entente_core::topology::plan::Action;
use serde_json::json;

use super::http::{Http, Path, path};
use crate::admin::AdminError;

pub async fn execute(http: &Http, host: &str, action: &Action) -> Result<(), AdminError> {
    match action {
        Action::CreateVirtualHost(VirtualHost { name, description, tags }) => {
            let body = json!({"description": description, "tags": tags.join(","), "default_queue_type": "quorum"});
            http.put(&path(&["vhosts", name])?, &body).await
        }
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
        Action::Bind(binding) => http.post(&bindings(host, binding)?, &json!({"routing_key": binding.routing_key})).await,
        Action::Unbind(binding) => {
            let Binding { source, destination, routing_key } = binding;
            // A binding without arguments has its routing key as its properties key, and "~" stands for an empty one.
            let key = if routing_key.is_empty() { "~" } else { routing_key };
            http.delete(&path(&["bindings", host, "e", source, "q", destination, key])?).await
        }
    }
}

fn bindings(host: &str, binding: &Binding) -> Result<Path, AdminError> {
    path(&["bindings", host, "e", &binding.source, "q", &binding.destination])
}

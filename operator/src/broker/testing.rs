//! An API server in memory, as far as the Broker controller needs one: objects by path, server-side
//! apply and merge patches, evictions, and a list of what was written.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// The server. Clones are the same server.
#[derive(Clone, Default)]
pub struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    version: u64,
    refusals: BTreeMap<String, (u16, String)>,
}

impl FakeApi {
    /// A client of this server.
    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        Client::new(service, "default")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Stores an object as somebody else would.
    pub fn put(&self, path: &str, mut object: Value) {
        let mut state = self.state();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}", state.version));
        }
        state.objects.insert(path.to_owned(), object);
    }

    /// What is stored.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// Changes what is stored, as somebody else would.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        change(self.state().objects.get_mut(path).unwrap());
    }

    /// Removes an object.
    pub fn remove(&self, path: &str) {
        self.state().objects.remove(path);
    }

    /// Requests that write to paths ending so are refused.
    pub fn refuse(&self, suffix: &str, code: u16, message: &str) {
        self.state().refusals.insert(suffix.to_owned(), (code, message.to_owned()));
    }

    /// Allows them again.
    pub fn allow(&self, suffix: &str) {
        self.state().refusals.remove(suffix);
    }

    /// `METHOD path` of every write since the last call.
    pub fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state().writes)
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let apply = request.headers().get("content-type").is_some_and(|kind| kind == "application/apply-patch+yaml");
        let bytes = request.into_body().collect_bytes().await.unwrap();
        let body: Value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        let mut state = self.state();
        if method == Method::GET {
            return state.read(&path, &query);
        }
        state.writes.push(format!("{method} {path}"));
        let refusal = state.refusals.iter().find(|(suffix, _)| path.ends_with(*suffix)).map(|(_, refusal)| refusal.clone());
        if let Some((code, message)) = refusal {
            return failure(code, &message);
        }
        match method {
            Method::POST if path.ends_with("/eviction") => {
                state.objects.remove(path.trim_end_matches("/eviction"));
                respond(201, &json!({"kind": "Status", "status": "Success"}))
            }
            Method::POST => {
                let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
                if state.objects.contains_key(&path) {
                    return failure(409, "already exists");
                }
                state.store(&path, body)
            }
            Method::PATCH => state.patch(path.trim_end_matches("/status"), body, apply),
            other => failure(405, other.as_str()),
        }
    }
}

impl State {
    fn read(&self, path: &str, _query: &str) -> Response<Body> {
        if let Some(object) = self.objects.get(path) {
            return respond(200, object);
        }
        // A plural at the end asks for the list.
        if path.ends_with("/pods") || path.ends_with("/persistentvolumeclaims") {
            let prefix = format!("{path}/");
            let items: Vec<&Value> = self
                .objects
                .range(prefix.clone()..)
                .take_while(|(key, _)| key.starts_with(&prefix))
                .map(|(_, object)| object)
                .collect();
            return respond(200, &json!({"metadata": {}, "items": items}));
        }
        failure(404, "not found")
    }

    fn patch(&mut self, path: &str, mut body: Value, apply: bool) -> Response<Body> {
        let mut object = match self.objects.get(path) {
            Some(object) => object.clone(),
            None if apply => json!({}),
            None => return failure(404, "not found"),
        };
        for field in ["uid", "resourceVersion"] {
            if let Some(wanted) =
                body.get_mut("metadata").and_then(Value::as_object_mut).and_then(|metadata| metadata.remove(field))
                && !wanted.is_null()
                && object["metadata"][field] != wanted
            {
                return failure(409, "precondition failed");
            }
        }
        merge(&mut object, body);
        self.store(path, object)
    }

    fn store(&mut self, path: &str, mut object: Value) -> Response<Body> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        self.objects.insert(path.to_owned(), object.clone());
        respond(200, &object)
    }
}

/// A merge patch; lists are replaced, which is near enough to server-side apply here.
fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(fields) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in fields {
                if value.is_null() {
                    target.as_object_mut().unwrap().remove(&key);
                } else {
                    merge(&mut target[&key], value);
                }
            }
        }
        other => *target = other,
    }
}

fn respond(code: u16, body: &Value) -> Response<Body> {
    Response::builder().status(code).body(Body::from(serde_json::to_vec(body).unwrap())).unwrap()
}

fn failure(code: u16, message: &str) -> Response<Body> {
    let reason = if code == 404 { "NotFound" } else { "Test" };
    respond(code, &json!({"kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason}))
}

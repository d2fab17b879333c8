//! Documents of ServiceContracts over HTTP, beside health and metrics. Off unless it is asked for: whoever reaches the port reads the
//! contracts of every namespace.
//!
//! `/contracts/<namespace>/<name>/<document>` and `/contracts/<namespace>/<name>/versions/<version>/<document>`, with `asyncapi.json`,
//! `xregistry.json` and `README.md`. A version that ends says so in the headers `Deprecation`, `Sunset` and `Link`; one that is
//! retired is gone (410).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use entente_core::contract::documents::{DocumentError, Offer, asyncapi, headers, markdown, xregistry};
use entente_core::contract::kept::{Kept, places};
use entente_core::object::check_name;
use entente_crds::ServiceContract;
use entente_crds::service_contract::VersionState;
use tokio::sync::Semaphore;

use crate::admission::Lookup;
use crate::schemas::kept;

/// Documents that are made at once.
const AT_ONCE: usize = 4;

#[derive(Clone)]
struct Shelf {
    lookup: Arc<dyn Lookup>,
    room: Arc<Semaphore>,
}

/// The routes.
pub fn routes(lookup: Arc<dyn Lookup>) -> Router {
    let shelf = Shelf { lookup, room: Arc::new(Semaphore::new(AT_ONCE)) };
    Router::new()
        .route("/contracts/{namespace}/{name}/{document}", get(whole))
        .route("/contracts/{namespace}/{name}/versions/{version}/{document}", get(one))
        .with_state(shelf)
}

async fn whole(State(shelf): State<Shelf>, Path((namespace, name, document)): Path<(String, String, String)>) -> Response {
    answer(&shelf, &namespace, &name, None, &document).await
}

async fn one(
    State(shelf): State<Shelf>,
    Path((namespace, name, version, document)): Path<(String, String, String, String)>,
) -> Response {
    answer(&shelf, &namespace, &name, Some(&version), &document).await
}

async fn answer(shelf: &Shelf, namespace: &str, name: &str, version: Option<&str>, document: &str) -> Response {
    let mut problems = Vec::new();
    check_name("", namespace, &mut problems);
    check_name("", name, &mut problems);
    if !problems.is_empty() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Ok(_room) = shelf.room.try_acquire() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let Some(contract) = shelf.lookup.contract(namespace, name).await else { return StatusCode::NOT_FOUND.into_response() };
    let kept = kept(shelf.lookup.as_ref(), namespace, places(&contract.spec.versions)).await;
    let (version, document) = (version.map(str::to_owned), document.to_owned());
    let made = tokio::task::spawn_blocking(move || made(&contract, &kept, version.as_deref(), &document)).await;
    made.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn made(contract: &ServiceContract, kept: &Kept, version: Option<&str>, document: &str) -> Response {
    let unread = |error: DocumentError| (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response();
    let offer = match Offer::read(contract, kept) {
        Ok(offer) => offer,
        Err(error) => return unread(error),
    };
    let offer = match version {
        None => offer,
        Some(version) => match offer.only(version) {
            Some(offer) => offer,
            None => return StatusCode::NOT_FOUND.into_response(),
        },
    };
    if version.is_some() && offer.versions.iter().any(|offered| offered.state == VersionState::Retired) {
        return StatusCode::GONE.into_response();
    }
    let mut said = HeaderMap::new();
    if version.is_some()
        && let Some(offered) = offer.versions.first()
    {
        let (namespace, name) = (contract.metadata.namespace.as_deref().unwrap_or_default(), &offer.name);
        let place = |successor: &String| format!("/contracts/{namespace}/{name}/versions/{successor}/{document}");
        let successor = offered.version.successor.as_ref().map(place);
        for (name, value) in headers(offered, successor.as_deref()) {
            if let Ok(value) = HeaderValue::try_from(value) {
                said.insert(HeaderName::from_static(name), value);
            }
        }
    }
    let (content_type, text) = match document {
        "asyncapi.json" => {
            ("application/vnd.aai.asyncapi+json;version=3.0.0", asyncapi::document(&offer).map(|json| json.to_string()))
        }
        "xregistry.json" => ("application/json", xregistry::document(&offer).map(|json| json.to_string())),
        "README.md" => ("text/markdown; charset=utf-8", Ok(markdown::document(&offer))),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    match text {
        Ok(text) => (said, [(CONTENT_TYPE, content_type)], text).into_response(),
        Err(error) => unread(error),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::schemas::{ConfigMaps, Unread};

    struct One(ServiceContract);

    #[async_trait]
    impl ConfigMaps for One {
        async fn config_map(&self, _: &str, _: &str) -> Result<Option<ConfigMap>, Unread> {
            Err(Unread)
        }
    }

    #[async_trait]
    impl Lookup for One {
        async fn namespace(&self, _: &str) -> Option<Namespace> {
            None
        }
        async fn contract(&self, namespace: &str, name: &str) -> Option<ServiceContract> {
            ((namespace, name) == ("shop", "orders")).then(|| self.0.clone())
        }
    }

    fn contract() -> ServiceContract {
        let version = |name: &str, state: &str| {
            json!({"name": name, "desiredState": state, "sunsetAt": "2027-01-01T00:00:00Z", "successor": "v2", "reason": "x",
                "messages": [{"operation": "placed", "format": "JsonSchema", "schema": "{}"}]})
        };
        let deprecated = json!({"name": "v1", "state": "Deprecated", "since": "2026-01-01T00:00:00Z", "watchedAt": "2026-01-01T00:00:00Z",
            "deprecatedAt": "2026-01-01T00:00:00Z", "sunsetAt": "2027-01-01T00:00:00Z"});
        serde_json::from_value(json!({
            "apiVersion": "entente.dev/v1alpha1", "kind": "ServiceContract", "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {"owner": "team", "operations": [{"name": "placed", "action": "Send"}],
                "versions": [version("v0", "Retired"), version("v1", "Deprecated"), version("v2", "Active")]},
            "status": {"versions": [deprecated]},
        }))
        .unwrap()
    }

    async fn got(path: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = routes(Arc::new(One(contract()))).oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_version_that_ends_says_so_in_its_headers() {
        let (status, headers, text) = got("/contracts/shop/orders/versions/v1/asyncapi.json").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["deprecation"], "@1767225600");
        assert_eq!(headers["sunset"], "Fri, 01 Jan 2027 00:00:00 GMT");
        assert_eq!(headers["link"], "</contracts/shop/orders/versions/v2/asyncapi.json>; rel=\"successor-version\"");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["asyncapi"], "3.0.0");
        let (status, headers, _) = got("/contracts/shop/orders/versions/v2/asyncapi.json").await;
        assert!(status == StatusCode::OK && !headers.contains_key("sunset") && !headers.contains_key("deprecation"));
        assert_eq!(got("/contracts/shop/orders/versions/v0/asyncapi.json").await.0, StatusCode::GONE);
    }

    #[tokio::test]
    async fn each_document_has_its_type() {
        for (document, content_type) in [
            ("asyncapi.json", "application/vnd.aai.asyncapi+json;version=3.0.0"),
            ("xregistry.json", "application/json"),
            ("README.md", "text/markdown; charset=utf-8"),
        ] {
            let (status, headers, text) = got(&format!("/contracts/shop/orders/{document}")).await;
            assert!(status == StatusCode::OK && text.len() > 100, "{document}");
            assert_eq!(headers[CONTENT_TYPE], content_type);
        }
        for path in [
            "/contracts/shop/orders/x",
            "/contracts/shop/none/README.md",
            "/contracts/shop/orders/versions/v9/README.md",
            "/contracts/..%2F/orders/README.md",
        ] {
            assert_eq!(got(path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}

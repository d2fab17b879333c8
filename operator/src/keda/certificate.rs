//! The certificate that KEDA is shown. The Secret is the chart's, so that it goes with the release; its content is the operator's.

use std::time::Duration;

use kube::Client;

use crate::admission::Names;
use crate::admission::listener::Shown;
use crate::admission::secret::{self, Pairs};

const EVERY: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(5);
const TITLE: &str = "Entente for KEDA";

/// Keeps the Secret as it should be and shows what it holds, for as long as it is polled. What cannot be read or written leaves the last
/// certificate in place; it is told once.
pub async fn keep(client: Client, names: Names, shown: Shown) {
    let (mut last, mut told) = (None, String::new());
    loop {
        let outcome = match tokio::time::timeout(CALL, ensure(&client, &names)).await {
            Ok(Ok(pairs)) if last.as_ref() == Some(&pairs) => Ok(()),
            Ok(Ok(pairs)) => shown.set(&pairs.serving).map(|()| last = Some(pairs)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow::anyhow!("no answer from the API server")),
        };
        let text = outcome.err().map(|error| format!("{error:#}")).unwrap_or_default();
        if !text.is_empty() && text != told {
            tracing::warn!(error = text, name = names.name, "the certificate for KEDA is not kept");
        }
        told = text;
        tokio::time::sleep(EVERY).await;
    }
}

async fn ensure(client: &Client, names: &Names) -> anyhow::Result<Pairs> {
    let (pairs, why) = secret::ensure(client, names, TITLE).await?;
    if let Some(why) = why {
        tracing::info!(name = names.name, why, "certificate for KEDA issued");
    }
    Ok(pairs)
}

//! Where to connect to: by a binding, or from environment and files.

use std::{env, fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use entente_broker::amqp::{ConnectOptions, Error, OptionsSource, ReconnectPolicy, Tls, address};
use url::Url;

use crate::{args::Common, binding::Binding};

/// What is needed to find the broker again and again.
pub struct Target {
    pub source: OptionsSource,
    pub address: String,
    pub policy: ReconnectPolicy,
}

/// What is done at the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Send,
    Receive,
}

/// Reads what there is once, so that wrong use is told at once.
pub fn resolve(common: &Common, direction: Direction) -> Result<Target> {
    let binding = common.binding.clone().map(Binding::new);
    let address = match (&common.address, &common.queue, &binding) {
        (Some(address), _, _) => address.clone(),
        (None, Some(queue), _) => address::queue(queue),
        (None, None, Some(binding)) => binding.address(common.entry.as_deref(), direction)?,
        (None, None, None) => bail!("give --binding, --queue or --address"),
    };
    let settings = Settings {
        variable: |name: &str| env::var(name).ok().filter(|value| !value.is_empty()),
        vhost: common.vhost.clone(),
        ca_file: common.ca_file.clone(),
    };
    let read = move || binding.as_ref().map_or_else(|| settings.options(), Binding::options);
    let options = read()?;
    tracing::info!(
        host = options.host, port = options.port, tls = options.tls.is_some(),
        vhost = options.virtual_host, user = options.username, %address, "target"
    );
    // One name for all connections of this process, so that they are found in the broker's list.
    let container_id = options.container_id;
    let source: OptionsSource = Arc::new(move || {
        let mut options = read().map_err(|e| Error::Invalid(format!("{e:#}")))?;
        options.container_id.clone_from(&container_id);
        Ok(options)
    });
    // A demonstration waits less patiently than a service would.
    let policy = ReconnectPolicy {
        max: Duration::from_secs(2),
        give_up_refused_after: Some(common.give_up_after),
        ..ReconnectPolicy::default()
    };
    Ok(Target { source, address, policy })
}

struct Settings<F> {
    variable: F,
    vhost: Option<String>,
    ca_file: Option<PathBuf>,
}

impl<F: Fn(&str) -> Option<String>> Settings<F> {
    fn options(&self) -> Result<ConnectOptions> {
        let uri = (self.variable)("ENTENTE_AMQP_URI")
            .ok_or_else(|| anyhow!("set ENTENTE_AMQP_URI, for instance amqps://my-broker:5671, or give --binding"))?;
        // The URI holds a password; it must not be part of the message.
        let uri = Url::parse(&uri).map_err(|e| anyhow!("ENTENTE_AMQP_URI is no URI: {e}"))?;
        let secure = match uri.scheme() {
            "amqps" => true,
            "amqp" => false,
            other => bail!("ENTENTE_AMQP_URI must begin with amqps:// or amqp://, not {other}://"),
        };
        let host = uri.host_str().filter(|host| !host.is_empty()).context("there is no host in ENTENTE_AMQP_URI")?;
        // Brackets are the URI's way to write an IPv6 address.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port().unwrap_or(if secure { 5671 } else { 5672 });

        let username = self.credential("ENTENTE_USERNAME", decoded(uri.username())?)?;
        let password = self.credential("ENTENTE_PASSWORD", decoded(uri.password().unwrap_or_default())?)?;
        let mut options = ConnectOptions::new(host.clone(), port, username, password);
        options.virtual_host = match &self.vhost {
            Some(vhost) => vhost.clone(),
            None => decoded(uri.path().trim_start_matches('/'))?.unwrap_or_else(|| "/".to_owned()),
        };
        if secure {
            let file = self.ca_file.as_ref().context("amqps needs --ca-file or ENTENTE_CA_FILE, the broker's CA as PEM")?;
            let pem = fs::read(file).with_context(|| format!("cannot read the CA file {}", file.display()))?;
            options.tls = Some(Tls::from_ca_pem(&pem, &host)?);
        }
        Ok(options)
    }

    /// A file goes before a variable, a variable before the URI.
    fn credential(&self, name: &str, in_uri: Option<String>) -> Result<String> {
        let file_variable = format!("{name}_FILE");
        if let Some(file) = (self.variable)(&file_variable) {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}, named by {file_variable}"))?;
            return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        (self.variable)(name)
            .or(in_uri)
            .with_context(|| format!("set {name} or {file_variable}, or put it into ENTENTE_AMQP_URI"))
    }
}

/// Text from a URI, `None` if empty.
fn decoded(text: &str) -> Result<Option<String>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push(high * 16 + low),
            _ => bail!("a % in ENTENTE_AMQP_URI is not followed by two hexadecimal digits"),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("ENTENTE_AMQP_URI is not UTF-8 once decoded"))?;
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn options(variables: &[(&str, &str)], vhost: Option<&str>) -> Result<ConnectOptions> {
        let variables: HashMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings { variable: move |name: &str| variables.get(name).cloned(), vhost: vhost.map(str::to_owned), ca_file: None }
            .options()
    }

    #[test]
    fn everything_in_the_uri() {
        let options = options(&[("ENTENTE_AMQP_URI", "amqp://me:p%40ss%2F@b.svc:1234/team%2Fa")], None).unwrap();
        assert_eq!((options.host.as_str(), options.port), ("b.svc", 1234));
        assert_eq!((options.username.as_str(), options.password.as_str()), ("me", "p@ss/"));
        assert_eq!(options.virtual_host, "team/a");
    }

    #[test]
    fn defaults() {
        let options = options(&[("ENTENTE_AMQP_URI", "amqp://me:x@[::1]")], None).unwrap();
        assert_eq!((options.host.as_str(), options.port, options.virtual_host.as_str()), ("::1", 5672, "/"));
        assert!(options.tls.is_none());
    }

    #[test]
    fn variables_go_before_the_uri_and_files_before_variables() {
        let file = env::temp_dir().join(format!("entente-apps-test-{}", std::process::id()));
        fs::write(&file, "from file\n").unwrap();
        let options = options(
            &[
                ("ENTENTE_AMQP_URI", "amqp://u:p@b/x"),
                ("ENTENTE_USERNAME", "from variable"),
                ("ENTENTE_PASSWORD", "from variable"),
                ("ENTENTE_PASSWORD_FILE", file.to_str().unwrap()),
            ],
            Some("team"),
        );
        fs::remove_file(&file).unwrap();
        let options = options.unwrap();
        assert_eq!((options.username.as_str(), options.password.as_str()), ("from variable", "from file"));
        assert_eq!(options.virtual_host, "team");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (uri, word) in [
            ("", "ENTENTE_AMQP_URI"),
            ("http://u:p@b", "amqps://"),
            ("amqp://b", "ENTENTE_USERNAME"),
            ("amqp://u@b", "ENTENTE_PASSWORD"),
            ("amqps://u:p@b", "ENTENTE_CA_FILE"),
            ("amqp://u:%zz@b", "hexadecimal"),
        ] {
            let variables = if uri.is_empty() { vec![] } else { vec![("ENTENTE_AMQP_URI", uri)] };
            let error = format!("{:#}", options(&variables, None).unwrap_err());
            assert!(error.contains(word), "{uri}: {error}");
        }
    }

    #[test]
    fn no_message_shows_the_password() {
        for uri in ["amqp://u:s3cret@", "amqp://u:s3cret@b:x", "s3cret", "amqps://u:s3cret@b"] {
            let error = format!("{:?}", options(&[("ENTENTE_AMQP_URI", uri)], None).unwrap_err());
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}

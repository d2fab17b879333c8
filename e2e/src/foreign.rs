//! Programs over the clients of others (`e2e/clients`), as a workload would run them: they know a directory with the files of
//! a Secret, and nothing else.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Secret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A program ends itself after 30 s, and says what it waits for.
const LIMIT: Duration = Duration::from_secs(45);

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// AMQP 1.0 in JavaScript.
    Rhea,
    /// AMQP 1.0 in Python, over Proton-C.
    Proton,
    /// MQTT 5 in JavaScript.
    Mqtt,
    /// KEDA's questions, over gRPC in JavaScript.
    Keda,
}

/// Where the clients are installed.
#[derive(Clone, Debug)]
pub struct Clients(PathBuf);

impl Clients {
    /// Installs them, or finds them installed.
    pub async fn installed() -> Result<Self> {
        let script = sources().join("install.sh");
        let output = Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await;
        let output = output.with_context(|| script.display().to_string())?;
        if !output.status.success() {
            bail!("{} failed; what it says is above", script.display());
        }
        Ok(Self(PathBuf::from(String::from_utf8(output.stdout)?.trim())))
    }

    /// Runs a program. `input` goes to its standard input; the JSON that it prints is returned.
    pub async fn run<T: DeserializeOwned>(
        &self,
        program: Program,
        binding: &Binding,
        arguments: &[&str],
        input: Option<&Value>,
    ) -> Result<T> {
        let what = || format!("{program:?} {}", arguments.join(" "));
        let (interpreter, source) = match program {
            Program::Rhea => (PathBuf::from("node"), "rhea_client.js"),
            Program::Proton => (self.0.join("python/bin/python"), "proton_client.py"),
            Program::Mqtt => (PathBuf::from("node"), "mqtt_client.js"),
            Program::Keda => (PathBuf::from("node"), "keda_client.js"),
        };
        let mut child = Command::new(interpreter)
            .arg(sources().join(source))
            .args(arguments)
            .env("NODE_PATH", self.0.join("node_modules"))
            .env("BINDING", &binding.directory)
            .env("CONNECT_TO", &binding.address)
            .env("MQTT_PORT", "8883")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(what)?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        if let Some(input) = input {
            // One that ends early says why on its standard error.
            let _ = stdin.write_all(input.to_string().as_bytes()).await;
        }
        drop(stdin);
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.with_context(what)??;
        if !output.status.success() {
            bail!("{}: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("{} printed no JSON", what()))
    }
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// A Secret as a workload has it: a directory, a file for each key. It goes with the value.
#[derive(Debug)]
pub struct Binding {
    directory: PathBuf,
    /// Where the Secret's host leads: the tests run beside the cluster and have no cluster DNS.
    address: String,
}

impl Binding {
    /// Writes the files, for this user alone.
    pub fn mount(secret: &Secret, address: String) -> Result<Self> {
        let files = secret.data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
        Self::of(files, address)
    }

    /// The same of other files.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>, address: String) -> Result<Self> {
        let unique = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        let directory = std::env::temp_dir().join(format!("entente-binding-{}-{unique}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let binding = Self { directory, address };
        for (name, content) in files {
            fs::write(binding.directory.join(name), content)?;
        }
        Ok(binding)
    }

    /// The text of a file.
    pub fn field(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.directory.join(name)).with_context(|| format!("the Secret has no {name}"))
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        // What is left behind is in the directory for temporary files, and readable by nobody else.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

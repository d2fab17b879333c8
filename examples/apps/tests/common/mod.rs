//! Runs the program.

use std::{
    io::Read,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The program with an empty environment.
pub fn apps(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entente-apps"));
    command.env_clear().args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What the program left behind.
pub struct Ended {
    pub code: Option<i32>,
    /// The last line, which is JSON unless the use was wrong.
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// A number from the last line.
    pub fn number(&self, name: &str) -> u64 {
        let json: serde_json::Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {:?}\n{}", self.stdout, self.stderr));
        json[name].as_u64().unwrap_or_else(|| panic!("no {name}: {json}"))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Waits for the program; if it does not end in time it is killed and the test fails.
pub fn wait(mut child: Child, limit: Duration) -> Ended {
    let deadline = Instant::now() + limit;
    let mut stderr = child.stderr.take().expect("piped");
    // Read aside, so that a full pipe does not stop the program.
    let log = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        text
    });
    while child.try_wait().expect("wait").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("did not end within {limit:?}: {}", String::from_utf8_lossy(&log.join().unwrap_or_default()));
        }
        thread::sleep(Duration::from_millis(20));
    }
    let mut output = child.wait_with_output().expect("output");
    output.stderr = log.join().unwrap_or_default();
    output.into()
}

/// Runs the program to its end.
pub fn run(arguments: &[&str], environment: &[(&str, &str)], limit: Duration) -> Ended {
    wait(apps(arguments, environment).spawn().expect("start"), limit)
}

/// As Kubernetes ends a pod.
pub fn terminate(child: &Child) {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

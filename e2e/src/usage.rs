//! What processes on this machine take, by the kernel's word. All nodes of the test cluster run on it.

use std::fs;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;

use crate::chaos::machine::processes;

/// The kernel counts processor time in hundredths of a second, on every architecture we run on.
const TICKS: f64 = 100.0;
/// The kernel cuts the names of processes.
const LONGEST_NAME: usize = 15;

/// Processor time and memory of some processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds of processor time since they started.
    pub cpu_seconds: f64,
    /// Resident memory in MiB.
    pub resident_mib: f64,
}

impl Usage {
    /// The processes of this name in these pods. A pod without one is an error.
    pub fn of(pods: &[Pod], name: &str) -> Result<Self> {
        let name = name.get(..LONGEST_NAME).unwrap_or(name);
        let mut sum = Self::default();
        for pod in pods {
            let found = processes(pod.metadata.uid.as_deref().unwrap_or_default(), name)?;
            ensure!(!found.is_empty(), "{:?} runs no {name} on this machine", pod.metadata.name);
            for process in found {
                let Self { cpu_seconds, resident_mib } = Self::read(process)?;
                sum.cpu_seconds += cpu_seconds;
                sum.resident_mib += resident_mib;
            }
        }
        Ok(sum)
    }

    fn read(process: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            fs::read_to_string(&path).with_context(|| path)
        };
        let cpu_seconds = cpu_seconds(&read("stat")?).context("a stat of an unknown form")?;
        let resident_mib = resident_mib(&read("status")?).context("a status of an unknown form")?;
        Ok(Self { cpu_seconds, resident_mib })
    }

    /// Seconds of processor time since an earlier look.
    pub fn cpu_seconds_since(self, earlier: Self) -> f64 {
        self.cpu_seconds - earlier.cpu_seconds
    }
}

/// User and system time: fields 14 and 15. The second is the name, which may hold anything, in parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

fn resident_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_read() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 9 0 1000 1000000 500 18446744073709551615";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("42 (x) S 1"), None);
        assert_eq!(resident_mib("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"), Some(2.0));
        assert_eq!(resident_mib("Name:\tx\n"), None);
    }

    #[test]
    fn this_very_process_takes_something() {
        let usage = Usage::read(std::process::id()).unwrap();
        assert!(usage.resident_mib > 0.5, "{usage:?}");
    }
}

//! What can happen to the disk of one node.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::DeleteParams;

use super::machine::{evaluate, signal};
use super::redundancy::{self, BrokerNode};
use crate::cluster::{Cluster, SYSTEM};
use crate::wait::holds;

/// More than any disk has free.
const DISK_IS_FULL: &str = "rabbit_disk_monitor:set_disk_free_limit(1000000000000000).";
const DISK_AS_CONFIGURED: &str =
    "{ok, Limit} = application:get_env(rabbit, disk_free_limit), rabbit_disk_monitor:set_disk_free_limit(Limit).";
/// Group of processes whose writes are slow.
const SLOW: &str = "entente-chaos";
/// Writes to the device in a second. Without a limit, one takes one or two milliseconds.
const SLOW_WRITES: u32 = 4;
/// How long a node whose log is damaged may take to run again by itself: it fails twice, and then joins with an empty disk.
const COMES_BACK: Duration = Duration::from_mins(3);
/// In a volume: when the node gave its data up last, which it does once a day.
const GIVEN_UP: &str = "entente-given-up";
/// Bytes that are damaged, or that are missing at the end.
const DAMAGED: usize = 64;

/// The node says that its disk is full.
pub async fn is_full(pod: &str) -> Result<()> {
    evaluate(pod, DISK_IS_FULL).await.map(drop)
}

/// It no longer does.
pub async fn has_room(pod: &str) -> Result<()> {
    evaluate(pod, DISK_AS_CONFIGURED).await.map(drop)
}

fn claims(cluster: &Cluster) -> Api<PersistentVolumeClaim> {
    Api::namespaced(cluster.client.clone(), SYSTEM)
}

fn claim(pod: &str) -> String {
    format!("data-{pod}")
}

/// The claim goes with the pod that uses it, and the StatefulSet makes both anew.
pub async fn lose(cluster: &Cluster, victim: &BrokerNode) -> Result<()> {
    claims(cluster).delete(&claim(&victim.pod), &DeleteParams::default()).await?;
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.pods(SYSTEM).delete(&victim.pod, &at_once).await?;
    Ok(())
}

/// The folder of this machine that is the node's volume.
async fn folder(cluster: &Cluster, pod: &str) -> Result<PathBuf> {
    let claim = claims(cluster).get(&claim(pod)).await?;
    let name = claim.spec.and_then(|spec| spec.volume_name).with_context(|| format!("{pod} has no volume"))?;
    let volumes: Api<PersistentVolume> = Api::all(cluster.client.clone());
    let spec = volumes.get(&name).await?.spec.unwrap_or_default();
    let path = spec.local.map(|local| local.path).or(spec.host_path.map(|host| host.path));
    let path = PathBuf::from(path.with_context(|| format!("{name} is no folder"))?);
    ensure!(path.is_dir(), "{} is not on this machine", path.display());
    Ok(path)
}

/// Lets these processes write to the volume's device a few times a second only: control group `blkio` (version 1). What is written
/// through the page cache waits in `fdatasync`, which RabbitMQ's log calls before it says that a message is there.
pub async fn slow_down(cluster: &Cluster, victim: &BrokerNode, processes: &[u32]) -> Result<()> {
    let device = device(&folder(cluster, &victim.pod).await?)?;
    for process in processes {
        let group = group(*process)?.join(SLOW);
        fs::create_dir_all(&group).with_context(|| group.display().to_string())?;
        put(&group.join("blkio.throttle.write_iops_device"), &format!("{device} {SLOW_WRITES}"))?;
        put(&group.join("cgroup.procs"), &process.to_string())?;
    }
    Ok(())
}

/// Undoes that. Nothing to do for processes that are not slow.
pub fn speed_up(processes: &[u32]) -> Result<()> {
    for process in processes {
        let group = group(*process)?;
        if let (true, Some(parent)) = (group.ends_with(SLOW), group.parent()) {
            put(&parent.join("cgroup.procs"), &process.to_string())?;
            // Another one may still be in it.
            let _ = fs::remove_dir(&group);
        }
    }
    Ok(())
}

fn put(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{}: {text}", file.display()))
}

/// The control group of a process.
fn group(process: u32) -> Result<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup"))?;
    let path = blkio(&groups).context("this machine has no control group blkio (version 1): disks cannot be made slow")?;
    Ok(Path::new("/sys/fs/cgroup/blkio").join(path.trim_start_matches('/')))
}

fn blkio(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|controller| controller == "blkio").then_some(path)
    })
}

/// The disk that a folder is on, as `major:minor`; of a partition, the whole.
fn device(folder: &Path) -> Result<String> {
    let (major, minor) = numbers(fs::metadata(folder)?.dev());
    let known = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    ensure!(known.exists(), "{}: {major}:{minor} is no disk", folder.display());
    let disk = if known.join("partition").exists() { fs::canonicalize(known)?.join("../dev") } else { known.join("dev") };
    Ok(fs::read_to_string(disk)?.trim_end().to_owned())
}

fn numbers(device: u64) -> (u64, u64) {
    ((device >> 8) & 0xfff | (device >> 32) & !0xfff, device & 0xff | (device >> 12) & 0xffff_ff00)
}

/// What is done to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Bits are turned over in the middle.
    Flip,
    /// The end is missing.
    Torn,
}

impl Damage {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Flip, Self::Torn];

    /// As it is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flip => "flip",
            Self::Torn => "torn",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|damage| damage.name() == name).with_context(|| format!("there is no damage {name}"))
    }

    fn inflict(self, file: &Path) -> Result<()> {
        let log = OpenOptions::new().read(true).write(true).open(file).with_context(|| file.display().to_string())?;
        let length = log.metadata()?.len();
        ensure!(length > 4 * DAMAGED as u64, "{} has only {length} bytes", file.display());
        match self {
            Self::Flip => {
                let mut bytes = [0; DAMAGED];
                log.read_exact_at(&mut bytes, length / 2)?;
                log.write_all_at(&bytes.map(|byte| !byte), length / 2)?;
            }
            Self::Torn => log.set_len(length - DAMAGED as u64)?,
        }
        Ok(log.sync_all()?)
    }
}

/// Kills a node and damages the newest write-ahead log of its quorum queues before it starts again. It is stopped first: what it has not
/// written by then, it never will. Rounds stand for failures that are days apart.
pub async fn corrupt(cluster: &Cluster, victim: &BrokerNode, processes: &[u32], damage: Damage) -> Result<()> {
    let volume = folder(cluster, &victim.pod).await?;
    match fs::remove_file(volume.join(GIVEN_UP)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context("the last failure cannot be forgotten"),
        _ => {}
    }
    let log = newest_log(&volume)?;
    signal("STOP", processes).await?;
    let damaged = damage.inflict(&log);
    signal("KILL", processes).await?;
    damaged
}

fn newest_log(volume: &Path) -> Result<PathBuf> {
    let mut folders = vec![volume.join("mnesia")];
    // mnesia/NODE/quorum/NODE/NUMBER.wal
    for name in ["rabbit@", "quorum", "rabbit@"] {
        folders = folders.iter().flat_map(|folder| entries(folder)).filter(|path| path.is_dir() && called(path, name)).collect();
    }
    let logs = folders.iter().flat_map(|folder| entries(folder)).filter(|path| path.extension().is_some_and(|end| end == "wal"));
    logs.max().with_context(|| format!("{} has no write-ahead log", volume.display()))
}

fn called(path: &Path, begin: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(begin))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

/// Waits until a node runs again, by itself.
pub async fn back(cluster: &Cluster, victim: &BrokerNode) -> Result<()> {
    holds(&format!("{} runs again", victim.pod), COMES_BACK, async || {
        let node = redundancy::nodes(cluster).await?.into_iter().find(|node| node.uid == victim.uid);
        let again = node.is_some_and(|node| node.restarts > victim.restarts);
        Ok(again && redundancy::is_ready(cluster, &victim.pod).await?)
    })
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_that_limits_disks_is_found_among_others() {
        assert_eq!(blkio("9:name=systemd:/\n7:blkio:/pods/a\n0::/x\n"), Some("/pods/a"));
        assert_eq!(blkio("3:cpu,blkio:/\n"), Some("/"));
        assert_eq!(blkio("0::/x\n"), None);
    }

    #[test]
    fn a_device_has_two_numbers() {
        assert_eq!(numbers(0xfe00), (254, 0));
        assert_eq!(numbers(0x0010_0801), (8, 257));
    }

    #[test]
    fn a_log_is_damaged_in_the_middle_or_at_its_end_and_the_newest_is_taken() {
        let volume = std::env::temp_dir().join(format!("entente-damage-{}", std::process::id()));
        let logs = volume.join("mnesia/rabbit@a/quorum/rabbit@a");
        fs::create_dir_all(&logs).unwrap();
        let whole: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        for log in ["0000000000000001.wal", "0000000000000002.wal", "x.segment"] {
            fs::write(logs.join(log), &whole).unwrap();
        }
        let log = newest_log(&volume).unwrap();
        assert!(log.ends_with("0000000000000002.wal"));
        Damage::Torn.inflict(&log).unwrap();
        assert_eq!(fs::read(&log).unwrap(), whole[..936]);
        Damage::Flip.inflict(&log).unwrap();
        let damaged = fs::read(&log).unwrap();
        let differ: Vec<usize> = (0..936).filter(|at| damaged[*at] != whole[*at]).collect();
        assert_eq!((differ.first(), differ.len()), (Some(&468), 64));
        fs::write(&log, "short").unwrap();
        assert!(Damage::Flip.inflict(&log).is_err());
        fs::remove_dir_all(&volume).unwrap();
    }
}

//! Kinds of failure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::clock::OFFSETS;
use super::disk::Damage;
use super::fault::Fault;
use super::redundancy::BrokerNode;
use crate::chance::Chance;
use crate::wait::seconds;

/// How long a process stands still, in seconds.
const STOPS: [u64; 4] = [1, 5, 30, 60];

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nemesis {
    /// SIGKILL to RabbitMQ's process.
    Kill,
    /// SIGKILL to two of three at once: nobody has a majority until one is back.
    KillTwo,
    /// SIGKILL to all nodes at once.
    KillAll,
    /// The node says that its disk is full, for 5 to 15 s: RabbitMQ then takes no messages anywhere.
    DiskAlarm,
    /// The node's disk is slow for 10 to 20 s.
    SlowDisk,
    /// The process is killed, and its log is damaged before it starts again.
    CorruptDisk,
    /// The pod dies at once and its volume with it: the node comes back with an empty disk.
    DiskLoss,
    /// The pod is deleted, with its grace period.
    PodDelete,
    /// RabbitMQ's process is stopped for 1, 5, 30 or 60 s, and goes on.
    Stop,
    /// The Kubernetes node is cut off for 10 to 20 s; everything on it runs on.
    Partition,
    /// For 10 to 20 s nothing leaves the Kubernetes node, or nothing arrives at it; the other direction works.
    PartitionOneWay,
    /// Everything on the Kubernetes node dies, kubelet included; it starts again after 10 to 20 s.
    NodeKill,
    /// `Stop` with no operator before and meanwhile: what Kubernetes' own readiness gives, to compare with.
    StopPlain,
    /// `NodeKill` likewise.
    NodeKillPlain,
    /// SIGKILL, with the API server down before and for 10 s after.
    ApiServer,
    /// SIGKILL, with no operator before and for 10 s after.
    Operator,
    /// SIGKILL, with the operator cut off from all of the Broker's nodes before and for 10 s after.
    OperatorCut,
    /// A switchover is asked for: planned work, no failure.
    Switchover,
    /// A rolling restart is asked for, of all nodes.
    Rolling,
    /// The same, and the operator that leads is killed 1 to 20 s after it was asked for.
    RollingOperator,
    /// `kubectl drain` of the Kubernetes node, which is given back 5 s after it is empty.
    Drain,
    /// The node is killed and comes back with a clock that is wrong by up to a day, which is set right after 20 to 30 s.
    ClockSkew,
    /// The Broker gets five nodes, and then three again.
    Scale,
    /// The same, and the operator that leads is killed 1 to 20 s after each.
    ScaleOperator,
}

impl Nemesis {
    /// Every one.
    pub const ALL: [Self; 24] = [
        Self::Kill,
        Self::KillTwo,
        Self::KillAll,
        Self::DiskAlarm,
        Self::SlowDisk,
        Self::CorruptDisk,
        Self::DiskLoss,
        Self::PodDelete,
        Self::Stop,
        Self::Partition,
        Self::PartitionOneWay,
        Self::NodeKill,
        Self::StopPlain,
        Self::NodeKillPlain,
        Self::ApiServer,
        Self::Operator,
        Self::OperatorCut,
        Self::Switchover,
        Self::Rolling,
        Self::RollingOperator,
        Self::Drain,
        Self::ClockSkew,
        Self::Scale,
        Self::ScaleOperator,
    ];

    /// As it is written in tables and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillTwo => "kill-two",
            Self::KillAll => "kill-all",
            Self::DiskAlarm => "disk-alarm",
            Self::SlowDisk => "slow-disk",
            Self::CorruptDisk => "corrupt-disk",
            Self::DiskLoss => "disk-loss",
            Self::PodDelete => "pod-delete",
            Self::Stop => "stop",
            Self::Partition => "partition",
            Self::PartitionOneWay => "partition-one-way",
            Self::NodeKill => "node-kill",
            Self::StopPlain => "stop-plain",
            Self::NodeKillPlain => "node-kill-plain",
            Self::ApiServer => "apiserver",
            Self::Operator => "operator",
            Self::OperatorCut => "operator-cut",
            Self::Switchover => "switchover",
            Self::Rolling => "rolling",
            Self::RollingOperator => "rolling-operator",
            Self::Drain => "drain",
            Self::ClockSkew => "clock-skew",
            Self::Scale => "scale",
            Self::ScaleOperator => "scale-operator",
        }
    }

    /// Whether it can strike this node. The first Kubernetes node is the machine itself, clients and the cluster's DNS included.
    pub fn can_strike(self, node: &BrokerNode) -> bool {
        let whole_machine =
            matches!(self, Self::Partition | Self::PartitionOneWay | Self::NodeKill | Self::NodeKillPlain | Self::Drain);
        !whole_machine || node.machine != "node0"
    }

    /// Whether there is no operator before and meanwhile.
    pub fn is_without_operator(self) -> bool {
        matches!(self, Self::Operator | Self::StopPlain | Self::NodeKillPlain)
    }

    /// Plans a failure: its length, and where there are several ways also the way, are the seed's choice.
    pub fn plan(self, victim: BrokerNode, chance: &mut Chance) -> Result<Fault> {
        let lasts = match self {
            Self::Kill
            | Self::KillTwo
            | Self::KillAll
            | Self::CorruptDisk
            | Self::DiskLoss
            | Self::PodDelete
            | Self::Switchover
            | Self::Rolling
            | Self::Scale => Duration::ZERO,
            Self::DiskAlarm => Duration::from_millis(5_000 + chance.below(10_000)),
            Self::RollingOperator | Self::ScaleOperator => Duration::from_millis(1_000 + chance.below(19_000)),
            Self::Stop | Self::StopPlain => seconds(*STOPS.get(chance.index(STOPS.len())?).context("a length")?),
            Self::SlowDisk | Self::Partition | Self::PartitionOneWay | Self::NodeKill | Self::NodeKillPlain => {
                Duration::from_millis(10_000 + chance.below(10_000))
            }
            Self::ApiServer | Self::Operator | Self::OperatorCut => seconds(10),
            Self::Drain => seconds(5),
            Self::ClockSkew => Duration::from_millis(20_000 + chance.below(10_000)),
        };
        let way = match self {
            Self::PartitionOneWay => *["mute", "deafen"].get(chance.index(2)?).context("two directions")?,
            Self::ClockSkew => *OFFSETS.get(chance.index(OFFSETS.len())?).context("an offset")?,
            Self::CorruptDisk => Damage::ALL.get(chance.index(Damage::ALL.len())?).context("a kind of damage")?.name(),
            _ => "",
        };
        Ok(Fault { nemesis: self, victim, lasts, way })
    }
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Nemesis {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|nemesis| nemesis.name() == text) {
            Some(nemesis) => Ok(nemesis),
            None => bail!("there is no nemesis {text}; there are {}", Self::ALL.map(Self::name).join(", ")),
        }
    }
}

/// One failure, or two at once, of different nodes: `kill+partition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nemeses(Vec<Nemesis>);

impl Nemeses {
    /// The first strikes the node that leads.
    pub fn all(&self) -> &[Nemesis] {
        &self.0
    }
}

impl From<Nemesis> for Nemeses {
    fn from(nemesis: Nemesis) -> Self {
        Self(vec![nemesis])
    }
}

impl fmt::Display for Nemeses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|nemesis| nemesis.name()).collect();
        f.write_str(&names.join("+"))
    }
}

impl FromStr for Nemeses {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = text.split('+').map(str::parse).collect::<Result<Vec<_>>>()?;
        ensure!(all.len() <= 2, "{text}: two at once are the most");
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(machine: &str) -> BrokerNode {
        BrokerNode { pod: "main-broker-0".into(), uid: "u".into(), machine: machine.into(), restarts: 0 }
    }

    #[test]
    fn the_machine_that_clients_are_on_is_not_cut_off() {
        for nemesis in Nemesis::ALL {
            assert!(nemesis.can_strike(&node("node1")));
            let needs_another =
                ["partition", "partition-one-way", "node-kill", "node-kill-plain", "drain"].contains(&nemesis.name());
            assert_eq!(nemesis.can_strike(&node("node0")), !needs_another);
        }
    }

    #[test]
    fn every_failure_is_bounded_and_repeated_by_its_seed() {
        for nemesis in Nemesis::ALL {
            assert_eq!(nemesis.name().parse::<Nemesis>().unwrap(), nemesis);
            let choices = || {
                let mut chance = Chance::of(7);
                let plan = |_| nemesis.plan(node("node1"), &mut chance).unwrap();
                (0..20).map(plan).map(|fault| (fault.lasts, fault.way)).collect::<Vec<_>>()
            };
            assert_eq!(choices(), choices());
            assert!(choices().iter().all(|(lasts, _)| *lasts <= seconds(60)));
        }
    }

    #[test]
    fn two_at_once_are_written_with_a_plus() {
        let pair: Nemeses = "kill+partition".parse().unwrap();
        assert_eq!(pair.all(), [Nemesis::Kill, Nemesis::Partition]);
        assert_eq!(pair.to_string(), "kill+partition");
        assert!("kill+".parse::<Nemeses>().is_err() && "kill+kill+kill".parse::<Nemeses>().is_err());
    }
}

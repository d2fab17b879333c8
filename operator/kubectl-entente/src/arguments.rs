//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use entente_core::contract::{Direction, Format, Policy};

/// Checks contracts and filters of Entente, without a cluster.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-entente",
    bin_name = "kubectl entente",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Contracts: schemas of messages, and whether versions honour each other.
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Filters of Subscriptions.
    #[command(subcommand)]
    Filter(FilterCommand),
}

#[derive(Debug, Subcommand)]
pub enum ContractCommand {
    /// Compares two versions of a schema, or of a directory of schemas.
    Check(Check),
    /// Writes a document of a ServiceContract: AsyncAPI, xRegistry, or a page to read.
    Document(Document),
}

#[derive(Debug, Subcommand)]
pub enum FilterCommand {
    /// Says whether a filter is valid, and whether a message passes it.
    Test(Test),
}

const CHECK_HELP: &str = "\
Exit codes:
  0  compatible
  1  incompatible, or compatibility cannot be proven
  2  the input cannot be used: no such file, no schema, a wrong command line

Directions:
  An owner that sends events must stay readable for readers of the old version: forward.
  An owner that receives must go on accepting what senders of the old version send: backward.

Examples:
  kubectl entente contract check v1/order.json v2/order.json --direction backward
  kubectl entente contract check contracts/v1 contracts/v2 --direction forward -o json
  kubectl entente contract check order-v1.txt order-v2.txt --format json-schema --policy strict

  # In CI, the published contracts against those of this change:
  git worktree add /tmp/published main
  kubectl entente contract check /tmp/published/contracts contracts --direction forward";

#[derive(Debug, Args)]
#[command(after_help = CHECK_HELP)]
pub struct Check {
    /// The old version: a file, or a directory whose files are paired by relative path.
    pub old: PathBuf,
    /// The new version: a file or a directory, as OLD is.
    pub new: PathBuf,
    /// Who has to understand whom.
    #[arg(long, value_enum, default_value = "full")]
    pub direction: DirectionName,
    /// What is taken for granted of writers and readers.
    #[arg(long, value_enum, default_value = "lenient")]
    pub policy: PolicyName,
    /// The format of every file; by default by extension: .json, .avsc, .proto.
    #[arg(long, value_enum)]
    pub format: Option<FormatName>,
    /// Avro and Protobuf: messages are sent in the format's JSON encoding, where names count.
    #[arg(long)]
    pub json_encoding: bool,
    /// How the result is written.
    #[arg(short, long, value_enum, default_value = "human")]
    pub output: Output,
}

const DOCUMENT_HELP: &str = "\
Exit codes:
  0  written to the standard output
  2  the file cannot be read, or holds no ServiceContract

Examples:
  kubectl entente contract document orders.yaml --format markdown
  kubectl get servicecontract orders -o yaml | kubectl entente contract document - --format asyncapi -o yaml";

#[derive(Debug, Args)]
#[command(after_help = DOCUMENT_HELP)]
pub struct Document {
    /// A file with the ServiceContract, with or without its status, and the ConfigMaps that hold its schemas; `-` reads the standard input.
    pub file: PathBuf,
    /// What is written.
    #[arg(long, value_enum)]
    pub format: DocumentFormat,
    /// How AsyncAPI and xRegistry are written.
    #[arg(short, long, value_enum, default_value = "json")]
    pub output: DocumentOutput,
    /// Name of the ServiceContract, where the file holds several.
    #[arg(long)]
    pub name: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DocumentFormat {
    /// AsyncAPI 3.0.
    Asyncapi,
    /// An xRegistry document of messages and schemas.
    Xregistry,
    /// A page for people.
    Markdown,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DocumentOutput {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

const TEST_HELP: &str = "\
The message is a JSON object; each part may be missing:
  {\"header\": {\"priority\": 7},
   \"properties\": {\"subject\": \"order.created\"},
   \"application_properties\": {\"country\": \"NL\", \"amount\": 120, \"at\": {\"timestamp\": 1767225600000}}}
A value alone is a boolean, a long, a double or a string; another type of AMQP is named: {\"uint\": 5}.

Exit codes:
  0  the filter is valid; with a message: it matches
  1  the message does not match, or that is unknown, as a property is missing or of another type: it would not be delivered
  2  the filter is invalid, or the message cannot be read

Examples:
  kubectl entente filter test \"country IN ('NL', 'BE') AND amount >= 100\"
  kubectl entente filter test \"amount >= 100\" --message order.json
  echo '{\"application_properties\": {\"amount\": 120}}' | kubectl entente filter test \"amount >= 100\" --message -";

#[derive(Debug, Args)]
#[command(after_help = TEST_HELP)]
pub struct Test {
    /// The SQL filter, as in a Subscription's spec.filter.sql.
    #[arg(allow_hyphen_values = true)]
    pub expression: String,
    /// A file with a message as JSON; `-` reads it from the standard input.
    #[arg(long)]
    pub message: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DirectionName {
    /// The new version reads what the old one wrote.
    Backward,
    /// The old version reads what the new one writes.
    Forward,
    /// Both.
    Full,
}

impl From<DirectionName> for Direction {
    fn from(name: DirectionName) -> Self {
        match name {
            DirectionName::Backward => Self::Backward,
            DirectionName::Forward => Self::Forward,
            DirectionName::Full => Self::Full,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PolicyName {
    /// Writers send what their schema names; readers pass over what they do not know.
    Lenient,
    /// Writers may send whatever their schema lets through; readers refuse what theirs does not.
    Strict,
}

impl From<PolicyName> for Policy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::Lenient => Self::Lenient,
            PolicyName::Strict => Self::Strict,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormatName {
    /// JSON Schema 2020-12 or draft-07.
    JsonSchema,
    /// Avro.
    Avro,
    /// Protocol Buffers, proto2 or proto3.
    Protobuf,
    /// Compared by hash alone.
    Opaque,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::JsonSchema => Self::JsonSchema,
            FormatName::Avro => Self::Avro,
            FormatName::Protobuf => Self::Protobuf,
            FormatName::Opaque => Self::Opaque,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Human,
    /// For programs.
    Json,
}

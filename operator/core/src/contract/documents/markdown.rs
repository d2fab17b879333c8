//! A page for people.

use std::fmt::Write as _;

use entente_crds::service_contract::{Assurances, Compatibility, Lifecycle, Policy, SchemaFormat, VersionState};

use super::offer::{Message, Offer, meaning};

/// Makes the page.
pub fn document(offer: &Offer<'_>) -> String {
    let mut page = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut page, offer);
    page
}

fn write(page: &mut String, offer: &Offer<'_>) -> std::fmt::Result {
    writeln!(page, "# {}\n", line(&offer.name))?;
    match &offer.namespace {
        Some(namespace) => writeln!(page, "Contract of {}, in namespace {}.\n", line(&offer.spec.owner), line(namespace))?,
        None => writeln!(page, "Contract of {}.\n", line(&offer.spec.owner))?,
    }
    writeln!(page, "{}\n", promise(offer))?;
    versions(page, offer)?;
    writeln!(page, "## Operations\n\n| Operation | Channel | |\n| --- | --- | --- |")?;
    for operation in &offer.spec.operations {
        let channel = operation.channel.as_ref().unwrap_or(&operation.name);
        writeln!(page, "| {} | {} | {} |", line(&operation.name), line(channel), meaning(operation.action))?;
    }
    assurances(page, offer)?;
    for offered in offer.open() {
        writeln!(page, "\n## {}\n\n{}", line(offered.name()), line(&offered.told()))?;
        for message in &offered.messages {
            schema(page, message)?;
        }
    }
    Ok(())
}

fn promise(offer: &Offer<'_>) -> String {
    let Compatibility { policy, transitive, json_encoding: _ } = &offer.spec.compatibility;
    let Lifecycle { max_supported_versions, minimum_deprecation_notice, quiet_period, brownouts } = &offer.spec.lifecycle;
    let with = if *transitive { "every version that is offered" } else { "the version before it" };
    let policy = match policy {
        Policy::Lenient => "what a reader does not know it passes over",
        Policy::Strict => "a reader refuses what it does not know",
    };
    let mut text = format!(
        "A new version honours {with} ({policy}). At most {max_supported_versions} are offered at a time. One that ends is announced at least {} before, and closed when nobody has used it for {}.",
        minimum_deprecation_notice.0, quiet_period.0
    );
    for brownout in brownouts {
        let _ = write!(
            text,
            " It is closed for {} as a rehearsal, {} before its sunset, which is announced at least {} before.",
            brownout.lasts.0, brownout.before_sunset.0, brownout.announced_before.0
        );
    }
    text
}

fn versions(page: &mut String, offer: &Offer<'_>) -> std::fmt::Result {
    writeln!(page, "## Versions\n\n| Version | State | Sunset | Move to | Why |\n| --- | --- | --- | --- | --- |")?;
    for offered in &offer.versions {
        let ends = offered.state != VersionState::Active;
        let sunset = offered.sunset_at.map(|date| date.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
        let of = |text: &Option<String>| text.as_deref().filter(|_| ends).map(line).unwrap_or_default();
        let (successor, reason) = (of(&offered.version.successor), of(&offered.version.reason));
        writeln!(page, "| {} | {:?} | {sunset} | {successor} | {reason} |", line(offered.name()), offered.state)?;
    }
    match offer.newest().filter(|newest| newest.state == VersionState::Active) {
        Some(newest) => writeln!(page, "\nNewcomers take {}.\n", line(newest.name())),
        None => writeln!(page, "\nNo version is open to newcomers.\n"),
    }
}

fn assurances(page: &mut String, offer: &Offer<'_>) -> std::fmt::Result {
    let Some(Assurances { availability, latency_p99, rpo, rto }) = &offer.spec.assurances else { return Ok(()) };
    writeln!(page, "\n## Assurances\n\n| Measured by probes | Target |\n| --- | --- |")?;
    if let Some(share) = availability {
        writeln!(page, "| Availability | {} % |", line(share))?;
    }
    for (name, duration) in
        [("Latency of 99 of 100 messages", latency_p99), ("Most that a failure loses", rpo), ("Longest recovery", rto)]
    {
        if let Some(duration) = duration {
            writeln!(page, "| {name} | {} |", line(&duration.0))?;
        }
    }
    Ok(())
}

fn schema(page: &mut String, Message { operation, format, schema }: &Message<'_>) -> std::fmt::Result {
    let (name, language) = match format {
        SchemaFormat::JsonSchema => ("JSON Schema", "json"),
        SchemaFormat::Avro => ("Avro", "json"),
        SchemaFormat::Protobuf => ("Protobuf", "proto"),
        SchemaFormat::Opaque => ("opaque", ""),
    };
    let fence = fence(schema);
    writeln!(page, "\n### {}\n\n{name}\n\n{fence}{language}\n{}\n{fence}", line(&operation.name), schema.trim_end())
}

/// Longer than any in the text: what others wrote must not end the block.
fn fence(text: &str) -> String {
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// Free text in one line, without what Markdown would take for its own.
fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' | '|' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '#' => {
                safe.push('\\');
                safe.push(char);
            }
            char if char.is_control() => safe.push(' '),
            char => safe.push(char),
        }
    }
    safe
}

//! Producer and consumer.
fn main() {}

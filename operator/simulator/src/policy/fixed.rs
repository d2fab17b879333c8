//! Always the same.

use super::{Policy, View};

/// A fixed number of replicas.
#[derive(Debug)]
pub struct Fixed {
    replicas: u32,
    next: f64,
}

impl Fixed {
    /// So many.
    pub fn new(replicas: u32) -> Self {
        Self { replicas, next: 0.0 }
    }
}

impl Policy for Fixed {
    fn name(&self) -> String {
        format!("fixed {}", self.replicas)
    }

    fn next(&self) -> f64 {
        self.next
    }

    fn look(&mut self, _: &View) -> Option<u32> {
        self.next = f64::MAX;
        Some(self.replicas)
    }
}

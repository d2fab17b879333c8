//! Looks at everything that can come of a beginning, for models in tests.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// Every world that can be reached. `next` judges a world and tells what may come after it; the first that it refuses ends the search.
pub fn explore<W: Clone + Eq + Hash>(from: W, mut next: impl FnMut(&W) -> Result<Vec<W>, String>) -> Result<HashSet<W>, String> {
    let mut known = HashSet::from([from.clone()]);
    let mut open = VecDeque::from([from]);
    while let Some(world) = open.pop_front() {
        for after in next(&world)? {
            if known.insert(after.clone()) {
                open.push_back(after);
            }
        }
    }
    Ok(known)
}

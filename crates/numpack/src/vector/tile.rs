//! Some rows of a search: what a thread takes at once.

use crate::rows::plan::Plan;

/// Logical and physical numbers of some rows, in increasing order.
#[derive(Debug, Default)]
pub(crate) struct Tile {
    pub(crate) logical: Vec<u64>,
    pub(crate) physical: Vec<u64>,
}

impl Tile {
    /// Takes tile number `index` of those of `size` places of a plan that was made a set.
    pub(crate) fn take(&mut self, plan: &Plan<'_>, index: u64, size: usize) {
        let start = index * size as u64;
        let end = plan.places().min(start + size as u64);
        self.logical.clear();
        self.physical.clear();
        plan.list(start..end, &mut self.logical);
        plan.locate(&self.logical, &mut self.physical);
    }

    /// Takes these rows.
    pub(crate) fn fill(&mut self, physical: impl Iterator<Item = u64>, logical: impl Iterator<Item = u64>) {
        self.logical.clear();
        self.physical.clear();
        self.logical.extend(logical);
        self.physical.extend(physical);
    }
}

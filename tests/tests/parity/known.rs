//! Where the models are known to answer otherwise than a real server, and why that is no harm.

use crate::cells::Cell;

/// A field in which the answers differ in these cells.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) field: &'static str,
    pub(crate) cells: &'static [(i32, &'static str)],
    pub(crate) reason: &'static str,
}

impl Known {
    pub(crate) fn is_about(&self, cell: &Cell) -> bool {
        self.cells.contains(&(cell.code, cell.situation))
    }
}

/// A 5.4.0 cluster.
pub(crate) const V5: &[Known] = &[];

//! Small rewrites of a graph, each with one idea: from a draft as another system has it to bits and thresholds.

mod prune;

pub use prune::prune;

//! Ctrl-C while there is something to save.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

/// A flag that Ctrl-C (or SIGTERM) raises from now on instead of ending the process. A second one does end it.
pub(crate) fn flag() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            process::exit(130);
        }
    })
    .map_err(|e| Failure::input(format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(flag)
}

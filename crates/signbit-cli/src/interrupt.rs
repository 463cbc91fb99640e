//! Ctrl-C while there is something to save.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::Failure;

/// The exit code of a command that was interrupted.
pub(crate) const CODE: u8 = 130;

/// A flag that Ctrl-C or SIGTERM raises from now on instead of ending the process. A second one does end it.
pub(crate) fn raised() -> Result<Arc<AtomicBool>, Failure> {
    let raised = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag down, and raises it.
        flag::register_conditional_shutdown(signal, CODE.into(), raised.clone())
            .and_then(|_| flag::register(signal, raised.clone()))
            .map_err(|e| Failure::input(format!("cannot listen for Ctrl-C: {e}")))?;
    }
    Ok(raised)
}

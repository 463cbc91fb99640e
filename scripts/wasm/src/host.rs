//! What the host gives: a clock and a line on the terminal.

use alloc::{format, string::String};
use core::panic::PanicInfo;

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    #[link_name = "line"]
    fn host_line(text: *const u8, len: usize);
    #[link_name = "now"]
    fn host_now() -> f64;
}

/// Prints a line.
pub(crate) fn line(text: &str) {
    // SAFETY: the host reads `len` bytes of this module's memory.
    unsafe { host_line(text.as_ptr(), text.len()) }
}

/// Milliseconds since some moment.
pub(crate) fn now() -> f64 {
    // SAFETY: the host's function takes nothing and returns a number.
    unsafe { host_now() }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let text: String = format!("{info}");
    line(&text);
    core::arch::wasm32::unreachable()
}

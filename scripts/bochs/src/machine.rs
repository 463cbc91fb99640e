//! What an operating system and a C library would give: memory, output, an end.

use core::{
    alloc::{GlobalAlloc, Layout},
    arch::{asm, global_asm},
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

global_asm!(include_str!("boot.s"));

/// Memory for the heap: from the end of the stack to the end of what the emulator has.
const HEAP: core::ops::Range<usize> = 0x80_0000..0x780_0000;

/// Hands out memory once and never takes it back, but for the last piece.
struct Bump(AtomicUsize);

#[global_allocator]
static ALLOCATOR: Bump = Bump(AtomicUsize::new(HEAP.start));

/// How much of the heap is used.
pub fn mark() -> usize {
    ALLOCATOR.0.load(Ordering::Relaxed)
}

/// Forgets all that was allocated since [`mark`].
///
/// # Safety
/// None of it is used any more.
pub unsafe fn reset(mark: usize) {
    ALLOCATOR.0.store(mark, Ordering::Relaxed);
}

// SAFETY: pieces do not overlap, as `next` only grows, and lie in memory that nothing else uses.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.0.load(Ordering::Relaxed).next_multiple_of(layout.align());
        if start + layout.size() > HEAP.end {
            return core::ptr::null_mut();
        }
        self.0.store(start + layout.size(), Ordering::Relaxed);
        start as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// The port whose bytes the emulator prints.
pub struct Port;

impl fmt::Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| out(0xe9, byte));
        Ok(())
    }
}

/// Ends the emulation, by the word that its port 0x8900 waits for.
pub fn shut_down() -> ! {
    "Shutdown".bytes().for_each(|byte| out(0x8900, byte));
    loop {
        // SAFETY: waits for an interrupt, which does not come.
        unsafe { asm!("hlt") };
    }
}

fn out(port: u16, byte: u8) {
    // SAFETY: both ports belong to the emulator and touch no memory.
    unsafe { asm!("out dx, al", in("dx") port, in("al") byte, options(nomem, nostack, preserves_flags)) };
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's.
    unsafe { asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") len => _, options(nostack)) };
    to
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: the caller's; forwards no byte is written before it is read.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: the caller's; backwards no byte is written before it is read.
    unsafe {
        let (last_to, last_from) = (to.add(len).wrapping_sub(1), from.add(len).wrapping_sub(1));
        asm!("std", "rep movsb", "cld", inout("rdi") last_to => _, inout("rsi") last_from => _, inout("rcx") len => _);
    }
    to
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: the caller's.
    unsafe { asm!("rep stosb", inout("rdi") to => _, in("al") byte as u8, inout("rcx") len => _, options(nostack)) };
    to
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    for i in 0..len {
        // SAFETY: the caller's.
        let (a, b) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if a != b {
            return a as i32 - b as i32;
        }
    }
    0
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the caller's.
    unsafe { memcmp(a, b, len) }
}

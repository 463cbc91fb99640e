//! A heap for a module of one thread: memory is handed out upwards, and all of it is free again when nothing is in use.

use core::{
    alloc::{GlobalAlloc, Layout},
    arch::wasm32::{memory_grow, memory_size},
    cell::Cell,
    ptr::null_mut,
};

const PAGE: usize = 65_536;

struct Heap {
    /// Where the heap begins, the next free byte, the allocations in use.
    state: Cell<[usize; 3]>,
}

// SAFETY: the module has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap { state: Cell::new([0; 3]) };

// SAFETY: a range of bytes is handed out once until nothing is in use any more; it lies in grown memory and is aligned.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let [mut base, mut next, used] = self.state.get();
        if base == 0 {
            base = memory_size::<0>() * PAGE;
            next = base;
        }
        let start = next.next_multiple_of(layout.align());
        let end = start + layout.size();
        let pages = end.div_ceil(PAGE);
        let have = memory_size::<0>();
        if pages > have && memory_grow::<0>(pages - have) == usize::MAX {
            return null_mut();
        }
        self.state.set([base, end, used + 1]);
        start as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
        let [base, next, used] = self.state.get();
        self.state.set([base, if used == 1 { base } else { next }, used - 1]);
    }
}

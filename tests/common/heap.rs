//! What does a piece of code do to the heap?
//!
//! An allocator counts, for each thread apart, what is held, its peak and how often something was asked for. Whatever a
//! test itself needs is made before it begins to measure, so the figures are the engine's alone, exact to the byte.

#![allow(unsafe_code, reason = "an allocator is unsafe to write; the engine is not touched by it")]
#![allow(dead_code, reason = "not every test needs all of it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;

#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Bytes that it holds more, or less, than before.
    pub held: isize,
    /// The most that it held more than before, at any moment.
    pub peak: usize,
    /// The same, if growing a buffer always meant to move it and to hold both for a moment.
    pub peak_moving: usize,
    /// How often memory was asked for, or a buffer grown.
    pub allocations: usize,
    /// What the thread held before.
    pub start: isize,
}

pub fn measure<R>(work: impl FnOnce() -> R) -> (R, Measured) {
    let (start, allocations) = HEAP.with(|heap| {
        heap.peak.set(heap.held.get());
        heap.peak_moving.set(heap.held.get());
        (heap.held.get(), heap.allocations.get())
    });
    let result = work();
    let measured = HEAP.with(|heap| Measured {
        held: heap.held.get() - start,
        peak: (heap.peak.get() - start).unsigned_abs(),
        peak_moving: (heap.peak_moving.get() - start).unsigned_abs(),
        allocations: heap.allocations.get() - allocations,
        start,
    });
    (result, measured)
}

/// What the thread holds.
pub fn held() -> isize {
    HEAP.with(|heap| heap.held.get())
}

/// What is held more than then.
pub fn held_since(start: isize) -> isize {
    held() - start
}

/// Prints a figure. What a test prints is kept until it ends, in memory of its thread, which is not to count.
pub fn report(figure: fmt::Arguments<'_>) {
    let held = held();
    println!("{figure}");
    HEAP.with(|heap| heap.held.set(held));
}

/// A thread's heap. Tests run in parallel, each in a thread of its own.
struct Heap {
    held: Cell<isize>,
    peak: Cell<isize>,
    peak_moving: Cell<isize>,
    allocations: Cell<usize>,
}

thread_local! {
    // Neither its making nor its end allocates, so the allocator itself may use it.
    static HEAP: Heap = const {
        Heap { held: Cell::new(0), peak: Cell::new(0), peak_moving: Cell::new(0), allocations: Cell::new(0) }
    };
}

impl Heap {
    fn grow(&self, old: usize, new: usize) {
        self.allocations.set(self.allocations.get() + 1);
        self.peak_moving.set(self.peak_moving.get().max(self.held.get() + new.cast_signed()));
        self.held.set(self.held.get() + new.cast_signed() - old.cast_signed());
        self.peak.set(self.peak.get().max(self.held.get()));
    }
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is handed on to the system's allocator as it came; the counting beside it touches no memory of
// theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP.with(|heap| heap.grow(0, layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HEAP.with(|heap| heap.held.set(heap.held.get() - layout.size().cast_signed()));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        HEAP.with(|heap| heap.grow(0, layout.size()));
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        HEAP.with(|heap| heap.grow(layout.size(), new_size));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

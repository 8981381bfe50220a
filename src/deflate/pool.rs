//! Who holds the contexts that no connection needs at the moment?

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Compressor, Decompressor, Settings};

/// Contexts of compressors and decompressors, for connections to share.
///
/// Where context takeover is not agreed on, a connection needs a context only while a message passes through it. It takes
/// one here and gives it back, so that there are as many as messages are under way at a time, and not as many as
/// connections. Put one pool in an `Arc` into [`Compression::pool`](crate::Compression::pool); one for each thread is never
/// contended.
///
/// A message that a peer has begun and does not end holds its context meanwhile: see
/// [`Limits::message_timeout`](crate::Limits::message_timeout).
pub struct Pool {
    idle: Mutex<Idle>,
    limit: usize,
}

#[derive(Default)]
#[allow(clippy::vec_box, reason = "boxed by who takes them, and put back in the same boxes")]
struct Idle {
    compressors: Vec<Box<Compressor>>,
    decompressors: Vec<Box<Decompressor>>,
}

impl Pool {
    /// A pool that keeps at most so many compressors and as many decompressors while none needs them. It makes more when
    /// they are asked for, and drops what is too many.
    pub fn new(limit: usize) -> Pool {
        Pool { idle: Mutex::default(), limit }
    }

    pub(super) fn compressor(&self, settings: Settings) -> Option<Box<Compressor>> {
        let idle = &mut self.idle().compressors;
        let last = idle.iter().rposition(|compressor| compressor.settings() == settings)?;
        Some(idle.remove(last))
    }

    pub(super) fn put_compressor(&self, compressor: Box<Compressor>) {
        let surplus = put(&mut self.idle().compressors, compressor, self.limit);
        // Freed when the lock is.
        drop(surplus);
    }

    pub(super) fn decompressor(&self) -> Option<Box<Decompressor>> {
        self.idle().decompressors.pop()
    }

    pub(super) fn put_decompressor(&self, decompressor: Box<Decompressor>) {
        let surplus = put(&mut self.idle().decompressors, decompressor, self.limit);
        drop(surplus);
    }

    // A thread that panicked cannot have left a list of contexts half changed.
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pool {
    /// Keeps at most 16 of each.
    fn default() -> Pool {
        Pool::new(16)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Puts one more to those that are idle. Where there are enough, the one that has been idle for longest goes, as it may be
/// of settings that nobody asks for.
fn put<T>(idle: &mut Vec<T>, one: T, limit: usize) -> Option<T> {
    idle.push(one);
    (idle.len() > limit).then(|| idle.remove(0))
}

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
/// With context takeover a connection takes its contexts from here too, and keeps them until its end. A message that a peer has
/// begun and does not end holds its context meanwhile: see [`Limits::message_timeout`](crate::Limits::message_timeout). What
/// a session holds when it is dropped, or sleeps on ([`Compression::hibernate`](crate::Compression::hibernate)), is freed.
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
    /// they are asked for, and drops what is too many: with 0, each message pays for contexts of its own.
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

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::super::params::WindowBits;
    use super::super::{Budget, CompressionLevel, Direction, MemoryLevel};
    use super::*;

    const ANY: Direction = Direction { window: WindowBits::MAX, takeover: false };

    #[test]
    fn a_compressor_serves_only_who_asks_for_its_settings() {
        let pool = Arc::new(Pool::new(3));
        let lent = |level| compressor(level, &pool);
        let (one, two) = (lent(1), lent(2));
        one.give_back(Some(&pool));
        two.give_back(Some(&pool));
        assert_eq!(pool.compressor(settings(3)).map(|_| ()), None);
        assert_eq!(pool.compressor(Settings { window: WindowBits::MIN, ..settings(1) }).map(|_| ()), None);
        assert_eq!(lent(1).settings(), settings(1));
        assert_eq!(idle(&pool), (1, 0), "it was taken, and dropped without a word");
        assert_eq!(lent(2).settings(), settings(2));
        assert_eq!(idle(&pool), (0, 0));
    }

    #[test]
    fn of_too_many_the_one_that_was_idle_longest_goes() {
        let pool = Arc::new(Pool::new(2));
        let lent = [1, 2, 3].map(|level| compressor(level, &pool));
        lent.into_iter().for_each(|context| context.give_back(Some(&pool)));
        let levels: Vec<u8> = pool.idle().compressors.iter().map(|context| context.settings().level.get()).collect();
        assert_eq!(levels, [2, 3]);
        let lent = [(); 3].map(|()| decompressor(&pool));
        lent.into_iter().for_each(|context| context.give_back(Some(&pool)));
        assert_eq!(idle(&pool), (2, 2));
    }

    #[test]
    fn a_pool_of_none_lends_and_keeps_nothing() {
        let pool = Arc::new(Pool::new(0));
        compressor(1, &pool).give_back(Some(&pool));
        decompressor(&pool).give_back(Some(&pool));
        assert_eq!(idle(&pool), (0, 0));
    }

    #[test]
    fn what_sleeps_takes_no_place_of_what_can_be_lent() {
        let pool = Arc::new(Pool::new(1));
        compressor(1, &pool).give_back(Some(&pool));
        decompressor(&pool).give_back(Some(&pool));
        Compressor::lent(settings(2), true, true, Some(&pool)).unwrap().give_back(Some(&pool));
        let mut asleep = Decompressor::lent(ANY, None).unwrap();
        asleep.sleep();
        asleep.give_back(Some(&pool));
        assert_eq!(idle(&pool), (1, 1));
        assert_eq!(compressor(1, &pool).settings(), settings(1));
    }

    #[test]
    fn a_pool_that_a_panic_poisoned_goes_on() {
        let pool = Arc::new(Pool::default());
        decompressor(&pool).give_back(Some(&pool));
        let other = Arc::clone(&pool);
        let panicked = std::thread::spawn(move || {
            let _guard = other.idle.lock().unwrap();
            panic!("while it holds the lock");
        });
        assert!(panicked.join().is_err() && pool.idle.is_poisoned());
        assert!(pool.decompressor().is_some());
        assert_eq!(idle(&pool), (0, 0));
    }

    /// One that has compressed, as those have that are given back.
    fn compressor(level: u8, pool: &Arc<Pool>) -> Box<Compressor> {
        let mut context = Compressor::lent(settings(level), false, false, Some(pool)).unwrap();
        context.compress(b"Hello", true);
        context
    }

    fn decompressor(pool: &Arc<Pool>) -> Box<Decompressor> {
        let mut context = Decompressor::lent(ANY, Some(pool)).unwrap();
        context.decompress(&[0xF2, 0x48], Budget { message: 9, ratio: 9 }).unwrap();
        context
    }

    fn idle(pool: &Pool) -> (usize, usize) {
        let idle = pool.idle();
        (idle.compressors.len(), idle.decompressors.len())
    }

    fn settings(level: u8) -> Settings {
        let level = CompressionLevel::new(level).unwrap();
        Settings { window: WindowBits::MAX, level, memory_level: MemoryLevel::default() }
    }
}

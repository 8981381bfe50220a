//! What may a peer make us do for nothing? (RFC 9113 §10.5)
//!
//! Two purses. From one is paid for frames that serve nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA,
//! empty CONTINUATION, unknown ones. From the other for resets, whichever side sends them, since a peer can make us
//! reset as well as reset itself. Both are filled again by time; the first by what we send too, since that is what
//! WINDOW_UPDATE answers. What we answer is counted besides, until the transport has taken it.

use super::error::Http2Error;
use crate::config::Http2Limits;
use crate::queue::Queue;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Floods {
    idle_frames: Purse,
    resets: Purse,
}

/// The bytes of a queue that a peer caused, and that still wait. They are counted in two lots, one behind the other,
/// each dropped as a whole once the transport took all of it.
#[derive(Debug)]
pub(super) struct Answers {
    most: usize,
    older: usize,
    newer: usize,
    /// Where in the queue the lots end.
    older_end: u64,
    newer_end: u64,
}

#[derive(Debug)]
struct Purse {
    left: u32,
    most: u32,
    since: Instant,
}

/// In this time an empty purse fills.
const SECONDS: u64 = 30;

impl Floods {
    pub(super) fn new(limits: &Http2Limits, now: Instant) -> Floods {
        let purse = |most| Purse { left: most, most, since: now };
        // Whoever has many sessions may end them all at once.
        Floods { idle_frames: purse(limits.idle_frames), resets: purse(limits.resets.max(limits.sessions)) }
    }

    /// A frame that serves nothing by itself.
    pub(super) fn idle_frames(&mut self, cost: u32, now: Instant) -> Result<(), Http2Error> {
        self.idle_frames.pay(cost, now).ok_or(Http2Error::TooManyIdleFrames)
    }

    /// A frame that serves something, and the bytes of DATA in it if it is ours. The peer may credit each KiB of them, on
    /// both levels.
    pub(super) fn useful(&mut self, length: u32) {
        let earned = 2 + length.div_ceil(512);
        self.idle_frames.left = self.idle_frames.most.min(self.idle_frames.left.saturating_add(earned));
    }

    /// A stream that is reset, by either side.
    pub(super) fn reset(&mut self, now: Instant) -> Result<(), Http2Error> {
        self.resets.pay(1, now).ok_or(Http2Error::TooManyResets)
    }
}

impl Answers {
    pub(super) fn new(most: usize) -> Answers {
        Answers { most, older: 0, newer: 0, older_end: 0, newer_end: 0 }
    }

    /// Notes bytes that were queued last.
    pub(super) fn add(&mut self, count: usize, queue: &Queue) {
        self.turn(queue);
        self.newer += count;
        self.newer_end = queue.end();
    }

    /// Whether there are too many.
    pub(super) fn check(&mut self, queue: &Queue) -> Result<(), Http2Error> {
        self.turn(queue);
        if self.older + self.newer > self.most { Err(Http2Error::TooManyAnswers) } else { Ok(()) }
    }

    fn turn(&mut self, queue: &Queue) {
        if queue.has_passed(self.older_end) {
            self.older = if queue.has_passed(self.newer_end) { 0 } else { self.newer };
            self.newer = 0;
            self.older_end = self.newer_end;
        }
    }
}

impl Purse {
    fn pay(&mut self, cost: u32, now: Instant) -> Option<()> {
        if cost == 0 {
            return Some(());
        }
        let passed = u64::try_from(now.since(self.since).as_millis()).unwrap_or(u64::MAX);
        let earned = passed.saturating_mul(u64::from(self.most)) / (SECONDS * 1000);
        if earned > 0 {
            self.since = now;
            self.left = u32::try_from(earned).unwrap_or(u32::MAX).saturating_add(self.left).min(self.most);
        }
        self.left = self.left.checked_sub(cost)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn answers_count_while_they_wait() {
        let (mut answers, mut queue) = (Answers::new(100), Queue::default());
        let mut add = |queue: &mut Queue, count: usize| {
            queue.push(&[0; 200][..count]);
            answers.add(count, queue);
            answers.check(queue)
        };
        for _ in 0..1000 {
            assert_eq!(add(&mut queue, 50), Ok(()), "as long as they are taken");
            queue.acknowledge(50);
        }
        assert_eq!(add(&mut queue, 100), Ok(()));
        assert_eq!(add(&mut queue, 1), Err(Http2Error::TooManyAnswers));
        queue.acknowledge(101);
        for _ in 0..1000 {
            assert_eq!(add(&mut queue, 10), Ok(()), "also where some always waits");
            queue.acknowledge(queue.len() - 5);
        }
    }

    #[test]
    fn a_purse_is_emptied_and_filled_again() {
        let start = Instant::from_nanos(0);
        let limits = Http2Limits { idle_frames: 10, resets: 3, sessions: 3, ..Http2Limits::default() };
        let mut floods = Floods::new(&limits, start);
        for _ in 0..3 {
            assert_eq!(floods.reset(start), Ok(()));
        }
        assert_eq!(floods.reset(start), Err(Http2Error::TooManyResets));
        assert_eq!(floods.reset(start + Duration::from_secs(9)), Err(Http2Error::TooManyResets));
        assert_eq!(floods.reset(start + Duration::from_secs(10)), Ok(()), "one of three in ten seconds");
        for _ in 0..5 {
            assert_eq!(floods.idle_frames(2, start), Ok(()));
        }
        floods.useful(0);
        assert_eq!(floods.idle_frames(2, start), Ok(()));
        assert_eq!(floods.idle_frames(1, start), Err(Http2Error::TooManyIdleFrames));
    }
}

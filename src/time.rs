//! What is time to an engine that reads no clock?
//!
//! A number that the caller hands in. [`Instant`] counts nanoseconds since an epoch of the caller's choice (process
//! start, boot, the first step of a simulation); all that the engine asks is that it does not run backwards. Deadlines
//! come out of `poll_timeout` together with the [`Timer`] that set them.

use core::ops::Add;
use core::time::Duration;

/// A point in time: nanoseconds since the caller's own epoch.
///
/// Arithmetic saturates, so no configured duration can overflow it. `u64::MAX` nanoseconds (584 years) means "never".
///
/// ```
/// use sockless::Instant;
/// use std::time::Duration;
///
/// let start = Instant::from_nanos(5);
/// assert_eq!((start + Duration::from_micros(1)).as_nanos(), 1_005);
/// assert_eq!(start.since(start + Duration::from_secs(1)), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// Later than every deadline.
    pub(crate) const NEVER: Instant = Instant(u64::MAX);

    /// The last point that is not never.
    pub(crate) const LAST: Instant = Instant(u64::MAX - 1);

    /// The point `nanos` nanoseconds after the caller's epoch.
    pub const fn from_nanos(nanos: u64) -> Instant {
        Instant(nanos)
    }

    /// Nanoseconds since the caller's epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time that has passed since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self + after`, or never where no duration is configured.
    pub(crate) fn after(self, after: Option<Duration>) -> Instant {
        after.map_or(Instant::NEVER, |after| self + after)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, rhs: Duration) -> Instant {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}

/// What a deadline is for: the cause that `poll_timeout` gives with it, and that [`Closed`](crate::Closed) names when it
/// ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// The opening handshake takes too long ([`Limits::open_timeout`](crate::Limits::open_timeout)).
    Open,
    /// Nothing was received for too long ([`Limits::idle_timeout`](crate::Limits::idle_timeout)).
    Idle,
    /// A keep-alive Ping, or unsolicited Pong, is due ([`KeepAlive`](crate::KeepAlive)). It ends nothing.
    KeepAlive,
    /// No sign of life followed a keep-alive Ping in time ([`KeepAlive::Ping`](crate::KeepAlive::Ping)).
    Pong,
    /// A message was begun and not finished in time ([`Limits::message_timeout`](crate::Limits::message_timeout)).
    Message,
    /// The closing handshake, or the end of the transport behind it, takes too long
    /// ([`Limits::close_timeout`](crate::Limits::close_timeout)).
    Close,
    /// The session is as old as it may get ([`Limits::lifetime`](crate::Limits::lifetime)).
    Lifetime,
    /// Bytes are queued and the transport has taken none for too long
    /// ([`Limits::stall_timeout`](crate::Limits::stall_timeout)).
    Stall,
    /// The session has been quiet: its buffers go back to the allocator ([`Limits::release`](crate::Limits::release)).
    /// It ends nothing.
    Release,
}

/// The earliest of a set of deadlines, and its cause.
#[derive(Clone, Copy)]
pub(crate) struct Earliest(Instant, Timer);

impl Earliest {
    pub(crate) const NONE: Earliest = Earliest(Instant::NEVER, Timer::Release);

    pub(crate) fn or(self, at: Instant, timer: Timer) -> Earliest {
        if at < self.0 { Earliest(at, timer) } else { self }
    }

    pub(crate) fn deadline(self) -> Option<(Instant, Timer)> {
        (self.0 < Instant::NEVER).then_some((self.0, self.1))
    }
}

/// Turns the standard library's monotonic clock into [`Instant`]s for drivers that have one.
///
/// The engine itself never asks it.
///
/// ```
/// let clock = sockless::Clock::new();
/// let (earlier, later) = (clock.now(), clock.now());
/// assert!(earlier <= later);
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

#[cfg(feature = "std")]
impl Clock {
    /// A clock whose epoch is now.
    #[allow(clippy::new_without_default, reason = "two default clocks would not agree on the time")]
    pub fn new() -> Clock {
        Clock(std::time::Instant::now())
    }

    /// The time since this clock was made.
    pub fn now(&self) -> Instant {
        Instant::default() + self.0.elapsed()
    }

    /// How long from now until `deadline`; zero when it has passed. Never zero by rounding down a time to come, so it can
    /// be handed to a blocking read as its timeout unless it is zero.
    pub fn until(&self, deadline: Instant) -> Duration {
        deadline.since(self.now())
    }
}

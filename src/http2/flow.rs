//! How many bytes of DATA may still be sent? (RFC 9113 §5.2, §6.9)

use super::error::Http2Error;

/// The window that both sides begin with (RFC 9113 §6.5.2, §6.9.2).
pub(super) const INITIAL: u32 = 65_535;

/// The largest window (RFC 9113 §6.9.1).
pub(super) const MAX: u32 = 0x7FFF_FFFF;

/// What one side may still send, on a stream or on the whole connection. Below zero when the peer took back what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window(i64);

impl Window {
    pub(super) const fn new(size: u32) -> Window {
        Window(size as i64)
    }

    /// The bytes that may be sent now.
    pub(super) fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Takes bytes that were sent.
    pub(super) fn take(&mut self, count: u32) {
        self.0 -= i64::from(count);
    }

    /// Takes bytes that were received, and that the peer must have had the window for.
    //= rfc9113 6.9 MAY 1: more than the windows allow can be FLOW_CONTROL_ERROR
    pub(super) fn receive(&mut self, count: u32) -> Result<(), Http2Error> {
        self.take(count);
        if self.0 < 0 { Err(Http2Error::WindowExceeded) } else { Ok(()) }
    }

    /// Gives more.
    pub(super) fn give(&mut self, count: u32) -> Result<(), Http2Error> {
        self.0 += i64::from(count);
        if self.0 > i64::from(MAX) { Err(Http2Error::WindowOverflow) } else { Ok(()) }
    }

    /// The bytes that may be sent now on a stream whose window is kept as what it differs by from the initial one. So a
    /// change of that one reaches all streams at once.
    //= rfc9113 6.9.2 MUST 1: a new initial window changes the windows of all streams, by the difference
    //= rfc9113 6.9.2 MUST 2: a window can so fall below zero
    pub(super) fn available_with(self, initial: u32) -> usize {
        usize::try_from(self.0 + i64::from(initial)).unwrap_or(0)
    }

    /// Whether such a window has grown beyond its maximum.
    pub(super) fn exceeds(self, initial: u32) -> bool {
        self.0 + i64::from(initial) > i64::from(MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= rfc9113 6.9.2 MUST 2: a window can so fall below zero
    //= type=test
    #[test]
    fn trap_54_windows_below_zero() {
        let mut window = Window::new(0);
        window.take(80);
        assert_eq!(window.available_with(100), 20);
        assert_eq!(window.available_with(10), 0);
        window.give(70).unwrap();
        assert_eq!(window.available_with(10), 0, "-70 and 70");
        window.give(1).unwrap();
        assert_eq!(window.available_with(10), 1);
    }

    //= rfc9113 6.9.1 MUST 1: credit beyond the largest window ends the stream, or the connection
    //= type=test
    #[test]
    fn trap_54_no_window_grows_beyond_its_maximum() {
        let mut window = Window::new(MAX);
        assert_eq!(window.give(1), Err(Http2Error::WindowOverflow));
        let mut window = Window::new(0);
        assert_eq!(window.give(MAX - INITIAL), Ok(()));
        assert!(!window.exceeds(INITIAL));
        assert!(window.exceeds(INITIAL + 1));
    }

    //= rfc9113 6.9 MAY 1: more than the windows allow can be FLOW_CONTROL_ERROR
    //= type=test
    #[test]
    fn trap_54_nobody_sends_more_than_the_window() {
        let mut window = Window::new(2);
        assert_eq!(window.receive(1), Ok(()));
        assert_eq!(window.receive(2), Err(Http2Error::WindowExceeded));
    }
}

//! When must a session act although nothing happens? (RFC 6455 §5.5.2, §5.5.3, §7.1.1, §10.4)
//!
//! No timer is stored. Each deadline is derived from the facts that the session keeps anyway (when it last heard, when it
//! sent its Close, since when output has waited), so none can be forgotten or left armed. [`WebSocket::poll_timeout`]
//! gives the earliest, with its cause; [`WebSocket::handle_timeout`] acts on those that have come, each of which changes the
//! fact it was derived from, so that the loop ends.

use core::time::Duration;

use super::*;
use crate::error::CloseCode;
use crate::time::Earliest;

impl WebSocket {
    /// The next deadline and its cause; none where nothing is awaited. Ask again after every other call.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let limits = &self.sender.config.limits;
        let mut earliest = Earliest::NONE;
        match self.ending.closed {
            None if self.sender.is_aborted() => {}
            None => {
                if !self.sender.is_closing() {
                    earliest = earliest.or(self.opened.after(limits.lifetime), Timer::Lifetime);
                }
                earliest = match self.sender.config.keep_alive {
                    KeepAlive::Pong { interval } if !interval.is_zero() && !self.sender.is_closing() => {
                        earliest.or(self.sender.last_sent + interval, Timer::KeepAlive)
                    }
                    _ => earliest,
                };
                // While the driver feeds no input, the peer's silence means nothing.
                if self.paused == Instant::NEVER {
                    earliest = self.silence(earliest);
                }
            }
            Some(_) if self.ending.overdue => {}
            Some(_) => earliest = earliest.or(self.sender.close_at + limits.close_timeout, Timer::Close),
        }
        if !self.sender.is_drained() && !self.ending.overdue {
            earliest = earliest.or(self.sender.waiting_since.after(limits.stall_timeout), Timer::Stall);
        }
        let active = self.heard.max(self.sender.last_sent);
        if self.receiver.is_releasable() || self.sender.is_releasable() {
            earliest = earliest.or(active.after(limits.release), Timer::Release);
        }
        if self.receiver.can_sleep() || self.sender.can_sleep() {
            earliest = earliest.or(active.after(self.hibernate()), Timer::Release);
        }
        earliest.deadline()
    }

    /// Acts on the deadlines that have come. Called early it does nothing. Then call
    /// [`receive`](WebSocket::receive) with an empty slice for what it caused.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sender.stamp(now);
        while let Some((deadline, timer)) = self.poll_timeout()
            && deadline <= now
        {
            self.handle(timer);
        }
    }

    /// Gives all buffers back that hold nothing now, as [`Limits::release`](crate::Limits::release) does after a while.
    /// Where [`Compression::hibernate`](crate::Compression::hibernate) is set, it gives up the contexts of compression too.
    pub fn release(&mut self) {
        self.receiver.release(&self.sender.config);
        self.sender.release();
        if self.hibernate().is_some() {
            self.sleep();
        }
    }

    /// Gives up the contexts of compression for the plain bytes of their windows.
    fn sleep(&mut self) {
        self.receiver.sleep();
        self.sender.sleep();
    }

    fn hibernate(&self) -> Option<Duration> {
        self.sender.config.compression()?.hibernate
    }

    fn silence(&self, mut earliest: Earliest) -> Earliest {
        let limits = &self.sender.config.limits;
        if self.sender.is_closing() {
            return earliest.or(self.sender.close_at + limits.close_timeout, Timer::Close);
        }
        earliest = earliest.or(self.heard.after(limits.idle_timeout), Timer::Idle);
        if let Some(begun) = self.receiver.message_begun() {
            earliest = earliest.or(begun.after(limits.message_timeout), Timer::Message);
        }
        match self.sender.config.keep_alive {
            KeepAlive::Ping { interval, timeout } if !interval.is_zero() => match self.pinged {
                Instant::NEVER => earliest.or(self.heard + interval, Timer::KeepAlive),
                pinged => earliest.or(pinged + timeout, Timer::Pong),
            },
            _ => earliest,
        }
    }

    fn handle(&mut self, timer: Timer) {
        match timer {
            Timer::Idle | Timer::Lifetime => self.close_for(timer, CloseCode::GOING_AWAY),
            Timer::Message => self.close_for(timer, CloseCode::POLICY_VIOLATION),
            Timer::KeepAlive => match self.sender.config.keep_alive {
                KeepAlive::Ping { .. } => {
                    // Its time runs from when the transport has taken it.
                    self.pinged = Instant::LAST;
                    self.sender.keep_alive_ping();
                }
                _ => self.sender.keep_alive_pong(),
            },
            Timer::Close => {
                self.end(None, Cause::Timeout(Timer::Close));
                self.ending.overdue = true;
            }
            Timer::Release => {
                let active = self.heard.max(self.sender.last_sent);
                if active.after(self.sender.config.limits.release) <= self.sender.now {
                    self.receiver.release(&self.sender.config);
                    self.sender.release();
                }
                if active.after(self.hibernate()) <= self.sender.now {
                    self.sleep();
                }
            }
            // The peer is dead or takes nothing: a closing handshake could not reach it.
            Timer::Pong | Timer::Stall | Timer::Open => {
                self.ending.cause = self.ending.cause.or(Some(Cause::Timeout(timer)));
                self.end(None, Cause::Timeout(timer));
                self.sender.abort();
            }
        }
    }

    fn close_for(&mut self, timer: Timer, code: CloseCode) {
        self.ending.cause = Some(Cause::Timeout(timer));
        self.sender.close(Close::With(code, Reason::EMPTY));
    }
}

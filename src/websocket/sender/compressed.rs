//! Which messages are compressed, and whose context do they take? (RFC 7692 §6.1)
//!
//! Decided once, when a message begins. Where context takeover was agreed on, the context stays with the session, as what the
//! peer's window holds is in it. Where not, any context will do: it comes from the pool, if there is one, and goes back when
//! the message is queued.

use super::super::prepared::Framed;
use super::*;
use crate::deflate::Pool;

impl Sender {
    /// The context to compress a message of this length with; none where it goes plain.
    pub(super) fn context(&mut self, compress: Compress, length: usize) -> Option<Box<Compressor>> {
        let direction = self.direction()?;
        let compression = self.config.compression()?;
        let goes_plain = match compress {
            Compress::Auto => length < compression.threshold(direction.takeover),
            Compress::Never => true,
            Compress::Always => false,
        };
        if goes_plain {
            return None;
        }
        if self.compressor.is_some() {
            return self.compressor.take();
        }
        //= rfc7692 5 MUST 8: messages are compressed as was agreed on
        //= rfc7692 7.2.1 MUST NOT 3: a client keeps to the window that was agreed on
        //= rfc7692 7.2.1 MUST NOT 4: and so does a server
        let settings = compression.settings(direction.window);
        Compressor::lent(settings, direction.takeover, compression.hibernate.is_some(), compression.pool.as_ref())
    }

    /// Queues a message where compression was agreed on.
    #[inline(never)]
    pub(super) fn send_negotiated(&mut self, kind: Kind, plain: &[u8], compress: Compress) {
        let opcode = opcode(kind);
        let Some(mut context) = self.context(compress, plain.len()) else {
            return self.frame(Rsv1::Clear, true, opcode, plain);
        };
        let payload = context.compress(plain, true);
        // The peer's window takes what is compressed, and so must ours, where it is kept.
        let is_smaller = payload.len() < plain.len() || self.keeps_context();
        if is_smaller || compress == Compress::Always {
            self.frame(Rsv1::Set, true, opcode, payload);
        } else {
            self.frame(Rsv1::Clear, true, opcode, plain);
        }
        self.put_back(context);
    }

    /// What of a prepared message may be sent.
    #[inline(never)]
    pub(super) fn variant<'p>(&self, prepared: &'p Prepared) -> &'p Framed {
        // What the window of the peer takes and ours does not would part them.
        let window = self.direction().filter(|direction| !direction.takeover).map(|direction| direction.window);
        prepared.variant(window)
    }

    /// What was agreed on for the messages that we send.
    pub(super) fn direction(&self) -> Option<Direction> {
        self.deflate.map(if self.keys.is_some() { Direction::of_client } else { Direction::of_server })
    }

    /// Whether the context holds what the next message may refer to.
    pub(super) fn keeps_context(&self) -> bool {
        self.direction().is_some_and(|direction| direction.takeover)
    }

    /// Keeps a context for the next message, or gives it back to where it was lent.
    pub(super) fn put_back(&mut self, mut context: Box<Compressor>) {
        match self.pool() {
            Some(pool) if !self.keeps_context() => context.give_back(Some(pool)),
            _ => {
                context.trim();
                self.compressor = Some(context);
            }
        }
    }

    pub(super) fn drop_context(&mut self) {
        if let Some(context) = self.compressor.take() {
            context.give_back(self.pool());
        }
    }

    pub(super) fn end_message(&mut self) {
        self.message = None;
        self.ready_below = self.config.limits.output;
        if let Some(context) = self.compressor.take() {
            self.put_back(context);
        }
    }

    /// No data is sent any more.
    pub(super) fn end_messages(&mut self) {
        self.message = None;
        self.ready_below = 0;
        self.drop_context();
    }

    /// Whether there is a context, or an output buffer of one, that nothing needs.
    pub(super) fn has_releasable_context(&self) -> bool {
        self.message.is_none()
            && self.compressor.as_ref().is_some_and(|context| !self.keeps_context() || context.is_warm())
    }

    pub(super) fn release_context(&mut self) {
        if self.message.is_some() {
            return;
        }
        if !self.keeps_context() {
            self.drop_context();
        } else if let Some(context) = &mut self.compressor {
            context.cool();
        }
    }

    /// Whether the context of compression can be given up for the plain bytes of its window.
    pub(in crate::websocket) fn can_sleep(&self) -> bool {
        self.message.is_none() && self.compressor.as_ref().is_some_and(|context| context.is_awake())
    }

    pub(in crate::websocket) fn sleep(&mut self) {
        if self.can_sleep()
            && let Some(context) = &mut self.compressor
        {
            context.sleep();
        }
    }

    fn pool(&self) -> Option<&Arc<Pool>> {
        self.config.compression()?.pool.as_ref()
    }
}

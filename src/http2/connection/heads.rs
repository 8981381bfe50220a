//! How does a stream begin, and what does its head say? (RFC 9113 §8.3, RFC 8441 §4)

use alloc::string::ToString;
use alloc::vec::Vec;

use super::Connection;
use crate::handshake::{Asked, Response};
use crate::http2::connection::Role;
use crate::http2::frame::{self, Kind};
use crate::http2::hpack::Indexing;
use crate::http2::schedule::Carried;
use crate::http2::streams::Stream;

impl<S: Carried> Connection<S> {
    /// Opens a stream of ours, without a word yet; none where there are enough, or no number is left.
    pub(crate) fn open(&mut self, session: S) -> Option<u32> {
        let most = self.theirs.max_concurrent_streams.min(self.config.limits.http2.sessions);
        //= rfc9113 5.1.1 MUST 1: a client's streams have odd numbers
        //= rfc9113 5.1.1 MUST 3: each number is above all before it
        let stream = if self.highest_ours == 0 { 1 } else { self.highest_ours.checked_add(2)? };
        if self.failed
            || self.gone_away
            || self.is_draining
            || self.streams.len() >= most as usize
            || stream > 0x7FFF_FFFF
        {
            return None;
        }
        self.highest_ours = stream;
        let mut open = Stream::new(session, self.ours.initial_window_size);
        // Nothing can be asked of it before its head is sent.
        open.ended_ours = true;
        open.ended_theirs = true;
        open.is_unasked = true;
        self.streams.insert(stream, open);
        self.unasked += 1;
        Some(stream)
    }

    /// Whether the peer may be asked for one more stream. Those that wait have asked nothing of it.
    //= rfc9113 5.1.2 MUST NOT 1: no more streams at once than the peer allows
    pub(crate) fn has_room(&self) -> bool {
        let most = self.theirs.max_concurrent_streams.min(self.config.limits.http2.sessions);
        self.streams.len() - self.unasked < most as usize
    }

    /// Sends the head of a request that opens a tunnel.
    //= rfc8441 5 MUST NOT 1: Connection and Upgrade are left out
    //= rfc9113 6.2 MUST 4: HEADERS is of a stream
    pub(crate) fn request(&mut self, stream: u32, asked: impl FnOnce(&S) -> Option<&Asked>) {
        let Some(open) = self.streams.get_mut(stream) else { return };
        let Some(asked) = asked(&open.session) else { return };
        let mut block = Vec::new();
        self.encoder.begin(&mut block);
        //= rfc8441 5 MUST 3: wss is asked for as https, and ws as http
        let scheme = if asked.is_secure() { "https" } else { "http" };
        //= rfc8441 4 MAY 1: a CONNECT can name, in :protocol, what is to be spoken on its stream
        //= rfc8441 4 MUST 1: a CONNECT with a :protocol has a :scheme and a :path too
        //= rfc8441 5 MUST 1: a WebSocket's CONNECT has a :protocol
        //= rfc8441 5 MUST 2: the :protocol of a WebSocket is websocket
        //= rfc9113 8.3 MUST 2: pseudo-header fields go in front of all others
        //= rfc9113 8.3 MUST NOT 1: no pseudo-header fields are sent but those defined
        //= rfc9113 8.3 MUST NOT 5: no pseudo-header field is there twice
        //= rfc9113 8.3.1 MUST 1: a client says in :authority what it addresses
        //= rfc9113 8.3.1 MUST 5: a URL without a path is asked for as /
        //= rfc9113 8.3.1 MUST NOT 3: a client sends no Host that differs from :authority
        //= rfc9113 8.3.1 MUST NOT 5: :authority names no user
        for (name, value, indexing) in [
            (":method", "CONNECT", Indexing::Add),
            (":protocol", "websocket", Indexing::Add),
            (":scheme", scheme, Indexing::Add),
            (":path", asked.target(), Indexing::Without),
            (":authority", &asked.authority(), Indexing::Add),
        ] {
            self.encoder.encode(name.as_bytes(), value.as_bytes(), indexing, &mut block);
        }
        for field in asked.fields().iter() {
            //= rfc9113 8.2 MUST 1: names are sent in lower case
            let name = field.name.to_ascii_lowercase();
            let indexing = if is_secret(&name) { Indexing::Never } else { Indexing::Add };
            self.encoder.encode(name.as_bytes(), field.value, indexing, &mut block);
        }
        open.ended_ours = false;
        open.ended_theirs = false;
        open.is_unasked = false;
        self.unasked -= 1;
        self.highest_asked = stream;
        self.write_block(stream, &block);
    }

    /// How many streams of ours wait to be asked for.
    pub(crate) fn unasked(&self) -> usize {
        self.unasked
    }

    /// Gives a stream up that was never spoken of.
    //= rfc9113 6.4 MUST NOT 2: no stream is reset that was never opened
    pub(crate) fn unopened(&mut self, stream: u32) {
        if let Some(open) = self.streams.get_mut(stream) {
            open.ended_ours = true;
            open.ended_theirs = true;
        }
    }

    /// Opens the stream whose head has just arrived.
    pub(crate) fn accept(&mut self, stream: u32, end: bool, is_tunnel: bool, session: S) {
        let mut open = Stream::new(session, self.ours.initial_window_size);
        open.ended_theirs = end;
        open.has_head = true;
        open.is_tunnel = is_tunnel;
        self.streams.insert(stream, open);
    }

    /// Writes the head of a response. What ends its stream is DATA.
    //= rfc9113 6.2 MUST 4: HEADERS is of a stream
    //= rfc9113 8.3 MUST 2: pseudo-header fields go in front of all others
    //= rfc9113 8.3 MUST NOT 1: no pseudo-header fields are sent but those defined
    //= rfc9113 8.3 MUST NOT 5: no pseudo-header field is there twice
    //= rfc9113 8.3.2 MUST 1: every response has a :status, or is malformed
    pub(crate) fn respond(&mut self, stream: u32, response: &Response, content_length: Option<usize>) {
        let mut block = Vec::new();
        self.encoder.begin(&mut block);
        let status = response.status().to_string();
        self.encoder.encode(b":status", status.as_bytes(), Indexing::Without, &mut block);
        for field in response.fields().iter() {
            let name = field.name.to_ascii_lowercase();
            let indexing = if is_secret(&name) { Indexing::Never } else { Indexing::Add };
            self.encoder.encode(name.as_bytes(), field.value, indexing, &mut block);
        }
        if let Some(length) = content_length {
            self.encoder.encode(b"content-length", length.to_string().as_bytes(), Indexing::Without, &mut block);
        }
        self.write_block(stream, &block);
    }

    /// Writes a block of fields, in as many frames as it takes.
    //= rfc9113 4.3 MUST 1: the frames of a head go one behind the other, with nothing between
    //= rfc9113 6.2 MUST 2: behind HEADERS without END_HEADERS stands CONTINUATION of its stream
    //= rfc9113 6.10 MUST 1: behind CONTINUATION without END_HEADERS stands another one
    //= rfc9113 6.10 MUST 3: CONTINUATION is of a stream
    //= rfc9113 6.10 MUST 5: CONTINUATION stands behind a frame of its block without END_HEADERS
    //= rfc9113 8.1 MUST NOT 1: nothing stands between HEADERS and its CONTINUATION
    fn write_block(&mut self, stream: u32, block: &[u8]) {
        let mut kind = Kind::Headers;
        let mut rest = block;
        loop {
            let length = rest.len().min(self.output.max_payload as usize);
            let (part, after) = rest.split_at_checked(length).unwrap_or_default();
            let flags = if after.is_empty() { frame::END_HEADERS } else { 0 };
            match self.role {
                Role::Server => self.output.respond(kind, flags, stream, part),
                // Requests are our own doing.
                Role::Client => self.output.frame(kind, flags, stream, part),
            }
            if after.is_empty() {
                return;
            }
            (kind, rest) = (Kind::Continuation, after);
        }
    }
}

/// Whether a field's value is to be in no table.
fn is_secret(name: &str) -> bool {
    matches!(name, "authorization" | "cookie" | "proxy-authorization" | "set-cookie")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::http2::schedule::Ending;
    use crate::queue::Queue;
    use crate::time::{Instant, Timer};

    struct Nothing;

    impl Carried for Nothing {
        fn queue(&self) -> Option<&Queue> {
            None
        }
        fn queue_mut(&mut self) -> Option<&mut Queue> {
            None
        }
        fn transmitted(&mut self, _: usize, _: Instant) {}
        fn copied(&mut self, _: usize, _: Instant) {}
        fn ending(&self) -> Ending {
            Ending::Open
        }
        fn has_news(&self) -> bool {
            false
        }
        fn is_closed(&self) -> bool {
            false
        }
        fn poll_timeout(&self) -> Option<(Instant, Timer)> {
            None
        }
        fn handle_timeout(&mut self, _: Instant) {}
    }

    #[test]
    fn identifiers_run_out() {
        let mut connection = Connection::new(Role::Client, Config::default().into(), Instant::from_nanos(0));
        assert_eq!(connection.open(Nothing), Some(1));
        connection.highest_ours = 0x7FFF_FFFD;
        assert_eq!(connection.open(Nothing), Some(0x7FFF_FFFF));
        assert_eq!(connection.open(Nothing), None);
    }
}

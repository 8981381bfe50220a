//! Do two endpoints understand each other, whatever is called, however the transport chops, and whenever the clock steps?
//!
//! The input is a program of calls for a client and a server that are joined by two lists of bytes. Beside each runs a
//! plain model: what its sender must answer to each call, and the messages that the other side has yet to be told, in
//! order. Neither ever breaks the protocol, so neither may ever blame the other. In the end both must have come to theirs.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use std::io::IoSlice;

use super::endpoint;
use super::record::{Happening, Record, Whole};
use super::setup::{self, Choices, Foreseen, NOW};
use crate::config::{Agreed, Config, KeepAlive, Limits};
use crate::error::{CloseCode, SendError};
use crate::event::{Cause, Chunk, Event, Kind, Message};
use crate::time::{Instant, Timer};
use crate::websocket::{Close, Compress, Incoming, Prepared, Reason, Sender, Shared, Transport, WebSocket};

/// A client and a server, and a program of calls.
pub fn operations(input: &[u8]) {
    let mut choices = Choices::of(input);
    let Some(mut pair) = Pair::new(config(&mut choices)) else { return };
    for _ in 0..MAX_CALLS {
        if choices.is_empty() {
            break;
        }
        let (call, argument) = (choices.byte(), choices.byte());
        pair.call(call, argument);
    }
    pair.end();
}

/// More calls than this show nothing that fewer do not.
const MAX_CALLS: usize = 300;

pub(super) fn config(choices: &mut Choices<'_>) -> Config {
    let (mut flags, mut times) = (choices.flags(), choices.flags());
    let delivery = setup::config(&mut flags).delivery;
    let output = if flags.flag() { 256 } else { 128 << 10 };
    // Some want everything at once.
    let hasty = flags.flag();
    let mut compression = setup::compression(flags.four());
    let (hibernates, always) = (flags.flag(), flags.flag());
    if let Some(compression) = &mut compression {
        compression.hibernate = hibernates.then_some(Duration::from_millis(1500));
        compression.threshold = if always { Some(0) } else { compression.threshold };
    }
    let seconds = |seconds| if hasty { Duration::ZERO } else { Duration::from_secs(seconds) };
    let optional = |flag: bool, duration: u64| flag.then_some(seconds(duration));
    let keep_alive = match times.four() {
        0 => KeepAlive::Off,
        1 => KeepAlive::Pong { interval: seconds(5) },
        2 => KeepAlive::Ping { interval: Duration::from_secs(5), timeout: seconds(3) },
        _ => KeepAlive::default(),
    };
    let limits = Limits {
        // The programs are not about limits, but about being understood.
        message: 1 << 40,
        frame: 1 << 40,
        fragments: u32::MAX,
        output,
        message_timeout: optional(times.flag(), 20),
        lifetime: optional(times.flag(), 100),
        idle_timeout: optional(times.flag(), 60),
        stall_timeout: optional(times.flag(), 30),
        close_timeout: seconds(10),
        release: Some(seconds(1)),
        ..Limits::default()
    };
    Config { limits, keep_alive, delivery, compression, ..Config::default() }
}

pub(super) struct Pair {
    pub(super) sides: [Side; 2],
    pub(super) now: Instant,
    config: Config,
}

/// One end, and the way to it.
pub(super) struct Side {
    pub(super) socket: WebSocket,
    /// Bytes of the masking key.
    key: usize,
    /// Messages of so many bytes are compressed, unless they are to go plain.
    threshold: Option<usize>,
    /// They refer to those before them.
    takeover: bool,
    /// All that was written.
    pub(super) written: Vec<u8>,
    /// What is on its way here.
    inbox: Vec<u8>,
    /// Nothing more will be put on its way.
    inbox_ends: bool,
    /// Its end was told.
    eof: bool,
    /// What `transmit` showed and `transmitted` has not acknowledged.
    shown: Vec<u8>,
    pub(super) record: Record,
    /// How much of the record was looked at.
    seen: usize,
    pub(super) model: Model,
}

/// What the sender was made to do.
pub(super) struct Model {
    open: bool,
    paused: Option<Instant>,
    /// When it last got bytes, and when it last was told all of a message, not counting pauses.
    heard: Instant,
    told: Instant,
    /// A message begun and not finished, or dropped like that.
    pub(super) begun: Option<Whole>,
    /// It still takes parts, which are compressed or not.
    midway: bool,
    compressed: Option<bool>,
    /// Messages that the other side has yet to be told.
    pub(super) sent: VecDeque<Whole>,
    /// Whether each message, from the first on, is to be compressed, where that is certain.
    pub(super) compressions: Vec<Option<bool>>,
    /// Pings that the other side has yet to be told.
    pings: VecDeque<Vec<u8>>,
    /// All Pings, and how many of them are answered or passed over.
    all_pings: Vec<Vec<u8>>,
    answered: usize,
    /// Bytes acknowledged, and where in their count the last Ping ends.
    acknowledged: u64,
    ping_end: u64,
    /// What the engine queued by itself: how many bytes, and where they end.
    own: Vec<(usize, u64)>,
    /// The engine may have queued a Ping of its own.
    own_ping: bool,
    close: Option<(Option<CloseCode>, String)>,
    /// What makes an unclean end nobody's fault.
    disturbed: bool,
}

impl Pair {
    /// Two that agreed on all that they may compress with.
    pub(super) fn new(config: Config) -> Option<Pair> {
        let mut agreed = Agreed::default();
        if let Some(compression) = &config.compression {
            agreed = agreed.with_deflate(compression.parameters());
        }
        let client = WebSocket::client(&agreed, setup::shared(&config), Foreseen, NOW);
        assert!(client.is_ok(), "{client:?}");
        let server = WebSocket::server(&agreed, setup::shared(&config), NOW);
        Some(Pair { sides: [Side::new(client.ok()?, 4, &config), Side::new(server, 0, &config)], now: NOW, config })
    }

    fn call(&mut self, call: u8, argument: u8) {
        let now = self.now;
        let [client, server] = &mut self.sides;
        let (side, peer) = if call & 0x80 == 0 { (client, server) } else { (server, client) };
        let kind = if argument & 0x80 == 0 { Kind::Text } else { Kind::Binary };
        let whole = || Whole::made(kind, argument);
        let full = self.config.limits.output;
        match call % 20 {
            0 | 1 => side.send(now, full, &whole(), Compress::Auto),
            2 => side.send_plain(now, full, &whole(), |tx, message| tx.send_prepared(&Prepared::new(message))),
            3 => side.send_plain(now, full, &whole(), |tx, message| match message {
                Message::Text(text) => tx.send_shared(&Shared::from(String::from(text))),
                Message::Binary(bytes) => tx.send_shared(&Shared::from(bytes.to_vec())),
            }),
            4 => side.begin(now, full, kind, Compress::Auto),
            5 | 6 => side.append(now, full, &whole()),
            7 => side.finish(now),
            8 => side.ping(now, usize::from(argument % 128)),
            9 => side.close(now, argument),
            10 if argument >= 0xF0 => side.abort(now),
            10 | 11 => side.transmit(peer, now, usize::from(argument) * 8, 1 + usize::from(argument % 3)),
            12 | 13 => side.receive(peer, now, usize::from(argument)),
            14 => self.step(argument),
            15 => side.pause(now),
            16 => side.resume(now),
            17 => side.socket.release(),
            18 if argument >= 0xF0 => cut(side, peer, argument.is_multiple_of(2)),
            18 => {
                let compress = if argument & 0x40 == 0 { Compress::Never } else { Compress::Auto };
                side.send_through(peer, now, full, &whole(), compress, call / 20);
            }
            _ => side.obey(peer),
        }
    }

    /// Lets time pass on both sides, from deadline to deadline.
    pub(super) fn step(&mut self, argument: u8) {
        let step = [1, 100, 1_000, 2_000, 5_000, 10_000, 30_000, 100_000][usize::from(argument % 8)];
        let until = self.now + Duration::from_millis(step);
        loop {
            let next = self.sides.iter().filter_map(|side| side.socket.poll_timeout()).map(|(at, _)| at).min();
            match next.filter(|next| *next <= until) {
                Some(next) => self.now = self.now.max(next),
                None => break,
            }
            self.handle_timeouts();
        }
        self.now = until;
        // Where nothing is due, nothing happens.
        for side in &mut self.sides {
            let before = (side.socket.poll_timeout(), side.socket.tx(until).queued());
            side.socket.handle_timeout(until);
            let after = (side.socket.poll_timeout(), side.socket.tx(until).queued());
            assert_eq!(before, after, "a deadline that had not come did something");
            side.assert_not_idle(until);
        }
    }

    fn handle_timeouts(&mut self) {
        let now = self.now;
        let [client, server] = &mut self.sides;
        client.handle_timeout(server, now);
        server.handle_timeout(client, now);
    }

    /// Lets everything that is under way arrive, closes, and waits for whatever is to end by itself.
    pub(super) fn end(&mut self) {
        let mut closed = false;
        for _ in 0..100 {
            let now = self.now;
            let [client, server] = &mut self.sides;
            let moved = [client.move_all(server, now), server.move_all(client, now)].contains(&true);
            if client.socket.is_closed() && server.socket.is_closed() {
                return self.assert_ended();
            }
            if moved {
                continue;
            }
            if !closed {
                closed = true;
                client.close(now, 1);
                continue;
            }
            let next = self.sides.iter().filter_map(|side| side.socket.poll_timeout()).map(|(at, _)| at).min();
            assert!(next.is_some(), "they wait, but for no deadline");
            self.now = next.unwrap_or(now).max(now);
            self.handle_timeouts();
        }
        assert!(self.sides.iter().all(|side| side.socket.is_closed()), "it has no end");
    }

    fn assert_ended(&self) {
        let disturbed = self.sides.iter().any(|side| side.model.disturbed);
        for (side, peer) in [(&self.sides[0], &self.sides[1]), (&self.sides[1], &self.sides[0])] {
            let Some(Happening::Closed(closed)) = side.record.happened.last() else {
                assert!(side.record.is_over(), "it ended without Closed");
                return;
            };
            assert!(disturbed || closed.clean, "nothing disturbed it: {closed:?}");
            assert!(disturbed || peer.model.sent.is_empty(), "messages were lost: {:?}", peer.model.sent);
            assert!(disturbed || peer.model.pings.is_empty(), "Pings were lost: {:?}", peer.model.pings);
        }
    }
}

/// The transport is lost, with or without what is on its way.
fn cut(side: &mut Side, peer: &mut Side, with_all: bool) {
    for side in [side, peer] {
        side.inbox_ends = true;
        side.model.disturbed = true;
        if with_all {
            side.inbox.clear();
        }
    }
}

impl Side {
    fn new(socket: WebSocket, key: usize, config: &Config) -> Side {
        let model = Model {
            open: true,
            paused: None,
            heard: NOW,
            told: NOW,
            begun: None,
            midway: false,
            compressed: None,
            sent: VecDeque::new(),
            compressions: Vec::new(),
            pings: VecDeque::new(),
            all_pings: Vec::new(),
            answered: 0,
            acknowledged: 0,
            ping_end: 0,
            own: Vec::new(),
            own_ping: false,
            close: None,
            disturbed: false,
        };
        let takeover = config.compression.as_ref().is_some_and(|compression| match key {
            0 => !compression.server_no_context_takeover,
            _ => !compression.client_no_context_takeover,
        });
        Side {
            socket,
            key,
            threshold: config.compression.as_ref().map(|compression| compression.threshold(takeover)),
            takeover,
            written: Vec::new(),
            inbox: Vec::new(),
            inbox_ends: false,
            eof: false,
            shown: Vec::new(),
            record: Record::new(config),
            seen: 0,
            model,
        }
    }

    pub(super) fn send(&mut self, now: Instant, full: usize, whole: &Whole, compress: Compress) {
        let compressed = self.compresses(compress, whole.bytes.len());
        self.send_as(now, full, whole, compressed, |tx, message| tx.send_with(message, compress));
    }

    pub(super) fn send_plain(
        &mut self,
        now: Instant,
        full: usize,
        whole: &Whole,
        send: impl FnOnce(&mut Sender, Message<'_>) -> Result<(), SendError>,
    ) {
        self.send_as(now, full, whole, Some(false), send);
    }

    /// What a message that was compressed before is sent as.
    pub(super) fn send_prepared(&mut self, now: Instant, full: usize, whole: &Whole, prepared: &Prepared) {
        let compressed = if self.takeover { Some(false) } else { None };
        self.send_as(now, full, whole, compressed, |tx, _| tx.send_prepared(prepared));
    }

    /// Sends a message past the queue, where nothing stands before it. The transport takes as much of it as `taken` says.
    fn send_through(
        &mut self,
        peer: &mut Side,
        now: Instant,
        full: usize,
        whole: &Whole,
        compress: Compress,
        taken: u8,
    ) {
        let goes_as_it_is = self.key == 0 && (self.threshold.is_none() || compress == Compress::Never);
        let tx = self.socket.tx(now);
        if !goes_as_it_is || tx.queued() > 0 || self.model.to_data(false).is_err() {
            let compressed = self.compresses(compress, whole.bytes.len());
            return self.send_as(now, full, whole, compressed, |tx, message| {
                tx.send_through(message, compress).map(|frame| assert!(frame.is_none(), "{frame:?}, not to be lent"))
            });
        }
        let lent = tx.send_through(whole.as_message(), compress);
        assert!(matches!(lent, Ok(Some(_))), "nothing stands before it: {lent:?}");
        let Some(frame) = lent.ok().flatten() else { return };
        let bytes = [frame.header(), frame.payload()].concat();
        let count = [0, 1, 3, bytes.len() / 2, bytes.len() - 1, bytes.len()][usize::from(taken % 6)].min(bytes.len());
        if count > 0 {
            frame.written(count);
        } else {
            drop(frame);
        }
        assert_eq!(tx.queued(), bytes.len() - count, "what was not taken is queued");
        self.write(peer, &bytes[..count]);
        self.model.sent.push_back(whole.clone());
        self.model.compressions.push(Some(false));
    }

    /// The transport takes this.
    fn write(&mut self, peer: &mut Side, bytes: &[u8]) {
        if !peer.inbox_ends {
            peer.inbox.extend_from_slice(bytes);
        }
        self.written.extend_from_slice(bytes);
        self.model.acknowledged += bytes.len() as u64;
    }

    /// Whether a message of that length is compressed, unless only the result tells.
    fn compresses(&self, compress: Compress, length: usize) -> Option<bool> {
        match (self.threshold, compress) {
            (None, _) | (_, Compress::Never) => Some(false),
            (_, Compress::Always) => Some(true),
            (Some(threshold), _) if length < threshold => Some(false),
            _ => Some(true).filter(|_| self.takeover || length == usize::MAX),
        }
    }

    fn send_as(
        &mut self,
        now: Instant,
        full: usize,
        whole: &Whole,
        compressed: Option<bool>,
        send: impl FnOnce(&mut Sender, Message<'_>) -> Result<(), SendError>,
    ) {
        let expected = self.model.to_data(self.socket.tx(now).queued() >= full);
        let tx = self.socket.tx(now);
        assert_eq!((tx.is_ready(), tx.is_full()), (expected.is_ok(), tx.queued() >= full), "readiness");
        self.queue(now, expected, whole.bytes.len(), compressed, |tx| send(tx, whole.as_message()));
        if expected.is_ok() {
            self.model.sent.push_back(whole.clone());
            self.model.compressions.push(compressed);
        }
    }

    pub(super) fn begin(&mut self, now: Instant, full: usize, kind: Kind, compress: Compress) {
        let tx = self.socket.tx(now);
        let queued = tx.queued();
        let expected = self.model.to_data(queued >= full);
        assert_eq!((tx.begin(kind, compress), tx.queued()), (expected, queued));
        if expected.is_ok() {
            self.model.begun = Some(Whole { kind, bytes: Vec::new() });
            self.model.midway = true;
            self.model.compressed = self.compresses(compress, usize::MAX);
        }
    }

    pub(super) fn append(&mut self, now: Instant, full: usize, part: &Whole) {
        self.part(now, full, part, |tx| tx.append(part.as_message()));
    }

    pub(super) fn finish_with(&mut self, now: Instant, full: usize, part: &Whole) {
        if self.part(now, full, part, |tx| tx.finish_with(part.as_message())) {
            self.model.finish();
        }
    }

    fn part(
        &mut self,
        now: Instant,
        full: usize,
        part: &Whole,
        call: impl FnOnce(&mut Sender) -> Result<(), SendError>,
    ) -> bool {
        let is_full = self.socket.tx(now).queued() >= full;
        let expected = self.model.to_part().and_then(|kind| match kind {
            kind if kind != part.kind => Err(SendError::WrongKind),
            _ if is_full => Err(SendError::Full),
            _ => Ok(()),
        });
        self.queue(now, expected, part.bytes.len(), self.model.compressed, call);
        if let (Ok(()), Some(begun)) = (expected, &mut self.model.begun) {
            begun.bytes.extend_from_slice(&part.bytes);
        }
        expected.is_ok()
    }

    pub(super) fn finish(&mut self, now: Instant) {
        let expected = self.model.to_part().map(|_| ());
        self.queue(now, expected, 0, self.model.compressed, Sender::finish);
        if expected.is_ok() {
            self.model.finish();
        }
    }

    pub(super) fn ping(&mut self, now: Instant, length: usize) {
        let payload = alloc::vec![u8::try_from(self.model.all_pings.len() % 256).unwrap_or_default(); length];
        let model = &mut self.model;
        let mut expected = match (model.open, length > 125, model.acknowledged < model.ping_end) {
            (false, _, _) => Err(SendError::Closed),
            (_, true, _) => Err(SendError::ControlTooLong),
            (_, _, true) => Err(SendError::PingQueued),
            _ => Ok(()),
        };
        let tx = self.socket.tx(now);
        if expected.is_ok() && model.own_ping && tx.queued() > 0 {
            // Whether the engine's own Ping is still there only the engine knows.
            expected = tx.ping(&payload);
            assert!(matches!(expected, Ok(()) | Err(SendError::PingQueued)), "{expected:?}");
        } else {
            self.queue(now, expected, length, Some(false), |tx| tx.ping(&payload));
        }
        if expected.is_ok() {
            self.model.ping_end = self.model.acknowledged + self.socket.tx(now).queued() as u64;
            self.model.own_ping = false;
            self.model.pings.push_back(payload.clone());
            self.model.all_pings.push(payload);
        }
    }

    /// Calls what queues one frame, or is refused and queues nothing. If it compresses, how long the frame is is for others
    /// to check, but not beyond the most that DEFLATE makes worse.
    fn queue(
        &mut self,
        now: Instant,
        expected: Result<(), SendError>,
        length: usize,
        compressed: Option<bool>,
        call: impl FnOnce(&mut Sender) -> Result<(), SendError>,
    ) {
        let header = match length {
            0..=125 => 2,
            126..=65_535 => 4,
            _ => 10,
        };
        let tx = self.socket.tx(now);
        let queued = tx.queued();
        let (result, grown) = (call(tx), tx.queued() - queued);
        assert_eq!(result, expected);
        match expected {
            Ok(()) if compressed != Some(false) => {
                let most = 10 + self.key + length + length / 8 + 64;
                assert!((2 + self.key..=most).contains(&grown), "{length} bytes are compressed to {grown}");
            }
            Ok(()) => assert_eq!(grown, header + self.key + length, "what is queued then"),
            Err(_) => assert_eq!(grown, 0, "refused, and queued"),
        }
    }

    fn close(&mut self, now: Instant, argument: u8) {
        let tx = self.socket.tx(now);
        let queued = tx.queued();
        let code = CloseCode::new(1000 + u16::from(argument)).unwrap_or(CloseCode::GOING_AWAY);
        let reason = Reason::new("going, going, gone").filter(|_| argument.is_multiple_of(2)).unwrap_or_default();
        let (close, content) = match argument {
            0 => (Close::Empty, (None, String::new())),
            _ => (Close::With(code, reason), (Some(code), String::from(reason.as_str()))),
        };
        tx.close(close);
        assert_eq!(tx.queued() > queued, self.model.open, "the Close is queued once");
        self.note_own(queued, now);
        if self.model.open {
            self.model.close = Some(content);
        }
        self.model.shut();
    }

    fn abort(&mut self, now: Instant) {
        self.socket.tx(now).abort();
        assert_eq!((self.socket.tx(now).queued(), self.socket.transport()), (0, Transport::Reset), "after abort");
        self.shown.clear();
        self.model.shut();
        self.model.disturbed = true;
    }

    /// Writes up to `most` bytes, or all for none.
    pub(super) fn transmit(&mut self, peer: &mut Side, now: Instant, most: usize, slots: usize) {
        let transport = self.socket.transport();
        let queued = self.socket.tx(now).queued();
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.socket.transmit(&mut slices[..slots]);
        let showing: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
        assert!(slices[..filled].iter().all(|slice| !slice.is_empty()), "an empty slice");
        let is_same = self.shown.iter().zip(&showing).all(|(before, now)| before == now);
        assert!(is_same, "what was shown has changed: {:?} to {showing:?}", self.shown);
        assert!(self.shown.is_empty() || !showing.is_empty(), "what was shown is gone: {:?}", self.shown);
        // A session whose time is up closes with whatever it still had.
        let is_cut_off = transport == Transport::Close && self.model.disturbed;
        assert!(transport == Transport::Open || is_cut_off || showing.is_empty(), "{transport:?}, but there is more");
        let count = if most == 0 { showing.len() } else { most.min(showing.len()) };
        self.note_own(queued, now);
        self.write(peer, &showing[..count]);
        if showing.len() > self.shown.len() {
            self.shown = showing;
        }
        self.shown.drain(..count);
        self.socket.transmitted(count, now);
    }

    /// Reads up to `most` bytes, or all for none.
    pub(super) fn receive(&mut self, peer: &mut Side, now: Instant, most: usize) {
        let queued = self.socket.tx(now).queued();
        let most = if most == 0 { usize::MAX } else { most };
        let count = most.min(self.inbox.len());
        let mut read: Vec<u8> = self.inbox.drain(..count).collect();
        if count > 0 {
            // Feeding is resuming.
            self.model.resume(now);
            self.model.heard = now;
        } else if self.inbox_ends && !self.eof {
            self.eof = true;
            self.socket.receive_eof(now);
            self.model.shut();
        }
        let mut input = &mut read[..];
        while let Some(Incoming { event, .. }) = self.socket.receive(&mut input, now) {
            assert!(!matches!(event, Event::Failed(_)), "a fault where nobody made one: {event:?}");
            if let Event::Closing { .. } | Event::Closed(_) = event {
                self.model.shut();
            }
            if let Event::Message(_) | Event::Chunk(Chunk { last: true, .. }) = event {
                self.model.told = now;
            }
            self.record.event(event);
        }
        assert!(input.is_empty(), "bytes were left in the read");
        assert_eq!(self.is_open(now), self.model.open, "whether it takes data");
        self.note_own(queued, now);
        self.look(peer);
    }

    /// Compares what was told with what the other side sent.
    fn look(&mut self, peer: &mut Side) {
        // A deadline closes with a code of its own.
        let disturbed = self.model.disturbed || peer.model.disturbed;
        for happening in &self.record.happened[self.seen..] {
            match happening {
                Happening::Message(message) => assert_eq!(Some(message), peer.model.sent.pop_front().as_ref()),
                Happening::Ping(payload) if peer.model.pings.front() == Some(payload) => {
                    peer.model.pings.pop_front();
                }
                Happening::Ping(payload) => assert!(payload.is_empty(), "a Ping that nobody sent: {payload:?}"),
                // It may answer nothing, but keep alive.
                Happening::Pong(payload) if payload.is_empty() => {}
                Happening::Pong(payload) => {
                    let unanswered = &self.model.all_pings[self.model.answered..];
                    let answered = unanswered.iter().position(|ping| ping == payload);
                    assert!(answered.is_some(), "a Pong to no Ping: {payload:?}");
                    self.model.answered += answered.map_or(0, |at| at + 1);
                }
                Happening::Closing(code, reason) => match (&peer.model.close, &self.model.close) {
                    (Some(close), _) => assert_eq!((code, reason), (&close.0, &close.1)),
                    (None, Some((ours, _))) => {
                        assert!(code == ours || disturbed, "{code:?} echoes {ours:?}")
                    }
                    (None, None) => assert!(disturbed, "a Close that nobody sent: {code:?}"),
                },
                _ => {}
            }
        }
        self.seen = self.record.happened.len();
        if let Some(partial) = &self.record.partial {
            let of = peer.model.sent.front().or(peer.model.begun.as_ref());
            let is_part = of.is_some_and(|of| of.kind == partial.kind && of.bytes.starts_with(&partial.bytes));
            assert!(is_part, "chunks of no message: {partial:?}");
        }
    }

    fn handle_timeout(&mut self, peer: &mut Side, now: Instant) {
        let Some((_, timer)) = self.socket.poll_timeout().filter(|(deadline, _)| *deadline <= now) else { return };
        self.assert_due(timer, now);
        let queued = self.socket.tx(now).queued();
        self.socket.handle_timeout(now);
        self.note_own(queued, now);
        let next = self.socket.poll_timeout();
        assert!(next.is_none_or(|(deadline, _)| deadline > now), "{timer:?} is due again at once: {next:?}");
        match timer {
            Timer::Release => assert_eq!(self.is_open(now), self.model.open, "releasing changed the state"),
            Timer::KeepAlive => self.model.own_ping = true,
            _ => self.model.disturbed = true,
        }
        if timer != Timer::Release {
            // Several timers may have come at once.
            let is_open = self.is_open(now);
            self.model.disturbed |= is_open != self.model.open || self.socket.transport() == Transport::Reset;
            if !is_open {
                self.model.shut();
            }
        }
        if self.socket.transport() == Transport::Reset {
            self.shown.clear();
        }
        while let Some(Incoming { event, .. }) = self.socket.receive(&mut &mut [][..], now) {
            let is_end =
                matches!(event, Event::Closed(closed) if matches!(closed.cause, Cause::Timeout(_) | Cause::Local));
            assert!(is_end, "{timer:?} caused {event:?}");
            self.record.event(event);
        }
        self.look(peer);
    }

    /// A deadline that is about silence comes no earlier than the silence is long.
    fn assert_due(&self, timer: Timer, now: Instant) {
        let Config { limits, keep_alive, .. } = self.record.config();
        let (silence, since) = match (timer, keep_alive) {
            (Timer::Idle, _) => (limits.idle_timeout, self.model.heard),
            (Timer::Message, _) => (limits.message_timeout, self.model.told),
            (Timer::KeepAlive, KeepAlive::Ping { interval, .. }) => (Some(*interval), self.model.heard),
            (Timer::Pong, KeepAlive::Ping { interval, timeout }) => (Some(*interval + *timeout), self.model.heard),
            _ => return,
        };
        assert_eq!(self.model.paused, None, "{timer:?} while nothing was fed");
        assert!(silence.is_some_and(|silence| since + silence <= now), "{timer:?} at {now:?}, silent since {since:?}");
    }

    /// Silence does not last longer than it may.
    fn assert_not_idle(&self, now: Instant) {
        if let (Some(idle), true, None) = (self.record.config().limits.idle_timeout, self.model.open, self.model.paused)
        {
            assert!(now < self.model.heard + idle, "nobody noticed the silence");
        }
    }

    fn pause(&mut self, now: Instant) {
        self.socket.pause(now);
        self.model.paused = self.model.paused.or(Some(now));
    }

    fn resume(&mut self, now: Instant) {
        self.socket.resume(now);
        self.model.resume(now);
    }

    /// Does to the transport what the engine asks.
    fn obey(&mut self, peer: &mut Side) {
        match self.socket.transport() {
            Transport::Open => {}
            Transport::ShutdownWrite => {
                assert!(self.shown.is_empty(), "it shuts down with bytes to write");
                peer.inbox_ends = true;
            }
            Transport::Close => {
                peer.inbox_ends = true;
            }
            Transport::Reset => {
                self.model.disturbed = true;
                peer.inbox_ends = true;
            }
        }
    }

    /// Writes all and reads all; says whether there was any.
    pub(super) fn move_all(&mut self, peer: &mut Side, now: Instant) -> bool {
        let before = (self.model.acknowledged, self.inbox.len(), self.eof, peer.inbox_ends, self.record.happened.len());
        self.resume(now);
        self.transmit(peer, now, 0, 16);
        self.receive(peer, now, 0);
        self.receive(peer, now, 0);
        self.obey(peer);
        let after = (self.model.acknowledged, self.inbox.len(), self.eof, peer.inbox_ends, self.record.happened.len());
        before != after
    }

    /// What grew in the queue without a message is the engine's own, and bounded.
    fn note_own(&mut self, before: usize, now: Instant) {
        let queued = self.socket.tx(now).queued();
        let Model { own, acknowledged, .. } = &mut self.model;
        own.push((queued.saturating_sub(before), *acknowledged + queued as u64));
        own.retain(|(_, end)| *end > *acknowledged);
        let total: usize = own.iter().map(|(length, _)| length).sum();
        assert!(total <= endpoint::MAX_OWN, "{total} bytes are queued that nobody sent");
    }

    /// Asks without doing anything: a Ping that is too long is refused for that only while it could be sent.
    fn is_open(&mut self, now: Instant) -> bool {
        self.socket.tx(now).ping(&[0; 126]) == Err(SendError::ControlTooLong)
    }
}

impl Model {
    /// What a sender answers to a message.
    fn to_data(&self, is_full: bool) -> Result<(), SendError> {
        match (self.open, self.midway, is_full) {
            (false, _, _) => Err(SendError::Closed),
            (_, true, _) => Err(SendError::MidMessage),
            (_, _, true) => Err(SendError::Full),
            _ => Ok(()),
        }
    }

    /// What it answers to a part of one, or of which kind that must be.
    fn to_part(&self) -> Result<Kind, SendError> {
        match (self.open, self.midway, &self.begun) {
            (false, _, _) => Err(SendError::Closed),
            (_, true, Some(begun)) => Ok(begun.kind),
            _ => Err(SendError::NoMessage),
        }
    }

    /// The message that was begun is all sent.
    fn finish(&mut self) {
        self.midway = false;
        self.sent.extend(self.begun.take());
        self.compressions.push(self.compressed);
    }

    fn resume(&mut self, now: Instant) {
        if let Some(paused) = self.paused.take() {
            self.heard = self.heard + now.since(paused);
            self.told = self.told + now.since(paused);
        }
    }

    /// No data any more.
    fn shut(&mut self) {
        self.open = false;
        self.midway = false;
    }
}

impl Whole {
    /// A message whose kind and length an argument chooses. Its bytes tell it from others.
    pub(super) fn made(kind: Kind, argument: u8) -> Whole {
        let length = match argument & 0x7F {
            0x7E => 65_535,
            0x7F => 65_536,
            short => [0, 1, 2, 5, 60, 125, 126, 300][usize::from(short % 8)] + usize::from(short / 8),
        };
        let bytes = match kind {
            Kind::Binary => (0..length).map(|at| argument.wrapping_add(at.to_le_bytes()[0])).collect(),
            Kind::Text => {
                let characters = ['a', 'é', '€', '😀', char::from(b'a' + argument % 26)];
                let text: String = characters.iter().cycle().take(length).collect();
                text.into_bytes()
            }
        };
        Whole { kind, bytes }
    }
}

//! Do a client and a server understand each other over HTTP/2, on many sessions at once, whatever is called and whenever?
//!
//! The input is a program of calls for two ends that are joined by two lists of bytes. Beside each session stand the messages
//! that either side has yet to be told, in order. Neither end ever breaks the protocol, so neither may ever blame the other,
//! and all that was sent on sessions that nothing disturbed arrives. In the end both must have come to theirs.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::http2_frames::{PREFACE, Watch};
use super::http2_sessions::{End, Sessions, Stage, either};
use super::operations;
use super::record::{Happening, Whole};
use super::setup::{Choices, NOW};
use crate::config::{Config, Http2Limits};
use crate::error::{CloseCode, SendError};
use crate::event::{Cause, Closed, Kind, Message};
use crate::http2::Http2Error;
use crate::server::SessionId;
use crate::time::{Instant, Timer};
use crate::websocket::{Compress, Sender, Transport};

/// A client and a server, and a program of calls.
pub fn http2_operations(input: &[u8]) {
    let mut choices = Choices::of(input);
    let mut config = operations::config(&mut choices);
    let (mut flags, decisions) = (choices.flags(), choices.byte());
    let few = flags.flag();
    config.limits.http2 = Http2Limits {
        sessions: if few { 2 } else { 100 },
        connection_window: if flags.flag() { 0 } else { 1 << 20 },
        session_window: if flags.flag() { 200_000 } else { 0 },
        ..Http2Limits::default()
    };
    let Some(mut pair) = Pair::new(config, decisions) else { return };
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

struct Pair {
    /// The client and the server.
    sides: [Side; 2],
    channels: BTreeMap<SessionId, Channel>,
    /// What makes an unclean end of every session nobody's fault.
    disturbed: bool,
    /// All is due at once, and the first deadline says nothing of the others.
    is_hasty: bool,
    now: Instant,
    /// Sessions are chosen from the newest on, and one of them most of the time.
    chosen: u8,
}

/// One end, and the way to it.
struct Side {
    end: End,
    sessions: Sessions,
    watch: Watch,
    /// What is on its way here, that no more will follow, and that this was told.
    inbox: Vec<u8>,
    inbox_ends: bool,
    eof: bool,
    shown: Vec<u8>,
    output: usize,
}

/// One session, as both sides see it: what each has sent and the other has yet to be told.
#[derive(Default)]
struct Channel {
    ways: [Way; 2],
    aborted: bool,
    /// It was made to close, by either side or by time, which does not wait for that for ever.
    is_closing: bool,
}

#[derive(Default)]
struct Way {
    sent: VecDeque<Whole>,
    begun: Option<Whole>,
    /// How much of what the other side was told was looked at.
    seen: usize,
}

impl Pair {
    fn new(config: Config, decisions: u8) -> Option<Pair> {
        let side = |end: End, by_server| {
            let mut sessions = Sessions::new(&config);
            sessions.decisions = decisions;
            Side {
                end,
                sessions,
                watch: Watch::new(by_server),
                inbox: Vec::new(),
                inbox_ends: false,
                eof: false,
                shown: Vec::new(),
                output: config.limits.output,
            }
        };
        let sides = [side(End::client(&config)?, false), side(End::server(&config), true)];
        let is_hasty = config.limits.close_timeout.is_zero();
        let mut pair = Pair { sides, channels: BTreeMap::new(), disturbed: false, is_hasty, now: NOW, chosen: 0 };
        // Without the preface the server would answer its deadline over HTTP/1.1.
        pair.transmit(0, PREFACE.len());
        pair.receive(1, usize::MAX);
        Some(pair)
    }

    fn call(&mut self, call: u8, argument: u8) {
        let (now, from) = (self.now, usize::from(call >> 7));
        let id = self.sides[0].sessions.choose(self.chosen);
        let kind = if argument & 0x80 == 0 { Kind::Text } else { Kind::Binary };
        let whole = || Whole::made(kind, argument);
        let compress = if call & 0x40 == 0 { Compress::Auto } else { Compress::Never };
        match (call & 0x3F) % 22 {
            0 => self.open(),
            1 => self.chosen = argument,
            2 => self.send(from, id, whole(), |tx, message| tx.send_with(message, compress)),
            3 => self.send(from, id, whole(), |tx, message| {
                tx.send_through(message, compress).map(|frame| assert!(frame.is_none(), "{frame:?} goes into DATA"))
            }),
            4 => self.begin(from, id, kind),
            5 | 6 => self.append(from, id, whole()),
            7 => self.finish(from, id),
            8 => {
                if let Some(tx) = self.sides[from].tx(id, now) {
                    let result = tx.ping(&[argument; 9]);
                    assert!(matches!(result, Ok(()) | Err(SendError::PingQueued | SendError::Closed)), "{result:?}");
                }
            }
            9 => {
                let code = CloseCode::new(1000 + u16::from(argument)).unwrap_or(CloseCode::GOING_AWAY);
                self.sides[from].end.close(id, code, now);
                self.channels.entry(id).or_default().is_closing = true;
            }
            10 if argument >= 0xC0 => self.abort(from, id),
            10 | 11 => _ = self.transmit(from, 1 + usize::from(argument) * 8),
            12 => _ = self.transmit(from, usize::MAX),
            13 | 14 => _ = self.receive(from, 1 + usize::from(argument) * 4),
            15 => _ = self.receive(from, usize::MAX),
            16 => self.step(argument),
            17 => either!(&mut self.sides[from].end, end => end.pause(id, now)),
            18 => either!(&mut self.sides[from].end, end => end.resume(id, now)),
            19 => {
                let Side { end, sessions, .. } = &mut self.sides[1];
                end.decide(sessions, id, now);
            }
            20 if argument >= 0xF8 => self.cut(argument.is_multiple_of(2)),
            20 if argument >= 0xF0 => self.shut_down(),
            20 => either!(&mut self.sides[from].end, end => end.release()),
            _ => self.obey(from),
        }
    }

    fn open(&mut self) {
        let Side { end, sessions, .. } = &mut self.sides[0];
        if let Some(id) = end.open(sessions, self.now) {
            self.channels.insert(id, Channel::default());
        }
    }

    fn send(
        &mut self,
        from: usize,
        id: SessionId,
        whole: Whole,
        send: impl FnOnce(&mut Sender, Message<'_>) -> Result<(), SendError>,
    ) {
        let side = &mut self.sides[from];
        let (full, now) = (side.output, self.now);
        let (Some(tx), Some(channel)) = (side.tx(id, now), self.channels.get_mut(&id)) else { return };
        let (is_ready, is_full) = (tx.is_ready(), tx.queued() >= full);
        let result = send(tx, whole.as_message());
        assert_eq!(result.is_ok(), is_ready, "{result:?}");
        let way = &mut channel.ways[from];
        match result {
            Ok(()) => {
                assert!(!is_full && way.begun.is_none(), "it takes a message in the middle of {:?}", way.begun);
                way.sent.push_back(whole);
            }
            Err(SendError::Full) => assert!(is_full, "it is not full"),
            Err(SendError::MidMessage) => assert!(way.begun.is_some(), "it is not in the middle of one"),
            Err(error) => assert_eq!(error, SendError::Closed),
        }
    }

    fn begin(&mut self, from: usize, id: SessionId, kind: Kind) {
        let (Some(tx), Some(channel)) = (self.sides[from].tx(id, self.now), self.channels.get_mut(&id)) else { return };
        if tx.begin(kind, Compress::Auto).is_ok() {
            channel.ways[from].begun = Some(Whole { kind, bytes: Vec::new() });
        }
    }

    fn append(&mut self, from: usize, id: SessionId, part: Whole) {
        let (Some(tx), Some(channel)) = (self.sides[from].tx(id, self.now), self.channels.get_mut(&id)) else { return };
        if tx.append(part.as_message()).is_ok() {
            let begun = &mut channel.ways[from].begun;
            assert_eq!(begun.as_ref().map(|begun| begun.kind), Some(part.kind), "a part of what was begun");
            begun.iter_mut().for_each(|begun| begun.bytes.extend_from_slice(&part.bytes));
        }
    }

    fn finish(&mut self, from: usize, id: SessionId) {
        let (Some(tx), Some(channel)) = (self.sides[from].tx(id, self.now), self.channels.get_mut(&id)) else { return };
        if tx.finish().is_ok() {
            let Way { sent, begun, .. } = &mut channel.ways[from];
            assert!(begun.is_some(), "it finishes what was not begun");
            sent.extend(begun.take());
        }
    }

    fn abort(&mut self, from: usize, id: SessionId) {
        let (Some(tx), Some(channel)) = (self.sides[from].tx(id, self.now), self.channels.get_mut(&id)) else { return };
        tx.abort();
        channel.aborted = true;
    }

    /// The transport is lost, with or without what is on its way.
    fn cut(&mut self, with_all: bool) {
        self.disturbed = true;
        for side in &mut self.sides {
            side.inbox_ends = true;
            if with_all {
                side.inbox.clear();
            }
        }
    }

    fn shut_down(&mut self) {
        self.channels.values_mut().for_each(|channel| channel.is_closing = true);
        if let End::Server(server) = &mut self.sides[1].end {
            server.shut_down(self.now);
        }
    }

    /// Writes up to so many bytes; says whether there were any.
    fn transmit(&mut self, from: usize, most: usize) -> bool {
        let now = self.now;
        let (side, peer) = self.both(from);
        let taken = side.end.transmit(most, &mut side.shown, now);
        side.watch.sent(&taken);
        if !peer.inbox_ends {
            peer.inbox.extend_from_slice(&taken);
        }
        !taken.is_empty()
    }

    /// Reads up to so many bytes; says whether there were any, or an event.
    fn receive(&mut self, at: usize, most: usize) -> bool {
        let side = &mut self.sides[at];
        let mut read: Vec<u8> = side.inbox.drain(..most.min(side.inbox.len())).collect();
        let mut moved = !read.is_empty();
        side.watch.received(&read);
        if read.is_empty() && side.inbox_ends && !side.eof {
            (side.eof, moved) = (true, true);
            either!(&mut side.end, end => end.receive_eof(self.now));
        }
        let mut input = &mut read[..];
        while side.end.receive(&mut input, &mut side.sessions, self.now) {
            moved = true;
        }
        assert!(input.is_empty(), "bytes were left in the read");
        let failed = side.sessions.failed;
        let by_time = [Http2Error::SettingsTimeout, Http2Error::HeadTimeout];
        assert!(failed.is_none_or(|error| by_time.contains(&error)), "a fault where nobody made one: {failed:?}");
        self.disturbed |= failed.is_some();
        self.look(at);
        moved
    }

    /// Compares what one side was told with what the other sent.
    fn look(&mut self, at: usize) {
        for (id, session) in &self.sides[at].sessions.all {
            let Some(channel) = self.channels.get_mut(id) else { continue };
            let Way { sent, begun, seen } = &mut channel.ways[1 - at];
            for happening in &session.record.happened[*seen..] {
                match happening {
                    Happening::Message(message) => assert_eq!(Some(message), sent.pop_front().as_ref(), "{id:?}"),
                    Happening::Failed(error) => assert_eq!(Some(error), None, "a fault where nobody made one"),
                    // Time, which is told here, may have ended it for the other side too.
                    Happening::Closed(Closed { cause: Cause::Timeout(_), .. }) => channel.aborted = true,
                    Happening::Closing(..) | Happening::Closed(_) => channel.is_closing = true,
                    _ => {}
                }
            }
            *seen = session.record.happened.len();
            if let Some(partial) = &session.record.partial {
                let of = sent.front().or(begun.as_ref());
                let is_part = of.is_some_and(|of| of.kind == partial.kind && of.bytes.starts_with(&partial.bytes));
                assert!(is_part, "chunks of no message: {partial:?}");
            }
        }
    }

    /// Lets time pass on both sides, from deadline to deadline.
    fn step(&mut self, argument: u8) {
        let step = [1, 100, 1_000, 2_000, 5_000, 10_000, 30_000, 100_000][usize::from(argument % 8)];
        let until = self.now + Duration::from_millis(step);
        while let Some(next) = self.next_deadline().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.handle_timeouts();
        }
        self.now = until;
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.sides.iter().filter_map(|side| either!(&side.end, end => end.poll_timeout())).map(|(at, _)| at).min()
    }

    fn next_timers(&self) -> Vec<(Option<(Instant, Timer)>, Transport)> {
        self.sides.iter().map(|side| either!(&side.end, end => (end.poll_timeout(), end.transport()))).collect()
    }

    fn handle_timeouts(&mut self) {
        for at in 0..2 {
            let due = either!(&self.sides[at].end, end => end.poll_timeout()).filter(|(due, _)| *due <= self.now);
            if due.is_some_and(|(_, timer)| timer != Timer::Release || self.is_hasty) {
                for (id, channel) in &mut self.channels {
                    let is_over = self.sides.iter().all(|side| side.sessions.stage(*id) == Some(Stage::Over));
                    channel.aborted |= channel.is_closing && !is_over;
                }
            }
            let side = &mut self.sides[at];
            side.end.handle_timeout(self.now);
            let transport = either!(&side.end, end => end.transport());
            if matches!(transport, Transport::Reset | Transport::Close) {
                self.disturbed = true;
                side.shown.clear();
                // Who drives it drops the transport.
                side.inbox.clear();
                side.inbox_ends = true;
            }
            self.receive(at, 0);
        }
    }

    /// Does to the transport what the engine asks.
    fn obey(&mut self, from: usize) {
        let (side, peer) = self.both(from);
        let transport = either!(&side.end, end => end.transport());
        assert!(transport == Transport::Open || side.shown.is_empty(), "{transport:?}, with bytes to write");
        peer.inbox_ends |= transport != Transport::Open;
    }

    /// Lets everything that is under way arrive, closes, and waits for whatever is to end by itself.
    fn end(&mut self) {
        for id in self.channels.keys().copied() {
            for side in &mut self.sides {
                either!(&mut side.end, end => end.resume(id, self.now));
            }
        }
        self.settle();
        if !self.disturbed {
            for (id, channel) in &self.channels {
                let is_open = self.sides.iter().all(|side| side.sessions.stage(*id) == Some(Stage::Open));
                let has_arrived = channel.ways.iter().all(|way| way.sent.is_empty());
                assert!(
                    !is_open || channel.aborted || has_arrived,
                    "messages are stuck on {id:?}: {:?}",
                    self.sizes(*id)
                );
            }
        }
        for id in self.channels.keys().copied() {
            self.sides[0].end.close(id, CloseCode::NORMAL, self.now);
            let Side { end, sessions, .. } = &mut self.sides[1];
            end.decide(sessions, id, self.now);
        }
        self.settle();
        self.shut_down();
        let mut steps = 0;
        loop {
            self.settle();
            self.obey(0);
            self.obey(1);
            if self.settle() {
                continue;
            }
            if self.sides.iter().all(|side| either!(&side.end, end => end.is_closed())) {
                break;
            }
            let next = self.next_deadline();
            assert!(next.is_some(), "they wait, but for no deadline");
            self.now = next.unwrap_or(self.now).max(self.now);
            self.handle_timeouts();
            steps += 1;
            assert!(steps < 200 + 8 * self.channels.len(), "it has no end: {:?}", self.next_timers());
        }
        self.assert_ended();
    }

    fn assert_ended(&self) {
        for side in &self.sides {
            assert!(side.sessions.is_all_over(), "sessions without their end");
        }
        for (id, channel) in &self.channels {
            let records = self.sides.iter().filter_map(|side| side.sessions.all.get(id)).map(|session| &session.record);
            let ends: Vec<_> = records.filter_map(|record| record.happened.last()).collect();
            // A client may have given up on a session that the server has accepted.
            if self.disturbed || channel.aborted || ends.len() < 2 {
                continue;
            }
            let is_clean = |end: &&Happening| matches!(end, Happening::Closed(closed) if closed.clean);
            assert!(ends.iter().all(is_clean), "nothing disturbed {id:?}: {ends:?}");
            let has_arrived = channel.ways.iter().all(|way| way.sent.is_empty());
            assert!(has_arrived, "messages were lost on {id:?}: {:?}", self.sizes(*id));
        }
    }

    /// Moves bytes until there are none; says whether there were any.
    fn settle(&mut self) -> bool {
        let mut moved = false;
        for rounds in 0.. {
            let sent = [self.transmit(0, usize::MAX), self.transmit(1, usize::MAX)];
            let received = [self.receive(0, usize::MAX), self.receive(1, usize::MAX)];
            if !sent.contains(&true) && !received.contains(&true) {
                break;
            }
            moved = true;
            assert!(rounds < 10_000, "bytes move, and nothing comes of it");
        }
        moved
    }

    fn both(&mut self, from: usize) -> (&mut Side, &mut Side) {
        let [client, server] = &mut self.sides;
        if from == 0 { (client, server) } else { (server, client) }
    }

    /// The lengths of the messages that have not arrived, each way.
    fn sizes(&self, id: SessionId) -> Vec<Vec<usize>> {
        let ways = self.channels.get(&id).into_iter().flat_map(|channel| &channel.ways);
        ways.map(|way| way.sent.iter().map(|whole| whole.bytes.len()).collect()).collect()
    }
}

impl Side {
    fn tx(&mut self, id: SessionId, now: Instant) -> Option<&mut Sender> {
        either!(&mut self.end, end => end.tx(id, now))
    }
}

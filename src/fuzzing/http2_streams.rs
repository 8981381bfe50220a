//! Does an endpoint stand any bytes over HTTP/2, and answer them with frames that it may send?
//!
//! The first bytes say what the application does, between the reads too; the rest is what the peer sends.

use alloc::vec::Vec;

use super::endpoint::MAX_OWN;
use super::http2_frames::{PREFACE, Watch};
use super::http2_sessions::{End, Sessions, Stage, either};
use super::record::Whole;
use super::setup::{self, Choices, Cuts, NOW};
use super::wire;
use crate::config::Config;
use crate::error::CloseCode;
use crate::time::Instant;
use crate::websocket::Transport;

/// Bytes from a client, for a server that may be of either version of HTTP.
pub fn http2_server(input: &[u8]) {
    let mut choices = Choices::of(input);
    let Some(mut run) = Run::of(&mut choices, true) else { return };
    let preface = if run.is_prefaced { PREFACE } else { b"" };
    let bytes = [preface, choices.rest()].concat();
    run.feed(&bytes);
    run.end();
}

/// Bytes from a server, for a client that asked it for a few sessions.
pub fn http2_client(input: &[u8]) {
    let mut choices = Choices::of(input);
    let Some(mut run) = Run::of(&mut choices, false) else { return };
    for _ in 0..3 {
        run.end.open(&mut run.sessions, run.now);
    }
    let settings: &[u8] = if run.is_prefaced { b"\0\0\x06\x04\0\0\0\0\0\0\x08\0\0\0\x01" } else { b"" };
    let bytes = [settings, choices.rest()].concat();
    run.feed(&bytes);
    run.end();
}

struct Run<'i> {
    end: End,
    by_server: bool,
    sessions: Sessions,
    watch: Watch,
    config: Config,
    cuts: Cuts,
    /// What is done after the next reads.
    program: &'i [u8],
    ending: u8,
    is_prefaced: bool,
    now: Instant,
    /// What was shown and not taken.
    shown: Vec<u8>,
    /// The transport was said to be gone, or is to be dropped.
    is_gone: bool,
}

/// Events that no byte caused, one after the other: each session has a few at its end.
const MOST_FREE: usize = 16;

/// DATA that is planned ahead, and a head for each byte of it.
const MAX_PLANNED: usize = 10 * (80 << 10);

impl<'i> Run<'i> {
    fn of(choices: &mut Choices<'i>, by_server: bool) -> Option<Run<'i>> {
        let mut flags = choices.flags();
        let mut config = setup::config(&mut flags);
        let (is_prefaced, echoes, ending) = (!flags.flag(), flags.flag(), flags.four());
        config.compression = setup::compression(flags.four());
        let cuts = choices.cuts();
        let mut sessions = Sessions::new(&config);
        sessions.echoes = echoes;
        sessions.decisions = choices.byte();
        let length = usize::from(choices.byte() % 64);
        Some(Run {
            end: if by_server { End::server(&config) } else { End::client(&config)? },
            by_server,
            sessions,
            watch: Watch::new(by_server),
            cuts,
            program: choices.take(length),
            ending,
            is_prefaced,
            now: NOW,
            shown: Vec::new(),
            is_gone: false,
            config,
        })
    }

    fn feed(&mut self, bytes: &[u8]) {
        for read in self.cuts.clone().reads(bytes) {
            if self.is_gone {
                return;
            }
            self.watch.received(read);
            self.receive(read);
            match self.program {
                // A head of HTTP/1.1, which it may still be, is for others to time out.
                [action, argument, rest @ ..] if self.watch.is_http2() => {
                    self.program = rest;
                    self.act(*action, *argument);
                }
                _ => self.drain(),
            }
        }
    }

    /// Lends all events of a read, which must use it up.
    fn receive(&mut self, read: &[u8]) {
        let mut read = read.to_vec();
        let mut input = &mut read[..];
        let mut free = 0;
        loop {
            let before = input.len();
            if !self.end.receive(&mut input, &mut self.sessions, self.now) {
                assert!(input.is_empty(), "bytes were left in the read: {input:?}");
                break;
            }
            free = if input.len() < before { 0 } else { free + 1 };
            assert!(free <= MOST_FREE * (1 + self.sessions.all.len()), "{free} events that cost nothing");
        }
        self.assert_bounded();
    }

    fn act(&mut self, action: u8, argument: u8) {
        let (now, id) = (self.now, self.sessions.choose(argument));
        match action % 16 {
            0 => self.transmit(1 + usize::from(argument)),
            1 => {
                self.step(argument);
                self.drain();
            }
            2 => either!(&mut self.end, end => end.pause(id, now)),
            3 => either!(&mut self.end, end => end.resume(id, now)),
            4 | 5 => {
                let whole = Whole::short(argument);
                if let Some(tx) = either!(&mut self.end, end => end.tx(id, now))
                    && tx.send(whole.as_message()).is_ok()
                {
                    self.sessions.queued += whole.bytes.len() + 64;
                }
            }
            6 => self.end.close(id, CloseCode::NORMAL, now),
            7 => {
                // What is planned stays, though its session is gone.
                if let Some(tx) = either!(&mut self.end, end => end.tx(id, now)) {
                    tx.abort();
                }
            }
            8 => self.end.decide(&mut self.sessions, id, now),
            9 => either!(&mut self.end, end => end.release()),
            10 => either!(&mut self.end, end => end.shut_down(now)),
            11 => {
                if let Some(tx) = either!(&mut self.end, end => end.tx(id, now)) {
                    // Refused while one waits.
                    _ = tx.ping(&[argument; 3]);
                }
            }
            12 => {}
            13 => _ = self.end.open(&mut self.sessions, now),
            _ => self.drain(),
        }
        self.receive(&[]);
    }

    fn transmit(&mut self, most: usize) {
        let taken = self.end.transmit(most, &mut self.shown, self.now);
        self.watch.sent(&taken);
    }

    /// Takes all that is queued, and what moves up behind it. Then nothing waits but for credit.
    fn drain(&mut self) {
        while either!(&self.end, end => end.has_output()) {
            let before = self.shown.len();
            let taken = self.end.transmit(usize::MAX, &mut self.shown, self.now);
            self.watch.sent(&taken);
            assert!(before == 0 || !taken.is_empty(), "what was shown is gone");
            if taken.is_empty() {
                break;
            }
        }
        if self.is_gone {
            return;
        }
        assert!(self.shown.is_empty(), "what was shown is gone");
        self.watch.drained();
        if self.sessions.failed.is_some() || !self.watch.is_http2() {
            return;
        }
        for (id, session) in &self.sessions.all {
            if session.stage != Stage::Open {
                continue;
            }
            let queued = either!(&mut self.end, end => end.tx(*id, self.now)).map_or(0, |tx| tx.queued());
            let is_over = self.watch.streams.get(&id.0).is_some_and(|stream| stream.is_ended || stream.is_reset);
            assert!(queued == 0 || is_over || self.watch.is_blocked(id.0), "{id:?} has {queued} bytes, and credit");
        }
        self.receive(&[]);
    }

    fn step(&mut self, argument: u8) {
        self.now = self.now + core::time::Duration::from_millis(100 << (argument % 10));
        self.end.handle_timeout(self.now);
        let transport = either!(&self.end, end => end.transport());
        // What was queued may be dropped then.
        self.is_gone |= matches!(transport, Transport::Close | Transport::Reset);
    }

    /// What is queued was asked for by the application, or is bounded by the limits.
    fn assert_bounded(&mut self) {
        let mut shown = 0;
        either!(&mut self.end, end => end.transmit_slices().for_each(|slice| shown += slice.len()));
        let count = self.sessions.all.len();
        let of_sessions = self.sessions.queued + count * (MAX_OWN + 64);
        let most = self.config.limits.http2.answers + 1024 + 64 * count + (10 * of_sessions).min(MAX_PLANNED);
        assert!(shown <= most, "{shown} bytes are queued, of at most {most}");
        if !self.watch.is_http2() {
            self.shown.clear();
        }
    }

    /// Ends the transport or not, and waits for what is to end by itself.
    fn end(&mut self) {
        // A session that is paused waits for its application, however long.
        for id in self.sessions.all.keys() {
            either!(&mut self.end, end => end.resume(*id, self.now));
        }
        self.drain();
        if self.sessions.failed.is_none() && self.watch.is_http2() && !self.is_gone {
            self.watch.assert_answered();
        }
        self.assert_told();
        match self.ending {
            0 => {}
            1 => {
                either!(&mut self.end, end => end.receive_eof(self.now));
                self.is_gone = true;
            }
            2 => {
                either!(&mut self.end, end => end.receive_reset(self.now));
                self.shown.clear();
                self.is_gone = true;
                assert!(!either!(&self.end, end => end.has_output()), "output, for nobody");
            }
            _ => either!(&mut self.end, end => end.shut_down(self.now)),
        }
        self.receive(&[]);
        self.time_out();
        assert!(self.sessions.is_all_over(), "sessions without their end: {:?}", self.stages());
        either!(&mut self.end, end => end.receive_eof(self.now));
        self.receive(&[]);
        assert!(either!(&self.end, end => end.is_closed()), "closed, and no more");
    }

    /// Lets time pass until the connection is done: all deadlines together must get there.
    fn time_out(&mut self) {
        let mut steps = 0;
        loop {
            if self.ending != 2 {
                while either!(&self.end, end => end.has_output()) {
                    let taken = self.end.transmit(usize::MAX, &mut self.shown, self.now);
                    self.watch.sent(&taken);
                    if taken.is_empty() {
                        break;
                    }
                }
            }
            self.receive(&[]);
            if either!(&self.end, end => end.is_closed()) {
                return;
            }
            let deadline = either!(&self.end, end => end.poll_timeout());
            let Some((deadline, timer)) = deadline else {
                // A client's connection without sessions is the caller's to end, and one that failed.
                let is_idle = !self.by_server && self.sessions.is_all_over();
                assert!(is_idle, "it waits, but for no deadline: {:?}", self.stages());
                either!(&mut self.end, end => end.receive_eof(self.now));
                self.receive(&[]);
                assert!(either!(&self.end, end => end.is_closed()), "the end of file is not the end");
                return;
            };
            self.now = self.now.max(deadline);
            self.end.handle_timeout(self.now);
            steps += 1;
            assert!(steps < 32 * (2 + self.sessions.all.len()), "no deadline ends it: {timer:?} {:?}", self.stages());
        }
    }

    /// What failed said so, to both sides; what a session sent is frames, and a page is as long as it says.
    fn assert_told(&self) {
        if !self.watch.is_http2() {
            return;
        }
        let code = self.sessions.failed.map(|error| error.code().get());
        assert!(
            code.is_none() || self.is_gone || self.watch.gone == code,
            "GOAWAY of {:?} tells of {code:?}",
            self.watch.gone
        );
        for (id, session) in &self.sessions.all {
            let Some(sent) = self.watch.streams.get(&id.0) else { continue };
            let is_whole = sent.is_ended && !sent.is_reset;
            let value = |name: &[u8]| {
                let field = sent.head.iter().flatten().find(|field| field.0 == name);
                field.map(|field| alloc::string::String::from_utf8_lossy(&field.1).into_owned())
            };
            match session.stage {
                Stage::Open | Stage::Over
                    if is_whole && (!self.by_server || value(b":status").as_deref() == Some("200")) =>
                {
                    _ = wire::frames(&sent.data, !self.by_server, self.config.compression.is_some());
                }
                Stage::Answered if is_whole => {
                    let length = value(b"content-length").and_then(|length| length.parse().ok());
                    let is_right = sent.data.is_empty() || length == Some(sent.data.len());
                    assert!(is_right, "{} bytes of {length:?}", sent.data.len());
                }
                _ => {}
            }
        }
    }

    fn stages(&self) -> Vec<(u32, Stage)> {
        self.sessions.all.iter().map(|(id, session)| (id.0, session.stage)).collect()
    }
}

//! Do the reads into which input is cut make a difference? They must not.

use alloc::vec::Vec;

use super::endpoint::{self, Application, Decision, Endpoint};
use super::http2_frames::PREFACE;
use super::record::{Happening, Record};
use super::setup::{self, Choices, Cuts, NOW};
use super::streams::{REQUEST, response_to};
use crate::config::Config;
use crate::error::Error;
use crate::server::Server;
use crate::time::{Instant, Timer};
use crate::websocket::Transport;

/// The same bytes in one read and in many: the same events, the same output, the same end.
pub fn split_against_whole(input: &[u8]) {
    let mut choices = Choices::of(input);
    let (mut flags, cuts) = (choices.flags(), choices.cuts());
    let mut config = setup::config(&mut flags);
    let (is_client, shakes_hands, ends, echoes) = (flags.flag(), flags.flag(), flags.flag(), flags.flag());
    let decision = match flags.four() {
        0 => Decision::Accept,
        1 => Decision::Reject,
        2 => Decision::Drop,
        _ => {
            config.compression = setup::compression(1);
            Decision::Accept
        }
    };
    let application = Application { echoes, decision };
    let script = Script { config: &config, is_client, shakes_hands, ends, application, input: choices.rest() };
    let (Some(whole), Some(split)) = (script.play(&Cuts::Whole), script.play(&cuts)) else { return };
    let faults = (split.record.fault(), whole.record.fault());
    if let ((Some(left), Some(right)), true) = (faults, config.compression.is_some())
        && left != right
    {
        // A read of corrupt data tells nothing of what came out before: which fault is found first depends on it.
        assert!(in_compressed(left) && in_compressed(right), "{left:?} in pieces, {right:?} whole");
        return;
    }
    assert_eq!(split.record.happened, whole.record.happened, "events: in pieces on the left, whole on the right");
    assert_eq!(split.record.echoed, whole.record.echoed, "echoes: in pieces on the left, whole on the right");
    assert_eq!(split.output, whole.output, "output: in pieces on the left, whole on the right");
    assert_eq!(split.transport, whole.transport, "what to do with the transport: in pieces on the left");
    assert_eq!(split.is_closed, whole.is_closed, "is_closed: in pieces on the left");
    if let (Some(left), Some(right)) = (split.deadline, whole.deadline) {
        // Whether buffers are there to release is what reads do decide.
        let comparable = left.1 != Timer::Release && right.1 != Timer::Release;
        assert!(!comparable || left == right, "deadlines {left:?} in pieces, {right:?} whole");
    }
    let faulty = |happening: &Happening| matches!(happening, Happening::Failed(_) | Happening::Unopened(_));
    let is_faulty = whole.record.happened.iter().any(faulty);
    assert_same(&split.record.body, &whole.record.body, is_faulty);
    let partial = |outcome: &Outcome| outcome.record.partial.as_ref().map_or(Vec::new(), |part| part.bytes.clone());
    assert_same(&partial(&split), &partial(&whole), is_faulty);
}

struct Script<'i> {
    config: &'i Config,
    is_client: bool,
    /// The input stands behind a good handshake; else it is the handshake too.
    shakes_hands: bool,
    ends: bool,
    application: Application,
    input: &'i [u8],
}

struct Outcome {
    record: Record,
    output: Vec<u8>,
    transport: Transport,
    is_closed: bool,
    deadline: Option<(Instant, Timer)>,
}

impl Script<'_> {
    fn play(&self, cuts: &Cuts) -> Option<Outcome> {
        if self.is_client {
            let (client, request) = endpoint::asking_client(self.config, &["chat", "superchat"])?;
            Some(self.converse(client, &response_to(&request, self.config), cuts))
        } else if !self.shakes_hands && self.input.starts_with(&PREFACE[..18]) {
            None // which tells other things, and is told of elsewhere
        } else {
            Some(self.converse(Server::new(setup::shared(self.config), NOW), REQUEST, cuts))
        }
    }

    fn converse(&self, mut endpoint: impl Endpoint, handshake: &[u8], cuts: &Cuts) -> Outcome {
        let (mut record, mut output) = (Record::new(self.config), Vec::new());
        let input = if self.shakes_hands { &[handshake, self.input].concat() } else { self.input };
        endpoint::feed(&mut endpoint, input, cuts, &self.application, &mut record);
        if self.ends {
            endpoint.receive_eof();
        }
        endpoint::settle(&mut endpoint, &self.application, &mut record);
        endpoint::drain(&mut endpoint, &mut output);
        let (transport, is_closed) = (endpoint.transport(), endpoint.is_closed());
        Outcome { transport, is_closed, deadline: endpoint.poll_timeout(), record, output }
    }
}

/// Whether it is a fault that a compressed message may have beside others.
fn in_compressed(error: Error) -> bool {
    matches!(error, Error::InvalidDeflate | Error::InvalidUtf8 | Error::MessageTooBig | Error::EmptyBlocks)
}

/// What was told of something before a fault depends on where the read with the fault began.
fn assert_same(split: &[u8], whole: &[u8], before_fault: bool) {
    let same = if before_fault { split.starts_with(whole) || whole.starts_with(split) } else { split == whole };
    assert!(same, "pieces joined: {split:?} in many reads, {whole:?} in one");
}

//! Is what goes past the queue as if it had been queued, and taken at once?
//!
//! Two sessions live the same life: what one queues, and the transport takes at once, the other sends through. All that can be
//! seen of them is the same: the bytes that the transport took, what waits, the events, the deadlines.

#![cfg(all(test, feature = "deflate"))]

use std::time::Duration;

use proptest::prelude::*;
use sockless::{
    Close, Compress, Compression, Config, Incoming, Instant, KeepAlive, Kind, Limits, Message, Shared, WebSocket,
};

mod common;
mod compressed;

use common::*;
use compressed::*;

/// What is done to a session; of a message that stands at the front, the transport takes so much at once.
#[derive(Clone, Debug)]
enum Step {
    Send(Kind, usize, Compress, usize),
    SendShared(usize),
    Hear(Frame),
    Ping(usize),
    Begin,
    Append(usize),
    Finish,
    Taken(usize),
    Wait(u64),
    Release,
    Close,
    Abort,
}

fn step() -> impl Strategy<Value = Step> {
    let length = || prop_oneof![4 => 0usize..20, 2 => 120usize..130, 1 => prop::sample::select(vec![1000, 65_536])];
    let count = || prop_oneof![3 => Just(usize::MAX), 2 => 0usize..30, 1 => 0usize..66_000];
    let kind = prop::sample::select(vec![Kind::Text, Kind::Binary]);
    let compress = prop::sample::select(vec![Compress::Auto, Compress::Never, Compress::Never, Compress::Always]);
    let heard = prop_oneof![
        8 => (0usize..=125).prop_map(|length| Frame::ping(vec![7; length])),
        4 => Just(Frame::text("theirs")),
        1 => Just(Frame::close(1000, "")),
    ];
    prop_oneof![
        12 => (kind, length(), compress, count()).prop_map(|(kind, length, compress, count)| {
            Step::Send(kind, length, compress, count)
        }),
        1 => length().prop_map(Step::SendShared),
        5 => heard.prop_map(Step::Hear),
        3 => (0usize..=125).prop_map(Step::Ping),
        1 => Just(Step::Begin),
        2 => length().prop_map(Step::Append),
        2 => Just(Step::Finish),
        8 => count().prop_map(Step::Taken),
        4 => (0u64..20).prop_map(Step::Wait),
        1 => prop::sample::select(vec![Step::Release, Step::Release, Step::Close, Step::Abort]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_goes_through_is_as_if_it_were_queued_and_taken(
        role in prop_oneof![4 => Just(Role::Server), 1 => Just(Role::Client)],
        deflate in any::<bool>(),
        keep_alive in prop::sample::select(vec![
            KeepAlive::Off,
            KeepAlive::Pong { interval: Duration::from_secs(9) },
            KeepAlive::Ping { interval: Duration::from_secs(9), timeout: Duration::from_secs(4) },
        ]),
        output in prop::sample::select(vec![0, 1, 100, 200_000]),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        // Where a buffer has been used, it is released some time.
        let limits = Limits { output, stall_timeout: Some(Duration::from_secs(25)), release: None, ..Limits::default() };
        let compression = Some(Compression::default()).filter(|_| deflate);
        let config = Config { limits, keep_alive, compression, ..Config::default() };
        let [mut queued, mut through] = [(); 2].map(|()| match deflate {
            true => engine(role, TAKEOVER, config.clone()),
            false => bare_session(role, config.clone()),
        });
        let mut written: [Vec<u8>; 2] = Default::default();
        let mut now = START;
        for step in steps {
            if let Step::Send(kind, length, compress, count) = step {
                let body = "m".repeat(length);
                let message = if kind == Kind::Text { Message::Text(&body) } else { Message::Binary(body.as_bytes()) };
                let lends = role == Role::Server && (!deflate || compress == Compress::Never) && !queued.has_output();
                let sent = queued.tx(now).send_with(message, compress);
                if lends && sent.is_ok() {
                    takes(&mut queued, count, &mut written[0], now);
                }
                match through.tx(now).send_through(message, compress) {
                    Ok(Some(frame)) => {
                        prop_assert!(lends && sent.is_ok());
                        let bytes = [frame.header(), frame.payload()].concat();
                        written[1].extend_from_slice(&bytes[..count.min(bytes.len())]);
                        frame.written(count);
                    }
                    other => prop_assert_eq!((other.map(|_| ()), lends && sent.is_ok()), (sent, false)),
                }
            } else {
                let did = [&mut queued, &mut through].into_iter().zip(&mut written).map(|(session, written)| {
                    let tx = session.tx(now);
                    match &step {
                        Step::Send(..) => {}
                        Step::SendShared(length) => _ = tx.send_shared(&Shared::binary(vec![3; *length])),
                        Step::Ping(length) => _ = tx.ping(&vec![9; *length]),
                        Step::Begin => _ = tx.begin(Kind::Binary, Compress::Auto),
                        Step::Append(length) => _ = tx.append(Message::Binary(&vec![5; *length])),
                        Step::Finish => _ = tx.finish(),
                        Step::Close => tx.close(Close::Empty),
                        Step::Abort => tx.abort(),
                        Step::Hear(_) => {}
                        Step::Taken(count) => takes(session, *count, written, now),
                        Step::Wait(seconds) => session.handle_timeout(now + Duration::from_secs(*seconds)),
                        Step::Release => session.release(),
                    }
                    let mut input = if let Step::Hear(frame) = &step { frame.to(role) } else { Vec::new() };
                    let (mut input, mut seen) = (&mut input[..], Vec::new());
                    while let Some(Incoming { event, .. }) = session.receive(&mut input, now) {
                        seen.push(Seen::of(event));
                    }
                    seen
                });
                let did: Vec<_> = did.collect();
                prop_assert_eq!(&did[0], &did[1]);
            }
            if let Step::Wait(seconds) = step {
                now = now + Duration::from_secs(seconds);
            }
            prop_assert!(written[0] == written[1]);
            prop_assert!(show(&mut queued) == show(&mut through));
            let [queued, through] = [&mut queued, &mut through].map(|session| {
                let refusals = (session.tx(now).is_ready(), session.tx(now).ping(&[0; 126]));
                (session.poll_timeout(), session.transport(), refusals)
            });
            prop_assert_eq!(queued, through);
        }
    }
}

/// The transport takes up to so many bytes of what is shown.
fn takes(session: &mut WebSocket, count: usize, written: &mut Vec<u8>, now: Instant) {
    let shown = show(session);
    written.extend_from_slice(&shown[..count.min(shown.len())]);
    session.transmitted(count, now);
}

fn show(session: &mut WebSocket) -> Vec<u8> {
    session.transmit_slices().flatten().copied().collect()
}

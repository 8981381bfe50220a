//! What is compressed, and what goes over the wire for it? Does a connection that was quiet go on where it was?
//! (RFC 7692 §6.1, §7.1.1, §7.2.1)
//!
//! What is sent is judged by an inflater of the tests' own and, as it arrives, by the engine in the other role.

#![cfg(all(test, feature = "deflate"))]

use std::sync::Arc;
use std::time::Duration;

use sockless::{
    Close, Compress, Compression, Config, DeflateParameters, Delivery, Instant, KeepAlive, Kind, Limits, Message, Pool,
    Prepared, SendError, Sender, Timer, WebSocket, WindowBits,
};

mod common;
mod compressed;
mod inflate;

use common::*;
use compressed::*;
use inflate::Inflater;

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// A sender, and all who read it: its peer, in both deliveries, and an inflater that is strict about the window.
struct Link {
    sender: WebSocket,
    messages: WebSocket,
    chunks: WebSocket,
    judge: Judge,
}

/// What the readers make of what was sent at once.
struct Read {
    frames: Vec<Frame>,
    messages: Vec<Seen>,
    /// What came in chunks, in one piece.
    data: Vec<u8>,
}

impl Link {
    fn new(role: Role, parameters: DeflateParameters, compression: &Compression) -> Link {
        let other = if role == Role::Server { Role::Client } else { Role::Server };
        let limits = Limits { output: usize::MAX, ..Limits::default() };
        let config = Config { compression: Some(compression.clone()), limits, ..Config::default() };
        Link {
            sender: engine(role, parameters, config.clone()),
            messages: engine(other, parameters, config.clone()),
            chunks: engine(other, parameters, Config { delivery: Delivery::Chunks, ..config }),
            judge: Judge::new(parameters),
        }
    }

    fn sends(&mut self, act: impl FnOnce(&mut Sender)) -> Read {
        act(self.sender.tx(START));
        let mut sent = Vec::new();
        self.sender.take(&mut sent, START);
        let data = events(&mut self.chunks, &mut sent.clone()).into_iter().flat_map(|seen| match seen {
            Seen::Chunk { data, .. } | Seen::Ping(data) => data,
            other => panic!("{other:?}"),
        });
        Read { frames: frames(&sent), messages: events(&mut self.messages, &mut sent.clone()), data: data.collect() }
    }

    /// Sends a whole message, compressed, which arrives; its payload.
    #[track_caller]
    fn says(&mut self, message: Message<'_>) -> Vec<u8> {
        let read = self.sends(|tx| tx.send_with(message, Compress::Always).unwrap());
        let [frame] = &read.frames[..] else { panic!("{:?}", read.frames) };
        assert_eq!(
            (self.judge.reads(frame.payload()), &read.data[..]),
            (message.as_bytes().to_vec(), message.as_bytes())
        );
        assert_eq!(read.messages, [Seen::of(sockless::Event::Message(message))]);
        frame.payload().to_vec()
    }
}

/// An inflater that keeps its window as was agreed on; both sides agreed on the same.
struct Judge(Inflater, DeflateParameters);

impl Judge {
    fn new(parameters: DeflateParameters) -> Judge {
        Judge(Inflater::new(parameters.server_max_window_bits.size()), parameters)
    }

    #[track_caller]
    fn reads(&mut self, payload: &[u8]) -> Vec<u8> {
        let bytes = self.0.message(payload).unwrap().bytes;
        if self.1.server_no_context_takeover {
            self.0.reset();
        }
        bytes
    }
}

/// Bytes that do not become smaller.
fn noise(length: usize, mut seed: u32) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn binary(payload: impl AsRef<[u8]>) -> Frame {
    Frame::binary(payload).rsv(RSV1)
}

// What is compressed.

#[test]
fn trap_40_bytes_that_leave_no_choice() {
    for (parameters, compression) in modes() {
        in_both_roles(|way| {
            let mut session = way.compressing_with(parameters, compression.clone());
            let tx = session.tx();
            tx.send_with(Message::Text(""), Compress::Always).unwrap();
            tx.begin(Kind::Text, Compress::Always).unwrap();
            tx.finish().unwrap();
            tx.begin(Kind::Binary, Compress::Auto).unwrap();
            tx.finish_with(Message::Binary(&[])).unwrap();
            tx.begin(Kind::Text, Compress::Always).unwrap();
            tx.append(Message::Text("")).unwrap();
            tx.append(Message::Text("")).unwrap();
            tx.finish().unwrap();
            session.sends(&[
                compressed(EMPTY),
                compressed(EMPTY),
                binary(EMPTY),
                compressed("").more(),
                Frame::continuation("").more(),
                Frame::continuation(EMPTY),
            ]);
        });
    }
    let mut server = engine(Role::Server, TAKEOVER, config(Compression::default()));
    server.tx(START).send_with(Message::Text(""), Compress::Always).unwrap();
    let mut sent = Vec::new();
    server.take(&mut sent, START);
    assert_eq!(sent, [0xC1, 0x01, 0x00]);
}

fn config(compression: Compression) -> Config {
    Config { compression: Some(compression), ..Config::default() }
}

/// What is sent, and whether it is compressed. `text` becomes smaller, and `noise` does not.
//= rfc7692 6.1 MUST 1: compressed: deflated, framed, and marked with RSV1
//= rfc7692 6.1 MUST 2: plain: framed as it is
//= type=test
#[test]
fn a_threshold_a_choice_and_what_does_not_become_smaller() {
    let text = "ab".repeat(50);
    let noise = noise(100, 1);
    for (parameters, compression) in modes() {
        let is_kept = parameters == TAKEOVER;
        for (message, compress, threshold, is_compressed) in [
            (Message::Text(&text), Compress::Auto, 100, true),
            (Message::Text(&text), Compress::Auto, 101, false),
            (Message::Text(&text), Compress::Auto, 0, true),
            (Message::Text(&text), Compress::Never, 0, false),
            (Message::Text(&text), Compress::Always, 101, true),
            (Message::Text(""), Compress::Auto, 1, false),
            // What went into the peer's window must be in ours, so it does not go plain where that is kept.
            (Message::Text(""), Compress::Auto, 0, is_kept),
            (Message::Binary(&noise), Compress::Auto, 0, is_kept),
            (Message::Binary(&noise), Compress::Auto, 101, false),
            (Message::Binary(&noise), Compress::Never, 0, false),
            (Message::Binary(&noise), Compress::Always, 101, true),
        ] {
            in_both_roles(|way| {
                let mut session =
                    way.compressing_with(parameters, Compression { threshold: Some(threshold), ..compression.clone() });
                let mut judge = Judge::new(parameters);
                let frame = |payload: &[u8]| match message.kind() {
                    Kind::Text => Frame::text(payload),
                    Kind::Binary => Frame::binary(payload),
                };
                for _ in 0..3 {
                    session.tx().send_with(message, compress).unwrap();
                    let sent = frames(&session.take_output());
                    if is_compressed {
                        assert_eq!(
                            sent,
                            [frame(sent[0].payload()).rsv(RSV1)],
                            "{message:?}, {compress:?}, {threshold}"
                        );
                        assert_eq!(judge.reads(sent[0].payload()), message.as_bytes());
                    } else {
                        assert_eq!(sent, [frame(message.as_bytes())], "{message:?}, {compress:?}, {threshold}");
                    }
                }
            });
        }
    }
}

/// A message that its sender begins has no length yet: neither the threshold nor its size makes it plain.
#[test]
fn a_message_that_was_begun_is_compressed_or_not_from_its_beginning() {
    for (parameters, compression) in modes() {
        for (compress, is_compressed) in [(Compress::Auto, true), (Compress::Always, true), (Compress::Never, false)] {
            in_both_roles(|way| {
                let mut session = way.compressing_with(parameters, compression.clone());
                session.tx().begin(Kind::Binary, compress).unwrap();
                session.tx().append(Message::Binary(&[0xB5])).unwrap();
                session.tx().finish().unwrap();
                let sent = frames(&session.take_output());
                let payload = sent[0].payload();
                let first = if is_compressed { binary(payload) } else { Frame::binary([0xB5]) };
                assert_eq!(sent, [first.more(), Frame::continuation("")]);
                if is_compressed {
                    assert_eq!(Inflater::new(256).message(payload).unwrap().bytes, [0xB5]);
                }
            });
        }
    }
}

#[test]
fn without_agreement_or_without_a_configuration_all_goes_plain() {
    in_both_roles(|way| {
        let compression = Some(Compression { threshold: Some(0), ..Compression::default() });
        let with_configuration = way.session_with(Config { compression, ..Config::default() });
        for mut session in [with_configuration, way.compressing(TAKEOVER, Config::default())] {
            let text = "ab".repeat(500);
            session.tx().send_with(Message::Text(&text), Compress::Always).unwrap();
            session.tx().begin(Kind::Text, Compress::Always).unwrap();
            session.tx().finish_with(Message::Text(&text)).unwrap();
            let prepared = Prepared::compressed(Message::Text(&text), &Compression::default(), &[WindowBits::MIN]);
            session.tx().send_prepared(&prepared).unwrap();
            session.sends(&[Frame::text(&text), Frame::text(&text), Frame::text(&text)]);
        }
    });
}

#[test]
fn where_compression_was_agreed_on_only_what_must_go_plain_is_lent() {
    for (parameters, compression) in modes() {
        for role in ROLES {
            let mut link = Link::new(role, parameters, &compression);
            let mut through = |text: &str, compress, lent: bool| {
                let read = link.sends(|tx| {
                    let frame = tx.send_through(Message::Text(text), compress).unwrap();
                    assert_eq!(frame.is_some(), lent && role == Role::Server);
                });
                assert_eq!((read.messages, read.data), (vec![Seen::text(text)], text.as_bytes().to_vec()));
                read.frames[0].payload().len()
            };
            let text = "all the same ".repeat(100);
            let lengths = [Compress::Auto, Compress::Always].map(|compress| through(&text, compress, false));
            assert!(lengths.iter().all(|length| *length < 50), "{lengths:?}");
            // What goes plain leaves the window as it was.
            assert_eq!(through("all the same, in the clear", Compress::Never, true), 26);
            assert_eq!(through("short", Compress::Auto, false), 5, "plain as well, but for the configuration to say");
            assert!(through(&text, Compress::Auto, false) < 50);
        }
    }
}

/// Trap 42: neither what is plain nor what is empty is in a window.
//= rfc7692 7.2.1 MUST 2: a client that agreed to it begins each message with an empty window
//= rfc7692 7.2.1 MUST 3: and so does a server
//= rfc7692 7.2.1 MAY 4: otherwise a client refers to earlier messages
//= rfc7692 7.2.1 MAY 6: and so does a server
//= type=test
#[test]
fn trap_42_what_goes_plain_is_not_referred_to() {
    let noise = noise(200, 2);
    for (parameters, compression) in modes() {
        in_both_roles(|way| {
            let mut session =
                way.compressing_with(parameters, Compression { threshold: Some(0), ..compression.clone() });
            let tx = session.tx();
            tx.send_with(Message::Binary(&noise[..100]), Compress::Always).unwrap();
            tx.send_with(Message::Binary(&noise), Compress::Never).unwrap();
            tx.send_with(Message::Binary(&[]), Compress::Always).unwrap();
            tx.send_shared(&noise[100..].to_vec().into()).unwrap();
            tx.send_prepared(&Prepared::new(Message::Binary(&noise))).unwrap();
            tx.begin(Kind::Binary, Compress::Never).unwrap();
            tx.finish_with(Message::Binary(&noise)).unwrap();
            tx.send_with(Message::Binary(&noise), Compress::Always).unwrap();
            tx.send_with(Message::Binary(&noise), Compress::Always).unwrap();
            let sent = frames(&session.take_output());
            let [first, plain @ .., fifth, sixth] = &sent[..] else { panic!() };
            let unframed = [&noise[..], EMPTY, &noise[100..], &noise, &noise];
            assert_eq!(plain.iter().map(Frame::payload).collect::<Vec<_>>(), unframed);
            let mut judge = Judge::new(parameters);
            for (frame, message) in [(first, &noise[..100]), (fifth, &noise), (sixth, &noise)] {
                assert_eq!(judge.reads(frame.payload()), message);
            }
            // With context takeover the last is nothing but references, and the one before it is half of them.
            let (half, none) = if parameters == TAKEOVER { (150, 20) } else { (220, 220) };
            assert!(fifth.payload().len() < half && fifth.payload().len() > 100, "{fifth:?}");
            assert!(sixth.payload().len() < none, "{sixth:?}");
        });
    }
}

// Messages in parts.

/// Every sequence of up to three of these parts, ended with the last of them and with an empty frame.
//= rfc7692 6.1 MUST NOT 1: RSV1 is on no control frame and on no continuation
//= rfc7692 7.2.1 MUST NOT 1: the tail is left out at the end of the message only
//= type=test
#[test]
fn trap_39_each_part_can_be_read_as_soon_as_it_is_there() {
    let long = "long ".repeat(3400);
    let parts = ["", "é", "part part part", &long];
    let mut sequences: Vec<Vec<&str>> = vec![vec![]];
    for longer in 0..3 {
        let grown = sequences.iter().filter(|list| list.len() == longer);
        let grown = grown.flat_map(|list| parts.map(|part| [&list[..], &[part]].concat()));
        sequences.extend(grown.collect::<Vec<_>>());
    }
    let modes = modes();
    for (role, (parameters, compression)) in
        ROLES.into_iter().flat_map(|role| modes.iter().map(move |mode| (role, mode)))
    {
        let mut link = Link::new(role, *parameters, compression);
        for (sequence, is_ended_with_last) in sequences.iter().flat_map(|list| [(list, true), (list, false)]) {
            let message = Seen::text(&sequence.concat());
            let mut payload = Vec::new();
            link.sends(|tx| tx.begin(Kind::Text, Compress::Auto).unwrap());
            let none = if is_ended_with_last && !sequence.is_empty() { None } else { Some(&"") };
            for (index, part) in sequence.iter().chain(none).enumerate() {
                let is_last = index + 1 == sequence.len() + none.iter().len();
                let read = link.sends(|tx| match (is_last, none) {
                    (true, None) => tx.finish_with(Message::Text(part)).unwrap(),
                    (true, Some(_)) => tx.finish().unwrap(),
                    (false, _) => tx.append(Message::Text(part)).unwrap(),
                });
                let sent = read.frames[0].payload();
                let frame = if index == 0 { compressed(sent) } else { Frame::continuation(sent) };
                assert_eq!(read.frames, [if is_last { frame } else { frame.more() }]);
                assert_eq!(read.data, part.as_bytes(), "{sequence:?}");
                assert_eq!(read.messages, if is_last { vec![message.clone()] } else { vec![] });
                payload.extend_from_slice(sent);
                let read = link.sends(|tx| tx.ping(b"between").unwrap());
                assert_eq!((read.frames, read.messages), (vec![Frame::ping("between")], vec![Seen::ping("between")]));
            }
            assert_eq!(link.judge.reads(&payload), sequence.concat().as_bytes(), "{sequence:?}");
            link.says(Message::Text(&sequence.concat()));
        }
    }
}

/// What is refused goes into no window.
#[test]
fn what_is_refused_leaves_no_trace_in_the_context() {
    let noise = noise(300, 3);
    for (parameters, compression) in modes() {
        in_both_roles(|way| {
            let limits = Limits { output: 100, ..Limits::default() };
            let mut session = way.compressing(parameters, Config { limits, ..config(compression.clone()) });
            let message = Message::Binary(&noise);
            let mut judge = Judge::new(parameters);
            for _ in 0..3 {
                session.tx().send_with(message, Compress::Always).unwrap();
                assert_eq!(session.tx().queued() < 100, session.tx().is_ready());
                session.tx().ping(&[0xFF; 120]).unwrap();
                assert_eq!(session.tx().send_with(Message::Text("refused"), Compress::Always), Err(SendError::Full));
                assert_eq!(session.tx().begin(Kind::Text, Compress::Always), Err(SendError::Full));
                assert_eq!(judge.reads(frames(&session.take_output())[0].payload()), noise);

                session.tx().begin(Kind::Binary, Compress::Always).unwrap();
                session.tx().append(message).unwrap();
                session.tx().ping(&[0xFF; 120]).unwrap();
                assert_eq!(session.tx().append(Message::Binary(b"refused")), Err(SendError::Full));
                assert_eq!(session.tx().append(Message::Text("refused")), Err(SendError::WrongKind));
                assert_eq!(session.tx().send(Message::Text("refused")), Err(SendError::MidMessage));
                let mut payload = frames(&session.take_output())[0].payload().to_vec();
                session.tx().finish_with(message).unwrap();
                payload.extend_from_slice(frames(&session.take_output())[0].payload());
                assert_eq!(judge.reads(&payload), noise.repeat(2));
            }
        });
    }
}

#[test]
fn a_message_broken_off_ends_the_sending_and_leaves_nothing_in_the_pool() {
    for (parameters, compression) in modes() {
        for is_aborted in [false, true] {
            in_both_roles(|way| {
                let mut session = way.compressing_with(parameters, compression.clone());
                session.tx().begin(Kind::Text, Compress::Always).unwrap();
                session.tx().append(Message::Text("Hello")).unwrap();
                if is_aborted {
                    session.tx().abort();
                    session.sends_nothing();
                } else {
                    session.tx().close(Close::Empty);
                    let sent = frames(&session.take_output());
                    assert_eq!(sent, [compressed(sent[0].payload()).more(), Frame::close_empty()]);
                    // The other direction goes on.
                    session.receives(compressed(HELLO), &[Seen::text("Hello")]);
                }
                assert_eq!(session.tx().append(Message::Text("more")), Err(SendError::Closed));
                assert_eq!(session.tx().finish(), Err(SendError::Closed));
                // Its context is the next one's, where there is a pool.
                let mut next = way.compressing_with(parameters, compression.clone());
                next.tx().send_with(Message::Text("Hello"), Compress::Always).unwrap();
                let sent = frames(&next.take_output());
                assert_eq!(Judge::new(parameters).reads(sent[0].payload()), b"Hello");
            });
        }
    }
}

#[test]
fn every_frame_of_a_client_has_a_key_of_its_own() {
    let mut link = Link::new(Role::Client, NO_TAKEOVER, &Compression::default());
    let tx = link.sender.tx(START);
    tx.send_with(Message::Text("Hello"), Compress::Always).unwrap();
    tx.begin(Kind::Text, Compress::Always).unwrap();
    tx.append(Message::Text("Hello")).unwrap();
    tx.finish().unwrap();
    tx.send_prepared(&Prepared::compressed(
        Message::Text(&"Hello ".repeat(9)),
        &Compression::default(),
        &[WindowBits::MIN],
    ))
    .unwrap();
    let mut sent = Vec::new();
    link.sender.take(&mut sent, START);
    let mut keys = masking_keys(&sent);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 4);
    let rsv1 = frames(&sent).iter().map(|frame| *frame == frame.clone().rsv(RSV1)).collect::<Vec<_>>();
    assert_eq!(rsv1, [true, true, false, true]);
}

// Prepared messages.

#[test]
fn a_prepared_message_goes_in_the_largest_variant_that_was_agreed_on() {
    // The first repetition is out of reach for 8 bits, the second for 12 too.
    let (near, far) = (noise(400, 4), noise(5000, 5));
    let message = [&near[..], &near, &far, &far].concat();
    let window = |bits| WindowBits::new(bits).unwrap();
    for pool in [None, Some(Arc::new(Pool::default()))] {
        let compression = Compression { pool, ..Compression::default() };
        let windows = [window(12), window(8), window(15), window(12)];
        let prepared = Prepared::compressed(Message::Binary(&message), &compression, &windows);
        assert_eq!((prepared.payload(), prepared.kind()), (&message[..], Kind::Binary));
        for agreed in 8..=15 {
            in_both_roles(|way| {
                // What the other side sends is another matter.
                let parameters = match way.role {
                    Role::Server => DeflateParameters {
                        server_no_context_takeover: true,
                        server_max_window_bits: window(agreed),
                        client_max_window_bits: window(23 - agreed),
                        ..TAKEOVER
                    },
                    Role::Client => DeflateParameters {
                        client_no_context_takeover: true,
                        client_max_window_bits: window(agreed),
                        server_max_window_bits: window(23 - agreed),
                        ..TAKEOVER
                    },
                };
                let limits = Limits { output: usize::MAX, ..Limits::default() };
                let mut session = way.compressing(parameters, Config { limits, ..config(compression.clone()) });
                session.tx().send_prepared(&prepared).unwrap();
                session.tx().send_prepared(&prepared).unwrap();
                let sent = session.take_output();
                let [first, second] = &frames(&sent)[..] else { panic!() };
                assert_eq!(first, second);
                let length = first.payload().len();
                // The variant for 8 is as long as the message, and so there is none.
                let expected = match agreed {
                    8..12 => Frame::binary(&message),
                    _ => binary(first.payload()),
                };
                assert_eq!(*first, expected);
                if agreed >= 12 {
                    let range = if agreed < 15 { 10_400..10_800 } else { 5_400..5_800 };
                    assert!(range.contains(&length), "{agreed}: {length}");
                    let mut judge = Inflater::new(window(agreed).size());
                    assert_eq!(judge.message(first.payload()).unwrap().bytes, message);
                }
            });
        }
    }
}

#[test]
fn a_prepared_message_goes_plain_where_a_window_is_kept_and_where_none_was_agreed_on() {
    let text = "tick ".repeat(20);
    let prepared = Prepared::compressed(Message::Text(&text), &Compression::default(), &[WindowBits::MIN]);
    in_both_roles(|way| {
        let mut session = way.compressing_with(NO_TAKEOVER, Compression::default());
        session.tx().send_prepared(&prepared).unwrap();
        let sent = frames(&session.take_output());
        assert_eq!(sent, [compressed(sent[0].payload())]);
        assert!(sent[0].payload().len() < 30);

        // We are to keep a window; that the peer is not changes nothing.
        let peers = match way.role {
            Role::Server => DeflateParameters { client_no_context_takeover: true, ..TAKEOVER },
            Role::Client => DeflateParameters { server_no_context_takeover: true, ..TAKEOVER },
        };
        for mut session in [way.compressing_with(peers, Compression::default()), way.session()] {
            session.tx().send_prepared(&prepared).unwrap();
            session.sends(&[Frame::text(&text)]);
        }
        // None was asked for, and none of them is smaller.
        for (message, windows) in [(&text[..], &[][..]), ("", &[WindowBits::MAX]), ("Hi", &[WindowBits::MAX])] {
            let mut session = way.compressing_with(NO_TAKEOVER, Compression::default());
            let prepared = Prepared::compressed(Message::Text(message), &Compression::default(), windows);
            session.tx().send_prepared(&prepared).unwrap();
            session.sends(&[Frame::text(message)]);
        }
    });
}

// A connection that is quiet: Compression::hibernate.

const QUIET: Duration = Duration::from_secs(10);

fn hibernating(window: WindowBits) -> (DeflateParameters, Config) {
    let compression = Some(Compression { hibernate: Some(QUIET), threshold: Some(0), ..Compression::default() });
    let parameters = DeflateParameters { server_max_window_bits: window, client_max_window_bits: window, ..TAKEOVER };
    (parameters, still(compression))
}

/// Nothing happens by itself but what concerns memory.
fn still(compression: Option<Compression>) -> Config {
    let limits = Limits { idle_timeout: None, ..Limits::default() };
    Config { compression, limits, keep_alive: KeepAlive::Off, ..Config::default() }
}

/// Acts on whatever is due up to then; says when that was, in milliseconds since `from`.
fn quiet(session: &mut WebSocket, from: Instant, time: Duration) -> Vec<u128> {
    let mut due = Vec::new();
    while let Some((deadline, timer)) = session.poll_timeout().filter(|(deadline, _)| *deadline <= from + time) {
        assert_eq!(timer, Timer::Release);
        session.handle_timeout(deadline);
        due.push(deadline.since(from).as_millis());
        assert!(session.poll_timeout().is_none_or(|(next, _)| next > deadline), "{due:?}");
    }
    due
}

/// Both directions refer back over the sleep, time and again.
#[test]
fn contexts_that_slept_go_on_where_they_were() {
    for (bits, by_hand) in [8, 9, 15].into_iter().flat_map(|bits| [(bits, false), (bits, true)]) {
        let (parameters, config) = hibernating(WindowBits::new(bits).unwrap());
        let mut server = engine(Role::Server, parameters, config.clone());
        let mut client = engine(Role::Client, parameters, config);
        let mut now = START;
        // In the directions' windows stands nothing else, so that it is in reach of 8 bits.
        let message = noise(100, 6);
        let (mut to_client, mut to_server) = (Judge::new(parameters), Judge::new(parameters));
        for round in 0..5 {
            for (from, to, judge) in [(0, 1, &mut to_client), (1, 0, &mut to_server)] {
                let ends = [&mut server, &mut client];
                ends[from].tx(now).send(Message::Binary(&message)).unwrap();
                let mut sent = Vec::new();
                ends[from].take(&mut sent, now);
                let payload = frames(&sent)[0].payload().to_vec();
                assert_eq!(judge.reads(&payload), message, "{bits}, {round}");
                assert_eq!(payload.len() < 30, round > 0, "{bits}, {round}: {}", payload.len());
                let mut input = &mut sent[..];
                let seen = ends[to].receive(&mut input, now).map(|incoming| Seen::of(incoming.event));
                assert_eq!(seen, Some(Seen::binary(&message)));
                assert!(ends[to].receive(&mut input, now).is_none());
            }
            for end in [&mut server, &mut client] {
                if by_hand {
                    end.release();
                    assert_eq!(end.poll_timeout(), None);
                } else {
                    assert_eq!(quiet(end, now, QUIET * 2), [1000, 10_000], "{bits}, {round}");
                }
            }
            now = now + QUIET * 2;
        }
    }
}

/// Whether it sleeps shows in what a reference finds: awake, it may reach back further than was agreed on.
//= rfc7692 7.2.2 MAY 3: a client keeps no more than the window that was agreed on
//= rfc7692 7.2.2 MAY 4: and so does a server
//= type=test
#[test]
fn a_context_sleeps_once_it_was_quiet_and_between_messages() {
    for (bits, reach) in [(8, 512), (9, 512), (10, 1024), (15, 32 << 10)] {
        let (parameters, config) = hibernating(WindowBits::new(bits).unwrap());
        let no_sleep = still(Some(Compression::default()));
        let bytes = noise(40_000, 7);
        let message = Blocks::default().stored(false, &bytes).message();
        let refer = |distance| binary(Blocks::default().fixed(false).three_from(distance).end().message());
        let found = |distance: usize| Seen::binary(&bytes[bytes.len() - distance..][..3]);
        let nothing = Seen::failure(sockless::Error::InvalidDeflate);
        in_both_roles(|way| {
            let begun = |config: &Config| {
                let mut session = way.compressing(parameters, config.clone());
                session.receives(binary(&message), &[Seen::binary(&bytes)]);
                session
            };
            // As far as was agreed on, and no further once it slept.
            let too_far = (reach + 1).min(32 << 10);
            let mut session = begun(&config);
            session.waits(QUIET, &[]);
            session.receives(refer(reach), &[found(reach)]);
            let mut session = begun(&config);
            session.waits(QUIET - Duration::from_nanos(1), &[]);
            session.receives(refer(too_far), &[found(too_far)]);
            if reach < 32 << 10 {
                let mut session = begun(&config);
                session.waits(QUIET, &[]);
                session.receives(refer(too_far), &nothing);
                let mut session = begun(&config);
                session.engine.release();
                session.receives(refer(too_far), &nothing);
            }
            // What is sent counts as traffic, too.
            let mut session = begun(&config);
            session.waits(QUIET / 2, &[]);
            session.tx().ping(&[]).unwrap();
            session.sends(&[Frame::ping("")]);
            session.waits(QUIET - Duration::from_nanos(1), &[]);
            session.receives(refer(too_far), &[found(too_far)]);
            // Not in the middle of a message, by itself or by hand.
            let mut session = begun(&config);
            session.receives(binary("").more(), &[]);
            session.waits(QUIET * 3, &[]);
            session.engine.release();
            session.receives(Frame::continuation(refer(too_far).payload()), &[found(too_far)]);
            // Not where it was not asked for.
            let mut session = begun(&no_sleep);
            session.waits(QUIET * 3, &[]);
            session.engine.release();
            session.receives(refer(too_far), &[found(too_far)]);
        });
    }
}

#[test]
fn a_sleep_behind_bfinal() {
    for bits in [8, 9, 15] {
        let (parameters, config) = hibernating(WindowBits::new(bits).unwrap());
        in_both_roles(|way| {
            let mut session = way.compressing(parameters, config.clone());
            for last in [HELLO_FINAL, &HELLO_FINAL[..7], HELLO_AGAIN, HELLO_STORED, HELLO_IN_TWO_BLOCKS] {
                session.receives(compressed(last), &[Seen::text("Hello")]);
                session.waits(QUIET, &[]);
                session.receives(compressed(HELLO_AGAIN), &[Seen::text("Hello")]);
                session.engine.release();
                session.receives([compressed(EMPTY), compressed([])], &[Seen::text(""), Seen::text("")]);
                session.engine.release();
                session.receives(compressed(HELLO_AGAIN), &[Seen::text("Hello")]);
            }
        });
    }
}

#[test]
fn a_message_under_way_is_not_slept_over_by_its_sender() {
    for bits in [8, 9, 15] {
        let (parameters, config) = hibernating(WindowBits::new(bits).unwrap());
        let noise = noise(100, 8);
        in_both_roles(|way| {
            let mut session = way.compressing(parameters, config.clone());
            let mut judge = Judge::new(parameters);
            for round in 0..3 {
                let mut payload = Vec::new();
                session.tx().begin(Kind::Binary, Compress::Auto).unwrap();
                for part in [&noise[..], &[], &noise] {
                    session.tx().append(Message::Binary(part)).unwrap();
                    payload.extend_from_slice(frames(&session.take_output())[0].payload());
                    session.waits(QUIET * 2, &[]);
                    session.engine.release();
                }
                assert!(payload.len() < if round == 0 { 150 } else { 50 }, "{round}: {}", payload.len());
                session.tx().finish().unwrap();
                payload.extend_from_slice(frames(&session.take_output())[0].payload());
                assert_eq!(judge.reads(&payload), noise.repeat(2));
                session.waits(QUIET * 2, &[]);
            }
        });
    }
}

#[test]
fn the_time_of_a_sleep_comes_once() {
    let second = Duration::from_secs(1);
    let late = Some(second * 3);
    for (hibernate, release, received, sent) in [
        (Some(second * 2), Some(second), &[1000, 2000][..], &[1000, 2000][..]),
        (Some(second), Some(second), &[1000], &[1000]),
        // The buffers of a context go with it; the output queue has its own time.
        (Some(second), late, &[1000], &[1000, 3000]),
        (Some(second), None, &[1000], &[1000]),
        (Some(Duration::ZERO), late, &[0], &[0, 3000]),
        (Some(Duration::MAX), late, &[3000], &[3000]),
        (None, late, &[3000], &[3000]),
        (None, None, &[], &[]),
    ] {
        in_both_roles(|way| {
            let mut config = still(Some(Compression { hibernate, ..Compression::default() }));
            config.limits.release = release;
            for is_sender in [false, true] {
                let mut session = way.compressing(TAKEOVER, config.clone());
                for _ in 0..3 {
                    if is_sender {
                        session.tx().send_with(Message::Text("Hello"), Compress::Always).unwrap();
                        session.take_output();
                    } else {
                        session.receives(compressed(HELLO), &[Seen::text("Hello")]);
                    }
                    let times = quiet(&mut session.engine, session.now, second * 60);
                    assert_eq!(times, if is_sender { sent } else { received }, "{hibernate:?}, {release:?}");
                    session.waits(second * 60, &[]);
                }
            }
        });
    }
}

//! How many messages a second are echoed over HTTP/2, with many sessions on one connection?
//!
//! `cargo bench --bench http2` times it by criterion; `cargo bench --bench http2 -- ratios` prints a table in Markdown.
//! Both ends run here, on one thread, over a pipe of 64 KiB each way in memory, which copies in and out as a socket
//! would. In a round every session sends one message, or 16, and has them echoed.
//!
//! The engine sends text: the client draws a key a frame and masks, the server unmasks; both check frames and UTF-8,
//! keep windows, deadlines and budgets against floods, and are driven as the README says. Beside it stands the crate
//! `h2`, which carries bytes and no more: extended CONNECT, then DATA of as many bytes as the engine's frames have,
//! echoed by reference without the four bytes of the masking key. What it is given it buffers, so no capacity is
//! reserved beforehand, which would only cost it time. It is driven in two ways, and what counts is the faster. *By
//! hand*: one loop polls both connections and the streams in their turn, so that nothing is ever woken or scheduled.
//! *Tasks*, as its documentation shows: on a tokio runtime of one thread, one task a connection and one for each end of
//! a stream. Windows, frame sizes and pipes are the same for all three.
//!
//! That all messages came back, and as long as they were sent, is checked in what is timed; that they are the same, in
//! the first round. In the table the three take turns, a millisecond each, or a round; what counts is the median of the
//! thread's own time, so that it is little disturbed by whatever else runs.
//!
//! `-- profile 0,16,100,1,50` runs the engine (`1` and `2` are `h2`) with 16 B on 100 sessions, one message each, for
//! 50 rounds: for `valgrind --tool=callgrind --toggle-collect='*Echo*round*'`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench that fails is to say so")]

use std::hint::black_box;
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use cpu_time::ThreadTime;
use criterion::{BenchmarkId, Criterion, Throughput};
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use sockless::{
    Accept, Client, ClientEvent, Config, Connect, Entropy, Event, Http2Limits, Incoming, Instant, Limits, Message,
    NoEntropy, Server, ServerEvent, SessionId,
};
use tokio::io::DuplexStream;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

fn main() {
    if std::env::args().any(|argument| argument == "ratios") {
        return ratios();
    }
    if let Some(cell) = std::env::args().skip_while(|argument| argument != "profile").nth(1) {
        let numbers: Vec<usize> = cell.split(',').map(|number| number.parse().unwrap()).collect();
        let [peer, size, sessions, depth, rounds] = numbers[..] else { panic!("not five numbers: {cell}") };
        let mut peer = peers(sessions, size).into_iter().nth(peer).unwrap();
        return (0..rounds).for_each(|_| peer.round(depth));
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for (size, size_name) in SIZES {
        for sessions in SESSIONS {
            for depth in depths(size, sessions) {
                let mut group = criterion.benchmark_group(format!("echo/{size_name}/{sessions} sessions/{depth} each"));
                group.throughput(Throughput::Elements((sessions * depth) as u64));
                for mut peer in peers(sessions, size) {
                    let name = peer.name();
                    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                        bencher.iter(|| peer.round(depth));
                    });
                }
            }
        }
    }
    criterion.final_summary();
}

const SIZES: [(usize, &str); 3] = [(16, "16 B"), (1 << 10, "1 KiB"), (16 << 10, "16 KiB")];
const SESSIONS: [usize; 3] = [1, 100, 1000];
const PIPE: usize = 64 << 10;
/// What a driver shows its socket at a time.
const SLICES: usize = 64;
/// As much as is ever under way, so that `h2` is never without a turn.
const SESSION_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;
/// What `h2` allows in small frames that nobody has read yet; by default 16 messages on each of 1000 sessions end it.
const BUDGET: usize = 1 << 30;
const URL: &str = "https://example.com/chat";
/// What stands in front of a masked payload and not of another.
const KEY: usize = 4;

/// How many messages a session has under way.
fn depths(size: usize, sessions: usize) -> impl Iterator<Item = usize> {
    [1, 16].into_iter().filter(move |depth| size * sessions * depth <= 16 << 20)
}

/// Both ends of a connection with sessions, which are open.
trait Echo {
    fn name(&self) -> &'static str;
    /// Every session sends so many messages, and gets their echoes.
    fn round(&mut self, depth: usize);
}

fn peers(sessions: usize, size: usize) -> [Box<dyn Echo>; 3] {
    [
        Box::new(Engine::new(sessions, size)),
        Box::new(ByHand(Pair::new(sessions, size))),
        Box::new(Tasks::new(sessions, size)),
    ]
}

struct Engine {
    client: Client,
    server: Server,
    ids: Vec<SessionId>,
    message: String,
    /// What is under way to the server, and to the client.
    up: Vec<u8>,
    down: Vec<u8>,
    buffer: Vec<u8>,
    now: Instant,
    is_checked: bool,
}

impl Engine {
    fn new(sessions: usize, size: usize) -> Engine {
        let http2 = Http2Limits {
            sessions: sessions as u32,
            session_window: SESSION_WINDOW,
            connection_window: CONNECTION_WINDOW,
            ..Http2Limits::default()
        };
        let config = Arc::new(Config { limits: Limits { http2, ..Limits::default() }, ..Config::default() });
        let now = Instant::from_nanos(0);
        let mut client = Client::http2(Arc::clone(&config), Foreseen, now).unwrap();
        let connect = Connect::to(&URL.replace("https", "wss")).unwrap();
        let ids = (0..sessions).map(|_| client.open(&connect, now).unwrap()).collect();
        let mut engine = Engine {
            client,
            server: Server::new(config, now),
            ids,
            message: String::from_utf8(text(size)).unwrap(),
            up: Vec::new(),
            down: Vec::new(),
            buffer: vec![0; PIPE],
            now,
            is_checked: false,
        };
        let mut open = 0;
        while open < sessions {
            engine.client.take(&mut engine.up, now);
            let mut input = &mut engine.up[..];
            while let Some(event) = engine.server.receive(&mut input, now) {
                let ServerEvent::Offer(offer) = event else { panic!("no offer: {event:?}") };
                offer.accept(Accept::new());
            }
            engine.up.clear();
            engine.server.take(&mut engine.down, now);
            let mut input = &mut engine.down[..];
            while let Some(event) = engine.client.receive(&mut input, now) {
                let ClientEvent::Open(_) = event else { panic!("not open: {event:?}") };
                open += 1;
            }
            engine.down.clear();
        }
        engine.round(1);
        engine.is_checked = true;
        engine
    }
}

impl Echo for Engine {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn round(&mut self, depth: usize) {
        let Engine { client, server, ids, message, up, down, buffer, now, is_checked } = self;
        for id in ids.iter() {
            let tx = client.tx(*id, *now).unwrap();
            for _ in 0..depth {
                tx.send(Message::Text(black_box(message))).unwrap();
            }
        }
        let mut echoed = 0;
        while echoed < ids.len() * depth {
            // A driver reads its clock once a turn, and then acts on what is due.
            *now = *now + Duration::from_micros(10);
            while client.has_output()
                && let count @ 1.. = write(up, |slices| client.transmit(slices))
            {
                client.transmitted(count, *now);
            }
            let mut input = read(up, buffer);
            while let Some(event) = server.receive(&mut input, *now) {
                let ServerEvent::Session(_, Incoming { event: Event::Message(message), tx }) = event else {
                    panic!("no message: {event:?}")
                };
                tx.send(message).unwrap();
            }
            server.handle_timeout(*now);
            while server.has_output()
                && let count @ 1.. = write(down, |slices| server.transmit(slices))
            {
                server.transmitted(count, *now);
            }
            let mut input = read(down, buffer);
            while let Some(event) = client.receive(&mut input, *now) {
                let ClientEvent::Session(_, Incoming { event: Event::Message(echo), .. }) = event else {
                    panic!("no message: {event:?}")
                };
                assert_eq!(echo.as_bytes().len(), message.len());
                assert!(*is_checked || echo == Message::Text(message));
                echoed += 1;
            }
            client.handle_timeout(*now);
        }
    }
}

/// Writes what is shown into a pipe, as far as there is room.
fn write<'s>(pipe: &mut Vec<u8>, transmit: impl FnOnce(&mut [IoSlice<'s>]) -> usize) -> usize {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let (count, before) = (transmit(&mut slices), pipe.len());
    for slice in &slices[..count] {
        let room = slice.len().min(PIPE - pipe.len());
        pipe.extend_from_slice(&slice[..room]);
    }
    pipe.len() - before
}

/// Reads all that is in a pipe.
fn read<'b>(pipe: &mut Vec<u8>, buffer: &'b mut [u8]) -> &'b mut [u8] {
    let read = &mut buffer[..pipe.len()];
    read.copy_from_slice(pipe);
    pipe.clear();
    read
}

/// What one end of a stream of `h2` receives.
struct Receive {
    stream: RecvStream,
    /// Bytes of the message under way that have come.
    come: usize,
    is_checked: bool,
}

/// Both connections of `h2`, their streams open.
struct Pair {
    client: h2::client::Connection<DuplexStream, Bytes>,
    server: h2::server::Connection<DuplexStream, Bytes>,
    requests: h2::client::SendRequest<Bytes>,
    ours: Vec<(SendStream<Bytes>, Receive)>,
    theirs: Vec<(SendStream<Bytes>, Receive)>,
    /// The bytes that the engine sends for a message.
    frame: Bytes,
}

impl Pair {
    fn new(sessions: usize, size: usize) -> Pair {
        let (client, server) = tokio::io::duplex(PIPE);
        let client = h2::client::Builder::new()
            .initial_window_size(SESSION_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(BUDGET)
            .handshake(client);
        let server = h2::server::Builder::new()
            .enable_connect_protocol()
            .max_concurrent_streams(sessions as u32)
            .initial_window_size(SESSION_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(BUDGET)
            .handshake(server);
        let (mut requests, mut client) = until(pin!(client)).unwrap();
        let mut server = until(pin!(server)).unwrap();
        let (mut ours, mut theirs, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        while ours.len() < sessions {
            let context = &mut Context::from_waker(Waker::noop());
            assert!(pin!(&mut client).poll(context).is_pending());
            if let Poll::Ready(accepted) = server.poll_accept(context) {
                let (request, mut respond) = accepted.unwrap().unwrap();
                let send = respond.send_response(Response::new(()), false).unwrap();
                theirs.push((send, Receive::new(request.into_body())));
            }
            if requests.is_extended_connect_protocol_enabled()
                && asked.len() + ours.len() < sessions
                && requests.poll_ready(context).is_ready()
            {
                let request = Request::builder().method(Method::CONNECT).uri(URL);
                let request = request.extension(h2::ext::Protocol::from_static("websocket")).body(()).unwrap();
                asked.push(requests.send_request(request, false).unwrap());
            }
            if let Some((response, _)) = asked.first_mut()
                && let Poll::Ready(response) = pin!(response).poll(context)
            {
                let (_, send) = asked.remove(0);
                ours.push((send, Receive::new(response.unwrap().into_body())));
            }
        }
        let header = if size < 126 { 2 } else { 4 };
        Pair { client, server, requests, ours, theirs, frame: text(header + KEY + size).into() }
    }
}

impl Receive {
    fn new(stream: RecvStream) -> Receive {
        Receive { stream, come: 0, is_checked: false }
    }

    /// Takes what has come of a message, and gives credit for it; says whether that is all of it.
    fn take(&mut self, chunk: Result<Bytes, h2::Error>, message: &[u8]) -> (Bytes, bool) {
        let chunk = chunk.unwrap();
        self.stream.flow_control().release_capacity(chunk.len()).unwrap();
        assert!(self.is_checked || message[self.come..].starts_with(&chunk));
        self.come += chunk.len();
        assert!(self.come <= message.len());
        let is_whole = self.come == message.len();
        if is_whole {
            self.come = 0;
            self.is_checked = true;
        }
        (chunk, is_whole)
    }

    /// Sends what has come of a message back, but for the key.
    fn echo(&mut self, chunk: Result<Bytes, h2::Error>, frame: &[u8], send: &mut SendStream<Bytes>) -> bool {
        let from = KEY.saturating_sub(self.come);
        let (chunk, is_whole) = self.take(chunk, frame);
        send.send_data(chunk.slice(from..), false).unwrap();
        is_whole
    }
}

struct ByHand(Pair);

impl Echo for ByHand {
    fn name(&self) -> &'static str {
        "h2, by hand"
    }

    fn round(&mut self, depth: usize) {
        let Pair { client, server, ours, theirs, frame, .. } = &mut self.0;
        let context = &mut Context::from_waker(Waker::noop());
        for (send, _) in ours.iter_mut() {
            for _ in 0..depth {
                send.send_data(black_box(&*frame).clone(), false).unwrap();
            }
        }
        let (mut asked, mut echoed) = (ours.len() * depth, ours.len() * depth);
        // Streams take turns, so nearly all DATA comes in their order, and what has not come need not be asked for.
        // Where a turn brought nothing, all streams are asked.
        let (mut next, mut next_echo, mut allowed) = (0, 0, 0);
        while echoed > 0 {
            let before = (asked, echoed);
            assert!(pin!(&mut *client).poll(context).is_pending());
            assert!(server.poll_accept(context).is_pending());
            let mut missed = 0;
            while asked > 0 {
                let (send, receive) = &mut theirs[next];
                match receive.stream.poll_data(context) {
                    Poll::Ready(chunk) => asked -= usize::from(receive.echo(chunk.unwrap(), frame, send)),
                    Poll::Pending if missed == allowed => break,
                    Poll::Pending => missed += 1,
                }
                next = (next + 1) % theirs.len();
            }
            assert!(server.poll_accept(context).is_pending());
            assert!(pin!(&mut *client).poll(context).is_pending());
            let mut missed = 0;
            while echoed > 0 {
                let (_, receive) = &mut ours[next_echo];
                match receive.stream.poll_data(context) {
                    Poll::Ready(chunk) => echoed -= usize::from(receive.take(chunk.unwrap(), &frame[KEY..]).1),
                    Poll::Pending if missed == allowed => break,
                    Poll::Pending => missed += 1,
                }
                next_echo = (next_echo + 1) % ours.len();
            }
            allowed = if before == (asked, echoed) { ours.len() } else { 0 };
        }
    }
}

struct Tasks {
    runtime: Runtime,
    sends: Vec<SendStream<Bytes>>,
    frame: Bytes,
    echoes: Arc<Echoes>,
}

/// How many are still awaited.
#[derive(Default)]
struct Echoes {
    left: AtomicUsize,
    all: Notify,
}

impl Tasks {
    fn new(sessions: usize, size: usize) -> Tasks {
        let Pair { client, mut server, requests, ours, theirs, frame } = Pair::new(sessions, size);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.spawn(async move {
            client.await.unwrap();
            drop(requests);
        });
        runtime.spawn(async move { while server.accept().await.is_some() {} });
        for (mut send, mut receive) in theirs {
            let frame = frame.clone();
            runtime.spawn(async move {
                while let Some(chunk) = receive.stream.data().await {
                    receive.echo(chunk, &frame, &mut send);
                }
            });
        }
        let (mut sends, echoes) = (Vec::new(), Arc::<Echoes>::default());
        for (send, mut receive) in ours {
            sends.push(send);
            let (echoes, frame) = (Arc::clone(&echoes), frame.clone());
            runtime.spawn(async move {
                while let Some(chunk) = receive.stream.data().await {
                    let (_, is_whole) = receive.take(chunk, &frame[KEY..]);
                    if is_whole && echoes.left.fetch_sub(1, Relaxed) == 1 {
                        echoes.all.notify_one();
                    }
                }
            });
        }
        Tasks { runtime, sends, frame, echoes }
    }
}

impl Echo for Tasks {
    fn name(&self) -> &'static str {
        "h2, tasks"
    }

    fn round(&mut self, depth: usize) {
        let Tasks { runtime, sends, frame, echoes } = self;
        echoes.left.store(sends.len() * depth, Relaxed);
        runtime.block_on(async {
            for send in sends {
                for _ in 0..depth {
                    send.send_data(black_box(&*frame).clone(), false).unwrap();
                }
            }
            echoes.all.notified().await;
        });
        assert_eq!(echoes.left.load(Relaxed), 0);
    }
}

/// Polls, awake as ever, until it is ready.
fn until<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    loop {
        if let Poll::Ready(ready) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return ready;
        }
    }
}

/// A table of times and ratios.
fn ratios() {
    println!("| | sessions | under way each | engine | h2, by hand | h2, tasks | messages a second | of h2's |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (size, size_name) in SIZES {
        for sessions in SESSIONS {
            let mut peers = peers(sessions, size);
            for depth in depths(size, sessions) {
                let messages = sessions * depth;
                // As near to a millisecond as whole rounds come.
                let rounds = (500 / (1 + size / 1024) / messages).max(1);
                let mut times = [const { Vec::new() }; 3];
                let start = Clock::now();
                while times[0].len() < 21 || start.elapsed() < Duration::from_millis(1000) {
                    let turn = times[0].len();
                    for place in 0..peers.len() {
                        let peer = (turn + place) % peers.len();
                        let start = ThreadTime::now();
                        (0..rounds).for_each(|_| peers[peer].round(depth));
                        times[peer].push(start.elapsed());
                    }
                }
                let [engine, by_hand, tasks] = times.map(|mut times| {
                    times.sort();
                    times[times.len() / 2].as_secs_f64() / (rounds * messages) as f64
                });
                let (per_second, ratio) = (1e-6 / engine, by_hand.min(tasks) / engine);
                let [engine, by_hand, tasks] = [engine, by_hand, tasks].map(|time| time * 1e9);
                println!(
                    "| {size_name} | {sessions} | {depth} | {engine:.0} ns | {by_hand:.0} ns | {tasks:.0} ns | \
                     {per_second:.2} M | {ratio:.2} |"
                );
            }
        }
    }
}

fn text(size: usize) -> Vec<u8> {
    b"The quick brown fox jumps over the lazy dog. ".iter().copied().cycle().take(size).collect()
}

/// Masking keys are drawn all the same; what seeds them is not to depend on the system.
struct Foreseen;

impl Entropy for Foreseen {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(7);
        Ok(())
    }
}

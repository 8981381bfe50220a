//! How is a server put under load? By clients of our own engine on one thread: each keeps a window of messages under
//! way, or all together send at a fixed rate. Every echo is compared with what was sent, byte by byte, and they must
//! come in order.
#![allow(clippy::indexing_slicing, reason = "an overrun is to end the measurement")]

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use sockless::{Client, ClientEvent, Clock, Config, Connect, Event, Incoming, Instant, Message, Os, SessionId};

use crate::Failure;

pub struct Load {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    message: Vec<u8>,
    clock: Clock,
    peers: Vec<Peer>,
}

struct Peer {
    stream: TcpStream,
    client: Client,
    id: SessionId,
    /// When each message under way was to be sent, oldest first.
    due: VecDeque<Instant>,
    /// Those that came back.
    answered: u64,
}

impl Load {
    /// Opens so many connections, one after the other; messages will have `size` bytes, and 8 at least.
    pub fn open(address: SocketAddr, connections: usize, size: usize) -> Result<Load, Failure> {
        let (clock, poll, config) = (Clock::new(), Poll::new()?, Arc::new(Config::default()));
        let connect = Connect::to(&format!("ws://{address}/"))?;
        let (mut buffer, mut peers) = (vec![0; 256 << 10], Vec::new());
        for number in 0..connections {
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            let mut client = Client::new(Arc::clone(&config), Os, clock.now())?;
            let id = client.open(&connect, clock.now())?;
            let mut request = Vec::new();
            client.take(&mut request, clock.now());
            stream.write_all(&request)?;
            let mut is_open = false;
            while !is_open {
                let count = stream.read(&mut buffer)?;
                match client.receive(&mut &mut buffer[..count], clock.now()) {
                    Some(ClientEvent::Open(_)) => is_open = true,
                    None if count > 0 => {}
                    event => return Err(format!("not opened: {event:?}").into()),
                }
            }
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
            peers.push(Peer { stream, client, id, due: VecDeque::new(), answered: 0 });
        }
        let message = (0..size).map(|index| (index % 251) as u8).collect();
        Ok(Load { poll, events: Events::with_capacity(1024), buffer, message, clock, peers })
    }

    /// Sends `window` messages on each connection, and one more for each that comes back; for so long. Returns how many
    /// came back. The window stays under way.
    pub fn closed(&mut self, window: usize, span: Duration) -> Result<u64, Failure> {
        let end = self.clock.now() + span;
        for peer in &mut self.peers {
            for _ in peer.due.len()..window {
                let now = self.clock.now();
                peer.send(&mut self.message, now, now)?;
            }
            peer.flush(self.clock.now())?;
        }
        let mut total = 0;
        while self.clock.now() < end {
            total += self.turn(Some(Duration::from_millis(10)), |_| {}, true)?;
        }
        Ok(total)
    }

    /// Takes what is under way; how many messages that was.
    pub fn drain(&mut self) -> Result<u64, Failure> {
        let mut total = 0;
        while self.peers.iter().any(|peer| !peer.due.is_empty()) {
            total += self.turn(None, |_| {}, false)?;
        }
        Ok(total)
    }

    /// Sends `rate` messages a second, on one connection after the other, however long the answers take. Returns how
    /// long each took, from when it was to be sent, in nanoseconds, in order. Nothing stays under way.
    pub fn open_loop(&mut self, rate: f64, span: Duration) -> Result<Vec<u64>, Failure> {
        let mut times = Vec::new();
        let start = self.clock.now();
        let count = (rate * span.as_secs_f64()) as usize;
        let mut sent = 0;
        while times.len() < count {
            let now = self.clock.now();
            while sent < count {
                let due = start + Duration::from_secs_f64(sent as f64 / rate);
                if due > now {
                    break;
                }
                let number = sent % self.peers.len();
                let peer = &mut self.peers[number];
                peer.send(&mut self.message, due, now)?;
                peer.flush(now)?;
                sent += 1;
            }
            // Without waiting: a timer would be late.
            self.turn(Some(Duration::ZERO), |time| times.push(time), false)?;
            if now.since(start) > 10 * span {
                return Err("the server falls behind".into());
            }
        }
        times.sort_unstable();
        Ok(times)
    }

    /// One message on each connection, there and back, one connection after the other.
    pub fn once(&mut self) -> Result<(), Failure> {
        for number in 0..self.peers.len() {
            let now = self.clock.now();
            self.peers[number].send(&mut self.message, now, now)?;
            self.peers[number].flush(now)?;
            while !self.peers[number].due.is_empty() {
                self.turn(None, |_| {}, false)?;
            }
        }
        Ok(())
    }

    /// Turns to the connections that have news; how many messages came back.
    fn turn(&mut self, wait: Option<Duration>, mut took: impl FnMut(u64), again: bool) -> Result<u64, Failure> {
        self.poll.poll(&mut self.events, wait)?;
        let mut total = 0;
        for event in &self.events {
            let peer = &mut self.peers[event.token().0];
            loop {
                let count = match peer.stream.read(&mut self.buffer) {
                    Ok(0) => return Err("the server hangs up".into()),
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                let now = self.clock.now();
                let answers = peer.receive(&mut self.buffer[..count], &self.message, now, &mut took)?;
                total += answers;
                if again {
                    for _ in 0..answers {
                        peer.send(&mut self.message, now, now)?;
                    }
                }
                if count < self.buffer.len() {
                    break; // mio asks epoll for edges, and there will be one
                }
            }
            peer.flush(self.clock.now())?;
        }
        Ok(total)
    }
}

impl Peer {
    fn send(&mut self, message: &mut [u8], due: Instant, now: Instant) -> Result<(), Failure> {
        let number = self.answered + self.due.len() as u64;
        message[..8].copy_from_slice(&number.to_le_bytes());
        self.due.push_back(due);
        self.client.tx(self.id, now).ok_or("closed")?.send(Message::Binary(message))?;
        Ok(())
    }

    fn receive(
        &mut self,
        mut input: &mut [u8],
        sent: &[u8],
        now: Instant,
        took: &mut impl FnMut(u64),
    ) -> Result<u64, Failure> {
        let before = self.answered;
        while let Some(event) = self.client.receive(&mut input, now) {
            let bytes = match event {
                ClientEvent::Session(_, Incoming { event: Event::Message(Message::Binary(bytes)), .. }) => bytes,
                // Opening all connections may have taken a while.
                ClientEvent::Session(_, Incoming { event: Event::Ping(_), .. }) => continue,
                event => return Err(format!("not an echo: {event:?}").into()),
            };
            if bytes.len() != sent.len() || bytes[..8] != self.answered.to_le_bytes() || bytes[8..] != sent[8..] {
                return Err("not what was sent".into());
            }
            self.answered += 1;
            took(now.since(self.due.pop_front().ok_or("an echo too many")?).as_nanos() as u64);
        }
        Ok(self.answered - before)
    }

    fn flush(&mut self, now: Instant) -> Result<(), Failure> {
        while self.client.has_output() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.client.transmit(&mut slices);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(written) => self.client.transmitted(written, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

//! How do the peers serve? An echo of every message on one thread, each on what suits it best: tokio's runtime for one
//! thread, or mio for tungstenite, which is blocking by nature.
//!
//! All get the options and buffers that ours has, where they can be set: TCP_NODELAY, reads of 128 KiB (for which
//! tungstenite has a buffer on each connection, of this size by default too), messages of a mebibyte. Each writes what
//! it collected when no whole message is left, as its interface allows; fastwebsockets collects nothing.

use std::io::{self, ErrorKind};
use std::net::{TcpListener as Listener, TcpStream as Stream};
use std::os::fd::AsRawFd;
use std::pin::Pin;

use fastwebsockets::{FragmentCollector, OpCode, Role};
use futures_util::{FutureExt, Sink, SinkExt, Stream as Messages, StreamExt};
use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use sockudo_ws::handshake::server_handshake;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_websockets::{Config, Limits, ServerBuilder};
use tungstenite::{WebSocket, handshake::derive_accept_key, protocol::WebSocketConfig};

use crate::Failure;

const READ: usize = 128 << 10;
const MESSAGE: usize = 1 << 20;

type Task = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// Serves for ever.
pub fn serve(name: &str, listener: Listener) -> Result<(), Failure> {
    match name {
        "fastwebsockets" => on_tokio(listener, |stream| Box::pin(fastwebsockets(stream))),
        "sockudo-ws" => on_tokio(listener, |stream| Box::pin(sockudo(stream))),
        "tokio-websockets" => on_tokio(listener, |stream| Box::pin(tokio_websockets(stream))),
        "tungstenite" => tungstenite(&listener),
        _ => Err(format!("no server is called {name}").into()),
    }
}

fn on_tokio(listener: Listener, connection: fn(TcpStream) -> Task) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(connection(stream));
        }
    })
}

async fn fastwebsockets(mut stream: TcpStream) -> Result<(), Failure> {
    // Its own opening handshake wants hyper.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut head).await?;
    }
    let head = String::from_utf8(head)?;
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim())
    });
    let accept = derive_accept_key(key.ok_or("no key")?.as_bytes());
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    stream.write_all(format!("{upgrade}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes()).await?;
    let mut socket = fastwebsockets::WebSocket::after_handshake(stream, Role::Server);
    socket.set_max_message_size(MESSAGE);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        if matches!(frame.opcode, OpCode::Binary | OpCode::Text) {
            socket.write_frame(frame).await?;
        }
    }
}

async fn sockudo(mut stream: TcpStream) -> Result<(), Failure> {
    server_handshake(&mut stream).await?;
    let config = sockudo_ws::Config::builder().max_message_size(MESSAGE).max_frame_size(MESSAGE);
    let config = config.write_buffer_size(READ).auto_ping(false).idle_timeout(0).build();
    echo(sockudo_ws::WebSocketStream::server(stream, config)).await
}

async fn tokio_websockets(stream: TcpStream) -> Result<(), Failure> {
    let limits = Limits::default().max_payload_len(Some(MESSAGE));
    let builder = ServerBuilder::new().limits(limits).config(Config::default().flush_threshold(READ));
    echo(builder.accept(stream).await?.1).await
}

/// The load sends nothing but messages. All that are there are taken before the first is answered, as tokio-websockets
/// writes whatever is queued when it is asked for the next.
async fn echo<M, E: Into<Failure>>(
    mut socket: impl Messages<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
) -> Result<(), Failure> {
    let mut messages = Vec::new();
    while let Some(message) = socket.next().await {
        messages.push(message.map_err(Into::into)?);
        while messages.len() < 1024
            && let Some(Some(message)) = socket.next().now_or_never()
        {
            messages.push(message.map_err(Into::into)?);
        }
        for message in messages.drain(..) {
            socket.feed(message).await.map_err(Into::into)?;
        }
        socket.flush().await.map_err(Into::into)?;
    }
    Ok(())
}

fn tungstenite(listener: &Listener) -> Result<(), Failure> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(256));
    listener.set_nonblocking(true)?;
    poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), Token(usize::MAX), Interest::READABLE)?;
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
    let config = config.read_buffer_size(READ).write_buffer_size(READ);
    let mut sockets = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if let Some(socket) = sockets.get_mut(event.token().0) {
                if pump(socket).is_err() {
                    return Ok(()); // the load has gone
                }
                continue;
            }
            while let Ok((stream, _)) = listener.accept() {
                // Blocking until it is open: the load does not let it wait.
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                let socket =
                    tungstenite::accept_with_config(stream, Some(config)).map_err(|error| error.to_string())?;
                socket.get_ref().set_nonblocking(true)?;
                let (fd, token) = (socket.get_ref().as_raw_fd(), Token(sockets.len()));
                poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE | Interest::WRITABLE)?;
                sockets.push(socket);
            }
        }
    }
}

/// Echoes until the socket has no more to read.
fn pump(socket: &mut WebSocket<Stream>) -> tungstenite::Result<()> {
    let blocks = |error: tungstenite::Error| match error {
        tungstenite::Error::Io(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        error => Err(error),
    };
    loop {
        match socket.read() {
            Ok(message) => socket.write(message).or_else(blocks)?,
            Err(error) => {
                blocks(error)?;
                return socket.flush().or_else(blocks);
            }
        }
    }
}

/// What `main` is told to listen on.
pub fn listen(address: &str) -> io::Result<Listener> {
    let listener = Listener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

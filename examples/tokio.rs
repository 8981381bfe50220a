//! How does tokio drive the engine? One task for each connection, which waits for a read, a write or the deadline,
//! whatever comes first.
//!
//! The others are then cancelled, and nothing is lost by it: `transmit` only shows what is to be written, and what was
//! not acknowledged is shown again.
//!
//! `cargo run --example tokio -- 127.0.0.1:5001` echoes every message.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

mod common;

use std::error::Error;
use std::io::{self, IoSlice};
use std::time::Duration;

use common::{Connection, READ};
use sockless::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(common::address()?).await?;
    println!("listening on {}", listener.local_addr()?);
    let (config, clock) = (common::config(), Clock::new());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = Connection::new(&config, clock.now());
                tokio::spawn(serve(stream, connection, clock));
            }
            Err(error) => {
                // Too many open files, perhaps: some will be closed.
                eprintln!("cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, mut connection: Connection, clock: Clock) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.split();
    let mut buffer = vec![0; READ];
    while !connection.server.is_closed() {
        if connection.shuts_down() {
            writer.shutdown().await?;
        }
        // Either write or read: a peer that does not take its output is not listened to.
        let writes = connection.server.has_output();
        if writes {
            connection.pause(clock.now());
        }
        let wait = connection.server.poll_timeout().map(|(deadline, _)| clock.until(deadline));
        let mut slices = [IoSlice::new(&[]); 16];
        let count = connection.server.transmit(&mut slices);
        tokio::select! {
            result = writer.write_vectored(&slices[..count]), if writes => connection.written(result, clock.now()),
            result = reader.read(&mut buffer), if !writes => {
                // What is left, or met an error, is queued.
                let write = |slices: &[IoSlice<'_>]| writer.try_write_vectored(slices).unwrap_or(0);
                connection.read(result, 0, &mut buffer, clock.now(), write);
            }
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => connection.receive(clock.now()),
        }
    }
    if connection.is_reset() {
        stream.set_zero_linger()?;
    }
    Ok(())
}

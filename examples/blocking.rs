//! How do blocking sockets drive the engine? A thread for each connection, and the engine's deadline for whatever
//! blocks.
//!
//! `cargo run --example blocking -- 127.0.0.1:5001` echoes every message.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

mod common;

use std::error::Error;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::{thread, time::Duration};

use common::{Connection, READ};
use sockless::Clock;

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(common::address()?)?;
    println!("listening on {}", listener.local_addr()?);
    let (config, clock) = (common::config(), Clock::new());
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => {
                let connection = Connection::new(&config, clock.now());
                thread::spawn(move || serve(stream, connection, clock));
            }
            Err(error) => {
                // Too many open files, perhaps: some will be closed.
                eprintln!("cannot accept: {error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
    Ok(())
}

fn serve(mut stream: TcpStream, mut connection: Connection, clock: Clock) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; READ];
    while !connection.server.is_closed() {
        // Either write or read: a peer that does not take its output is not listened to.
        let writes = connection.server.has_output();
        if writes {
            connection.pause(clock.now());
        }
        // A timeout of zero would mean to wait for ever.
        let deadline = connection.server.poll_timeout();
        let wait = deadline.map(|(deadline, _)| clock.until(deadline).max(Duration::from_millis(1)));
        if writes {
            stream.set_write_timeout(wait)?;
            let mut slices = [IoSlice::new(&[]); 16];
            let count = connection.server.transmit(&mut slices);
            let result = stream.write_vectored(&slices[..count]);
            connection.written(result, clock.now());
        } else {
            if connection.shuts_down() {
                stream.shutdown(Shutdown::Write)?;
            }
            stream.set_read_timeout(wait)?;
            let result = stream.read(&mut buffer);
            // Nothing is written in between: that could block beyond a deadline that has changed.
            connection.read(result, 0, &mut buffer, clock.now(), |_| 0);
        }
    }
    if connection.is_reset() {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

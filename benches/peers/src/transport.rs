//! What lies beneath every engine: how does it read and write, when nothing but its own work may cost?
//!
//! There is one transport on this thread, in thread-local cells, and a `Pipe` is a handle to it without a size: so a
//! hundred thousand connections take turns on it, and no engine pays for finding it. A read copies from the bytes that
//! were fed, at most as many as a read may bring, as a kernel would: without that copy nothing would be there to work
//! on. A write is counted and forgotten, or kept while a check wants to see it. A kernel would copy all of it once more,
//! whether it was lent or copied before: that copy is the same for all, and in no figure. Nor is the cost of a system
//! call, which falls on those who write each message by itself. It is always ready, until what was fed has been read.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

thread_local! {
    static INPUT: Cell<&'static [u8]> = const { Cell::new(&[]) };
    static LONGEST: Cell<usize> = const { Cell::new(usize::MAX) };
    static WRITTEN: Cell<usize> = const { Cell::new(0) };
    static RECORDS: Cell<bool> = const { Cell::new(false) };
    static RECORD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub type Failure = Box<dyn std::error::Error>;
pub type Outcome = Result<(), Failure>;

/// Lets the bytes be read, `longest` at a time.
pub fn feed(input: &'static [u8], longest: usize) {
    INPUT.set(input);
    LONGEST.set(longest);
}

/// How many bytes were fed and not read.
pub fn unread() -> usize {
    INPUT.get().len()
}

/// How many bytes were written since the last call.
pub fn written() -> usize {
    WRITTEN.replace(0)
}

/// Keeps what `run` writes.
pub fn record(run: impl FnOnce() -> Outcome) -> Result<Vec<u8>, Failure> {
    RECORDS.set(true);
    let outcome = run();
    RECORDS.set(false);
    let record = RECORD.take();
    outcome.map(|()| record)
}

/// The next read, at most `room` bytes of it; empty when there is nothing to read.
#[inline]
pub fn take(room: usize) -> &'static [u8] {
    let input = INPUT.get();
    let (now, later) = input.split_at(input.len().min(room).min(LONGEST.get()));
    INPUT.set(later);
    now
}

/// A read into a buffer; 0 when there is nothing to read.
#[inline]
pub fn read(buffer: &mut [u8]) -> usize {
    let now = take(buffer.len());
    buffer[..now.len()].copy_from_slice(now);
    now.len()
}

/// A vectored read, into one buffer and then into another.
#[inline]
pub fn read_vectored(first: &mut [u8], second: &mut [u8]) -> usize {
    let now = take(first.len() + second.len());
    let (front, back) = now.split_at(now.len().min(first.len()));
    first[..front.len()].copy_from_slice(front);
    second[..back.len()].copy_from_slice(back);
    now.len()
}

#[inline]
pub fn write(bytes: &[u8]) -> usize {
    write_all([bytes])
}

#[inline]
pub fn write_vectored(slices: &[IoSlice<'_>]) -> usize {
    write_all(slices.iter().map(|slice| &**slice))
}

/// One write, however many slices: it is counted once.
#[inline]
fn write_all<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> usize {
    let length = slices
        .into_iter()
        .map(|bytes| {
            // Its parts apart: together they would be read back wider than they were written, which stalls.
            black_box(bytes.as_ptr());
            if RECORDS.get() {
                keep(bytes);
            }
            bytes.len()
        })
        .sum();
    WRITTEN.set(WRITTEN.get() + length);
    length
}

// Apart, so that a write where nothing is kept saves no register for it.
#[cold]
fn keep(bytes: &[u8]) {
    RECORD.with_borrow_mut(|record| record.extend_from_slice(bytes));
}

/// Whether a batch, whose size is a power of two, ends with this message. A division would cost as much as some sends.
#[inline]
pub fn is_flush_due(number: usize, batch: usize) -> bool {
    number & (batch - 1) == 0
}

pub fn dry() -> Failure {
    io::Error::new(ErrorKind::WouldBlock, "nothing is left to read").into()
}

/// Polls once: on this transport nothing has to wait, but for what never comes.
#[inline]
pub fn finish<F: Future<Output = Outcome>>(future: F) -> Outcome {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(dry()),
    }
}

/// The transport, as a stream of each kind that a peer wants.
#[derive(Clone, Copy, Debug)]
pub struct Pipe;

impl io::Read for Pipe {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match read(buffer) {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl io::Write for Pipe {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(write(bytes))
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(write_vectored(slices))
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tokio::io::AsyncRead for Pipe {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let now = take(buffer.remaining());
        if now.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(now);
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Pipe {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(write(bytes)))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(write_vectored(slices)))
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl futures_util::io::AsyncRead for Pipe {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match read(buffer) {
            0 => Poll::Pending,
            count => Poll::Ready(Ok(count)),
        }
    }
}

impl futures_util::io::AsyncWrite for Pipe {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(write(bytes)))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(write_vectored(slices)))
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl wtx::stream::StreamReader for Pipe {
    #[inline]
    async fn read(&mut self, buffer: &mut [u8]) -> wtx::Result<usize> {
        match read(buffer) {
            // A read of nothing would be the end of the stream, which it takes for a fault.
            0 => std::future::pending().await,
            count => Ok(count),
        }
    }
}

impl wtx::stream::StreamWriter for Pipe {
    #[inline]
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        write(bytes);
        Ok(())
    }

    #[inline]
    async fn write_all_vectored(&mut self, slices: &[&[u8]]) -> wtx::Result<()> {
        write_all(slices.iter().copied());
        Ok(())
    }
}

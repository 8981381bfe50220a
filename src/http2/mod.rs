//! How does HTTP/2 carry sessions? (RFC 9113, RFC 8441)
//!
//! [`Connection`](connection::Connection) turns bytes into what happens on streams, and what streams carry into bytes; it knows
//! of what they carry only what [`Carried`](schedule::Carried) says.

mod connection;
mod error;
mod floods;
mod flow;
mod frame;
mod head;
pub(crate) mod hpack;
mod output;
mod schedule;
mod settings;
mod streams;

pub(crate) use self::connection::{Arrived, Connection, PREFACE, Role};
pub use self::error::{ErrorCode, Http2Error, Scope};
pub(crate) use self::head::{Asks, Fault, Head};
pub(crate) use self::schedule::{Carried, Ending};

/// How much of the preface reads as a head of HTTP/1.1.
pub(crate) const PREFACE_HEAD: usize = 18;

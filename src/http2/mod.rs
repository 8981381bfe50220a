//! How does HTTP/2 carry sessions? (RFC 9113, RFC 8441)

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

pub use self::error::{ErrorCode, Http2Error, Scope};

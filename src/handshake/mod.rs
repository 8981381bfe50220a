//! What makes a pair of HTTP heads an opening handshake? (RFC 6455 §4, RFC 8441 §5)
//!
//! Rules on heads that somebody parsed, whichever carrier brought them: [`RequestHead`] is judged by
//! [`classify`](RequestHead::classify) and becomes a [`Request`]; [`Accept`] and [`Response`] are what can be answered;
//! [`Connect`] is what a client asks and holds the [`Agreed`](crate::config::Agreed) answer against. No byte of a wire format
//! is read or written here: that is the carriers' work.
//!
//! Everything that a peer listed is walked over, never collected; lists are capped, so no walk is worse than linear.

mod accept;
mod connect;
mod extensions;
mod fields;
mod key;
mod request;
mod response;
mod token;
mod url;

pub use self::accept::{Accept, Response, Subprotocol};
pub(crate) use self::connect::Asked;
pub use self::connect::Connect;
pub use self::fields::{Field, Fields};
pub(crate) use self::request::Facts;
pub use self::request::{Classified, HttpVersion, Request, RequestHead};
pub use self::response::ResponseHead;
pub(crate) use self::token::is_token;
pub use self::url::Url;

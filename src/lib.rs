#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
// Whatever a peer sends, nothing here may panic.
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod client;
mod config;
mod deflate;
mod entropy;
mod error;
mod event;
mod frame;
mod handshake;
mod http1;
mod http2;
mod queue;
mod server;
mod time;
mod utf8;
mod websocket;

pub use client::{Client, ClientEvent, OpenError, Opened};
#[cfg(feature = "deflate")]
pub use config::Compression;
pub use config::{Agreed, Config, Delivery, Http2Limits, KeepAlive, Limits, OriginCheck, OriginPolicy};
pub use deflate::params::{DeflateParameters, WindowBits};
#[cfg(feature = "deflate")]
pub use deflate::{CompressionLevel, MemoryLevel, Pool};
#[cfg(feature = "getrandom")]
pub use entropy::Os;
pub use entropy::{Entropy, NoEntropy};
pub use error::{BuildError, CloseCode, Error, RequestError, ResponseError, SendError};
pub use event::{Cause, Chunk, Closed, Event, Kind, Message};
pub use handshake::{
    Accept, Classified, Connect, Field, Fields, HttpVersion, Request, RequestHead, Response, ResponseHead, Subprotocol,
    Url,
};
pub use http2::{ErrorCode, Http2Error, Scope};
pub use server::{Offer, PlainRequest, Server, ServerEvent, SessionId};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::{Instant, Timer};
pub use websocket::{Close, Compress, Incoming, Outgoing, Prepared, Reason, Sender, Shared, Transport, WebSocket};

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

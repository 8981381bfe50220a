//! What must hold for any bytes? The bodies of the fuzz targets.
//!
//! One function a target, each taking the bytes that a fuzzer made: the first few choose how the target runs, the rest is
//! what a peer sent, or a program of calls. `fuzz/` runs them under libFuzzer, `tests/fuzz_corpus.rs` over the corpus and
//! mutations of it. What they hold the engine against is written here a second time, slowly and from the text of the RFC:
//! `reference` for frames, `wire` for what the engine sends, `http2_frames` for both directions of HTTP/2, a list of messages for
//! a pair of endpoints.
//!
//! Not part of the public API: it changes without notice.

#![allow(clippy::indexing_slicing, reason = "an index out of bounds in here is a finding like any other")]

pub mod bench;
mod blocks;
mod endpoint;
mod extensions;
pub mod hpack;
mod http2_frames;
mod http2_operations;
mod http2_sessions;
mod http2_streams;
mod inflate;
mod inflater;
mod operations;
mod record;
mod reference;
mod requests;
mod responses;
mod round_trip;
mod setup;
mod split;
mod streams;
mod wire;

pub use self::blocks::{hpack_decode, hpack_round_trip};
pub use self::extensions::extensions;
pub use self::http2_operations::http2_operations;
pub use self::http2_streams::{http2_client, http2_server};
pub use self::inflate::inflate;
pub use self::operations::operations;
pub use self::requests::request_head;
pub use self::responses::response_head;
pub use self::round_trip::{deflate_round_trip, prepared};
pub use self::split::split_against_whole;
pub use self::streams::{client_stream, frame_header, server_stream};

/// Takes what a fuzzer made; panics if something does not hold.
pub type Target = fn(&[u8]);

/// Every target, by the name that it has in `fuzz/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("frame_header", frame_header),
    ("server_stream", server_stream),
    ("client_stream", client_stream),
    ("request_head", request_head),
    ("response_head", response_head),
    ("split_against_whole", split_against_whole),
    ("operations", operations),
    ("extensions", extensions),
    ("inflate", inflate),
    ("deflate_round_trip", deflate_round_trip),
    ("prepared", prepared),
    ("hpack_decode", hpack_decode),
    ("hpack_round_trip", hpack_round_trip),
    ("http2_server", http2_server),
    ("http2_client", http2_client),
    ("http2_operations", http2_operations),
];

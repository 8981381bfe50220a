//! How is a head written? (RFC 9112 §3, §4, §6)
//!
//! Everything that stands in it was checked when it was built. Every response but 101 says `Connection: close` and carries
//! its length.

use alloc::format;
use alloc::vec::Vec;

use crate::config::Agreed;
use crate::handshake::{Accept, Asked, Request, Response};

/// Writes a client's request.
//= rfc6455 4.1 MUST 15: a well-formed HTTP request
//= rfc6455 4.1 MUST 16: GET
//= rfc6455 4.1 MUST 17: HTTP/1.1
//= rfc6455 4.1 MUST 18: the target is path and query
pub(crate) fn request(asked: &Asked, out: &mut Vec<u8>) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(asked.target().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(asked.lines());
    out.extend_from_slice(b"\r\n");
}

/// The 101 that upgrades the connection, and what it agrees on.
pub(crate) fn upgrade(request: &Request<'_>, accept: &Accept<'_>) -> (Vec<u8>, Agreed) {
    let (fields, agreed) = request.answer_behind("HTTP/1.1 101 Switching Protocols\r\n", accept);
    (fields.into_head(), agreed)
}

/// Writes the head of any other response; says whether its body follows.
pub(crate) fn response(response: &Response, to_head: bool, out: &mut Vec<u8>) -> bool {
    let status = response.status();
    let has_content = !matches!(status, 204 | 304);
    out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason(status)).as_bytes());
    out.extend_from_slice(response.lines());
    // A 426 must name what to upgrade to (RFC 9110 §15.5.22), and Connection then names Upgrade (§7.8).
    out.extend_from_slice(match status {
        426 => b"Upgrade: websocket\r\nConnection: close, Upgrade\r\n",
        _ => b"Connection: close\r\n",
    });
    if has_content {
        out.extend_from_slice(format!("Content-Length: {}\r\n", response.content().len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    has_content && !to_head
}

/// The reason phrase of a status; empty where none is registered, as RFC 9112 §4 allows.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

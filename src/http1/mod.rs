//! How do heads and bodies look on an HTTP/1.1 connection? (RFC 9112)
//!
//! [`scan`] finds the end of a head in whatever pieces it comes, looking at every byte once; [`head`] then parses it, once.
//! [`write`] is the other direction, and [`body`] walks over the body of a response that refuses a client.

pub(crate) mod body;
pub(crate) mod head;
pub(crate) mod scan;
pub(crate) mod write;

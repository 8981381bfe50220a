//! What can a server answer? (RFC 6455 §4.2.2)
//!
//! [`Accept`] says yes, [`Response`] says anything else. Both are checked while they are built, so handing one over
//! cannot fail.

use alloc::sync::Arc;

use bytes::Bytes;

use super::fields::{Fields, Lines};
use super::request::explanation;
use crate::config::Config;
use crate::error::{BuildError, RequestError};

/// A subprotocol that a client offered; only [`Request::select`](crate::Request::select) makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subprotocol<'a>(pub(super) &'a str);

impl<'a> Subprotocol<'a> {
    /// Its name.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// How an offer is accepted.
///
/// ```
/// use sockless::Accept;
///
/// let accept = Accept::new().header("Set-Cookie", "seen=1")?;
/// # Ok::<(), sockless::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Accept<'a> {
    pub(super) subprotocol: Option<Subprotocol<'a>>,
    pub(super) fields: Lines,
    pub(crate) config: Option<Arc<Config>>,
}

impl<'a> Accept<'a> {
    /// Without a subprotocol, and without header fields beyond those that the handshake needs.
    pub fn new() -> Accept<'a> {
        Accept::default()
    }

    /// Speaks this subprotocol, as [`Request::select`](crate::Request::select) chose it; none where it found none.
    #[must_use]
    pub fn subprotocol(mut self, chosen: impl Into<Option<Subprotocol<'a>>>) -> Accept<'a> {
        self.subprotocol = chosen.into();
        self
    }

    /// Adds a header field to the response.
    ///
    /// # Errors
    ///
    /// [`BuildError::InvalidName`], [`BuildError::InvalidValue`], or [`BuildError::ReservedName`] for a field that the
    /// engine writes itself.
    pub fn header(mut self, name: &str, value: &str) -> Result<Accept<'a>, BuildError> {
        self.fields.push_checked(name, value)?;
        Ok(self)
    }

    /// Gives this session a configuration of its own.
    #[must_use]
    pub fn config(mut self, config: Arc<Config>) -> Accept<'a> {
        self.config = Some(config);
        self
    }
}

/// An HTTP response: to a request that is not for a WebSocket, or one that refuses a WebSocket.
///
/// ```
/// use sockless::Response;
///
/// let page = Response::new(200)?.header("Content-Type", "text/html")?.body("<p>Hello</p>");
/// let elsewhere = Response::new(307)?.header("Location", "/there")?;
/// # Ok::<(), sockless::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    fields: Lines,
    body: Bytes,
}

impl Response {
    /// A response with a status of 200 to 599, without a body.
    ///
    /// # Errors
    ///
    /// [`BuildError::InvalidStatus`].
    pub fn new(status: u16) -> Result<Response, BuildError> {
        match status {
            200..=599 => Ok(Response::from_parts(status, Lines::default(), Bytes::new())),
            _ => Err(BuildError::InvalidStatus),
        }
    }

    /// The response that tells a client what is wrong with its request (RFC 6455 §4.2.2, §4.4).
    pub fn refusing(error: RequestError) -> Response {
        let mut fields = Lines::default();
        fields.push("Content-Type", "text/plain; charset=utf-8");
        match error {
            RequestError::MethodNotAllowed => fields.push("Allow", "GET"),
            //= rfc6455 4.4 MUST 1: the versions that are understood are named
            //= rfc6455 4.2.2 MUST 4: another version gets 426, and ours
            RequestError::UnsupportedVersion | RequestError::InvalidVersion => {
                fields.push("Sec-WebSocket-Version", "13");
            }
            _ => {}
        }
        Response::from_parts(error.status(), fields, Bytes::from(explanation(error)))
    }

    /// The response of a server whose application did not answer in time.
    pub(crate) fn unavailable() -> Response {
        Response::from_parts(503, Lines::default(), Bytes::new())
    }

    pub(super) fn from_parts(status: u16, fields: Lines, body: Bytes) -> Response {
        Response { status, fields, body }
    }

    /// Adds a header field.
    ///
    /// # Errors
    ///
    /// [`BuildError::InvalidName`], [`BuildError::InvalidValue`], or [`BuildError::ReservedName`] for a field that the
    /// engine writes itself (`Content-Length`, `Connection` and such).
    pub fn header(mut self, name: &str, value: &str) -> Result<Response, BuildError> {
        self.fields.push_checked(name, value)?;
        Ok(self)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Response {
        self.body = body.into();
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The header fields, without those that only a carrier adds (`Content-Length`, `Connection: close`).
    pub fn fields(&self) -> Fields<'_> {
        self.fields.fields()
    }

    /// The body.
    pub fn content(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn lines(&self) -> &[u8] {
        self.fields.as_bytes()
    }
}

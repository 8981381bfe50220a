//! What did the server answer? (RFC 6455 §4.1)

use super::fields::Fields;
use super::request::HttpVersion;

/// The head of a response, as a client received it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    status: u16,
    reason: &'a str,
    version: HttpVersion,
    fields: Fields<'a>,
}

impl<'a> ResponseHead<'a> {
    pub(crate) fn new(status: u16, reason: &'a str, version: HttpVersion, fields: Fields<'a>) -> ResponseHead<'a> {
        ResponseHead { status, reason, version, fields }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, which may be empty and means nothing.
    pub fn reason(&self) -> &'a str {
        self.reason
    }

    /// The version of HTTP.
    pub fn version(&self) -> HttpVersion {
        self.version
    }

    /// All header fields.
    pub fn fields(&self) -> Fields<'a> {
        self.fields
    }
}

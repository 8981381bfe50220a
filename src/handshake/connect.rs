//! What does a client ask for, and is the answer one to that? (RFC 6455 §4.1)
//!
//! [`Connect`] is the caller's wish; with a nonce it becomes [`Asked`], which knows the request to write and judges the
//! response. Whatever was not asked for fails the connection: a subprotocol, an extension, an accept key for another key.

use alloc::string::String;
use alloc::vec::Vec;

use super::extensions;
use super::fields::{Fields, Lines, check_value};
use super::key::{self, AcceptKey};
use super::request::HttpVersion;
use super::response::ResponseHead;
use super::token::{contains, is_token};
use super::url::Url;
use crate::config::{Agreed, Config};
use crate::deflate::params::{DeflateParameters, Offer};
use crate::error::{BuildError, ResponseError};

/// A WebSocket to connect to.
///
/// ```
/// use sockless::Connect;
///
/// let connect = Connect::to("wss://example.com/chat?room=1")?
///     .subprotocol("chat.v2")?
///     .subprotocol("chat.v1")?
///     .header("Authorization", "Bearer abc")?;
/// assert_eq!((connect.url().host(), connect.url().port()), ("example.com", 443));
/// # Ok::<(), sockless::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connect {
    url: Url,
    origin: Option<String>,
    subprotocols: Vec<String>,
    fields: Lines,
}

impl Connect {
    /// A connection to a `ws:` or `wss:` URL.
    ///
    /// # Errors
    ///
    /// [`BuildError::InvalidUrl`].
    pub fn to(url: &str) -> Result<Connect, BuildError> {
        Ok(Connect { url: Url::parse(url)?, origin: None, subprotocols: Vec::new(), fields: Lines::default() })
    }

    /// Offers a subprotocol, after those that were offered before.
    ///
    /// # Errors
    ///
    /// [`BuildError::InvalidSubprotocol`] for what is not a token, or was offered already.
    //= rfc6455 4.1 MUST 30: subprotocols are tokens
    //= rfc6455 4.1 MUST 31: each is offered once
    pub fn subprotocol(mut self, name: &str) -> Result<Connect, BuildError> {
        if !is_token(name) || self.subprotocols.iter().any(|other| other == name) {
            return Err(BuildError::InvalidSubprotocol);
        }
        self.subprotocols.push(name.into());
        Ok(self)
    }

    /// Names the origin that the connection is made for. Only browsers must.
    ///
    /// # Errors
    ///
    /// [`BuildError::InvalidValue`].
    pub fn origin(mut self, origin: &str) -> Result<Connect, BuildError> {
        check_value(origin)?;
        self.origin = Some(origin.into());
        Ok(self)
    }

    /// Adds a header field.
    ///
    /// # Errors
    ///
    /// [`BuildError::InvalidName`], [`BuildError::InvalidValue`], or [`BuildError::ReservedName`] for a field that the
    /// engine writes itself.
    pub fn header(mut self, name: &str, value: &str) -> Result<Connect, BuildError> {
        self.fields.push_checked(name, value)?;
        Ok(self)
    }

    /// Where to connect to.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The request with its nonce, and what its answer must be.
    //= rfc6455 4.1 MUST 19: Host, with a port unless it is the default
    //= rfc6455 4.1 MUST 20: Upgrade
    //= rfc6455 4.1 MUST 21: Upgrade names websocket
    //= rfc6455 4.1 MUST 22: Connection
    //= rfc6455 4.1 MUST 23: Connection names Upgrade
    //= rfc6455 4.1 MUST 24: the key
    //= rfc6455 4.1 MUST 25: the key is a nonce of 16 bytes in base64
    //= rfc6455 4.1 MUST 26: the nonce is random, and new for every connection
    //= rfc6455 4.1 MUST 28: the version
    //= rfc6455 4.1 MUST 29: the version is 13
    //= rfc6455 11.3.1 MUST NOT 1: one key a request
    //= rfc6455 11.3.5 MUST NOT 1: one version a request
    pub(crate) fn ask(&self, nonce: [u8; 16], config: &Config) -> Asked {
        let key = key::encode(nonce);
        let mut fields = Lines::default();
        fields.push("Host", self.url.authority());
        fields.push("Upgrade", "websocket");
        fields.push("Connection", "Upgrade");
        fields.push("Sec-WebSocket-Key", key);
        self.asked(fields, Some(key::accept(&key)), config)
    }

    /// The request as an extended CONNECT (RFC 8441 §5).
    pub(crate) fn ask_extended(&self, config: &Config) -> Asked {
        self.asked(Lines::default(), None, config)
    }

    fn asked(&self, mut fields: Lines, accept: Option<AcceptKey>, config: &Config) -> Asked {
        fields.push("Sec-WebSocket-Version", "13");
        if let Some(origin) = &self.origin {
            fields.push("Origin", origin);
        }
        if !self.subprotocols.is_empty() {
            fields.push_list("Sec-WebSocket-Protocol", self.subprotocols.iter().map(String::as_str));
        }
        let deflate = config.compression().map(|compression| compression.parameters());
        if let Some(parameters) = deflate {
            fields.push_displayed("Sec-WebSocket-Extensions", &Offer(parameters));
        }
        fields.append(self.fields.as_bytes());
        Asked { url: self.url.clone(), fields, accept, subprotocols: self.subprotocols.clone(), deflate }
    }
}

/// A request that was, or is about to be, sent.
#[derive(Debug)]
pub(crate) struct Asked {
    url: Url,
    fields: Lines,
    /// None where RFC 8441 has no need of one.
    accept: Option<AcceptKey>,
    subprotocols: Vec<String>,
    /// What was offered.
    deflate: Option<DeflateParameters>,
}

impl Asked {
    pub(crate) fn target(&self) -> &str {
        self.url.target()
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.url.is_secure()
    }

    pub(crate) fn authority(&self) -> String {
        self.url.authority()
    }

    pub(crate) fn fields(&self) -> Fields<'_> {
        self.fields.fields()
    }

    pub(crate) fn lines(&self) -> &[u8] {
        self.fields.as_bytes()
    }

    /// Judges a response with status 101.
    //= rfc6455 4.1 MUST 33: the answer is checked in full
    pub(crate) fn check(&self, head: &ResponseHead<'_>) -> Result<Agreed, ResponseError> {
        let fields = head.fields();
        //= rfc6455 4.1 MUST 39: an answer that breaks any other rule fails the connection
        if head.version() != HttpVersion::Http11 {
            return Err(ResponseError::OldHttpVersion);
        }
        //= rfc6455 4.1 MUST 34: Upgrade is websocket, in any case
        let mut upgrades = fields.all("upgrade").map(|field| field.value.eq_ignore_ascii_case(b"websocket"));
        if upgrades.next() != Some(true) || upgrades.next().is_some() {
            return Err(ResponseError::InvalidUpgrade);
        }
        //= rfc6455 4.1 MUST 35: Connection names Upgrade, in any case
        if !fields.all("connection").any(|field| contains(field.value, b"Upgrade")) {
            return Err(ResponseError::InvalidConnection);
        }
        //= rfc6455 4.1 MUST 36: the accept key is the one for our key
        let mut accepts = fields.values("sec-websocket-accept");
        if accepts.next() != self.accept.as_ref().map(AcceptKey::as_bytes) || accepts.next().is_some() {
            return Err(ResponseError::InvalidAccept);
        }
        self.check_extended(head)
    }

    /// Judges what a response with status 2xx to an extended CONNECT agrees on.
    pub(crate) fn check_extended(&self, head: &ResponseHead<'_>) -> Result<Agreed, ResponseError> {
        let fields = head.fields();
        //= rfc6455 4.1 MUST 37: an extension that was not offered fails the connection
        let deflate = extensions::confirm(fields, self.deflate)?;
        //= rfc6455 4.1 MUST 38: a subprotocol that was not offered fails the connection
        let subprotocol = match once(fields, "sec-websocket-protocol") {
            Ok(None) => None,
            Ok(Some(name)) if self.subprotocols.iter().any(|asked| asked == name) => Some(name.into()),
            _ => return Err(ResponseError::UnaskedSubprotocol),
        };
        Ok(Agreed { subprotocol, deflate })
    }
}

/// A field that may stand once: its text, nothing, or an error where it stands twice or is no text.
fn once<'a>(fields: Fields<'a>, name: &str) -> Result<Option<&'a str>, ()> {
    let mut all = fields.all(name);
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(field), None) => field.text().map(Some).ok_or(()),
        (Some(_), Some(_)) => Err(()),
    }
}

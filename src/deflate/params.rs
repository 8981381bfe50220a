//! What do the two sides of permessage-deflate agree on? (RFC 7692 §5, §7.1)
//!
//! Four parameters, two for each direction. A client offers, a server accepts the first offer that it can keep or none, and
//! the client holds the answer against its offer. A server declines what it does not understand; a client fails on it.
//! Header fields are not read here: parameters come as names and values whose quotes and escapes are gone.

use core::fmt;

/// The extension's registered name.
pub(crate) const NAME: &str = "permessage-deflate";

/// The base-2 logarithm of the size of an LZ77 sliding window: 8 to 15, for 256 bytes to 32 KiB (RFC 7692 §7.1.2).
///
/// ```
/// use sockless::WindowBits;
///
/// assert_eq!(WindowBits::new(12).map(WindowBits::size), Some(4096));
/// assert_eq!(WindowBits::new(7), None);
/// assert_eq!(WindowBits::default(), WindowBits::MAX);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 8, a window of 256 bytes.
    pub const MIN: WindowBits = WindowBits(8);
    /// 15, a window of 32 KiB.
    pub const MAX: WindowBits = WindowBits(15);

    /// The width, if it is one of 8 to 15.
    pub const fn new(bits: u8) -> Option<WindowBits> {
        if bits >= WindowBits::MIN.0 && bits <= WindowBits::MAX.0 { Some(WindowBits(bits)) } else { None }
    }

    /// The width, 8 to 15.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The size of the window in bytes.
    pub const fn size(self) -> usize {
        1 << self.0
    }

    /// Reads a decimal number without a leading zero.
    //= rfc7692 7.1.2.1 MUST 1: digits, no leading zero, 8 to 15
    //= rfc7692 7.1.2.2 MUST 1: digits, no leading zero, 8 to 15
    fn parse(mut value: impl Iterator<Item = u8>) -> Option<WindowBits> {
        match (value.next()?, value.next(), value.next()) {
            (digit @ b'8'..=b'9', None, _) => WindowBits::new(digit - b'0'),
            (b'1', Some(digit @ b'0'..=b'5'), None) => WindowBits::new(10 + (digit - b'0')),
            _ => None,
        }
    }
}

impl Default for WindowBits {
    fn default() -> WindowBits {
        WindowBits::MAX
    }
}

impl fmt::Display for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The parameters of permessage-deflate, as one side wishes them or as both agreed on them (RFC 7692 §7.1).
///
/// It is displayed as it stands in `Sec-WebSocket-Extensions`:
///
/// ```
/// use sockless::{DeflateParameters, WindowBits};
///
/// let parameters = DeflateParameters {
///     server_no_context_takeover: true,
///     client_max_window_bits: WindowBits::new(10).unwrap(),
///     ..DeflateParameters::default()
/// };
/// assert_eq!(
///     parameters.to_string(),
///     "permessage-deflate; server_no_context_takeover; client_max_window_bits=10"
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeflateParameters {
    /// The server begins every message with an empty window, so that the client need not keep one between messages.
    pub server_no_context_takeover: bool,
    /// The client begins every message with an empty window, so that the server need not keep one between messages.
    pub client_no_context_takeover: bool,
    /// How far back a message from the server may refer.
    pub server_max_window_bits: WindowBits,
    /// How far back a message from the client may refer.
    pub client_max_window_bits: WindowBits,
}

impl fmt::Display for DeflateParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            write!(f, "; {SERVER_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.client_no_context_takeover {
            write!(f, "; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.server_max_window_bits < WindowBits::MAX {
            write!(f, "; {SERVER_MAX_WINDOW_BITS}={}", self.server_max_window_bits)?;
        }
        if self.client_max_window_bits < WindowBits::MAX {
            write!(f, "; {CLIENT_MAX_WINDOW_BITS}={}", self.client_max_window_bits)?;
        }
        Ok(())
    }
}

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// A client's offer, as it is written: `client_max_window_bits` always stands in it, so that the server may answer it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer(pub(crate) DeflateParameters);

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        if self.0.client_max_window_bits == WindowBits::MAX {
            write!(f, "; {CLIENT_MAX_WINDOW_BITS}")?;
        }
        Ok(())
    }
}

/// A server's answer to an offer that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) parameters: DeflateParameters,
    /// A limit that the client asked for is answered even where it is none.
    names_full_server_window: bool,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parameters.fmt(f)?;
        if self.names_full_server_window {
            write!(f, "; {SERVER_MAX_WINDOW_BITS}={}", WindowBits::MAX)?;
        }
        Ok(())
    }
}

/// A server's answer to one offer, given what it wishes; none where it declines.
//= rfc7692 5 MUST 2: what is agreed on comes out of the offer
//= rfc7692 7 MUST 1: an offer with an unknown, a repeated or a bad parameter is declined
pub(crate) fn accept<'a, V: Iterator<Item = u8>>(
    offer: impl Iterator<Item = (&'a [u8], Option<V>)>,
    wished: DeflateParameters,
) -> Option<Answer> {
    let offer = Listed::read(offer)?;
    let asked_server_bits = match offer.server_max_window_bits {
        None => None,
        Some(Bits::Of(bits)) => Some(bits),
        Some(Bits::Bare) => return None,
    };
    let parameters = DeflateParameters {
        server_no_context_takeover: wished.server_no_context_takeover || offer.server_no_context_takeover,
        client_no_context_takeover: wished.client_no_context_takeover || offer.client_no_context_takeover,
        server_max_window_bits: wished.server_max_window_bits.min(asked_server_bits.unwrap_or_default()),
        //= rfc7692 7.1.2.2 MUST NOT 1: a client that did not offer it is not limited
        client_max_window_bits: match offer.client_max_window_bits {
            None => WindowBits::MAX,
            Some(Bits::Bare) => wished.client_max_window_bits,
            Some(Bits::Of(bits)) => wished.client_max_window_bits.min(bits),
        },
    };
    let names_full_server_window = asked_server_bits.is_some() && parameters.server_max_window_bits == WindowBits::MAX;
    Some(Answer { parameters, names_full_server_window })
}

/// What a client that offered `offered` and got this answer is agreed on; none where the answer is not one to the offer.
//= rfc7692 5 MUST 4: a bad answer fails the connection
//= rfc7692 7 MUST 2: an answer with an unknown, a repeated or a bad parameter fails the connection
//= rfc7692 7.1.1.2 MUST 1: a server may forbid its client context takeover unasked
pub(crate) fn confirm<'a, V: Iterator<Item = u8>>(
    answer: impl Iterator<Item = (&'a [u8], Option<V>)>,
    offered: DeflateParameters,
) -> Option<DeflateParameters> {
    let answer = Listed::read(answer)?;
    let bits = |bits| match bits {
        None => Some(None),
        Some(Bits::Of(bits)) => Some(Some(bits)),
        Some(Bits::Bare) => None,
    };
    let server_bits = bits(answer.server_max_window_bits)?.unwrap_or_default();
    let client_bits = bits(answer.client_max_window_bits)?.unwrap_or_default();
    // To accept a demand is to repeat it (RFC 7692 §7.1.1.1, §7.1.2.1).
    if server_bits > offered.server_max_window_bits
        || (offered.server_no_context_takeover && !answer.server_no_context_takeover)
    {
        return None;
    }
    Some(DeflateParameters {
        server_no_context_takeover: answer.server_no_context_takeover,
        server_max_window_bits: server_bits,
        // What the client said of itself holds whatever the server answers (RFC 7692 §7.1.1.2, §7.1.2.2).
        client_no_context_takeover: offered.client_no_context_takeover || answer.client_no_context_takeover,
        client_max_window_bits: offered.client_max_window_bits.min(client_bits),
    })
}

/// The parameters that an offer or an answer lists.
#[derive(Default)]
struct Listed {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<Bits>,
    client_max_window_bits: Option<Bits>,
}

#[derive(Clone, Copy)]
enum Bits {
    /// Without a value.
    Bare,
    Of(WindowBits),
}

impl Listed {
    /// None where a parameter is unknown, stands twice, or has a value that it may not have.
    fn read<'a, V: Iterator<Item = u8>>(parameters: impl Iterator<Item = (&'a [u8], Option<V>)>) -> Option<Listed> {
        let mut listed = Listed::default();
        for (name, value) in parameters {
            let (flag, bits) = match core::str::from_utf8(name) {
                Ok(SERVER_NO_CONTEXT_TAKEOVER) => (Some(&mut listed.server_no_context_takeover), None),
                Ok(CLIENT_NO_CONTEXT_TAKEOVER) => (Some(&mut listed.client_no_context_takeover), None),
                Ok(SERVER_MAX_WINDOW_BITS) => (None, Some(&mut listed.server_max_window_bits)),
                Ok(CLIENT_MAX_WINDOW_BITS) => (None, Some(&mut listed.client_max_window_bits)),
                _ => return None,
            };
            match (flag, bits, value) {
                (Some(flag @ false), _, None) => *flag = true,
                (_, Some(bits @ None), None) => *bits = Some(Bits::Bare),
                (_, Some(bits @ None), Some(value)) => *bits = Some(Bits::Of(WindowBits::parse(value)?)),
                _ => return None,
            }
        }
        Some(listed)
    }
}

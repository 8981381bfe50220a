//! What do the two sides of permessage-deflate agree on? (RFC 7692 §5, §7.1)
//!
//! Four parameters, two for each direction. A client offers, a server accepts the first offer that it can keep or none, and
//! the client holds the answer against its offer. A server declines what it does not understand; a client fails on it.
//! Header fields are not read here: parameters come as names and values whose quotes and escapes are gone.

use core::fmt;

/// The extension's registered name.
//= rfc6455 9.1 MUST 3: the name is a registered one
//= rfc6455 9.2 MAY 1: an extension of another document
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
    //= rfc7692 7.2.1 MUST NOT 2: there is no longer one
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
    //= rfc7692 7.1.2.1 MUST 1: offered for the server, 8 to 15
    //= rfc7692 7.1.2.1 MUST 2: answered for the server, 8 to 15
    //= rfc7692 7.1.2.2 MUST 1: offered for the client, 8 to 15
    //= rfc7692 7.1.2.2 MUST 2: answered for the client, 8 to 15
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

//= rfc6455 9 MUST 1: parameters as the extension defines them
//= rfc6455 9.1 MUST 4: and none but those
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

//= rfc6455 4.1 MAY 4: a client offers an extension
//= rfc6455 9 MAY 1: a client asks for an extension
//= rfc7692 5 MUST 1: an offer begins with the name
//= rfc7692 5 MUST 2: it limits the server to the window that the client has
//= rfc7692 5 MAY 2: it says which window the client uses
//= rfc7692 7.1.1.1 MAY 1: it can forbid the server context takeover
//= rfc7692 7.1.1.2 MAY 1: it can say that the client does without
//= rfc7692 7.1.2.1 MAY 1: it can limit the server's window
//= rfc7692 7.1.2.2 MAY 1: it lets the server limit the client's
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

//= rfc7692 5 MUST 3: an answer begins with the name
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
//= rfc7692 5 MUST 4: what is answered is kept
//= rfc7692 7 MUST 1: an offer with an unknown, a repeated or a bad parameter is declined
//= rfc7692 7.1.1.1 RECOMMENDED 1: a server can do without context takeover
//= rfc7692 7.1.1.1 MAY 2: also unasked
//= rfc7692 7.1.1.2 MAY 2: it can forbid it to its client, unasked too
//= rfc7692 7.1.2.1 MAY 2: it can limit its own window unasked
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
        //= rfc7692 7.1.2.2 MAY 2: one that did can be
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
//= rfc7692 5 MUST 7: an invalid answer fails the connection
//= rfc7692 7 MUST 2: an answer with an unknown, a repeated or a bad parameter fails the connection
//= rfc7692 7.1.1.2 MUST 1: a server can forbid its client context takeover, and is obeyed
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
    //= rfc7692 7.1.2.1 MUST 2: not above what was offered
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
        //= rfc7692 7.2.2 MUST 6: nor is the server's limit ever exceeded
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};

    use super::*;

    fn listed(parameters: &str) -> impl Iterator<Item = (&[u8], Option<core::str::Bytes<'_>>)> {
        parameters.split("; ").skip(1).map(|parameter| match parameter.split_once('=') {
            None => (parameter.as_bytes(), None),
            Some((name, value)) => (name.as_bytes(), Some(value.bytes())),
        })
    }

    fn widths() -> impl Iterator<Item = WindowBits> {
        (0..=u8::MAX).filter_map(WindowBits::new)
    }

    /// As a parameter that says nothing where there is no limit.
    fn limit(name: &str, bits: WindowBits) -> String {
        if bits == WindowBits::MAX { String::new() } else { format!("; {name}={bits}") }
    }

    //= rfc7692 7.1.2.1 MUST 1: digits only, 8 to 15
    //= rfc7692 7.1.2.1 MUST 2: digits only, 8 to 15
    //= rfc7692 7.1.2.2 MUST 1: digits only, 8 to 15
    //= rfc7692 7.1.2.2 MUST 2: digits only, 8 to 15
    //= rfc7692 7.2.1 MUST NOT 2: none is above 32 KiB
    //= type=test
    #[test]
    fn trap_32_a_width_is_a_number_from_8_to_15() {
        for number in 0..=u16::MAX {
            let expected = u8::try_from(number).ok().and_then(WindowBits::new);
            assert_eq!(expected.is_some(), (8..=15).contains(&number), "{number}");
            assert_eq!(WindowBits::parse(number.to_string().bytes()), expected, "{number}");
            for wrong in ["0", "+", "-", " ", "\t", "."] {
                assert_eq!(WindowBits::parse(format!("{wrong}{number}").bytes()), None, "{wrong}{number}");
            }
            for wrong in [" ", "\t", ".", ".0", "x", "e0", "\0"] {
                assert_eq!(WindowBits::parse(format!("{number}{wrong}").bytes()), None, "{number}{wrong}");
            }
        }
        for wrong in
            ["", "x", "0x8", "0xA", "18446744073709551624", "4294967304", "264", "\u{ff18}", "\u{668}", "1\u{660}"]
        {
            assert_eq!(WindowBits::parse(wrong.bytes()), None, "{wrong}");
        }
        assert_eq!(widths().map(WindowBits::size).max(), Some(32 << 10));
    }

    //= rfc7692 5 MUST 4: a server never answers more than it wishes for
    //= rfc7692 7.1.2.1 MUST 2: what was asked for is answered, with no more than that
    //= rfc7692 7.1.2.2 MUST NOT 1: a limit on the client is answered to who offered it only
    //= type=test
    #[test]
    fn trap_33_and_34_every_width_offered_meets_every_width_wished() {
        for wished in widths() {
            let server = DeflateParameters { server_max_window_bits: wished, ..DeflateParameters::default() };
            let client = DeflateParameters { client_max_window_bits: wished, ..DeflateParameters::default() };
            let answer = |offer: &str, wished| accept(listed(offer), wished).map(|answer| answer.to_string());

            assert_eq!(answer(NAME, server).unwrap(), NAME.to_string() + &limit(SERVER_MAX_WINDOW_BITS, wished));
            assert_eq!(answer(&format!("{NAME}; {SERVER_MAX_WINDOW_BITS}"), server), None);
            assert_eq!(answer(NAME, client).unwrap(), NAME);
            let bare = answer(&format!("{NAME}; {CLIENT_MAX_WINDOW_BITS}"), client).unwrap();
            assert_eq!(bare, NAME.to_string() + &limit(CLIENT_MAX_WINDOW_BITS, wished));
            for offered in widths() {
                let least = wished.min(offered);
                let offer = format!("{NAME}; {SERVER_MAX_WINDOW_BITS}={offered}");
                assert_eq!(answer(&offer, server).unwrap(), format!("{NAME}; {SERVER_MAX_WINDOW_BITS}={least}"));
                assert_eq!(accept(listed(&offer), server).unwrap().parameters.server_max_window_bits, least);
                let offer = format!("{NAME}; {CLIENT_MAX_WINDOW_BITS}={offered}");
                assert_eq!(answer(&offer, client).unwrap(), NAME.to_string() + &limit(CLIENT_MAX_WINDOW_BITS, least));
                assert_eq!(accept(listed(&offer), client).unwrap().parameters.client_max_window_bits, least);
            }
        }
    }

    //= rfc7692 7.1.2.1 MUST 2: an answer above the offer fails
    //= rfc7692 7.2.2 MUST 6: a client takes the answer's limit, and its own where that is less
    //= type=test
    #[test]
    fn trap_33_and_34_every_width_answered_meets_every_width_offered() {
        for offered in widths() {
            let server = DeflateParameters { server_max_window_bits: offered, ..DeflateParameters::default() };
            let client = DeflateParameters { client_max_window_bits: offered, ..DeflateParameters::default() };
            // Silence is no limit: too much for who asked for one, and fine for who only told its own.
            assert_eq!(confirm(listed(NAME), server), Some(server).filter(|_| offered == WindowBits::MAX));
            assert_eq!(confirm(listed(NAME), client), Some(client));
            for name in [SERVER_MAX_WINDOW_BITS, CLIENT_MAX_WINDOW_BITS] {
                assert_eq!(confirm(listed(&format!("{NAME}; {name}")), DeflateParameters::default()), None, "{name}");
            }
            for answered in widths() {
                let answer = format!("{NAME}; {SERVER_MAX_WINDOW_BITS}={answered}");
                let expected = DeflateParameters { server_max_window_bits: answered, ..server };
                assert_eq!(confirm(listed(&answer), server), Some(expected).filter(|_| answered <= offered));
                let answer = format!("{NAME}; {CLIENT_MAX_WINDOW_BITS}={answered}");
                let expected = DeflateParameters { client_max_window_bits: answered.min(offered), ..client };
                assert_eq!(confirm(listed(&answer), client), Some(expected));
            }
        }
    }

    //= rfc7692 7.1.1.2 MUST 1: what the server demands of its client holds, whatever that offered
    //= type=test
    #[test]
    fn trap_35_every_takeover_offered_meets_every_one_wished() {
        let parameters = |[server_no_context_takeover, client_no_context_takeover]: [bool; 2]| DeflateParameters {
            server_no_context_takeover,
            client_no_context_takeover,
            ..DeflateParameters::default()
        };
        let all = || [[false, false], [false, true], [true, false], [true, true]];
        for [ours, theirs] in all() {
            for [server, client] in all() {
                let text = parameters([server, client]).to_string();
                let accepted = accept(listed(&text), parameters([ours, theirs])).unwrap();
                assert_eq!(accepted.parameters, parameters([ours || server, theirs || client]));
                // Demanded and not granted; hinted, and kept.
                let confirmed = confirm(listed(&text), parameters([ours, theirs]));
                let expected = Some(parameters([server, theirs || client])).filter(|_| server || !ours);
                assert_eq!(confirmed, expected, "{text} to {ours} {theirs}");
            }
        }
    }
}

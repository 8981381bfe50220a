//! Where does a `ws:` or `wss:` URL lead? (RFC 6455 §3, RFC 3986 §3)

use alloc::string::String;
use alloc::string::ToString;
use core::fmt;

use super::request::is_authority;
use crate::error::BuildError;

/// A `ws:` or `wss:` URL, as far as a client needs it. It must be ASCII: percent-encode the rest, and write the names of
/// hosts in their ASCII form.
///
/// ```
/// use sockless::Url;
///
/// let url = Url::parse("wss://[2001:db8::1]:8443?x=1")?;
/// assert_eq!((url.host(), url.port(), url.is_secure()), ("2001:db8::1", 8443, true));
/// assert_eq!((url.authority().as_str(), url.target()), ("[2001:db8::1]:8443", "/?x=1"));
/// assert!(Url::parse("ws://example.com/#fragment").is_err());
/// # Ok::<(), sockless::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    /// With its brackets, if it is an IPv6 address.
    host: String,
    port: u16,
    target: String,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// [`BuildError::InvalidUrl`] for another scheme, a fragment (RFC 6455 §3), user information, a bad host or port, or a
    /// character that must be percent-encoded.
    //= rfc6455 3 MUST NOT 1: no fragment
    //= rfc6455 4.1 MUST 2: what a client connects to comes out of a valid URL
    //= rfc6455 4.1 MUST 3: an invalid one goes no further
    pub fn parse(url: &str) -> Result<Url, BuildError> {
        Url::read(url).ok_or(BuildError::InvalidUrl)
    }

    /// Whether the connection is to be made over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host to connect to: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as `Host` has them: without a default port, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        let mut authority = self.host.clone();
        if self.port != default_port(self.secure) {
            authority.push(':');
            authority.push_str(&self.port.to_string());
        }
        authority
    }

    /// Path and query: what is requested.
    pub fn target(&self) -> &str {
        &self.target
    }

    fn read(url: &str) -> Option<Url> {
        if !url.bytes().all(|byte| matches!(byte, 0x21..=0x7E))
            || url.contains(['#', '"', '<', '>', '\\', '^', '`', '{', '|', '}'])
        {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let secure = match scheme {
            s if s.eq_ignore_ascii_case("ws") => false,
            s if s.eq_ignore_ascii_case("wss") => true,
            _ => return None,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end)?;
        if !is_authority(authority.as_bytes()) {
            return None;
        }
        let colon = authority.rfind(':').filter(|colon| *colon > authority.rfind(']').unwrap_or(0));
        let (host, port) = match colon.and_then(|colon| authority.split_at_checked(colon)) {
            Some((host, ":")) => (host, default_port(secure)),
            Some((host, port)) => (host, port.get(1..)?.parse().ok().filter(|port| *port != 0)?),
            None => (authority, default_port(secure)),
        };
        let mut path = String::from(if target.starts_with('/') { "" } else { "/" });
        path.push_str(target);
        Some(Url { secure, host: host.to_ascii_lowercase(), port, target: path })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.secure { "wss" } else { "ws" }, self.authority(), self.target)
    }
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= rfc6455 4.1 MUST 2: host, port and resource come out of the URL
    //= type=test
    #[test]
    fn trap_28_hosts_ports_and_targets() {
        for (url, host, port, authority, target) in [
            ("ws://example.com", "example.com", 80, "example.com", "/"),
            ("WS://EXAMPLE.com:80/", "example.com", 80, "example.com", "/"),
            ("wss://example.com:443/a?b=/c?", "example.com", 443, "example.com", "/a?b=/c?"),
            ("wss://example.com:80", "example.com", 80, "example.com:80", "/"),
            ("ws://example.com:/x", "example.com", 80, "example.com", "/x"),
            ("ws://127.0.0.1:5000?q", "127.0.0.1", 5000, "127.0.0.1:5000", "/?q"),
            ("ws://[::1]/", "::1", 80, "[::1]", "/"),
            ("ws://[::1]:81/", "::1", 81, "[::1]:81", "/"),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!((parsed.host(), parsed.port()), (host, port), "{url}");
            assert_eq!((parsed.authority().as_str(), parsed.target()), (authority, target), "{url}");
        }
    }

    //= rfc6455 3 MUST NOT 1: no fragment
    //= rfc6455 4.1 MUST 3: an invalid URL goes no further
    //= type=test
    #[test]
    fn trap_28_what_is_no_websocket_url() {
        for url in [
            "",
            "ws:",
            "ws://",
            "ws:///path",
            "http://example.com",
            "example.com",
            "ws://example.com/#",
            "ws://example.com#fragment",
            "ws://user@example.com",
            "ws://user:pass@example.com",
            "ws://example.com:65536",
            "ws://example.com:0",
            "ws://example.com:1x",
            "ws://[::1",
            "ws://[zz]",
            "ws://[::1]x",
            "ws://::1/",
            "ws://exa mple.com",
            "ws://example.com/ä",
            "ws://example.com/\r\nHost: evil",
            "ws://example.com\\evil",
        ] {
            assert_eq!(Url::parse(url), Err(BuildError::InvalidUrl), "{url:?}");
        }
    }
}

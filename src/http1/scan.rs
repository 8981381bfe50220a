//! Where does a head end? (RFC 9112 §2.1, §2.2)
//!
//! A head may come in any pieces. [`Scan`] walks over new bytes only, from line feed to line feed, so a peer that sends one
//! byte a packet costs no more than one that sends all at once. It also is where a head is refused before it is kept: too
//! long, too many lines, a line feed without its carriage return. Only the lines of a head that came whole are not counted:
//! it is parsed where it lies, and who does that counts fields.

/// A head that is refused while it comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
    /// LF without CR.
    BareLineFeed,
    /// The first line.
    LineTooLong,
    TooManyLines,
    TooLarge,
}

/// How much of a head is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) first_line: usize,
    pub(crate) fields: usize,
    pub(crate) total: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    /// Bytes so far.
    total: usize,
    /// Bytes of the line under way.
    line: usize,
    /// Lines that ended, not counting empty ones before the first (RFC 9112 §2.2).
    lines: usize,
    /// The byte before the next.
    last: u8,
}

impl Scan {
    /// Scans the next piece; says how many of its bytes end the head, if it ends there.
    pub(crate) fn scan(&mut self, piece: &[u8], allowed: Allowed) -> Result<Option<usize>, ScanError> {
        if self.total == 0 && is_plain_head(piece, allowed) {
            return Ok(Some(piece.len()));
        }
        let mut rest = piece;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let before = at.checked_sub(1).and_then(|at| rest.get(at)).copied().unwrap_or(self.last);
            self.grow(at + 1, allowed)?;
            if before != b'\r' {
                return Err(ScanError::BareLineFeed);
            }
            let is_empty = self.line == 2;
            self.line = 0;
            self.last = b'\n';
            rest = rest.get(at + 1..).unwrap_or_default();
            if !is_empty {
                self.lines += 1;
                if self.lines > allowed.fields + 1 {
                    return Err(ScanError::TooManyLines);
                }
            } else if self.lines > 0 {
                return Ok(Some(piece.len() - rest.len()));
            }
        }
        self.grow(rest.len(), allowed)?;
        self.last = rest.last().copied().unwrap_or(self.last);
        Ok(None)
    }

    fn grow(&mut self, bytes: usize, allowed: Allowed) -> Result<(), ScanError> {
        self.total += bytes;
        self.line += bytes;
        // The line's own end does not count to its length.
        let line = if self.lines == 0 { self.line.saturating_sub(allowed.first_line.saturating_add(2)) } else { 0 };
        let total = self.total.saturating_sub(allowed.total);
        // Of two limits, the one that is passed by more was broken first: a piece may pass both.
        match (line, total) {
            (0, 0) => Ok(()),
            (line, total) if line > total => Err(ScanError::LineTooLong),
            _ => Err(ScanError::TooLarge),
        }
    }
}

/// Whether a piece is one head, all of it, and beyond doubt within what is allowed, but for the number of its lines: what
/// most clients send, in one read. Each byte is looked at beside the next two, and nothing depends on what was found, so
/// many are at a time.
fn is_plain_head(piece: &[u8], allowed: Allowed) -> bool {
    let Some(before) = piece.strip_suffix(b"\r\n\r\n") else { return false };
    if piece.len() > allowed.total.min(allowed.first_line) || before.first().is_none_or(|byte| *byte <= b'\r') {
        return false;
    }
    // A CR or an LF without the other, or two ends of lines in a row.
    let [nexts, thirds] = [1, 2].map(|ahead| piece.get(ahead..).unwrap_or_default());
    !before.iter().zip(nexts).zip(thirds).fold(false, |doubtful, ((byte, next), third)| {
        let is_end = *byte == b'\r';
        doubtful | (is_end ^ (*next == b'\n')) | (is_end & (*third == b'\r'))
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const ALLOWED: Allowed = Allowed { first_line: 20, fields: 3, total: 60 };

    /// The verdict, and after how many bytes it came, for every way to cut the head in two, and byte by byte.
    fn verdicts(head: &[u8]) -> Result<Option<usize>, ScanError> {
        let mut bytewise = Scan::default();
        let mut expected = Ok(None);
        for (index, byte) in head.iter().enumerate() {
            match bytewise.scan(&[*byte], ALLOWED) {
                Ok(None) => {}
                Ok(Some(_)) => expected = Ok(Some(index + 1)),
                Err(error) => expected = Err(error),
            }
            if expected != Ok(None) {
                break;
            }
        }
        for cut in 0..=head.len() {
            let mut scan = Scan::default();
            let verdict = match scan.scan(&head[..cut], ALLOWED) {
                Ok(None) => scan.scan(&head[cut..], ALLOWED).map(|end| end.map(|end| cut + end)),
                verdict => verdict,
            };
            assert_eq!(verdict, expected, "cut at {cut}");
        }
        expected
    }

    #[test]
    fn the_end_is_found_however_it_is_cut() {
        assert_eq!(verdicts(b"GET / HTTP/1.1\r\na: b\r\n\r\nrest"), Ok(Some(24)));
        assert_eq!(verdicts(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Ok(Some(22)));
        assert_eq!(verdicts(b"GET / HTTP/1.1\r\na: b\r\n"), Ok(None));
        // The end of the read looks like the end of a head, and is none.
        assert_eq!(verdicts(b"GET /\r\n\r\nrest\r\n\r\n"), Ok(Some(9)));
        assert_eq!(verdicts(b"GET /\r\na: b\r\n\r\n"), Ok(Some(15)));
        assert_eq!(verdicts(b"GET /\r\n\r\n\r\n"), Ok(Some(9)));
        assert_eq!(verdicts(b"\r\n\r\n"), Ok(None));
        assert_eq!(verdicts(b""), Ok(None));
    }

    #[test]
    fn a_head_that_comes_whole_ends_where_it_does_in_pieces() {
        // All that six bytes before the end can be, of those that matter.
        for number in 0..3usize.pow(6) {
            let before = (0..6).map(|place| b"a\r\n"[number / 3usize.pow(place) % 3]);
            let head: Vec<u8> = before.chain(*b"\r\n\r\n").collect();
            if let Ok(end) = verdicts(&head) {
                assert!(end.is_none_or(|end| head[..end].ends_with(b"\n\r\n")), "{head:?}");
            }
        }
    }

    #[test]
    fn a_head_is_refused_while_it_comes_in() {
        assert_eq!(verdicts(b"GET / HTTP/1.1\n\n"), Err(ScanError::BareLineFeed));
        assert_eq!(verdicts(b"GET / HTTP/1.1\r\na: b\n\r\n"), Err(ScanError::BareLineFeed));
        assert_eq!(verdicts(b"GET /\r\na: b\n\r\n\r\n"), Err(ScanError::BareLineFeed));
        assert_eq!(verdicts(b"\n"), Err(ScanError::BareLineFeed));
        assert_eq!(verdicts(b"12345678901234567890\r\n\r\n"), Ok(Some(24)));
        assert_eq!(verdicts(b"1234567890123456789012345"), Err(ScanError::LineTooLong));
        assert_eq!(verdicts(b"GET\r\na:\r\nb:\r\nc:\r\n\r\n"), Ok(Some(19)));
        assert_eq!(verdicts(b"GET\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n"), Err(ScanError::TooManyLines));
        let long = [&b"GET\r\na: "[..], &[b'x'; 60]].concat();
        assert_eq!(verdicts(&long), Err(ScanError::TooLarge));
    }
}

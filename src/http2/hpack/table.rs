//! Which fields have a number? (RFC 7541 §2.3, Appendix A)
//!
//! 61 that are always the same, and behind them those that one side lately sent, the newest first. The latter lie one behind
//! the other in one buffer, each name followed by its value; what is evicted at its front is moved over now and then. A field
//! that is being read is written behind them, where it can stay if it is to have a number. So it is copied once, costs no
//! allocation of its own, and what the table holds is bounded by its size.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::DEFAULT_TABLE_SIZE;

/// What RFC 7541 §4.1 adds to the bytes of an entry.
const OVERHEAD: usize = 32;

/// The fields that always have a number; the first is 1.
const STATIC: &[(&str, &str); 61] = &[
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// For each slot, the index of the first of the fixed fields whose name belongs there.
const FIRST: &[u8; 256] = &first();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks the bounds")]
const fn first() -> [u8; 256] {
    let mut first = [0; 256];
    let mut index = STATIC.len();
    // From the last on, so that what stays is the first of each name.
    while index > 0 {
        index -= 1;
        if let Some(slot) = slot(STATIC[index].0.as_bytes()) {
            first[slot] = index as u8;
        }
    }
    first
}

/// A number for a name; no two names of the fixed fields have the same.
const fn slot(name: &[u8]) -> Option<usize> {
    match name {
        [first, .., last] => Some((name.len() + 10 * *first as usize + 4 * *last as usize) % 256),
        _ => None,
    }
}

/// The fields that have a number for one direction of a connection.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// The newest last.
    entries: VecDeque<Entry>,
    /// As RFC 7541 §4.1 counts it.
    size: usize,
    max_size: usize,
}

/// Where a field lies in the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) start: usize,
    /// Where its name ends, and its value begins.
    pub(super) split: usize,
    pub(super) end: usize,
}

impl Entry {
    fn size(self) -> usize {
        self.end - self.start + OVERHEAD
    }
}

/// The number of a field that is like one to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Of the same name and value.
    Field(usize),
    /// Of the same name.
    Name(usize),
    Nothing,
}

impl Table {
    pub(super) fn new(max_size: usize) -> Table {
        Table { bytes: Vec::new(), entries: VecDeque::new(), size: 0, max_size }
    }

    /// The name and value of a number; none where it has none.
    #[inline]
    pub(super) fn field(&self, number: usize) -> Option<(&[u8], &[u8])> {
        let index = number.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(index) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        self.read(*self.entry(index)?)
    }

    fn entry(&self, index: usize) -> Option<&Entry> {
        let from_newest = index.checked_sub(STATIC.len())?;
        self.entries.get(self.entries.len().checked_sub(from_newest + 1)?)
    }

    /// The name and value that lie there.
    #[inline]
    pub(super) fn read(&self, Entry { start, split, end }: Entry) -> Option<(&[u8], &[u8])> {
        Some((self.bytes.get(start..split)?, self.bytes.get(split..end)?))
    }

    /// The number to send a field by; without a value, only its name is looked for.
    pub(super) fn find(&self, name: &[u8], value: Option<&[u8]>) -> Found {
        let mut found = Found::Nothing;
        let first = slot(name).and_then(|slot| FIRST.get(slot)).copied().unwrap_or_default();
        for (index, (known, known_value)) in STATIC.iter().enumerate().skip(first.into()) {
            if known.as_bytes() != name {
                break;
            }
            if value == Some(known_value.as_bytes()) {
                return Found::Field(index + 1);
            }
            if found == Found::Nothing {
                found = Found::Name(index + 1);
            }
        }
        for (nth, entry) in self.entries.iter().rev().enumerate() {
            let is_like = entry.split - entry.start == name.len()
                && (found == Found::Nothing || value.is_some_and(|value| value.len() == entry.end - entry.split));
            if is_like
                && let Some((known, known_value)) = self.read(*entry)
                && known == name
            {
                let number = STATIC.len() + 1 + nth;
                if value == Some(known_value) {
                    return Found::Field(number);
                }
                if found == Found::Nothing {
                    found = Found::Name(number);
                }
            }
        }
        found
    }

    /// Begins a field behind the others: says where. What is appended to [`Table::tail`] belongs to it.
    #[inline]
    pub(super) fn begin(&mut self) -> usize {
        if self.entries.capacity() == 0 {
            self.entries.reserve(16);
            self.bytes.reserve(512);
        }
        let front = self.entries.front().map_or(self.bytes.len(), |oldest| oldest.start);
        if front > self.max_size {
            self.bytes.drain(..front);
            for Entry { start, split, end } in &mut self.entries {
                (*start, *split, *end) = (*start - front, *split - front, *end - front);
            }
        }
        self.bytes.len()
    }

    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends the name of a number to the field that was begun; none where the number has none.
    pub(super) fn append_name(&mut self, number: usize) -> Option<()> {
        let index = number.checked_sub(1)?;
        if let Some((name, _)) = STATIC.get(index) {
            self.bytes.extend_from_slice(name.as_bytes());
        } else {
            let Entry { start, split, .. } = *self.entry(index)?;
            self.bytes.extend_from_within(start..split);
        }
        Some(())
    }

    /// Gives a field the first number behind the fixed ones.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let start = self.begin();
        let split = start + name.len();
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.keep(Entry { start, split, end: split + value.len() });
    }

    //= rfc7541 2.3.2 MUST NOT 1: nobody asks whether it is there already
    /// Gives the field that was begun the first number behind the fixed ones. One that is larger than the table only empties
    /// it.
    pub(super) fn keep(&mut self, entry: Entry) {
        self.evict(self.max_size.saturating_sub(entry.size()));
        if entry.size() <= self.max_size {
            self.entries.push_back(entry);
            self.size += entry.size();
        } else {
            self.discard(entry);
        }
    }

    /// Drops the field that was begun.
    pub(super) fn discard(&mut self, entry: Entry) {
        self.bytes.truncate(entry.start);
    }

    /// A long field shall not cost memory for as long as the connection lasts.
    pub(super) fn trim(&mut self) {
        self.bytes.shrink_to(4 * DEFAULT_TABLE_SIZE);
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    pub(super) fn set_max_size(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict(max_size);
    }

    /// Drops the oldest until no more than this is held.
    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    /// RFC 7541 §2.3 and §4 word by word: a list, the newest first.
    struct Naive {
        fields: Vec<(Vec<u8>, Vec<u8>)>,
        max_size: usize,
    }

    impl Naive {
        fn size(&self) -> usize {
            self.fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
        }

        fn evict(&mut self, size: usize) {
            while self.size() > size && self.fields.pop().is_some() {}
        }

        fn insert(&mut self, name: &[u8], value: &[u8]) {
            let size = name.len() + value.len() + 32;
            self.evict(self.max_size.saturating_sub(size));
            if size <= self.max_size {
                self.fields.insert(0, (name.to_vec(), value.to_vec()));
            }
        }

        fn all(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
            let fixed = STATIC.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            fixed.chain(self.fields.iter().map(|(name, value)| (&name[..], &value[..])))
        }

        fn find(&self, name: &[u8], value: Option<&[u8]>) -> Found {
            let field = self.all().position(|(known, known_value)| known == name && value == Some(known_value));
            let named = self.all().position(|(known, _)| known == name);
            match (field, named) {
                (Some(index), _) => Found::Field(index + 1),
                (None, Some(index)) => Found::Name(index + 1),
                (None, None) => Found::Nothing,
            }
        }
    }

    fn same(table: &Table, naive: &Naive) {
        assert_eq!((table.size, table.max_size()), (naive.size(), naive.max_size));
        for (number, field) in (1..).zip(naive.all()) {
            assert_eq!(table.field(number), Some(field), "number {number}");
        }
        let last = STATIC.len() + naive.fields.len();
        for number in [0, last + 1, last + 2, usize::MAX] {
            assert_eq!(table.field(number), None, "number {number}");
        }
        // What is not moved over yet, what was there, and what was just added.
        assert!(table.bytes.len() <= 3 * DEFAULT_TABLE_SIZE, "{}", table.bytes.len());
    }

    fn same_finds(table: &Table, naive: &Naive) {
        for (name, value) in naive.all() {
            for value in [None, Some(value), Some(&b"another"[..])] {
                assert_eq!(table.find(name, value), naive.find(name, value), "{name:?} {value:?}");
            }
        }
    }

    #[test]
    fn the_fixed_fields_have_their_numbers() {
        let table = Table::new(DEFAULT_TABLE_SIZE);
        let naive = Naive { fields: vec![], max_size: DEFAULT_TABLE_SIZE };
        same(&table, &naive);
        same_finds(&table, &naive);
        assert_eq!(table.field(1), Some((&b":authority"[..], &b""[..])));
        assert_eq!(table.field(61), Some((&b"www-authenticate"[..], &b""[..])));
        assert_eq!(table.find(b":status", Some(b"404")), Found::Field(13));
        assert_eq!(table.find(b":status", Some(b"101")), Found::Name(8));
        for name in ["", "a", "Age", "agf", ":protocol", "sec-websocket-key"] {
            assert_eq!(table.find(name.as_bytes(), Some(b"")), Found::Nothing, "{name}");
        }
    }

    #[test]
    fn a_field_larger_than_the_table_empties_it() {
        let mut table = Table::new(100);
        table.insert(b"name", b"value");
        table.insert(b"name", &[b'v'; 64]);
        assert_eq!((table.size, table.field(62).unwrap().1.len(), table.field(63)), (100, 64, None));
        table.insert(b"name", &[b'v'; 65]);
        assert_eq!((table.size, table.field(62)), (0, None));
        table.insert(b"", b"");
        assert_eq!((table.size, table.field(62)), (32, Some((&b""[..], &b""[..]))));
    }

    //= rfc7541 2.3.2 MUST NOT 1: the same field twice is no fault, and both have a number
    //= type=test
    #[test]
    fn a_field_can_be_there_twice() {
        let mut table = Table::new(DEFAULT_TABLE_SIZE);
        table.insert(b"name", b"value");
        table.insert(b"name", b"value");
        assert_eq!(table.field(62), table.field(63));
        assert_eq!((table.field(62), table.size), (Some((&b"name"[..], &b"value"[..])), 2 * 41));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Vec<u8>, Vec<u8>),
        /// With the name of a number, as a decoder does it; it may be the field that is evicted for it.
        InsertNamed(prop::sample::Index, Vec<u8>),
        Discard(Vec<u8>),
        Resize(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let bytes = || prop::collection::vec(b'a'..b'd', 0..4).boxed();
        let value = || prop_oneof![4 => bytes(), 1 => (0..2000usize).prop_map(|length| b"v".repeat(length))];
        let step = prop_oneof![
            4 => (bytes(), value()).prop_map(|(name, value)| Step::Insert(name, value)),
            4 => (any::<prop::sample::Index>(), value()).prop_map(|(index, value)| Step::InsertNamed(index, value)),
            2 => value().prop_map(Step::Discard),
            1 => prop_oneof![0usize..200, 0..=DEFAULT_TABLE_SIZE].prop_map(Step::Resize),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn it_does_what_a_naive_one_does(
            max_size in prop_oneof![0usize..200, Just(DEFAULT_TABLE_SIZE)], steps in steps(),
        ) {
            let mut table = Table::new(max_size);
            let mut naive = Naive { fields: vec![], max_size };
            for step in steps {
                match step {
                    Step::Insert(name, value) => {
                        table.insert(&name, &value);
                        naive.insert(&name, &value);
                    }
                    Step::InsertNamed(index, value) => {
                        let number = index.index(STATIC.len() + naive.fields.len()) + 1;
                        let name = naive.all().nth(number - 1).unwrap().0.to_vec();
                        let start = table.begin();
                        table.append_name(number).unwrap();
                        let split = table.tail().len();
                        table.tail().extend_from_slice(&value);
                        let entry = Entry { start, split, end: table.tail().len() };
                        prop_assert_eq!(table.read(entry), Some((&name[..], &value[..])));
                        table.keep(entry);
                        naive.insert(&name, &value);
                    }
                    Step::Discard(value) => {
                        let start = table.begin();
                        table.tail().extend_from_slice(&value);
                        table.discard(Entry { start, split: start, end: start + value.len() });
                    }
                    Step::Resize(max_size) => {
                        table.set_max_size(max_size);
                        naive.max_size = max_size;
                        naive.evict(max_size);
                    }
                }
                same(&table, &naive);
            }
            same_finds(&table, &naive);
        }
    }
}

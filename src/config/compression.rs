//! How is compressed, and what may it cost? (RFC 7692)

use alloc::sync::Arc;
use core::time::Duration;

use crate::deflate::params::{DeflateParameters, WindowBits};
use crate::deflate::{CompressionLevel, MemoryLevel, Pool, Settings};

/// permessage-deflate: what a server accepts and a client offers, and how messages are compressed (RFC 7692).
///
/// # Secrets
///
/// **Off by default, because it leaks.** How well a message compresses tells how much its parts have in common. Who can put
/// text of his own beside a secret (a token, a cookie, an address) and watch the *length* of what is sent, encrypted or not,
/// can guess that secret piece by piece: CRIME and BREACH are such attacks. With context takeover all messages of a
/// connection count as one. Where a message holds a secret, send it with [`Compress::Never`](crate::Compress::Never), or
/// leave compression off.
///
/// # Memory
///
/// With context takeover (the default) messages become smaller, since each can refer to those before it; and each connection
/// keeps its contexts. Without, they are needed only while a message passes through, and can come from a [`Pool`]. The crate's
/// documentation has a table of what each mode costs.
///
/// | | where its contexts are between messages |
/// | --- | --- |
/// | context takeover | with the connection, from its first compressed message on |
/// | context takeover, [`hibernate`](Compression::hibernate) | with the connection; when it is idle, a window's plain bytes instead |
/// | no context takeover, [`pool`](Compression::pool) | in the pool |
/// | no context takeover, no pool | with the connection, until [`Limits::release`](crate::Limits::release) |
///
/// ```
/// use sockless::{Compression, CompressionLevel, Config, Pool, WindowBits};
/// use std::sync::Arc;
///
/// // A hundred thousand mostly idle connections: nothing is kept between messages.
/// let config = Config {
///     compression: Some(Compression {
///         server_no_context_takeover: true,
///         client_no_context_takeover: true,
///         level: CompressionLevel::FASTEST,
///         pool: Some(Arc::new(Pool::default())),
///         ..Compression::default()
///     }),
///     ..Config::default()
/// };
/// ```
#[derive(Clone, Debug)]
pub struct Compression {
    /// How far back the server's messages may refer: as a server, what we compress with at most; as a client, what we demand:
    /// a server that cannot keep to less than 15 declines, and one that answers without repeating it fails the connection.
    /// Default 15.
    pub server_max_window_bits: WindowBits,
    /// How far back the client's messages may refer: as a server, what we ask for where the client lets us; as a client,
    /// what we compress with at most. Default 15.
    pub client_max_window_bits: WindowBits,
    /// Whether the server begins every message with an empty window: as a server, what we do; as a client, what we demand,
    /// in the same way. Default no.
    pub server_no_context_takeover: bool,
    /// Whether the client begins every message with an empty window: as a server, what we demand; as a client, what we do.
    /// Default no.
    pub client_no_context_takeover: bool,
    /// Time against size. Default 6.
    pub level: CompressionLevel,
    /// A compressor's memory against size. Default 5: 100 KB less than zlib's own default, at no loss that could be measured
    /// on messages of JSON.
    pub memory_level: MemoryLevel,
    /// Messages of fewer bytes than this are sent plain, unless with [`Compress::Always`](crate::Compress::Always). Does not
    /// concern messages whose length is not known when they [begin](crate::Sender::begin). None, the default: 32 with context
    /// takeover, where short messages too become several times shorter for half a microsecond, and 256 without, below which
    /// less than 100 bytes are saved for several.
    pub threshold: Option<usize>,
    /// Where contexts come from and go back to; share it between connections, one a thread. None: a connection makes its
    /// own. Default none.
    pub pool: Option<Arc<Pool>>,
    /// With context takeover: how long a connection is quiet until its contexts are given up for the plain bytes of their
    /// windows, from which they are made again. It is the only mode in which sending costs a copy of each message.
    /// Default never.
    pub hibernate: Option<Duration>,
}

impl Compression {
    /// What is wished for, as parameters of the extension.
    pub(crate) fn parameters(&self) -> DeflateParameters {
        DeflateParameters {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits,
            client_max_window_bits: self.client_max_window_bits,
        }
    }

    /// The length from which on messages are compressed.
    pub(crate) fn threshold(&self, takeover: bool) -> usize {
        self.threshold.unwrap_or(if takeover { 32 } else { 256 })
    }

    /// What a compressor is made with for a window that was agreed on.
    pub(crate) fn settings(&self, window: WindowBits) -> Settings {
        Settings { window, level: self.level, memory_level: self.memory_level }
    }
}

impl Default for Compression {
    fn default() -> Compression {
        Compression {
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            level: CompressionLevel::default(),
            memory_level: MemoryLevel::default(),
            threshold: None,
            pool: None,
            hibernate: None,
        }
    }
}

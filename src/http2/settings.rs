//! What does each side tell the other at the start? (RFC 9113 §6.5, RFC 8441 §3)

use super::error::Http2Error;
use super::{flow, frame};

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// The settings of one side, as the other knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) header_table_size: u32,
    pub(super) enable_push: bool,
    pub(super) max_concurrent_streams: u32,
    pub(super) initial_window_size: u32,
    pub(super) max_frame_size: u32,
    /// A wish that nothing is refused for.
    pub(super) max_header_list_size: u32,
    pub(super) enable_connect_protocol: bool,
}

impl Settings {
    /// What holds until a side has said otherwise.
    //= rfc9113 5.5 MUST 5: a setting that allows an extension begins at what does not
    pub(super) const INITIAL: Settings = Settings {
        header_table_size: 4096,
        enable_push: true,
        max_concurrent_streams: u32::MAX,
        initial_window_size: flow::INITIAL,
        max_frame_size: frame::MAX_PAYLOAD,
        max_header_list_size: u32::MAX,
        enable_connect_protocol: false,
    };

    /// Takes one setting from the peer.
    //= rfc9113 6.5 MUST 2: every setting of this RFC is understood
    //= rfc9113 6.5 MUST 7: settings that make no sense are PROTOCOL_ERROR
    pub(super) fn apply(&mut self, identifier: u16, value: u32, from_server: bool) -> Result<(), Http2Error> {
        let flag = |name| match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(name),
        };
        match identifier {
            HEADER_TABLE_SIZE => self.header_table_size = value,
            // A server cannot allow itself what only it can do.
            //= rfc9113 6.5.2 MUST 4: a client takes an ENABLE_PUSH of 1 for PROTOCOL_ERROR
            ENABLE_PUSH if from_server && value == 1 => return Err(Http2Error::InvalidSetting),
            //= rfc9113 6.5.2 MUST 2: ENABLE_PUSH is 0 or 1, all else is PROTOCOL_ERROR
            ENABLE_PUSH => self.enable_push = flag(Http2Error::InvalidSetting)?,
            MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = value,
            //= rfc9113 6.5.2 MUST 5: an initial window beyond 2^31 - 1 is FLOW_CONTROL_ERROR
            INITIAL_WINDOW_SIZE if value > flow::MAX => return Err(Http2Error::InitialWindowTooLarge),
            INITIAL_WINDOW_SIZE => self.initial_window_size = value,
            //= rfc9113 6.5.2 MUST 7: a peer's MAX_FRAME_SIZE outside of that is PROTOCOL_ERROR
            MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => return Err(Http2Error::InvalidSetting),
            MAX_FRAME_SIZE => self.max_frame_size = value,
            MAX_HEADER_LIST_SIZE => self.max_header_list_size = value,
            ENABLE_CONNECT_PROTOCOL => {
                //= rfc8441 3 MUST 1: the setting of the extended CONNECT is 0 or 1, all else is PROTOCOL_ERROR
                let enabled = flag(Http2Error::InvalidSetting)?;
                //= rfc8441 3 MUST NOT 1: a setting that allowed the extended CONNECT is not taken back
                if self.enable_connect_protocol && !enabled {
                    return Err(Http2Error::ConnectProtocolWithdrawn);
                }
                self.enable_connect_protocol = enabled;
            }
            //= rfc9113 5.5 MUST 1: unknown values mean nothing, wherever the protocol can be extended
            //= rfc9113 6.5.2 MUST 8: a setting of unknown number means nothing
            //= rfc9113 6.5.3 MUST 3: settings that are not known are passed over
            _ => {}
        }
        Ok(())
    }

    /// The settings that differ from the initial ones, as they are sent.
    pub(super) fn entries(&self) -> impl Iterator<Item = [u8; 6]> {
        let initial = Settings::INITIAL;
        [
            (HEADER_TABLE_SIZE, self.header_table_size, initial.header_table_size),
            (ENABLE_PUSH, u32::from(self.enable_push), u32::from(initial.enable_push)),
            (MAX_CONCURRENT_STREAMS, self.max_concurrent_streams, initial.max_concurrent_streams),
            (INITIAL_WINDOW_SIZE, self.initial_window_size, initial.initial_window_size),
            (MAX_FRAME_SIZE, self.max_frame_size, initial.max_frame_size),
            (MAX_HEADER_LIST_SIZE, self.max_header_list_size, initial.max_header_list_size),
            (
                ENABLE_CONNECT_PROTOCOL,
                u32::from(self.enable_connect_protocol),
                u32::from(initial.enable_connect_protocol),
            ),
        ]
        .into_iter()
        .filter(|(_, value, initial)| value != initial)
        .map(|(identifier, value, _)| {
            let ([a, b], [c, d, e, f]) = (identifier.to_be_bytes(), value.to_be_bytes());
            [a, b, c, d, e, f]
        })
    }
}

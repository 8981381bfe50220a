//! The frame of RFC 6455 §5, as values and bytes: no allocation, no state.
//!
//! [`header`] reads and writes the 2 to 14 bytes in front of a payload; [`mask`] is the XOR on the payload.

pub(crate) mod header;
pub(crate) mod mask;

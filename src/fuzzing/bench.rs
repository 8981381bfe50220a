//! What do the benches measure that the public API does not show?

use crate::frame::mask;

/// Masks, or unmasks, a payload in place.
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    mask::apply(payload, key);
}

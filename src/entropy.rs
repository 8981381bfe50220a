//! Where do masking keys and nonces come from? (RFC 6455 §5.3, §10.3, §4.1)
//!
//! From the caller, once: a client asks the caller's [`Entropy`] for a 32-byte seed and derives from it, with ChaCha8, a
//! fresh key for every frame and the nonce of the opening handshake. A key costs some 16 instructions that way instead of a
//! system call, and no key can be foretold from those before it. Servers hold none.

use alloc::boxed::Box;
use core::fmt;

use rand_chacha::ChaCha8Core;
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::rand_core::block::Generator;

/// A strong source of random bytes: the operating system's, a hardware generator's, or in a test a counter.
///
/// ```
/// struct Counter(u8);
///
/// impl sockless::Entropy for Counter {
///     fn fill(&mut self, out: &mut [u8]) -> Result<(), sockless::NoEntropy> {
///         out.fill_with(|| {
///             self.0 = self.0.wrapping_add(1);
///             self.0
///         });
///         Ok(())
///     }
/// }
/// ```
pub trait Entropy {
    /// Fills all of `out` with bytes that nobody can predict.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] when the source has none to give; then no connection is made.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy>;
}

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        (**self).fill(out)
    }
}

/// The source of random bytes failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntropy;

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source of entropy failed")
    }
}

impl core::error::Error for NoEntropy {}

/// The operating system's random generator.
#[cfg(feature = "getrandom")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Os;

#[cfg(feature = "getrandom")]
impl Entropy for Os {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(out).map_err(|_| NoEntropy)
    }
}

/// A client's generator of masking keys and nonces. Boxed, since a server's `Sender` has room for it too and never one.
pub(crate) struct Keys(Box<Drawn>);

/// What was drawn at once, and how much of it is used up.
struct Drawn {
    used: usize,
    words: [u32; 64],
    generator: ChaCha8Core,
}

impl Keys {
    pub(crate) fn new(entropy: &mut dyn Entropy) -> Result<Keys, NoEntropy> {
        let mut seed = [0; 32];
        entropy.fill(&mut seed)?;
        Ok(Keys::from_seed(seed))
    }

    fn from_seed(seed: [u8; 32]) -> Keys {
        Keys(Box::new(Drawn { used: 64, words: [0; 64], generator: ChaCha8Core::from_seed(seed) }))
    }

    /// None where [`draw`](Keys::draw) is to come first: a call apart, so that a frame saves no registers for it.
    //= rfc6455 5.3 MUST 2: a new key for every frame
    //= rfc6455 5.3 MUST 3: from a strong source
    //= rfc6455 10.3 MUST 1: nobody can foresee it
    //= rfc6455 5.3 MUST NOT 1: nothing sent before tells the next key
    #[inline(always)]
    pub(crate) fn masking_key(&mut self) -> Option<[u8; 4]> {
        let word = self.0.words.get(self.0.used)?;
        self.0.used += 1;
        Some(word.to_le_bytes())
    }

    /// Draws the next keys.
    #[inline(never)]
    pub(crate) fn draw(&mut self) {
        let Drawn { used, words, generator } = &mut *self.0;
        generator.generate(words);
        *used = 0;
    }

    fn fill(&mut self, out: &mut [u8]) {
        for out in out.as_chunks_mut().0 {
            *out = loop {
                match self.masking_key() {
                    Some(key) => break key,
                    None => self.draw(),
                }
            };
        }
    }

    /// Another one, for another session.
    pub(crate) fn another(&mut self) -> Keys {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Keys::from_seed(seed)
    }

    pub(crate) fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        self.fill(&mut nonce);
        nonce
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::Rng;

    use super::*;

    #[test]
    fn keys_and_nonces_are_the_words_of_chacha_each_once() {
        let (mut keys, mut words) = (Keys::from_seed([7; 32]), ChaCha8Rng::from_seed([7; 32]));
        for _ in 0..5 {
            let mut nonce = [0; 16];
            words.fill_bytes(&mut nonce);
            assert_eq!(keys.nonce(), nonce);
            for _ in 0..61 {
                let mut key = [0; 4];
                keys.fill(&mut key);
                assert_eq!(key, words.next_u32().to_le_bytes());
            }
        }
    }
}

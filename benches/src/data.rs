//! Digests and messages to work on.

use nitrotpm_digest_lanes::DigestBytes;

/// xorshift64*.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next_word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next_word() >> 24) as u8).collect()
    }
}

/// Digests of one bank, each at its own place: as many as `chains` chains of `length` extends need.
///
/// They stand one after the other with an odd gap, since chains at distances of 4 KiB slow each other down.
pub struct Digests<B>(Vec<B>, usize);

impl<B: DigestBytes> Digests<B> {
    /// Random digests.
    ///
    /// # Panics
    /// Never: the bytes are as long as a digest.
    #[must_use]
    pub fn new(chains: usize, length: usize) -> Self {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let stride = length + 3;
        let digests = (0..chains * stride)
            .map(|_| *B::from_slice(&random.bytes(B::ALGORITHM.digest_len())).expect("as long as a digest"))
            .collect();
        Self(digests, stride)
    }

    /// The digests of each chain.
    #[must_use]
    pub fn chains(&self, length: usize) -> Vec<Vec<&B>> {
        self.0.chunks(self.1).map(|chain| chain.iter().take(length).collect()).collect()
    }
}

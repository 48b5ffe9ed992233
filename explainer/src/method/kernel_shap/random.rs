//! Random numbers that depend on what is explained and on nothing else: neither on the order of requests, nor on threads, nor
//! on how the rows were split into calls.

/// A key made of the seed and the instance. Every draw under it has numbers of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key(u64);

impl Key {
    /// Creates the key of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed ^ GOLDEN))
    }

    /// Returns the key with one more piece of content in it.
    pub(super) fn with(self, content: u64) -> Self {
        Self(mix(self.0.wrapping_add(GOLDEN) ^ mix(content)))
    }

    /// Returns the key with the content of a text in it.
    pub(super) fn with_text(self, text: &[u8]) -> Self {
        let words = text.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        words.fold(self.with(text.len() as u64), Self::with)
    }

    /// Returns the numbers of one draw.
    pub(super) fn draw(self, index: u64) -> Draw {
        Draw(self.with(index).0)
    }
}

/// The numbers of one draw: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Debug)]
pub(super) struct Draw(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Returns a number in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a number in 0..n. Its bias is n / 2^64, which nothing here can see.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

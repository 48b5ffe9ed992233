//! Ids for requests that came without one: unique, cheap, not secret.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes ids. Two makers never give the same id, but by a chance of 2^-64.
pub(crate) struct Ids {
    salt: u64,
    count: AtomicU64,
}

impl Default for Ids {
    fn default() -> Self {
        // The standard library's hash keys are random once a process; hashing nothing with them is a random number.
        Self { salt: RandomState::new().build_hasher().finish(), count: AtomicU64::new(0) }
    }
}

impl Ids {
    /// Returns the next id: 32 hexadecimal digits in the shape of a UUID.
    pub(crate) fn next(&self) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let bits = (u128::from(self.salt) << 64) | u128::from(mix(count ^ self.salt.rotate_left(32)));
        let mut text = String::with_capacity(36);
        for digit in 0..32 {
            if matches!(digit, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(char::from(HEX[(bits >> (124 - 4 * digit)) as usize & 15]));
        }
        text
    }
}

/// A bijection of 64 bits (the finaliser of `SplitMix64`): different counts stay different.
fn mix(mut it: u64) -> u64 {
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_shape_of_a_uuid_and_differ() {
        let ids = Ids::default();
        let made: std::collections::BTreeSet<_> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 1000);
        let groups: Vec<_> = made.first().unwrap().split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
    }
}

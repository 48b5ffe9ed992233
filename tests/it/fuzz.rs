//! The fuzz targets of `tests/fuzz`, on stable and in about a second: each on its seeds, and on mutations of them that are the
//! same in every run.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use weir_tests::fuzz::{TARGETS, Target};

/// How many bytes of input a target is given: what a check takes grows with them.
const MUTATED_BYTES: usize = 1 << 20;

#[test]
fn parsers_hold_their_laws_on_mutated_input() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        let accepted = seeds.iter().filter(|seed| check(target, seed)).count();
        assert!(accepted > 0, "{}: no seed is accepted, so mutations of them show little", target.name);
        let mut random = Random(0x5eed);
        let mut bytes = 0;
        for seed in seeds.iter().cycle() {
            let mutated = mutate(seed, &seeds, &mut random);
            check(target, &mutated);
            bytes += seed.len();
            if bytes > MUTATED_BYTES {
                break;
            }
        }
    }
}

#[test]
fn every_target_has_its_binary() {
    let manifest = std::fs::read_to_string(crate::harness::root().join("tests/fuzz/Cargo.toml")).unwrap();
    let binaries: Vec<_> = manifest.lines().filter_map(|it| it.strip_prefix("path = \"targets/")).collect();
    let wanted: Vec<_> = TARGETS.iter().map(|it| format!("{}.rs\"", it.name)).collect();
    assert_eq!(binaries, wanted);
}

fn check(target: &Target, data: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.check)(data))).unwrap_or_else(|panic| {
        println!("{} breaks its law on b\"{}\"", target.name, data.escape_ascii());
        resume_unwind(panic)
    })
}

/// Changes a seed a little in one to three ways.
pub(crate) fn mutate(seed: &[u8], seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(data.len());
        match random.below(6) {
            0 | 1 => flip(&mut data, at, random),
            2 => data.truncate(at),
            3 => overwrite(&mut data, at, random),
            4 => {
                let other = &seeds[random.below(seeds.len())];
                data.truncate(at);
                data.extend_from_slice(&other[random.below(other.len())..]);
            }
            _ => {
                let end = (at + random.below(40)).min(data.len());
                let copy = data[at..end].to_vec();
                data.splice(at..at, copy);
            }
        }
    }
    data
}

fn flip(data: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = data.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// Values at which counts and lengths go wrong.
fn overwrite(data: &mut [u8], at: usize, random: &mut Random) {
    const EDGES: [&[u8]; 8] =
        [&[0], &[0xff], &[0x7f], &[0x80], &[0xff; 4], &[0xff, 0xff, 0xff, 0x7f], &[0xff; 8], b"9999"];
    let edge = EDGES[random.below(EDGES.len())];
    for (byte, new) in data.iter_mut().skip(at).zip(edge) {
        *byte = *new;
    }
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Returns a number below `bound`, or 0 when that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed.checked_rem(bound as u64).unwrap_or(0)).unwrap_or(0)
    }
}

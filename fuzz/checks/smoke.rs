//! A check without a fuzzer: random inputs, and good ones with faults. The inputs are the same
//! each time.

/// Inputs of each kind.
const ROUNDS: u64 = 3000;

/// A small generator of numbers (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Runs a check on random inputs, on `seeds`, and on copies of these with faults.
pub(crate) fn smoke(seeds: &[Vec<u8>], check: fn(&[u8])) {
    let mut numbers = Numbers(1);
    for seed in seeds {
        check(seed);
        (0..seed.len()).for_each(|length| check(&seed[..length]));
    }
    for _ in 0..ROUNDS {
        let length = numbers.below(300);
        let input: Vec<u8> = (0..length).map(|_| numbers.next() as u8).collect();
        check(&input);
        // Small numbers are more often lengths and discriminants that are understood.
        let small: Vec<u8> = input
            .iter()
            .enumerate()
            .map(|(at, byte)| if at % 4 == 3 { byte % 8 } else { 0 })
            .collect();
        check(&small);
        if !seeds.is_empty() {
            let mut input = seeds[numbers.below(seeds.len())].clone();
            for _ in 0..=numbers.below(4) {
                damage(&mut input, &mut numbers);
            }
            check(&input);
        }
    }
}

fn damage(input: &mut Vec<u8>, numbers: &mut Numbers) {
    let at = numbers.below(input.len());
    match numbers.below(5) {
        0 => input.truncate(at),
        1 => input.insert(at, numbers.next() as u8),
        2 => input.extend_from_within(at..),
        3 if input.len() >= at + 4 => input[at..at + 4].fill(0xff),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << numbers.below(8);
            }
        }
    }
}

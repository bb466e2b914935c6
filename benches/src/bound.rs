//! How many vector instructions an extend needs at least, and so how fast a processor can be at most.

use nitrotpm_digest_lanes::HashAlgorithm;

/// Vectors of 512 bits that a core of Zen 4 or Golden Cove computes in a cycle: two, of which one may be a rotation or
/// a shift.
pub const VECTORS_A_CYCLE: f64 = 2.0;

/// Cycles of one extend in one lane, where the core does nothing but compute.
///
/// Loads, byte swaps and transposes are left out, so that no implementation reaches it wholly.
#[must_use]
pub fn cycles_an_extend(algorithm: HashAlgorithm) -> f64 {
    let (operations, lanes) = match algorithm {
        HashAlgorithm::Sha1 => (sha1(), 16.0),
        HashAlgorithm::Sha256 => (sha2(64, 48, [true; 16]) + padding_block(64), 16.0),
        HashAlgorithm::Sha384 => {
            let mut varies = [true; 16];
            varies[12..].fill(false);
            (sha2(80, 64, varies), 8.0)
        }
        HashAlgorithm::Sha512 => (sha2(80, 64, [true; 16]) + padding_block(80), 8.0),
    };
    f64::from(operations) / VECTORS_A_CYCLE / lanes
}

/// Counts the instructions that take at least one input which varies: what depends on constants only is known
/// beforehand, and so is the sum of constants.
#[derive(Default)]
struct Count(u32);

impl Count {
    /// One instruction over these inputs.
    fn operation(&mut self, inputs: &[bool]) -> bool {
        let varies = inputs.contains(&true);
        self.0 += u32::from(varies);
        varies
    }

    /// A sum: one addition less than terms, where all constant terms are one.
    fn sum(&mut self, terms: &[bool]) -> bool {
        let varying = terms.iter().filter(|varies| **varies).count();
        let constant = usize::from(varying < terms.len());
        self.0 += u32::try_from((varying + constant).saturating_sub(1)).unwrap_or(u32::MAX) * u32::from(varying > 0);
        varying > 0
    }

    /// Three rotations or shifts and a three-way exclusive or.
    fn sigma(&mut self, word: bool) -> bool {
        if word {
            self.0 += 4;
        }
        word
    }
}

/// SHA-256 or SHA-512 over one block after a known state: `words` says which of the message vary.
fn sha2(rounds: usize, scheduled: usize, words: [bool; 16]) -> u32 {
    let mut count = Count::default();
    let mut w = words.to_vec();
    for t in 16..16 + scheduled {
        let (small0, small1) = (count.sigma(w[t - 15]), count.sigma(w[t - 2]));
        let word = count.sum(&[w[t - 16], small0, w[t - 7], small1]);
        w.push(word);
    }
    let mut state = [false; 8];
    rounds_of_sha2(&mut count, &mut state, w.iter().take(rounds).copied());
    count.0 + 8
}

/// The block that is only padding, after a state that varies.
fn padding_block(rounds: usize) -> u32 {
    let mut count = Count::default();
    rounds_of_sha2(&mut count, &mut [true; 8], std::iter::repeat_n(false, rounds));
    count.0 + 8
}

fn rounds_of_sha2(count: &mut Count, state: &mut [bool; 8], words: impl Iterator<Item = bool>) {
    for word in words {
        let [a, b, c, d, e, f, g, h] = *state;
        let choose = count.operation(&[e, f, g]);
        let majority = count.operation(&[a, b, c]);
        let (sum0, sum1) = (count.sigma(a), count.sigma(e));
        // The constant of the round is one more term.
        let first = count.sum(&[h, word, false, choose, sum1]);
        let second = count.sum(&[sum0, majority]);
        *state = [count.sum(&[first, second]), a, b, c, count.sum(&[d, first]), e, f, g];
    }
}

/// SHA-1 over a register, a digest and the padding.
fn sha1() -> u32 {
    let mut count = Count::default();
    let mut w = vec![true; 10];
    w.resize(16, false);
    for t in 16..80 {
        // Three inputs are one exclusive or, and so are two; all four are two.
        let varying = [w[t - 3], w[t - 8], w[t - 14], w[t - 16]].iter().filter(|varies| **varies).count();
        // The only constants besides zero are in words 10 and 15: they are one more input.
        count.0 += match varying {
            0 | 1 => 0,
            2 | 3 => 1,
            _ => 2,
        };
        count.0 += u32::from(varying > 0);
        w.push(varying > 0);
    }
    let [mut a, mut b, mut c, mut d, mut e] = [false; 5];
    for word in w {
        let mixed = count.operation(&[b, c, d]);
        let rotated = count.operation(&[a]);
        let next = count.sum(&[e, word, false, mixed, rotated]);
        let turned = count.operation(&[b]);
        (a, b, c, d, e) = (next, a, turned, c, d);
    }
    count.0 + 5
}

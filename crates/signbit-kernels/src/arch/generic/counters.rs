//! Vertical counters: plane `p` is the word of bits `p` of 64 counts, four words side by side.

/// Words that are counted side by side.
pub(crate) const LANES: usize = 4;

/// Four words, in the compiler's hands or in a register.
pub(crate) trait Lanes: Copy {
    fn load(words: &[u64; LANES]) -> Self;
    fn get(self) -> [u64; LANES];
    fn xor(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    /// Each word towards its high bits.
    fn shift_up(self, bits: usize) -> Self;
    /// Each word towards its low bits.
    fn shift_down(self, bits: usize) -> Self;

    /// The same word in each lane.
    #[inline(always)]
    fn all(word: u64) -> Self {
        Self::load(&[word; LANES])
    }
}

impl Lanes for [u64; LANES] {
    #[inline(always)]
    fn load(words: &[u64; LANES]) -> Self {
        *words
    }

    #[inline(always)]
    fn get(self) -> [u64; LANES] {
        self
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        zip(self, other, |x, y| x ^ y)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        zip(self, other, |x, y| x & y)
    }

    #[inline(always)]
    fn shift_up(self, bits: usize) -> Self {
        zip(self, self, |x, _| x << bits)
    }

    #[inline(always)]
    fn shift_down(self, bits: usize) -> Self {
        zip(self, self, |x, _| x >> bits)
    }
}

#[inline(always)]
fn zip(a: [u64; LANES], b: [u64; LANES], op: impl Fn(u64, u64) -> u64) -> [u64; LANES] {
    let mut out = [0; LANES];
    for i in 0..LANES {
        out[i] = op(a[i], b[i]);
    }
    out
}

/// Counters and two bits more of each.
#[inline(always)]
pub(super) fn add<L: Lanes, const P: usize>(mut planes: [L; P], a: L, b: L) -> [L; P] {
    let different = a.xor(b);
    // Two of three bits: not both halves of the sum at once.
    let mut carry = a.and(b).xor(planes[0].and(different));
    planes[0] = planes[0].xor(different);
    for plane in &mut planes[1..] {
        (*plane, carry) = (plane.xor(carry), plane.and(carry));
    }
    planes
}

/// The 64 counts of up to 9 planes, of which the last is 0 if there are 9.
#[inline(always)]
pub(super) fn counts<const P: usize>(planes: [u64; P]) -> [u8; 64] {
    let mut counts = [0; 64];
    for (i, counts) in counts.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let square = planes[..P.min(8)].iter().rev().fold(0, |square, plane| square << 8 | plane >> (8 * i) & 0xff);
        *counts = transpose(square).to_le_bytes();
    }
    counts
}

/// The inverse of [`counts`], of numbers below `2^P`.
pub(super) fn planes<const P: usize>(counts: &[u16; 64]) -> [u64; P] {
    let mut planes = [0; P];
    for (i, counts) in counts.as_chunks::<8>().0.iter().enumerate() {
        let squares = [0, 8].map(|shift| transpose(u64::from_le_bytes(counts.map(|count| (count >> shift) as u8))));
        for (p, plane) in planes.iter_mut().enumerate() {
            *plane |= (squares[p / 8] >> (8 * (p % 8)) & 0xff) << (8 * i);
        }
    }
    planes
}

/// Bit `i` of byte `j` becomes bit `j` of byte `i`: squares of single bits, 2x2 and 4x4 change places in turn.
#[inline(always)]
fn transpose(mut square: u64) -> u64 {
    for (shift, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)] {
        let change = (square >> shift ^ square) & mask;
        square ^= change ^ change << shift;
    }
    square
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_of_bits_is_turned() {
        for (i, j) in (0..8).flat_map(|i| (0..8).map(move |j| (i, j))) {
            assert_eq!(transpose(1 << (8 * j + i)), 1 << (8 * i + j));
        }
    }

    #[test]
    fn planes_and_counts_are_inverse() {
        let values = core::array::from_fn(|i| (i * 37 % 256) as u16);
        assert_eq!(counts(planes::<9>(&values)).map(u16::from), values);
        assert_eq!(planes::<9>(&[256; 64]), [0, 0, 0, 0, 0, 0, 0, 0, u64::MAX]);
    }

    /// Counters from any start, up to all that 5 planes hold.
    #[test]
    fn counters_count() {
        let starts = core::array::from_fn(|i| (i % 17) as u16);
        let mut counters = planes::<5>(&starts).map(|plane| [plane; LANES]);
        for i in 0..15u64 {
            // Channel `c` gets bit `i` where `c` is larger than 3 * i.
            let bits = [u64::MAX.checked_shl(3 * i as u32 + 1).unwrap_or(0); LANES];
            let (a, b) = if i % 2 == 0 { (bits, [0; LANES]) } else { ([0; LANES], bits) };
            counters = add(counters, a, b);
        }
        let expected = core::array::from_fn(|c| starts[c] as u8 + (0..15).filter(|i| c > 3 * i).count() as u8);
        assert_eq!(counts(counters.map(|plane| plane[LANES - 1])), expected);
    }
}

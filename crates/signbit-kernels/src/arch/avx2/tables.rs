//! The lookup tables: the activations choose one, the weights are the index.
//!
//! For a nibble `a` of one pixel and a nibble `b` of another, the table holds for each weight nibble `w`
//! the byte `popcount(a ^ w) + 16 * popcount(b ^ w)`. One `vpshufb` so counts 4 mismatches of 32 output channels
//! at two pixels. Where only one of the two pixels has a tap inside of the input, its field is filled alone.

/// Bytes of one table, and the step between offsets.
const TABLE: usize = 16;

/// Offset of the tables of the first pixel alone, by its nibble.
pub(super) const FIRST_ONLY: u16 = 256 * TABLE as u16;

/// Offset of the tables of the second pixel alone, by its nibble.
pub(super) const SECOND_ONLY: u16 = FIRST_ONLY + 16 * TABLE as u16;

/// Offset of the table of zeros, for neither pixel.
pub(super) const NEITHER: u16 = SECOND_ONLY + 16 * TABLE as u16;

/// Length of all tables in bytes.
pub(crate) const TABLES_LEN: usize = NEITHER as usize + TABLE;

/// All tables; the one of a pair `(a, b)` begins at `16 * (a + 16 * b)`.
#[repr(align(64))]
pub(crate) struct Tables(pub(crate) [u8; TABLES_LEN]);

pub(crate) static TABLES: Tables = Tables(tables());

const fn tables() -> [u8; TABLES_LEN] {
    let mut tables = [0; TABLES_LEN];
    let mut i = 0;
    while i < TABLES_LEN {
        let (a, w) = ((i / TABLE % 16) as u8, (i % TABLE) as u8);
        let b = (i / TABLE / 16) as u8;
        let (first, second) = ((a ^ w).count_ones() as u8, (b ^ w).count_ones() as u8);
        tables[i] = match i {
            _ if i < FIRST_ONLY as usize => first + 16 * second,
            _ if i < SECOND_ONLY as usize => first,
            _ if i < NEITHER as usize => 16 * first,
            _ => 0,
        };
        i += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every nibble of activations and of weights.
    #[test]
    fn tables_count_mismatches() {
        let at = |table: u16, w: usize| TABLES.0[table as usize + w];
        let count = |a: u16, w: usize| (0..4).filter(|i| a >> i & 1 != w as u16 >> i & 1).count() as u8;
        for (a, w) in (0..16u16).flat_map(|a| (0..16).map(move |w| (a, w))) {
            for b in 0..16 {
                assert_eq!(at(16 * a + 256 * b, w), count(a, w) + 16 * count(b, w), "{a} {b} {w}");
            }
            assert_eq!(at(FIRST_ONLY + 16 * a, w), count(a, w), "{a} {w}");
            assert_eq!(at(SECOND_ONLY + 16 * a, w), 16 * count(a, w), "{a} {w}");
            assert_eq!(at(NEITHER, w), 0, "{w}");
        }
    }
}

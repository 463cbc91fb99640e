//! CRC-32 (ISO-HDLC): reflected polynomial 0xEDB88320, initial value and final exclusive-or all ones.
//!
//! Eight bytes per step: `TABLES[i][b]` is the remainder of byte `b` followed by `i` zero bytes, and
//! remainders add up by exclusive-or ("slicing by 8", Kounavis and Berry 2005, A Systematic Approach to
//! Building High Performance Software-based CRC Generators).

const TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut step = 0;
        while step < 64 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            step += 1;
            if step % 8 == 0 {
                tables[step / 8 - 1][byte] = crc;
            }
        }
        byte += 1;
    }
    tables
};

/// The checksum of the concatenated `parts`.
pub(super) fn crc32(parts: &[&[u8]]) -> u32 {
    !parts.iter().fold(u32::MAX, |crc, part| update(crc, part))
}

fn update(mut crc: u32, bytes: &[u8]) -> u32 {
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        let word = u64::from_le_bytes(*eight) ^ u64::from(crc);
        let mut next = 0;
        for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
            next ^= TABLES[7 - i][usize::from(byte)];
        }
        crc = next;
    }
    for byte in rest {
        crc = (crc >> 8) ^ TABLES[0][usize::from(crc as u8 ^ byte)];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::crc32;

    /// The check value that catalogues of CRC algorithms give for this one.
    #[test]
    fn check_value() {
        assert_eq!(crc32(&[b"123456789"]), 0xCBF4_3926);
        assert_eq!(crc32(&[]), 0);
    }

    /// Cut anywhere, so that every length meets the step of eight: against one bit at a time.
    #[test]
    fn every_cut_gives_the_remainder_of_the_whole() {
        let bytes: Vec<u8> = (0..60_u32).map(|i| ((i * i * 37) >> 3) as u8).collect();
        let mut bitwise = u32::MAX;
        for byte in &bytes {
            bitwise ^= u32::from(*byte);
            for _ in 0..8 {
                bitwise = (bitwise >> 1) ^ (0xEDB8_8320 * (bitwise & 1));
            }
        }
        let wrong = |&cut: &usize| crc32(&[&bytes[..cut], &bytes[cut..]]) != !bitwise;
        let cuts: Vec<usize> = (0..=bytes.len()).filter(wrong).collect();
        assert!(cuts.is_empty(), "{cuts:?}");
    }
}

//! CRC-32 of IEEE 802.3, with which an EIF guards against damage in transit.

/// Over all parts, as if they were one.
pub(super) fn of(parts: &[&[u8]]) -> u32 {
    !parts.iter().fold(!0, |crc, part| update(crc, part))
}

/// Eight bytes a step ("slicing by 8"), because an image with its model is long.
fn update(mut crc: u32, bytes: &[u8]) -> u32 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let [a, b, c, d, e, f, g, h] = (u64::from_le_bytes(*chunk) ^ u64::from(crc)).to_le_bytes();
        crc = TABLES[7][a as usize]
            ^ TABLES[6][b as usize]
            ^ TABLES[5][c as usize]
            ^ TABLES[4][d as usize]
            ^ TABLES[3][e as usize]
            ^ TABLES[2][f as usize]
            ^ TABLES[1][g as usize]
            ^ TABLES[0][h as usize];
    }
    for byte in rest {
        crc = TABLES[0][(crc as u8 ^ byte) as usize] ^ crc >> 8;
    }
    crc
}

/// What a byte does to the checksum when 0 to 7 bytes follow it.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut following = 1;
    while following < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[following - 1][byte];
            tables[following][byte] = tables[0][(crc & 0xFF) as usize] ^ crc >> 8;
            byte += 1;
        }
        following += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::of;

    /// The check value of the catalogue of parametrised CRC algorithms, CRC-32/ISO-HDLC.
    #[test]
    fn check_value() {
        assert_eq!(of(&[b"123456789"]), 0xCBF4_3926);
        assert_eq!(of(&[b"1234", b"", b"56789"]), 0xCBF4_3926);
        assert_eq!(of(&[]), 0);
    }

    /// Eight bytes at once and one by one are the same.
    #[test]
    fn any_parting() {
        let bytes: Vec<u8> = (0..200_u32)
            .map(|number| ((number * number) >> 3) as u8)
            .collect();
        let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
        for length in 0..bytes.len() {
            assert_eq!(of(&[&bytes[..length]]), of(&one_by_one[..length]), "{length}");
        }
    }
}

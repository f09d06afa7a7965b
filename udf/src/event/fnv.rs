//! A hash that is the same in every process and version, unlike the standard library's.

/// FNV-1a of 128 bits.
pub(super) struct Fnv(u128);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Fnv {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    pub(super) fn text(&self) -> String {
        format!("{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_its_authors() {
        // From the test vectors of Fowler, Noll and Vo.
        let mut hash = Fnv::default();
        hash.add(b"foobar");
        assert_eq!(hash.text(), "343e1662793c64bf6f0d3597ba446f18");
    }
}

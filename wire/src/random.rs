//! Random numbers that depend on a seed alone. The keys of events and the order of a plan follow from them, so an
//! update of a library must not change them.

/// The number at `index` of the SplitMix64 sequence (Steele, Lea and Flood, OOPSLA 2014) with this seed, computed
/// without state.
pub fn splitmix64(seed: u64, index: u64) -> u64 {
    const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mixed = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN_GAMMA));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (index, number) in (0..).zip(published) {
            assert_eq!(splitmix64(1_234_567, index), number, "{index}");
        }
    }
}

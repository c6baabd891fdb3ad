//! Profiles of H264.
//!
//! Several values of `profile-level-id` name one profile (RFC 6184 §8.1, table 5): `42e0`, `42c0` and `4d80` are all
//! Constrained Baseline. A decoder of one profile decodes another if it has all of that one's coding tools (ITU-T H.264
//! annex A.2):
//!
//! ```text
//!   Constrained Baseline ⊂ Baseline ⊂ Extended
//!   Constrained Baseline ⊂ Main ⊂ High
//!   Constrained Baseline ⊂ Constrained High ⊂ Progressive High ⊂ High ⊂ High 10 ⊂ High 4:2:2 ⊂ High 4:4:4
//!   each intra profile ⊂ its profile, and ⊂ the intra profiles above it
//! ```
//!
//! Baseline is in neither Main nor High: its slice groups, arbitrary slice order and redundant slices are missing there.

/// Whether a decoder of the profile `own` decodes a stream of the profile `stream`. Both are the first two bytes of a
/// `profile-level-id`. An unknown profile decodes itself alone.
pub(super) fn decodes(own: [u8; 2], stream: [u8; 2]) -> bool {
    match (tools(own), tools(stream)) {
        (Some(own_tools), Some(tools)) => own_tools & tools == tools,
        _ => own == stream,
    }
}

/// A set of coding tools.
type Tools = u16;

/// Prediction from other pictures: all but the intra profiles.
const INTER: Tools = 1;
/// Flexible macroblock order, arbitrary slice order, redundant slices.
const FLEXIBLE_SLICES: Tools = 1 << 1;
/// Switching slices and data partitioning.
const EXTENDED: Tools = 1 << 2;
const B_SLICES: Tools = 1 << 3;
const INTERLACE: Tools = 1 << 4;
const CABAC: Tools = 1 << 5;
/// The 8×8 transform and scaling matrices.
const TRANSFORM_8X8: Tools = 1 << 6;
const BITS_10: Tools = 1 << 7;
const CHROMA_422: Tools = 1 << 8;
const CHROMA_444: Tools = 1 << 9;

const CONSTRAINED_BASELINE: Tools = INTER;
const BASELINE: Tools = CONSTRAINED_BASELINE | FLEXIBLE_SLICES;
const EXTENDED_PROFILE: Tools = BASELINE | EXTENDED | B_SLICES | INTERLACE;
const MAIN: Tools = INTER | B_SLICES | INTERLACE | CABAC;
const CONSTRAINED_HIGH: Tools = INTER | CABAC | TRANSFORM_8X8;
const PROGRESSIVE_HIGH: Tools = CONSTRAINED_HIGH | B_SLICES;
const HIGH: Tools = PROGRESSIVE_HIGH | INTERLACE;
const HIGH_10: Tools = HIGH | BITS_10;
const HIGH_422: Tools = HIGH_10 | CHROMA_422;
const HIGH_444: Tools = HIGH_422 | CHROMA_444;
/// The tools that intra profiles lack.
const PREDICTION: Tools = INTER | B_SLICES;

/// The tools of the profile with this `profile_idc` and this `profile-iop`, whose upper bits are the flags
/// `constraint_set0` (0x80) to `constraint_set5` (0x04). `None` if the profile is unknown.
fn tools([profile_idc, profile_iop]: [u8; 2]) -> Option<Tools> {
    let is_set = |flags| profile_iop & flags == flags;
    Some(match profile_idc {
        0x42 if is_set(0x40) => CONSTRAINED_BASELINE,
        0x42 => BASELINE,
        0x4d if is_set(0x80) => CONSTRAINED_BASELINE,
        0x4d => MAIN,
        0x58 if is_set(0xc0) => CONSTRAINED_BASELINE,
        0x58 if is_set(0x80) => BASELINE,
        0x58 => EXTENDED_PROFILE,
        0x64 if is_set(0x0c) => CONSTRAINED_HIGH,
        0x64 if is_set(0x08) => PROGRESSIVE_HIGH,
        0x64 => HIGH,
        0x6e if is_set(0x10) => HIGH_10 & !PREDICTION,
        0x6e => HIGH_10,
        0x7a if is_set(0x10) => HIGH_422 & !PREDICTION,
        0x7a => HIGH_422,
        0xf4 if is_set(0x10) => HIGH_444 & !PREDICTION,
        0xf4 => HIGH_444,
        // CAVLC 4:4:4 Intra
        0x2c => HIGH_444 & !PREDICTION & !CABAC,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each profile, and the profiles that its decoders decode besides itself.
    const PROFILES: &[(&str, [u8; 2], &[&str])] = &[
        ("Constrained Baseline", [0x42, 0xe0], &[]),
        ("Baseline", [0x42, 0x00], &["Constrained Baseline"]),
        ("Extended", [0x58, 0x00], &["Constrained Baseline", "Baseline"]),
        ("Main", [0x4d, 0x00], &["Constrained Baseline"]),
        ("Constrained High", [0x64, 0x0c], &["Constrained Baseline"]),
        ("Progressive High", [0x64, 0x08], &["Constrained Baseline", "Constrained High"]),
        ("High", [0x64, 0x00], UP_TO_HIGH),
        ("High 10", [0x6e, 0x00], &["High", "High 10 Intra"]),
        ("High 4:2:2", [0x7a, 0x00], &["High", "High 10", "High 10 Intra", "High 4:2:2 Intra"]),
        (
            "High 4:4:4",
            [0xf4, 0x00],
            &[
                "High",
                "High 10",
                "High 4:2:2",
                "High 10 Intra",
                "High 4:2:2 Intra",
                "High 4:4:4 Intra",
                "CAVLC 4:4:4 Intra",
            ],
        ),
        ("High 10 Intra", [0x6e, 0x10], &[]),
        ("High 4:2:2 Intra", [0x7a, 0x10], &["High 10 Intra"]),
        (
            "High 4:4:4 Intra",
            [0xf4, 0x10],
            &["High 10 Intra", "High 4:2:2 Intra", "CAVLC 4:4:4 Intra"],
        ),
        ("CAVLC 4:4:4 Intra", [0x2c, 0x10], &[]),
        ("unknown", [0x53, 0x00], &[]),
    ];
    const UP_TO_HIGH: &[&str] =
        &["Constrained Baseline", "Main", "Constrained High", "Progressive High"];

    #[test]
    fn every_pair_of_profiles() {
        for (receiver, own, decoded) in PROFILES {
            for (sender, stream, _) in PROFILES {
                let is_listed = decoded.contains(sender)
                    || decoded.contains(&"High") && UP_TO_HIGH.contains(sender);
                let expected = receiver == sender || is_listed;
                assert_eq!(decodes(*own, *stream), expected, "a {receiver} decoder, {sender}");
            }
        }
    }

    #[test]
    fn a_profile_has_several_spellings() {
        let spellings: [(&[[u8; 2]], Tools); 5] = [
            (
                &[
                    [0x42, 0xe0],
                    [0x42, 0xc0],
                    [0x42, 0x40],
                    [0x42, 0xf0],
                    [0x4d, 0x80],
                    [0x4d, 0xe0],
                    [0x58, 0xc0],
                ],
                CONSTRAINED_BASELINE,
            ),
            (&[[0x42, 0x00], [0x42, 0x80], [0x42, 0xa0], [0x58, 0x80]], BASELINE),
            (&[[0x4d, 0x00], [0x4d, 0x40], [0x4d, 0x10]], MAIN),
            (&[[0x64, 0x00], [0x64, 0x10]], HIGH),
            (&[[0x64, 0x0c], [0x64, 0x1c]], CONSTRAINED_HIGH),
        ];
        for (spellings, expected) in spellings {
            for spelling in spellings {
                assert_eq!(tools(*spelling), Some(expected), "{spelling:x?}");
            }
        }
    }
}

//! The layers of each crate: imports point down, and nowhere in a circle.
//!
//! The test reads every path in the sources that begins with `crate`, `self`, `super` or a child module, and follows
//! re-exports to the file that defines a name. Code under `#[cfg(test)]` may reach upwards and is left out.
//!
//! Two rules hold:
//! - At each level of the module tree, siblings form no cycle. A folder counts as one with everything in it; a module
//!   and its own descendants may use each other.
//! - The top-level modules of a crate import only those that stand before them in its list below.

mod examples;
mod graph;
mod source;

use std::path::Path;

/// The top-level modules of each crate, lowest layer first.
const CRATES: &[(&str, &str)] = &[
    (
        "control/src",
        "limits memory tally counters moment deadline token_bucket heart_beats secrets store refusal auth webhooks \
         broker relay rooms stomp hub edge config server cli",
    ),
    ("control/wire/src", "frames room_name destination messages"),
    (
        "sfu/src",
        "codec media keys stats rtcp rtp transport sdp incoming outgoing bandwidth worker io \
         testing",
    ),
    (
        "turn/src",
        "address framing refusal peers quota recent_deletions stats config dtls allocation \
         auth response peer_connections request server io fuzz",
    ),
    (
        "loadtest/src",
        "clock histogram key_frames options stamp stomp media observed slot_log times vp8 \
         world arrivals sending reception receiving report session light peer bench run",
    ),
];

#[test]
fn imports_point_down() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let complaints: Vec<String> = CRATES
        .iter()
        .flat_map(|(folder, layers)| {
            let imports = source::imports(&workspace.join(folder));
            let layers: Vec<&str> = layers.split_whitespace().collect();
            graph::complaints(folder, &imports, &layers)
        })
        .collect();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

//! Finds imports that point up, and cycles.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Imports, Module};

/// The imports between two siblings: which files use which.
type Arrows<'a> = BTreeMap<(&'a str, &'a str), Vec<(&'a Module, &'a Module)>>;

/// What is wrong with the imports of the crate in `folder`, a line each.
pub(crate) fn complaints(folder: &str, imports: &Imports, layers: &[&str]) -> Vec<String> {
    let mut levels: BTreeMap<&[String], Arrows<'_>> = BTreeMap::new();
    for (user, used) in &imports.uses {
        let shared = user.iter().zip(used).take_while(|(a, b)| a == b).count();
        // A module and its own descendants may use each other.
        if let (Some(from), Some(to)) = (user.get(shared), used.get(shared)) {
            let arrows = levels.entry(&user[..shared]).or_default();
            arrows.entry((from, to)).or_default().push((user, used));
        }
    }
    let mut lines = Vec::new();
    for (level, arrows) in &levels {
        let circle = in_a_circle(arrows);
        for ((from, to), files) in arrows {
            let up = level.is_empty() && is_upwards(layers, from, to);
            let round = circle.contains(&(*from, *to));
            if up || round {
                let what = if up { "points up" } else { "is part of a cycle" };
                for (user, used) in files {
                    lines.push(format!(
                        "{folder}: {} -> {} {what}",
                        user.join("::"),
                        used.join("::")
                    ));
                }
            }
        }
    }
    lines.extend(unlisted(folder, imports, layers));
    lines
}

fn is_upwards(layers: &[&str], from: &str, to: &str) -> bool {
    let place = |name| layers.iter().position(|layer| *layer == name);
    place(from) < place(to)
}

/// Each top-level module must be in the list once, and the list must name nothing else.
fn unlisted(folder: &str, imports: &Imports, layers: &[&str]) -> Vec<String> {
    let there: BTreeSet<&str> =
        imports.modules.iter().filter_map(|module| module.first()).map(String::as_str).collect();
    let listed: BTreeSet<&str> = layers.iter().copied().collect();
    there
        .symmetric_difference(&listed)
        .map(|name| {
            format!("{folder}: the list of layers and the top-level modules differ in {name}")
        })
        .collect()
}

/// The arrows both ends of which reach each other.
fn in_a_circle<'a>(arrows: &Arrows<'a>) -> BTreeSet<(&'a str, &'a str)> {
    arrows.keys().copied().filter(|(from, to)| reaches(arrows, to, from)).collect()
}

fn reaches(arrows: &Arrows<'_>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        if at == to {
            return true;
        }
        next.extend(
            arrows
                .keys()
                .filter(|(user, used)| *user == at && seen.insert(used))
                .map(|(_, used)| used),
        );
    }
    false
}

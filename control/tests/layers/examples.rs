//! What the test finds in small crates that break its rules.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::fs;

use crate::{graph, source};

#[test]
fn an_arrow_down_is_fine() {
    assert_eq!(complaints(&["low", "high"], &[("low", ""), ("high", "use crate::low;")]), [""; 0]);
}

#[test]
fn an_arrow_up_is_found() {
    let found = complaints(&["low", "high"], &[("low", "use crate::high::X;"), ("high", "")]);
    assert_eq!(found, ["src: low -> high points up"]);
}

#[test]
fn a_cycle_of_files_is_found_in_any_folder() {
    let files =
        [("a/mod", "mod b; mod c;"), ("a/b", "use super::c::X;"), ("a/c", "use super::b::Y;")];
    let found = complaints(&["a"], &files);
    assert_eq!(
        found,
        ["src: a::b -> a::c is part of a cycle", "src: a::c -> a::b is part of a cycle"]
    );
}

#[test]
fn a_re_export_hides_no_cycle() {
    let files = [
        ("a/mod", "mod b; pub use b::X;"),
        ("a/b", "fn f() { crate::c::g(); }"),
        ("c", "use crate::a::X;"),
    ];
    let found = complaints(&["a", "c"], &files);
    assert_eq!(found, ["src: a::b -> c points up", "src: c -> a::b is part of a cycle"]);
}

#[test]
fn paths_in_macros_count() {
    let found =
        complaints(&["low", "high"], &[("low", "fn f() { vec![crate::high::X]; }"), ("high", "")]);
    assert_eq!(found, ["src: low -> high points up"]);
}

#[test]
fn tests_may_reach_upwards() {
    let files = [("low", "#[cfg(test)] mod tests { use crate::high::X; }"), ("high", "")];
    assert_eq!(complaints(&["low", "high"], &files), [""; 0]);
}

#[test]
fn a_module_that_nobody_listed_is_found() {
    let found = complaints(&["low"], &[("low", ""), ("new", "")]);
    assert_eq!(found, ["src: the list of layers and the top-level modules differ in new"]);
}

fn complaints(layers: &[&str], files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name).with_extension("rs");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    graph::complaints("src", &source::imports(folder.path()), layers)
}

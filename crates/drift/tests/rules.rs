//! The rules of the house that a compiler does not check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// Which crate may use which: the picture of ARCHITECTURE.md.
const EDGES: [(&str, &[&str]); 9] = [
    ("drift-chat", &[]),
    ("drift-feedback", &["drift-chat"]),
    ("drift-judge", &["drift-feedback"]),
    ("drift-text", &[]),
    ("drift-eval", &[]),
    ("drift-kernels", &[]),
    ("drift-lm", &["drift-kernels"]),
    ("drift-train", &["drift-kernels", "drift-lm"]),
    (
        "drift",
        &[
            "drift-chat",
            "drift-feedback",
            "drift-judge",
            "drift-text",
            "drift-eval",
            "drift-kernels",
            "drift-lm",
            "drift-train",
        ],
    ),
];

#[test]
fn crates_use_only_what_the_picture_allows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        EDGES.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    let packages = metadata["packages"].as_array().expect("packages");
    assert_eq!(packages.len(), EDGES.len(), "a new crate belongs into the picture");
    for package in packages {
        let name = package["name"].as_str().expect("name");
        let may = allowed.get(name).unwrap_or_else(|| panic!("{name} is not in the picture"));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let used = dependency["name"].as_str().expect("name");
            let ours = dependency["source"].is_null();
            // A test may use the whole: only what is shipped must follow the picture.
            if ours && dependency["kind"] != "dev" {
                assert!(may.contains(used), "{name} must not use {used}");
            }
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (name, _) in EDGES {
        sources(&root().join("crates").join(name).join("src"), &mut files);
    }
    files
}

/// Lines before the unit tests.
fn lines_without_tests(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).expect("a source");
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count()
}

#[test]
fn files_stay_readable() {
    let mut sizes: Vec<(usize, PathBuf)> = all_sources().into_iter().map(|p| (lines_without_tests(&p), p)).collect();
    sizes.sort();
    let (longest, path) = &sizes[sizes.len() - 1];
    assert!(*longest <= 800, "{}: {longest} lines, at most 800", path.display());
    let median = sizes[sizes.len() / 2].0;
    assert!(median <= 200, "the median file has {median} lines, at most 200");
}

#[test]
fn unsafe_code_stays_in_its_room() {
    for path in all_sources() {
        let text = std::fs::read_to_string(&path).expect("a source");
        let uses = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("unsafe {"));
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        let allowed = name.starts_with("crates/drift-kernels/") || name == "crates/drift-lm/src/map.rs";
        assert!(!uses || allowed, "{name}: unsafe code lives in drift-kernels and the memory map");
    }
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert!(readme.contains(command), "README.md does not show `{command}`");
    }
}

//! Where the published records lie: `DRIFT_SHARED`, or `shared` beside the repository.

use std::path::{Path, PathBuf};

/// The path of a file or folder of the shared data; says so where it is not there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("DRIFT_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let path = root.join("data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}

/// The CSV files of a folder, by name.
pub fn csv_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "csv")).collect();
    files.sort();
    files
}

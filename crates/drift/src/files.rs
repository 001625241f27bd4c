//! Whole files: written to a temporary name beside the target and renamed, read line by line, hashed.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// How names of unfinished files end; they begin with a dot.
pub const TEMPORARY: &str = ".drift-tmp";

/// Runs `fill` on a temporary file in the folder of `path` and renames it to `path`. On any error
/// `path` is as it was.
pub fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    write_as(path, fill, make_readable)
}

/// # Errors
/// `out` is one of the files that are read.
pub fn is_none_of(out: &Path, inputs: &[PathBuf]) -> Result<()> {
    let Ok(known) = out.canonicalize() else { return Ok(()) };
    match inputs.iter().any(|input| input.canonicalize().is_ok_and(|input| input == known)) {
        true => {
            bail!("{}: is read by this command, expected another file to write; hint: it would be lost", out.display())
        }
        false => Ok(()),
    }
}

/// Whether two paths name one file, there or not yet there.
pub fn is_same(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        path.canonicalize().or_else(|_| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok::<_, std::io::Error>(folder.canonicalize()?.join(path.file_name().unwrap_or_default()))
        })
    };
    a == b || matches!((place(a), place(b)), (Ok(a), Ok(b)) if a == b)
}

/// The same for a file that only its owner may read.
pub fn write_private(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    write_as(path, fill, |_| Ok(()))
}

fn write_as(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    permit: fn(&std::fs::File) -> std::io::Result<()>,
) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder)?;
    let failed = || format!("{}: cannot write; hint: is the disk full or read-only?", path.display());
    if path.metadata().is_ok_and(|known| !known.is_file()) {
        bail!(
            "{}: there is something that is no file, expected a file or nothing; hint: take another name",
            path.display()
        );
    }
    let mut file = tempfile::Builder::new().prefix(".").suffix(TEMPORARY).tempfile_in(folder).with_context(failed)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    fill(&mut writer).and_then(|()| writer.flush()).with_context(failed)?;
    drop(writer);
    file.as_file().sync_all().with_context(failed)?;
    permit(file.as_file()).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

/// Temporary files are private to their owner; results of a run are as readable as other files.
#[cfg(unix)]
fn make_readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs_err::read_to_string(path)?;
    serde_json::from_str(&text).with_context(|| format!("{}: not what this version writes", path.display()))
}

/// Every line must parse: these are the run folder's own files, so a bad line is an error.
pub fn read_jsonl<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = BufReader::new(fs_err::File::open(path)?);
    let mut rows = Vec::new();
    for (number, line) in file.lines().enumerate() {
        let line = line.with_context(|| format!("{}:{}", path.display(), number + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(&line) {
            Ok(row) => rows.push(row),
            // serde_json's message may quote the line, so only its place is passed on.
            Err(error) => bail!(
                "{}:{}:{}: {}, expected a row of this kind; hint: was the file edited or cut?",
                path.display(),
                number + 1,
                error.column(),
                category(&error)
            ),
        }
    }
    Ok(rows)
}

fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Io => "cannot be read",
        serde_json::error::Category::Syntax => "no JSON",
        serde_json::error::Category::Data => "JSON with other fields or types",
        serde_json::error::Category::Eof => "JSON that ends early",
    }
}

/// An error for a path that is not there, before any work is done. `expected` says what should be.
pub fn must_exist(path: &Path, expected: &str) -> Result<()> {
    if !path.exists() {
        bail!("{}: no such file, expected {expected}; hint: check the path", path.display());
    }
    Ok(())
}

/// blake3 of a file's bytes, in hex.
pub fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = fs_err::File::open(path)?;
    std::io::copy(&mut file, &mut hasher).with_context(|| format!("{}: cannot read", path.display()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// blake3 of a file, or of a folder's files by name (subfolders left out), in hex.
pub fn hash_path(path: &Path) -> Result<String> {
    if !path.is_dir() {
        return hash_file(path);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs_err::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() || entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hasher.update(b"\0");
        hasher.update(hash_file(&file)?.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write(&path, |out| out.write_all(b"old")).unwrap();
        let error = write(&path, |out| {
            out.write_all(b"half")?;
            Err(std::io::Error::other("no space left on device"))
        });
        assert!(crate::talk::one_line(&error.unwrap_err()).ends_with("no space left on device"));
        assert_eq!(fs_err::read(&path).unwrap(), b"old");
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bad_row_is_named_by_line_without_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        fs_err::write(&path, "1\n\n2\n\"a secret\"\n").unwrap();
        let error = read_jsonl::<u32>(&path).unwrap_err().to_string();
        assert!(error.contains("rows.jsonl:4:"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_folder_hash_changes_with_names_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("a"), "1").unwrap();
        let first = hash_path(dir.path()).unwrap();
        fs_err::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        let renamed = hash_path(dir.path()).unwrap();
        fs_err::write(dir.path().join("b"), "2").unwrap();
        let changed = hash_path(dir.path()).unwrap();
        assert!(first != renamed && renamed != changed);
    }
}

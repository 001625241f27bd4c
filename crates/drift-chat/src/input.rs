//! Where a log's bytes come from: files, folders, patterns, standard input; gzip and zstd unpacked
//! on the way, told by their content.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use crate::error::Error;

/// So much of a log is looked at to tell what it is.
const HEAD: usize = 64 << 10;
/// 2^27 bytes, what zstd itself accepts: a frame may not ask for a larger window.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The name of standard input.
pub const STDIN: &str = "-";

/// A log that is open, at its first byte.
pub(crate) struct Input {
    pub name: String,
    /// The first bytes, unpacked.
    pub head: Vec<u8>,
    pub packing: Packing,
    bytes: Box<dyn Read + Send>,
    /// Bytes taken from the file itself, packed as they are.
    taken: Arc<AtomicU64>,
    damage: Arc<std::sync::Mutex<Option<io::Error>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Input {
    pub fn open(path: &Path) -> io::Result<Input> {
        let raw: Box<dyn Read + Send> =
            if path.as_os_str() == STDIN { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        let taken = Arc::new(AtomicU64::new(0));
        let mut raw = Counted { inner: raw, taken: taken.clone() };
        let mut magic = Vec::new();
        (&mut raw).take(4).read_to_end(&mut magic)?;
        let packing = match magic[..] {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Packing::Zstd,
            _ => Packing::None,
        };
        let raw = Cursor::new(magic).chain(raw);
        let damage = Arc::new(std::sync::Mutex::new(None));
        let mut bytes: Box<dyn Read + Send> = match packing {
            Packing::None => Box::new(raw),
            Packing::Gzip => Box::new(Unpacked { inner: MultiGzDecoder::new(raw), damage: damage.clone() }),
            Packing::Zstd => {
                let mut inner = zstd::stream::read::Decoder::new(raw)?;
                inner.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(Unpacked { inner, damage: damage.clone() })
            }
        };
        let mut head = Vec::new();
        (&mut bytes).take(HEAD as u64).read_to_end(&mut head)?;
        Ok(Input { name: path.display().to_string(), head, packing, bytes, taken, damage })
    }

    /// The log from its first byte on; and how far reading has come, for progress.
    pub fn into_reader(self) -> (impl Read + Send, Progress) {
        let progress = Progress { taken: self.taken, damage: self.damage };
        (Cursor::new(self.head).chain(self.bytes), progress)
    }
}

/// How far reading has come.
pub(crate) struct Progress {
    taken: Arc<AtomicU64>,
    damage: Arc<std::sync::Mutex<Option<io::Error>>>,
}

impl Progress {
    /// Bytes of the file itself, packed as they are.
    pub fn bytes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// True where unpacking stopped at damage: what came before it is good.
    pub fn cannot_unpack(&self) -> bool {
        self.damage.lock().is_ok_and(|damage| damage.is_some())
    }
}

struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Ends at the first damage of a packed stream, and keeps it: the records before are not lost.
struct Unpacked<R> {
    inner: R,
    damage: Arc<std::sync::Mutex<Option<io::Error>>>,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut damage = self.damage.lock().map_err(|_| io::Error::other("a reader before this one panicked"))?;
        if damage.is_some() {
            return Ok(0);
        }
        match self.inner.read(buf) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                *damage = Some(error);
                Ok(0)
            }
            read => read,
        }
    }
}

/// The files that `names` stand for, in order: a file is itself, a folder its files by name
/// (hidden ones and folders inside left out), a name with `*`, `?` or `[` that is no file the
/// files that match it, by name; `-` stays, for standard input.
///
/// # Errors
/// A pattern that is none or matches nothing, a folder that is empty or not readable.
pub fn expand_logs<P: AsRef<Path>>(names: &[P]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for name in names {
        let name = name.as_ref();
        let is_pattern = name.to_string_lossy().contains(['*', '?', '[']);
        let found = if name.is_dir() {
            files_of(name)?
        } else if is_pattern && !name.exists() {
            matches_of(name)?
        } else {
            vec![name.to_path_buf()]
        };
        if found.is_empty() {
            let hint = "check the path; hidden files and folders inside are left out";
            let (file, found) = (name.display().to_string(), "no file there".to_string());
            return Err(Error::Format { file, found, expected: "at least one log", hint });
        }
        files.extend(found);
    }
    Ok(files)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::read(folder, e))? {
        let path = entry.map_err(|e| Error::read(folder, e))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_file() && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn matches_of(pattern: &Path) -> Result<Vec<PathBuf>, Error> {
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let paths = glob::glob_with(&pattern.to_string_lossy(), options).map_err(|error| Error::Format {
        file: pattern.display().to_string(),
        found: format!("no pattern ({})", error.msg),
        expected: "a file, a folder, or a pattern such as logs/*.jsonl",
        hint: "put the pattern in quotes",
    })?;
    Ok(paths.flatten().filter(|path| path.is_file()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_files() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.jsonl", "a.jsonl", "c.txt", ".hidden.jsonl"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::fs::create_dir(dir.path().join("inside")).unwrap();
        let names = |given: &str| -> Vec<String> {
            let files = expand_logs(&[dir.path().join(given)]).unwrap();
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names("*.jsonl"), ["a.jsonl", "b.jsonl"]);
        assert_eq!(names("?.[tj]*"), ["a.jsonl", "b.jsonl", "c.txt"]);
        assert_eq!(names(""), ["a.jsonl", "b.jsonl", "c.txt"]);
        assert_eq!(names("missing.jsonl"), ["missing.jsonl"], "for the reader to say");
        assert_eq!(expand_logs(&["-"]).unwrap(), [PathBuf::from("-")]);
        for bad in ["*.csv", "***", "inside"] {
            let error = expand_logs(&[dir.path().join(bad)]).unwrap_err().to_string();
            assert!(error.contains("; hint: ") && !error.contains('\n'), "{error}");
        }
        // a file's own name wins over what it would match
        std::fs::write(dir.path().join("x[1].json"), "").unwrap();
        assert_eq!(names("x[1].json"), ["x[1].json"]);
    }
}

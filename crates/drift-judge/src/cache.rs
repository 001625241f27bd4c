//! Replies on disk, a JSON line each, so that nothing is asked or paid twice.
//!
//! The file only grows. A line that a kill cut short is no JSON object: it is skipped and counted, and
//! the next line begins on a new one. Replies quote turns, so only the owner may read the file.

use crate::{JudgeError, Reply};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Identifies a request: endpoint, model and body.
pub(crate) type Key = [u8; 32];

/// A line longer than this is none of ours: a reply has at most a mebibyte, JSON at most six bytes for one.
const MAX_LINE: u64 = 8 << 20;

pub(crate) fn key(base_url: &str, model: &str, body: &str) -> Key {
    let mut hasher = blake3::Hasher::new_derive_key("drift-judge 2026-11 reply cache");
    for part in [base_url, model, body] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[derive(Serialize, Deserialize)]
struct Line<R> {
    key: String,
    reply: R,
}

pub(crate) struct Cache {
    inner: Mutex<Inner>,
    /// Lines of the file that were none: cut by a kill, or not ours.
    pub broken: usize,
}

struct Inner {
    replies: HashMap<Key, Reply>,
    file: Option<(PathBuf, File)>,
    /// The file does not end in a newline.
    open_line: bool,
}

impl Cache {
    pub fn in_memory() -> Cache {
        Cache { inner: Mutex::new(Inner { replies: HashMap::new(), file: None, open_line: false }), broken: 0 }
    }

    /// Reads the file, or makes it, and keeps others from writing to it.
    pub fn open(path: &Path) -> Result<Cache, JudgeError> {
        let failed = |doing, error: std::io::Error| {
            JudgeError::file(path, format!("cannot {doing} ({error})"), "judge.cache names a file that can be written")
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed("make its folder", error))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| failed("open", error))?;
        // File systems without locks exist; there the promise is the user's.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(JudgeError::file(path, "in use by another run, expected one at a time", "wait for it"));
        }
        let mut reader = BufReader::new(&file);
        let (mut replies, mut broken, mut line) = (HashMap::new(), 0, Vec::new());
        let (mut open_line, mut foreign) = (false, false);
        loop {
            line.clear();
            let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line);
            if read.map_err(|error| failed("read", error))? == 0 {
                break;
            }
            open_line = line.last() != Some(&b'\n');
            if line.trim_ascii().is_empty() {
                continue;
            }
            match parse(&line) {
                // Of equal keys the first counts: it is the one that was acted upon.
                Some((key, reply)) => _ = replies.entry(key).or_insert(reply),
                None => {
                    broken += 1;
                    foreign |= !begins_alike(line.trim_ascii_start(), LINE_START);
                }
            }
        }
        if replies.is_empty() && foreign {
            let is = "holds something else, expected replies that were kept before, or nothing";
            return Err(JudgeError::file(path, is, "judge.cache names another file"));
        }
        let inner = Inner { replies, file: Some((path.to_path_buf(), file)), open_line };
        Ok(Cache { inner: Mutex::new(inner), broken })
    }

    pub fn get(&self, key: &Key) -> Option<Reply> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).replies.get(key).cloned()
    }

    /// On disk when it returns.
    pub fn put(&self, key: Key, reply: &Reply) -> Result<(), JudgeError> {
        let inner = &mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.replies.contains_key(&key) {
            return Ok(());
        }
        let Some((path, file)) = &mut inner.file else {
            inner.replies.insert(key, reply.clone());
            return Ok(());
        };
        let line = Line { key: blake3::Hash::from_bytes(key).to_string(), reply };
        let start = if inner.open_line { "\n" } else { "" };
        let written = serde_json::to_string(&line)
            .map_err(std::io::Error::from)
            .and_then(|json| file.write_all(format!("{start}{json}\n").as_bytes()));
        inner.open_line = written.is_err();
        if written.is_ok() {
            inner.replies.insert(key, reply.clone());
        }
        written.map_err(|error| JudgeError::file(path, format!("cannot write ({error})"), "is the disk full?"))
    }
}

/// How every line of ours begins.
const LINE_START: &[u8] = br#"{"key":""#;

/// Whether one is the beginning of the other: a line may be cut anywhere.
fn begins_alike(a: &[u8], b: &[u8]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn parse(line: &[u8]) -> Option<(Key, Reply)> {
    let Line { key, reply } = serde_json::from_slice::<Line<Reply>>(line).ok()?;
    Some((*blake3::Hash::from_hex(key).ok()?.as_bytes(), reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(content: &str) -> Reply {
        Reply { content: content.into(), finish_reason: None, logprobs: Vec::new(), usage: None }
    }

    /// A kill may come at any byte: what was whole is kept, what was not is asked again, and the file
    /// goes on to grow.
    #[test]
    fn a_file_cut_at_any_byte_keeps_its_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("whole.jsonl");
        let contents = ["first", "sécond \"quoted\"\n", ""];
        let keys: Vec<Key> = (0..3).map(|n| key("http://h/v1", "m", &n.to_string())).collect();
        let cache = Cache::open(&path).unwrap();
        for (key, content) in keys.iter().zip(contents) {
            cache.put(*key, &reply(content)).unwrap();
        }
        drop(cache);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            let path = dir.path().join(format!("{cut}.jsonl"));
            std::fs::write(&path, &whole[..cut]).unwrap();
            let cache = Cache::open(&path).unwrap();
            // A line without its newline is whole too.
            let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
            let kept = ends.iter().filter(|end| **end <= cut).count();
            let started = whole[..cut].rsplit(|b| *b == b'\n').next().is_some_and(|rest| !rest.is_empty());
            assert_eq!(cache.broken, usize::from(started && !ends.contains(&cut)), "cut at {cut}");
            for n in 0..3 {
                assert_eq!(cache.get(&keys[n]).map(|r| r.content), (n < kept).then(|| contents[n].into()), "{cut}");
                if n >= kept {
                    cache.put(keys[n], &reply(contents[n])).unwrap();
                }
            }
            let broken = cache.broken;
            drop(cache);
            let again = Cache::open(&path).unwrap();
            assert_eq!(again.broken, broken);
            assert!((0..3).all(|n| again.get(&keys[n]) == Some(reply(contents[n]))), "cut at {cut}");
        }
    }

    #[test]
    fn the_key_depends_on_each_part_and_on_their_borders() {
        let keys = [key("a", "b", "c"), key("ab", "", "c"), key("a", "bc", ""), key("", "ab", "c"), key("a", "b", "d")];
        for (n, one) in keys.iter().enumerate() {
            assert!(keys[n + 1..].iter().all(|other| one != other));
        }
    }

    #[test]
    fn strange_lines_are_counted_and_one_writer_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/cache.jsonl");
        let cache = Cache::open(&path).unwrap();
        cache.put([7; 32], &reply("kept")).unwrap();
        let error = Cache::open(&path).err().unwrap().to_string();
        assert!(error.contains("in use by another run"), "{error}");
        drop(cache);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.insert_str(0, "no json\n{\"key\":\"zz\",\"reply\":{\"content\":\"\"}}\n\n");
        std::fs::write(&path, text).unwrap();
        let cache = Cache::open(&path).unwrap();
        assert_eq!((cache.broken, cache.get(&[7; 32])), (2, Some(reply("kept"))));
        let error = Cache::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("cannot open") && !error.contains('\n'), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.jsonl");
        let _cache = Cache::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    }
}

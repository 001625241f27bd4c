//! Files of weights as memory.

use crate::error::{Error, Result};
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

/// Maps a whole regular file for reading.
pub(crate) fn map_file(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|e| Error::io(path, "open the file", &e))?;
    let about = file.metadata().map_err(|e| Error::io(path, "look at the file", &e))?;
    if !about.is_file() || about.len() == 0 {
        let what = if about.is_file() { "an empty file" } else { "no regular file" };
        return Err(Error::new(path.display(), format!("is {what}, expected a model file")));
    }
    // SAFETY: the map is read-only and private. Another process that shortens the file while it is mapped can stop
    // this one (SIGBUS); files of models are replaced by rename, never rewritten in place.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) };
    map.map_err(|e| Error::io(path, "map the file", &e))
}

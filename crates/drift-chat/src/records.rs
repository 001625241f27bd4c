//! Finds where each record of a JSON array or of JSON lines begins and ends, in one pass and with
//! no more of the file in memory than one record, and finds its way back after damage.
//!
//! Only borders are judged here: brackets, strings and the few bytes that JSON allows outside
//! strings. Whether a record means anything is for the format's parser to say.

use std::io::{self, Read};

use memchr::{memchr, memchr2};

const CHUNK: usize = 1 << 20;
/// A first key longer than this is not used to find the next record after damage.
const MAX_KEY: usize = 64;

/// How the records follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `[{…}, {…}]`
    Array,
    /// One object a line.
    Lines,
    /// Objects one after the other, each over as many lines as it likes.
    Objects,
}

#[derive(Debug)]
pub(crate) enum Item {
    Record(Record),
    /// A record above the cap; its bytes were passed over.
    TooLarge {
        byte: u64,
    },
    /// Bytes that belong to no record.
    Broken {
        byte: u64,
    },
    /// The file ends inside the record that begins at `record`, or right there without its `]`.
    Cut {
        record: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Record {
    pub byte: u64,
    /// The 1-based line (of `Lines`) or 1-based number of the element (of the other framings).
    pub number: u64,
    pub bytes: Vec<u8>,
    /// A last line without its newline: possibly cut off.
    pub unterminated: bool,
}

/// A sliding window over the input: `buf[start..]` is what is still of interest.
pub(crate) struct Window<R> {
    input: R,
    buf: Vec<u8>,
    pub start: usize,
    /// File offset of `buf[0]`.
    base: u64,
    eof: bool,
}

impl<R: Read> Window<R> {
    /// The first chunk, behind a byte order mark.
    pub fn new(input: R) -> io::Result<Window<R>> {
        let mut window = Window { input, buf: Vec::new(), start: 0, base: 0, eof: false };
        window.fill()?;
        if window.buf.starts_with(b"\xef\xbb\xbf") {
            window.start = 3;
        }
        Ok(window)
    }

    pub fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    pub fn rest(&self) -> &[u8] {
        &self.buf[self.start..]
    }

    /// Reads one more chunk behind what is there; false at the end of the file.
    pub fn fill(&mut self) -> io::Result<bool> {
        if self.eof {
            return Ok(false);
        }
        if self.start > 0 {
            self.buf.drain(..self.start);
            self.base += self.start as u64;
            self.start = 0;
        }
        let before = self.buf.len();
        let read = (&mut self.input).take(CHUNK as u64).read_to_end(&mut self.buf)?;
        self.eof = read < CHUNK;
        Ok(self.buf.len() > before)
    }
}

/// Where a scan over balanced JSON stopped.
enum Step {
    /// The value ends before this index.
    End(usize),
    /// Everything before this index was seen; more bytes are needed.
    More(usize),
    /// This byte cannot stand here.
    Bad(usize),
}

/// Follows one value over its brackets and strings. Keeps its state between windows.
#[derive(Default)]
struct Balance {
    /// Open brackets, as their opening bytes.
    open: Vec<u8>,
    in_string: bool,
    /// The last byte outside strings that was not white space; `"` after a string.
    previous: u8,
}

impl Balance {
    fn scan(&mut self, bytes: &[u8], mut at: usize) -> Step {
        while at < bytes.len() {
            if self.in_string {
                match memchr2(b'"', b'\\', &bytes[at..]) {
                    None => return Step::More(bytes.len()),
                    Some(skip) => at += skip,
                }
                if bytes[at] == b'"' {
                    self.in_string = false;
                    self.previous = b'"';
                    at += 1;
                } else if at + 1 < bytes.len() {
                    at += 2;
                } else {
                    return Step::More(at);
                }
                continue;
            }
            let byte = bytes[at];
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => {
                    at += 1;
                    continue;
                }
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    // `{"a": 1, {`: a key is due here, so the record before lost its end
                    if self.open.last() == Some(&b'{') && self.previous != b':' {
                        return Step::Bad(at);
                    }
                    self.open.push(byte);
                }
                b'}' | b']' => {
                    let opening = if byte == b'}' { b'{' } else { b'[' };
                    if self.open.pop() != Some(opening) {
                        return Step::Bad(at);
                    }
                    if self.open.is_empty() {
                        return Step::End(at + 1);
                    }
                }
                // numbers and the letters of true, false, null and 1e5
                b',' | b':' | b'0'..=b'9' | b'-' | b'+' | b'.' | b'E' => {}
                b't' | b'r' | b'u' | b'e' | b'f' | b'a' | b'l' | b's' | b'n' => {}
                _ => return Step::Bad(at),
            }
            self.previous = byte;
            at += 1;
        }
        Step::More(at)
    }
}

pub(crate) struct Records<R> {
    window: Window<R>,
    framing: Framing,
    max_record: usize,
    number: u64,
    /// `"id"` of the first record `{"id": …`: what a new record looks like after damage.
    first_key: Option<Vec<u8>>,
    /// Bytes before this offset were scanned once already by a record that turned out broken.
    last_bad: u64,
    lost: bool,
    finished: bool,
}

impl<R: Read> Records<R> {
    /// Looks at the first bytes and settles the framing. `is_known` says whether a line is a
    /// record by itself. `None`: neither an array, nor lines, nor an object.
    pub fn open(input: R, max_record: usize, is_known: impl Fn(&[u8]) -> bool) -> io::Result<Option<Records<R>>> {
        let mut window = Window::new(input)?;
        let head = window.rest();
        let blank = head.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let framing = match head.get(blank) {
            Some(b'[') => Framing::Array,
            // lines even where the first ones are damaged
            Some(_) if head.split(|&b| b == b'\n').any(|line| line.contains(&b'{') && is_known(line)) => Framing::Lines,
            Some(b'{') => Framing::Objects,
            _ => return Ok(None),
        };
        // learnt before the first record is known to be whole, lest its messages pass for records
        let first_key = first_key(head[blank + usize::from(framing == Framing::Array)..].trim_ascii_start());
        if framing == Framing::Array {
            window.start += blank + 1;
        }
        let (last_bad, lost, finished, number) = (0, false, false, 0);
        Ok(Some(Records { window, framing, max_record, number, first_key, last_bad, lost, finished }))
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Bytes of the file that are done with.
    pub fn offset(&self) -> u64 {
        self.window.offset()
    }

    pub fn next(&mut self) -> io::Result<Option<Item>> {
        if self.finished {
            return Ok(None);
        }
        match self.framing {
            Framing::Lines => self.next_line(),
            Framing::Array | Framing::Objects => self.next_value(),
        }
    }

    fn next_line(&mut self) -> io::Result<Option<Item>> {
        loop {
            let byte = self.window.offset();
            let mut seen = 0;
            let mut passed_over = false;
            let end = loop {
                if let Some(end) = memchr(b'\n', &self.window.rest()[seen..]) {
                    break Some(seen + end);
                }
                seen = self.window.rest().len();
                if seen > self.max_record {
                    passed_over = true;
                    self.window.start += seen;
                    seen = 0;
                }
                if !self.window.fill()? {
                    break None;
                }
            };
            let length = end.unwrap_or(self.window.rest().len());
            if length == 0 && end.is_none() && !passed_over {
                self.finished = true;
                return Ok(None);
            }
            let line = self.window.rest()[..length].trim_ascii();
            let item = if passed_over || line.len() > self.max_record {
                Some(Item::TooLarge { byte })
            } else if line.is_empty() {
                None
            } else {
                let bytes = line.to_vec();
                Some(Item::Record(Record { byte, number: self.number + 1, bytes, unterminated: end.is_none() }))
            };
            self.number += 1;
            self.window.start += length + usize::from(end.is_some());
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn next_value(&mut self) -> io::Result<Option<Item>> {
        if self.lost && !self.find_next_start()? {
            self.finished = true;
            return Ok(None);
        }
        // to the opening bracket of the next value
        loop {
            let gap = self.window.rest().iter().take_while(|b| b.is_ascii_whitespace() || **b == b',').count();
            self.window.start += gap;
            match self.window.rest().first().copied() {
                Some(b'{') => break,
                Some(b'[') if self.framing == Framing::Array => break,
                Some(b']') if self.framing == Framing::Array => return self.after_the_array(),
                Some(_) => return Ok(Some(self.broken(self.window.offset(), self.window.offset()))),
                None if self.window.fill()? => {}
                None => {
                    self.finished = true;
                    let cut = Item::Cut { record: self.window.offset() };
                    return Ok((self.framing == Framing::Array).then_some(cut));
                }
            }
        }
        let byte = self.window.offset();
        self.number += 1;
        let (mut balance, mut at, mut too_large) = (Balance::default(), 0, false);
        loop {
            match balance.scan(self.window.rest(), at) {
                Step::End(end) => {
                    let bytes = &self.window.rest()[..end];
                    too_large |= end > self.max_record;
                    let item = if too_large {
                        Item::TooLarge { byte }
                    } else {
                        Item::Record(Record { byte, number: self.number, bytes: bytes.to_vec(), unterminated: false })
                    };
                    self.window.start += end;
                    return Ok(Some(item));
                }
                Step::Bad(bad) => {
                    let bad = self.window.offset() + bad as u64;
                    return Ok(Some(self.broken(byte, bad)));
                }
                Step::More(seen) => {
                    at = seen;
                    if seen > self.max_record {
                        too_large = true;
                        self.window.start += seen;
                        at = 0;
                    }
                    if !self.window.fill()? {
                        self.finished = true;
                        self.window.start = self.window.buf.len();
                        return Ok(Some(Item::Cut { record: byte }));
                    }
                }
            }
        }
    }

    /// Behind the closing `]` only white space may follow; if there is more, the `]` was damage.
    fn after_the_array(&mut self) -> io::Result<Option<Item>> {
        self.window.start += 1;
        loop {
            let blank = self.window.rest().iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.window.start += blank;
            if !self.window.rest().is_empty() {
                return Ok(Some(self.broken(self.window.offset(), self.window.offset())));
            }
            if !self.window.fill()? {
                self.finished = true;
                return Ok(None);
            }
        }
    }

    /// The record that begins at `byte` cannot go on at `bad`. The search for the next one starts
    /// right behind its first byte, since a lost quote shows only in a later record; but no
    /// stretch is searched a third time, or nested damage would cost quadratic time.
    fn broken(&mut self, byte: u64, bad: u64) -> Item {
        let resume = if byte >= self.last_bad && byte >= self.window.offset() { byte } else { bad };
        self.window.start = (resume.max(self.window.base) - self.window.base) as usize;
        self.last_bad = bad.max(self.last_bad);
        self.lost = true;
        Item::Broken { byte }
    }

    /// Moves to the next `{` that follows a comma or `[` (array) or `}` (objects) and opens with the key
    /// that the first record opened with. Where that key is unknown, only `}, {` will do.
    fn find_next_start(&mut self) -> io::Result<bool> {
        let mut before = [0u8; 2];
        let mut first = true;
        loop {
            // a start near the end of the window needs the bytes of its key
            while self.window.rest().len() < MAX_KEY * 2 && self.window.fill()? {}
            let Some(&byte) = self.window.rest().first() else { return Ok(false) };
            let follows = match self.framing {
                Framing::Array if self.first_key.is_some() => before[1] == b',' || before[1] == b'[',
                Framing::Array => before == *b"},",
                _ => before[1] == b'}',
            };
            if byte == b'{' && follows && !first && self.opens_alike() {
                self.lost = false;
                return Ok(true);
            }
            if !byte.is_ascii_whitespace() {
                before = [before[1], byte];
            }
            self.window.start += 1;
            first = false;
        }
    }

    fn opens_alike(&self) -> bool {
        let Some(key) = &self.first_key else { return true };
        let rest = &self.window.rest()[1..];
        rest.trim_ascii_start().starts_with(key)
    }
}

/// `"id"` of `{ "id": …`, quotes included.
fn first_key(record: &[u8]) -> Option<Vec<u8>> {
    let inside = record.strip_prefix(b"{")?.trim_ascii_start();
    let end = memchr(b'"', inside.strip_prefix(b"\"")?)?;
    (end < MAX_KEY).then(|| inside[..end + 2].to_vec())
}

//! CSV and its kin (RFC 4180; `,`, `;` or a tab between the fields) as a stream of rows, each given
//! as a JSON object of texts under the header's names, so that formats need to know JSON alone.

use std::io::{self, Read};

use memchr::{memchr, memchr2};

use crate::records::{Item, Record, Window};

/// A table with more columns is none.
const MOST_COLUMNS: usize = 1 << 12;

pub(crate) struct Table<R> {
    window: Window<R>,
    header: Vec<String>,
    delimiter: u8,
    max_record: usize,
    number: u64,
}

/// What a row ends with.
enum End {
    /// Behind this index of the window.
    At(usize),
    /// The file ends within quotes, or right there.
    Eof { in_quotes: bool },
    /// No end within the cap.
    TooFar,
}

/// Field names of what may be the head of a table; `None` if it is no table of at least two columns.
pub(crate) fn header_of(head: &[u8]) -> Option<(Vec<String>, u8)> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let line = &head[..memchr(b'\n', head)?];
    let count = |delimiter: u8| line.iter().filter(|&&byte| byte == delimiter).count();
    let delimiter = *[b',', b';', b'\t'].iter().max_by_key(|&&delimiter| count(delimiter))?;
    let names = fields(line, delimiter)?;
    let plain = |name: &String| !name.is_empty() && !name.contains(['{', '[', '"', '\n']);
    ((2..=MOST_COLUMNS).contains(&names.len()) && names.iter().all(plain)).then_some((names, delimiter))
}

impl<R: Read> Table<R> {
    pub fn open(input: R, max_record: usize) -> io::Result<Option<Table<R>>> {
        let mut window = Window::new(input)?;
        let Some((header, delimiter)) = header_of(window.rest()) else { return Ok(None) };
        window.start += memchr(b'\n', window.rest()).map_or(0, |end| end + 1);
        Ok(Some(Table { window, header, delimiter, max_record, number: 1 }))
    }

    pub fn offset(&self) -> u64 {
        self.window.offset()
    }

    pub fn next(&mut self) -> io::Result<Option<Item>> {
        loop {
            let byte = self.window.offset();
            let end = match self.end_of_row()? {
                End::At(end) => end,
                End::Eof { in_quotes: true } => {
                    self.window.start += self.window.rest().len();
                    return Ok(Some(Item::Cut { record: byte }));
                }
                End::Eof { in_quotes: false } if self.window.rest().is_empty() => return Ok(None),
                End::Eof { in_quotes: false } => self.window.rest().len(),
                // a quote that is never closed: go on behind the line it stands in
                End::TooFar => {
                    let line = memchr(b'\n', self.window.rest()).map_or(self.window.rest().len(), |end| end + 1);
                    self.window.start += line;
                    return Ok(Some(Item::TooLarge { byte }));
                }
            };
            let row = self.window.rest()[..end].to_vec();
            self.window.start += end;
            self.number += 1;
            if row.trim_ascii().is_empty() {
                continue;
            }
            return Ok(Some(match fields(&row, self.delimiter).filter(|fields| fields.len() == self.header.len()) {
                Some(fields) => {
                    let object: serde_json::Map<String, serde_json::Value> =
                        self.header.iter().cloned().zip(fields.into_iter().map(serde_json::Value::String)).collect();
                    let bytes = serde_json::to_vec(&object).map_err(io::Error::other)?;
                    Item::Record(Record { byte, number: self.number, bytes, unterminated: false })
                }
                None => Item::Broken { byte },
            }));
        }
    }

    fn end_of_row(&mut self) -> io::Result<End> {
        let (mut at, mut in_quotes) = (0, false);
        loop {
            let rest = &self.window.rest()[at..];
            let found = if in_quotes { memchr(b'"', rest) } else { memchr2(b'"', b'\n', rest) };
            match found {
                Some(skip) if rest[skip] == b'"' => {
                    in_quotes = !in_quotes;
                    at += skip + 1;
                }
                Some(skip) => return Ok(End::At(at + skip + 1)),
                None => {
                    at = self.window.rest().len();
                    if at > self.max_record {
                        return Ok(End::TooFar);
                    }
                    if !self.window.fill()? {
                        return Ok(End::Eof { in_quotes });
                    }
                }
            }
        }
    }
}

/// The fields of a row; `None` where quotes stand within a field, or bytes are not UTF-8.
fn fields(row: &[u8], delimiter: u8) -> Option<Vec<String>> {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    let row = row.strip_suffix(b"\r").unwrap_or(row);
    let mut fields = Vec::new();
    let mut rest = row;
    loop {
        let field;
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let (mut text, mut inner) = (Vec::new(), quoted);
            loop {
                let quote = memchr(b'"', inner)?;
                text.extend_from_slice(&inner[..quote]);
                inner = &inner[quote + 1..];
                match inner.first() {
                    Some(b'"') => {
                        text.push(b'"');
                        inner = &inner[1..];
                    }
                    _ => break,
                }
            }
            (field, rest) = (text, inner);
        } else {
            let end = memchr(delimiter, rest).unwrap_or(rest.len());
            (field, rest) = (rest[..end].to_vec(), &rest[end..]);
        }
        fields.push(String::from_utf8(field).ok()?);
        match rest.first() {
            None => return Some(fields),
            Some(&byte) if byte == delimiter && fields.len() < MOST_COLUMNS => rest = &rest[1..],
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, max_record: usize) -> Vec<Result<String, (&'static str, u64)>> {
        let mut table = Table::open(text.as_bytes(), max_record).unwrap().unwrap();
        let mut rows = Vec::new();
        while let Some(item) = table.next().unwrap() {
            rows.push(match item {
                Item::Record(record) => Ok(String::from_utf8(record.bytes).unwrap()),
                Item::TooLarge { byte } => Err(("too large", byte)),
                Item::Broken { byte } => Err(("broken", byte)),
                Item::Cut { record } => Err(("cut", record)),
            });
        }
        rows
    }

    #[test]
    fn quotes_breaks_and_delimiters() {
        let text = "id;text\r\n1;\"a \"\"b\"\"; c\nd\"\r\n\r\n2;\r\n3;x;y\n4;\"e\"f\n5;g";
        let expected = [
            Ok(r#"{"id":"1","text":"a \"b\"; c\nd"}"#.to_string()),
            Ok(r#"{"id":"2","text":""}"#.to_string()),
            Err(("broken", text.find("3;").unwrap() as u64)),
            Err(("broken", text.find("4;").unwrap() as u64)),
            Ok(r#"{"id":"5","text":"g"}"#.to_string()),
        ];
        assert_eq!(rows(text, 1 << 20), expected);
        assert_eq!(rows("a\tb\n1\t\"2", 1 << 20), [Err(("cut", 4))]);
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_line() {
        let long = "x".repeat(3 << 20);
        let text = format!("a,b\n1,\"open\n2,fine\n3,{long}\n");
        let expected = [Err(("too large", 4)), Ok(r#"{"a":"2","b":"fine"}"#.to_string()), Err(("too large", 19))];
        assert_eq!(rows(&text, 1 << 20)[..3], expected);
    }
}

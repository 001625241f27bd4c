//! Rows of a Parquet file, each given as a JSON object, so that formats need to know JSON alone.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

use crate::records::{Item, Record};

/// The first bytes of a Parquet file, and the last.
pub(crate) const MAGIC: &[u8] = b"PAR1";
/// Lists within lists deeper than this are nobody's chats.
const DEEPEST: usize = 16;

pub(crate) struct ParquetRows {
    rows: RowIter<'static>,
    max_record: usize,
    number: u64,
    finished: bool,
}

impl ParquetRows {
    pub fn open(file: File, max_record: usize) -> io::Result<ParquetRows> {
        let damaged = || io::Error::other("a damaged Parquet footer");
        let reader = guarded(|| SerializedFileReader::new(file)).ok_or_else(damaged)?.map_err(io::Error::other)?;
        let rows = RowIter::from_file_into(Box::new(reader));
        Ok(ParquetRows { rows, max_record, number: 0, finished: false })
    }

    /// Rows that were read: what stands for the byte of a record.
    pub fn offset(&self) -> u64 {
        self.number
    }

    /// A row that cannot be read ends the file: what is behind it in its pages is lost. So does a panic, after
    /// which the library's state is not to be used again.
    pub fn next(&mut self) -> io::Result<Option<Item>> {
        if self.finished {
            return Ok(None);
        }
        let byte = self.number;
        let row = match guarded(|| self.rows.next()) {
            Some(None) => {
                self.finished = true;
                return Ok(None);
            }
            Some(Some(Ok(row))) => Some(row),
            Some(Some(Err(_))) | None => None,
        };
        self.number += 1;
        Ok(match row {
            None => {
                self.finished = true;
                Some(Item::Broken { byte })
            }
            Some(row) => {
                let bytes = serde_json::to_vec(&object(&row, 0)).map_err(io::Error::other)?;
                Some(match bytes.len() > self.max_record {
                    true => Item::TooLarge { byte },
                    false => Item::Record(Record { byte, number: byte + 1, bytes, unterminated: false }),
                })
            }
        })
    }
}

/// The library panics on pages that it should refuse (found by byte mutations): none then, and nothing printed.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    thread_local!(static IS_GUARDED: Cell<bool> = const { Cell::new(false) });
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                print(panic);
            }
        }));
    });
    IS_GUARDED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(false);
    result.ok()
}

fn object(row: &Row, depth: usize) -> Value {
    let columns = row.get_column_iter().map(|(name, field)| (name.clone(), value(field, depth + 1)));
    Value::Object(columns.collect::<Map<_, _>>())
}

/// Times and dates as their numbers: no chat is judged by them.
fn value(field: &Field, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => Value::from(*value),
        Field::Long(value)
        | Field::TimeMicros(value)
        | Field::TimestampMillis(value)
        | Field::TimestampMicros(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float16(value) => Number::from_f64(f64::from(*value)).map_or(Value::Null, Value::Number),
        Field::Float(value) => Number::from_f64(f64::from(*value)).map_or(Value::Null, Value::Number),
        Field::Double(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
        Field::Str(text) => Value::String(text.clone()),
        // text that its writer did not mark as such
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Value::Null, Value::from),
        Field::Group(row) => object(row, depth),
        Field::ListInternal(list) => list.elements().iter().map(|field| value(field, depth + 1)).collect(),
        Field::MapInternal(map) => {
            let entry = |(key, field): &(Field, Field)| match key {
                Field::Str(key) => Some((key.clone(), value(field, depth + 1))),
                _ => None,
            };
            Value::Object(map.entries().iter().filter_map(entry).collect())
        }
        Field::Decimal(_) => Value::Null,
    }
}

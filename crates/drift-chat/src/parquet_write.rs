//! Chats as Parquet: `conversation_id`, `conversation: list<{role, content}>`, `user`, as WildChat
//! and LMSYS-Chat-1M are laid out.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::types::{Chat, Role};

/// So many bytes of text are held before a row group is written.
const GROUP_BYTES: usize = 16 << 20;

const SCHEMA: &str = "message chats {
    required binary conversation_id (STRING);
    required group conversation (LIST) {
        repeated group list {
            required group element {
                required binary role (STRING);
                required binary content (STRING);
            }
        }
    }
    optional binary user (STRING);
}";

pub(crate) struct ParquetWriter {
    writer: SerializedFileWriter<BufWriter<File>>,
    group: Group,
}

/// The columns of one row group. A level of 0 in `defined` is an empty list or a null; of 0 in
/// `repeated`, the first element of a list.
#[derive(Default)]
struct Group {
    ids: Vec<ByteArray>,
    roles: Vec<ByteArray>,
    contents: Vec<ByteArray>,
    defined: Vec<i16>,
    repeated: Vec<i16>,
    users: Vec<ByteArray>,
    users_defined: Vec<i16>,
    bytes: usize,
}

impl ParquetWriter {
    pub fn new(file: File) -> io::Result<ParquetWriter> {
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(io::Error::other)?);
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let out = BufWriter::with_capacity(1 << 18, file);
        let writer = SerializedFileWriter::new(out, schema, properties).map_err(io::Error::other)?;
        Ok(ParquetWriter { writer, group: Group::default() })
    }

    pub fn add(&mut self, chat: &Chat) -> io::Result<()> {
        let group = &mut self.group;
        group.ids.push(ByteArray::from(chat.id.as_bytes().to_vec()));
        for (at, message) in chat.messages.iter().enumerate() {
            let role = match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::Tool => "tool",
            };
            group.roles.push(ByteArray::from(role));
            group.contents.push(ByteArray::from(message.content.as_bytes().to_vec()));
            group.defined.push(1);
            group.repeated.push(i16::from(at > 0));
            group.bytes += message.content.len();
        }
        if chat.messages.is_empty() {
            group.defined.push(0);
            group.repeated.push(0);
        }
        group.users.extend(chat.user.as_ref().map(|user| ByteArray::from(user.as_bytes().to_vec())));
        group.users_defined.push(i16::from(chat.user.is_some()));
        if group.bytes >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    pub fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()?;
        let mut out = self.writer.into_inner().map_err(io::Error::other)?;
        io::Write::flush(&mut out)
    }

    fn flush(&mut self) -> io::Result<()> {
        let group = std::mem::take(&mut self.group);
        if group.ids.is_empty() {
            return Ok(());
        }
        /// Values, definition levels, repetition levels.
        type Column<'a> = (&'a [ByteArray], Option<&'a [i16]>, Option<&'a [i16]>);
        let columns: [Column; 4] = [
            (&group.ids, None, None),
            (&group.roles, Some(&group.defined), Some(&group.repeated)),
            (&group.contents, Some(&group.defined), Some(&group.repeated)),
            (&group.users, Some(&group.users_defined), None),
        ];
        let write = |writer: &mut SerializedFileWriter<_>| -> parquet::errors::Result<()> {
            let mut rows = writer.next_row_group()?;
            for (values, defined, repeated) in columns {
                let Some(mut column) = rows.next_column()? else { break };
                column.typed::<ByteArrayType>().write_batch(values, defined, repeated)?;
                column.close()?;
            }
            rows.close()?;
            Ok(())
        };
        write(&mut self.writer).map_err(io::Error::other)
    }
}

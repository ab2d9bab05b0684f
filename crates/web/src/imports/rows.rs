//! Rows of a stream of bytes: lines of JSON, or of a table, where a quoted cell may hold line breaks.

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::Error;

/// Most bytes of a row: a record and as much again.
const LONGEST: usize = 512 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object per line.
    Ndjson,
    /// RFC 4180, with a header.
    Csv,
}

/// One row as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// From 1; of a table, the header is 0.
    pub(crate) number: u64,
    /// Where the next one begins.
    pub(crate) end: u64,
    /// `None` when it is too long.
    pub(crate) text: Option<Bytes>,
}

/// Where in a cell of a table. A quote that does not begin a cell means itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Begins,
    Bare,
    Quoted,
    /// Behind a quote in a quoted one: it ends there, unless another follows.
    Closed,
}

impl Cell {
    fn then(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Begins | Self::Closed, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::Closed,
            (Self::Quoted, _) => Self::Quoted,
            (_, b',') => Self::Begins,
            _ => Self::Bare,
        }
    }
}

/// Reads one row after another; blank lines are none.
pub(crate) struct Rows {
    source: BoxStream<'static, Result<Bytes, Error>>,
    format: Format,
    buffer: BytesMut,
    /// Bytes of the buffer that were looked at.
    looked: usize,
    cell: Cell,
    /// The row is too long; the rest of it is passed over.
    passing: bool,
    /// Where the buffer begins.
    offset: u64,
    number: u64,
    ended: bool,
}

impl Rows {
    /// The rows of `source`, which begins at `offset` behind `number` rows.
    pub(crate) fn new(source: BoxStream<'static, Result<Bytes, Error>>, format: Format, offset: u64, number: u64) -> Self {
        let (buffer, looked) = (BytesMut::new(), 0);
        Self { source, format, buffer, looked, cell: Cell::Begins, passing: false, offset, number, ended: false }
    }

    /// The rows of what is at hand.
    pub(crate) fn whole(bytes: Bytes, format: Format) -> Self {
        Self::new(stream::iter([Ok(bytes)]).boxed(), format, 0, 0)
    }

    /// Takes the first row as the header: the next one is number 1.
    pub(crate) async fn header(&mut self) -> Result<Option<Row>, Error> {
        let header = self.next().await?;
        self.number = 0;
        Ok(header)
    }

    /// Where the next row begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Up to so many rows, and not many more bytes than `bytes`.
    pub(crate) async fn some(&mut self, most: usize, bytes: usize) -> Result<Vec<Row>, Error> {
        let (mut rows, mut size) = (Vec::new(), 0);
        while rows.len() < most && size < bytes {
            let Some(row) = self.next().await? else { break };
            size += row.text.as_ref().map_or(0, Bytes::len);
            rows.push(row);
        }
        Ok(rows)
    }

    async fn next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            if let Some(length) = self.end_of_row() {
                if let Some(row) = self.cut(length) {
                    return Ok(Some(row));
                }
                continue;
            }
            if self.ended {
                let rest = self.buffer.len();
                return Ok(if rest > 0 || self.passing { self.cut(rest) } else { None });
            }
            if self.buffer.len() > LONGEST {
                self.passing = true;
                self.offset += self.buffer.len() as u64;
                self.buffer.clear();
                self.looked = 0;
            }
            match self.source.try_next().await? {
                Some(part) => self.buffer.extend_from_slice(&part),
                None => self.ended = true,
            }
        }
    }

    /// How long the first row of the buffer is, its line break included.
    fn end_of_row(&mut self) -> Option<usize> {
        while let Some(byte) = self.buffer.get(self.looked) {
            self.looked += 1;
            if *byte == b'\n' && self.cell != Cell::Quoted {
                return Some(self.looked);
            }
            let is_mark = self.offset == 0 && BYTE_ORDER_MARK.get(self.looked - 1) == Some(byte);
            if self.format == Format::Csv && !is_mark {
                self.cell = self.cell.then(*byte);
            }
        }
        None
    }

    fn cut(&mut self, length: usize) -> Option<Row> {
        let text = self.buffer.split_to(length).freeze();
        let first = self.offset == 0;
        self.offset += length as u64;
        (self.looked, self.cell) = (0, Cell::Begins);
        let passed = std::mem::take(&mut self.passing) || text.len() > LONGEST;
        let text = if first && text.starts_with(BYTE_ORDER_MARK) { text.slice(BYTE_ORDER_MARK.len()..) } else { text };
        if !passed && text.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        self.number += 1;
        Some(Row { number: self.number, end: self.offset, text: (!passed).then_some(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of all rows, whatever parts they come in.
    async fn texts(text: &[u8], format: Format, part: usize) -> Vec<Option<String>> {
        let parts: Vec<Result<Bytes, Error>> = text.chunks(part).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        let mut rows = Rows::new(stream::iter(parts).boxed(), format, 0, 0);
        let all = rows.some(usize::MAX, usize::MAX).await.expect("are read");
        assert!(all.iter().enumerate().all(|(at, row)| row.number == at as u64 + 1));
        assert_eq!(all.last().map_or(0, |row| row.end), text.len() as u64);
        all.into_iter().map(|row| row.text.map(|text| String::from_utf8_lossy(&text).trim_end().to_owned())).collect()
    }

    #[tokio::test]
    async fn rows_end_where_their_format_says() {
        let some = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
        for part in [1, 2, 7, 1000] {
            let lines = "\u{feff}{\"a\":1}\r\n\n{\"b\":\"\\\"\"}\n{\"c\":3}".as_bytes();
            assert_eq!(texts(lines, Format::Ndjson, part).await, some(&["{\"a\":1}", "{\"b\":\"\\\"\"}", "{\"c\":3}"]));
            let table = b"a,b\r\n\"x\ny\",\"say \"\"hi\"\"\"\r\n1,2\r\n";
            assert_eq!(texts(table, Format::Csv, part).await, some(&["a,b", "\"x\ny\",\"say \"\"hi\"\"\"", "1,2"]));
            let inches = "\u{feff}\"a\nb\",c\n1,5\" disk\n2,\"x\"y\"\n3,z\n".as_bytes();
            let rows = ["\u{feff}\"a\nb\",c", "1,5\" disk", "2,\"x\"y\"", "3,z"].map(|row| row.trim_start_matches('\u{feff}'));
            assert_eq!(texts(inches, Format::Csv, part).await, some(&rows), "a quote within a cell");
        }
    }

    #[tokio::test]
    async fn a_row_that_is_too_long_is_passed_over() {
        let long = [b"1\n".to_vec(), vec![b'x'; LONGEST * 3], b"\n3\n".to_vec()].concat();
        assert_eq!(texts(&long, Format::Ndjson, 8192).await, [Some("1".to_owned()), None, Some("3".to_owned())]);
    }
}

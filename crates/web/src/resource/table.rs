//! Records as rows of a table (RFC 4180): which columns a kind has, and what a cell says.
//!
//! Nested fields are columns with dotted names, lists and open objects JSON text. A text that a spreadsheet would take for a formula gets an
//! apostrophe in front, which is taken off again on the way in. A missing value and an empty text are the same empty cell.

use serde_json::{Map, Value};
use steward_base::{Error, FieldError};

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) path: Vec<String>,
    holds: Holds,
}

/// What a column's cells say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Text,
    Number,
    Flag,
    Json,
}

/// What makes a spreadsheet compute, or hides what does.
const GUARDED: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\''];

impl Column {
    /// Dotted.
    pub(crate) fn name(&self) -> String {
        self.path.join(".")
    }

    /// What the row says here.
    pub(crate) fn cell(&self, row: &Value) -> String {
        let value = self.path.iter().try_fold(row, |value, segment| value.get(segment));
        match (value, self.holds) {
            (None | Some(Value::Null), _) => String::new(),
            (Some(Value::String(text)), Holds::Text) => guard(text),
            (Some(value), _) => value.to_string(),
        }
    }

    /// Puts what a cell says into a row; an empty one says nothing.
    pub(crate) fn read(&self, cell: &str, row: &mut Map<String, Value>, problems: &mut Vec<FieldError>) {
        if cell.is_empty() {
            return;
        }
        let value = match self.holds {
            Holds::Text => Some(Value::from(unguard(cell))),
            Holds::Number => serde_json::from_str(cell).ok().filter(Value::is_number),
            Holds::Flag => cell.to_ascii_lowercase().parse::<bool>().ok().map(Value::from),
            Holds::Json => serde_json::from_str(cell).ok(),
        };
        let Some(value) = value else {
            let detail = match self.holds {
                Holds::Number => "A number is expected.",
                Holds::Flag => "true or false is expected.",
                Holds::Text | Holds::Json => "JSON text is expected.",
            };
            return problems.push(FieldError { pointer: format!("/{}", self.path.join("/")), code: "type".into(), detail: detail.into() });
        };
        put(row, &self.path, value);
    }
}

fn put(row: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => drop(row.insert(last.clone(), value)),
        [first, rest @ ..] => {
            if let Value::Object(below) = row.entry(first.clone()).or_insert_with(|| Value::Object(Map::new())) {
                put(below, rest, value);
            }
        }
    }
}

fn guard(text: &str) -> String {
    if text.starts_with(GUARDED) { format!("'{text}") } else { text.to_owned() }
}

fn unguard(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(GUARDED)).unwrap_or(cell)
}

/// The columns of an object's schema: the id first, then by name.
pub(crate) fn columns(schema: &Value) -> Vec<Column> {
    let mut columns = Vec::new();
    below(schema, &mut Vec::new(), &mut columns);
    columns.sort_by_key(|column| column.path != ["id"]);
    columns
}

fn below(schema: &Value, path: &mut Vec<String>, columns: &mut Vec<Column>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        path.push(name.clone());
        let property = one_form(property);
        match holds(property) {
            Some(holds) => columns.push(Column { path: path.clone(), holds }),
            None => below(property, path, columns),
        }
        path.pop();
    }
}

/// The form besides null, where there is one.
fn one_form(schema: &Value) -> &Value {
    let branches = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
    let mut forms = branches.into_iter().flatten().filter(|branch| branch["type"] != "null");
    match (forms.next(), forms.next()) {
        (Some(only), None) => one_form(only),
        _ => schema,
    }
}

/// `None` for an object with fields of its own.
fn holds(schema: &Value) -> Option<Holds> {
    let several = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()).filter(|branches| !branches.is_empty());
    if let Some(branches) = several {
        let texts = branches.iter().all(|branch| holds(branch) == Some(Holds::Text));
        return Some(if texts { Holds::Text } else { Holds::Json });
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ if schema["const"].is_string() || schema["enum"].as_array().is_some_and(|all| all.iter().all(Value::is_string)) => vec!["string"],
        _ => Vec::new(),
    };
    Some(match types.as_slice() {
        ["string"] => Holds::Text,
        ["integer" | "number"] => Holds::Number,
        ["boolean"] => Holds::Flag,
        ["object"] if schema["properties"].as_object().is_some_and(|all| !all.is_empty()) => return None,
        _ => Holds::Json,
    })
}

/// A line of a table.
pub(crate) fn line(cells: impl Iterator<Item = String>) -> Result<Vec<u8>, Error> {
    let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    out.write_record(cells.collect::<Vec<_>>()).map_err(Error::internal)?;
    out.into_inner().map_err(|error| Error::internal(error.to_string()))
}

/// The cells of one line; `None` when it is not UTF-8, or more than one line.
pub(crate) fn read(line: &[u8]) -> Option<Vec<String>> {
    let mut records = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line).into_records();
    let record = records.next()?.ok()?;
    // What would be left out here would be lost without a word.
    records.next().is_none().then(|| record.iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({ "type": "object", "properties": {
            "id": { "type": "string" },
            "active": { "anyOf": [{ "type": "boolean" }, { "type": "null" }] },
            "name": { "type": "string" },
            "place": { "anyOf": [{ "type": "object", "properties": { "floor": { "type": ["integer", "null"] }, "room": { "type": "string" } } }, { "type": "null" }] },
            "state": { "oneOf": [{ "const": "new" }, { "type": "string", "enum": ["used"] }] },
            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
            "tags": { "type": "array" },
        } })
    }

    fn through(row: &Value) -> Value {
        let columns = columns(&schema());
        let text = line(columns.iter().map(|column| column.cell(row))).expect("is written");
        let (mut back, mut problems) = (Map::new(), Vec::new());
        for (column, cell) in columns.iter().zip(read(&text).expect("is read")) {
            column.read(&cell, &mut back, &mut problems);
        }
        assert_eq!(problems, []);
        Value::Object(back)
    }

    #[test]
    fn columns_are_dotted_and_the_id_is_first() {
        let names: Vec<String> = columns(&schema()).iter().map(Column::name).collect();
        assert_eq!(names, ["id", "active", "labels", "name", "place.floor", "place.room", "state", "tags"]);
    }

    #[test]
    fn two_lines_are_not_taken_for_one() {
        assert_eq!(read(b"1,5\" disk\r\n"), Some(vec!["1".to_owned(), "5\" disk".to_owned()]));
        for two in [&b"1,5\" disk\n2,6\" disk\n"[..], b"1,a\r2,b\n", b"\"a\nb\"\nc"] {
            assert_eq!(read(two), None, "{}", two.escape_ascii());
        }
    }

    #[test]
    fn a_row_comes_back_as_it_was() {
        for name in ["plain", "a,b", "\"quoted\"", "two\r\nlines", "=1+1", "'=1", "'", "''", "-5", "@x", "\tx", "+49 30", "it's", "ü漢"] {
            let row = json!({
                "id": "x", "active": false, "name": name, "place": { "floor": -2, "room": "=hall" }, "state": "new",
                "labels": { "a": "=b" }, "tags": ["x", "y,z"],
            });
            assert_eq!(through(&row), row, "{name:?}");
        }
        assert_eq!(through(&json!({ "name": "" })), json!({}), "an empty text is an empty cell");
    }

    #[test]
    fn no_text_is_a_formula() {
        let column = Column { path: vec!["name".into()], holds: Holds::Text };
        for text in ["=HYPERLINK(\"x\")", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert!(column.cell(&json!({ "name": text })).starts_with('\''), "{text:?}");
        }
    }

    #[test]
    fn a_cell_of_another_type_is_named() {
        let (mut row, mut problems) = (Map::new(), Vec::new());
        for column in columns(&schema()) {
            column.read("maybe", &mut row, &mut problems);
        }
        let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(pointers, ["/active", "/labels", "/place/floor", "/tags"]);
    }
}

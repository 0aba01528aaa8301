//! What commands show: tables for people, JSON for programs, from the same cells.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rocketmq_core::ids::{BrokerName, ClientId, Endpoint, Group, QueueOffset, Topic};
use rocketmq_core::time::UnixMillis;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::time;

/// The form of what is shown: for people, or for programs. In JSON that is one document, or one object in each line where
/// messages come one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
pub(crate) enum Form {
    #[default]
    Table,
    Json,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Nothing,
    Text(String),
    Whole(i64),
    Real(f64),
    Flag(bool),
    Time(UnixMillis),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

impl Cell {
    /// A time of the wire, where nothing is 0 or less.
    pub(crate) const fn time(millis: i64) -> Self {
        if millis > 0 { Self::Time(UnixMillis(millis)) } else { Self::Nothing }
    }

    fn text(&self) -> String {
        let text = match self {
            Self::Nothing => String::new(),
            Self::Text(text) => printable(text).into_owned(),
            Self::Whole(number) => number.to_string(),
            Self::Real(number) => format!("{number:.2}"),
            Self::Flag(flag) => String::from(if *flag { "yes" } else { "no" }),
            Self::Time(time) => time::show(*time),
            Self::List(items) => printable(&items.join(", ")).into_owned(),
            Self::Map(items) => {
                let items: Vec<_> = items.iter().map(|(key, value)| format!("{key}={value}")).collect();
                printable(&items.join(", ")).into_owned()
            }
        };
        if text.is_empty() { String::from("-") } else { text }
    }

    const fn is_number(&self) -> bool {
        match self {
            Self::Whole(_) | Self::Real(_) | Self::Nothing => true,
            Self::Text(_) | Self::Flag(_) | Self::Time(_) | Self::List(_) | Self::Map(_) => false,
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => out.serialize_none(),
            Self::Text(text) => out.serialize_str(text),
            Self::Whole(number) => out.serialize_i64(*number),
            Self::Real(number) => out.serialize_f64(*number),
            Self::Flag(flag) => out.serialize_bool(*flag),
            Self::Time(time) => out.serialize_i64(time.0),
            Self::List(items) => items.serialize(out),
            Self::Map(items) => items.serialize(out),
        }
    }
}

macro_rules! cells {
    ($($from:ty => |$value:ident| $cell:expr;)*) => {
        $(impl From<$from> for Cell {
            fn from($value: $from) -> Self {
                $cell
            }
        })*
    };
}

cells! {
    &str => |value| Self::Text(value.to_owned());
    String => |value| Self::Text(value);
    &String => |value| Self::Text(value.clone());
    i64 => |value| Self::Whole(value);
    i32 => |value| Self::Whole(value.into());
    usize => |value| Self::Whole(i64::try_from(value).unwrap_or(i64::MAX));
    u64 => |value| Self::Whole(i64::try_from(value).unwrap_or(i64::MAX));
    f64 => |value| Self::Real(value);
    bool => |value| Self::Flag(value);
    UnixMillis => |value| Self::time(value.0);
    QueueOffset => |value| Self::Whole(value.to_wire());
    Vec<String> => |value| Self::List(value);
    BTreeMap<String, String> => |value| Self::Map(value);
    &Topic => |value| Self::from(value.as_str());
    &Group => |value| Self::from(value.as_str());
    &BrokerName => |value| Self::from(value.as_str());
    &ClientId => |value| Self::from(value.as_str());
    &Endpoint => |value| Self::from(value.as_str());
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

/// The cells of one row.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$($crate::output::Cell::from($cell)),*] };
}
pub(crate) use row;

/// Rows of the same columns.
#[derive(Debug)]
pub(crate) struct Table {
    keys: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(keys: [&'static str; N]) -> Self {
        Self { keys: keys.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let row = |row| Object(self.keys.iter().copied().zip(row));
        out.collect_seq(self.rows.iter().map(row))
    }
}

/// An object whose keys keep their order.
struct Object<I>(I);

impl<'a, V: Serialize + 'a, I: Clone + Iterator<Item = (&'a str, V)>> Serialize for Object<I> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(None)?;
        for (key, value) in self.0.clone() {
            map.serialize_entry(key, &value)?;
        }
        map.end()
    }
}

/// Values by name, and tables of more.
#[derive(Debug, Default)]
pub(crate) struct Record {
    fields: Vec<(&'static str, Cell)>,
    tables: Vec<(&'static str, Table)>,
}

impl Record {
    pub(crate) fn with(mut self, key: &'static str, cell: impl Into<Cell>) -> Self {
        self.fields.push((key, cell.into()));
        self
    }

    pub(crate) fn table(mut self, key: &'static str, table: Table) -> Self {
        self.tables.push((key, table));
        self
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(None)?;
        for (key, cell) in &self.fields {
            map.serialize_entry(key, cell)?;
        }
        for (key, table) in &self.tables {
            map.serialize_entry(key, table)?;
        }
        map.end()
    }
}

/// Where it is shown, and how.
pub(crate) struct Output<'a> {
    pub(crate) out: &'a mut dyn Write,
    pub(crate) form: Form,
    pub(crate) color: bool,
    pub(crate) progress: bool,
}

impl Output<'_> {
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// A table alone; in JSON a list of objects.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        match self.form {
            Form::Json => self.json(table),
            Form::Table => self.text(table),
        }
    }

    /// A record; in JSON one object.
    pub(crate) fn record(&mut self, record: &Record) -> io::Result<()> {
        if self.is_json() {
            return self.json(record);
        }
        for (key, table) in &record.tables {
            if record.tables.len() > 1 {
                let title = words_of(key).to_uppercase();
                writeln!(self.out, "{}", self.painted(&format!("[{title}]")))?;
            }
            self.text(table)?;
            writeln!(self.out)?;
        }
        let width = record.fields.iter().map(|(key, _)| words_of(key).len()).max().unwrap_or_default();
        for (key, cell) in &record.fields {
            let key = format!("{:width$}", words_of(key));
            writeln!(self.out, "{}  {}", self.painted(&key), cell.text())?;
        }
        self.out.flush()
    }

    /// One of many, shown as soon as it is there: in JSON one object in a line, else this text.
    pub(crate) fn line(
        &mut self,
        record: &Record,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.is_json() {
            return self.json_line(record);
        }
        text(self.out)?;
        writeln!(self.out)?;
        self.out.flush()
    }

    /// What was done, in words; in JSON the record of it.
    pub(crate) fn done(&mut self, text: &str, record: &Record) -> io::Result<()> {
        match self.form {
            Form::Json => self.json(record),
            Form::Table => {
                writeln!(self.out, "{}", printable(text))?;
                self.out.flush()
            }
        }
    }

    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self.out, value).map_err(io::Error::from)?;
        writeln!(self.out)?;
        self.out.flush()
    }

    /// One object in a line.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, value).map_err(io::Error::from)?;
        writeln!(self.out)?;
        self.out.flush()
    }

    fn text(&mut self, table: &Table) -> io::Result<()> {
        let mut shown = comfy_table::Table::new();
        shown.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        shown.set_header(table.keys.iter().map(|key| words_of(key).to_uppercase()));
        shown.add_rows(table.rows.iter().map(|row| row.iter().map(Cell::text).collect::<Vec<_>>()));
        for (index, column) in shown.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            let cells = || table.rows.iter().filter_map(|row| row.get(index));
            if cells().all(Cell::is_number) && cells().any(|cell| *cell != Cell::Nothing) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for (index, line) in shown.lines().enumerate() {
            let line = line.trim_end();
            let line = if index == 0 { self.painted(line) } else { Cow::Borrowed(line) };
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }

    /// A bar for work that takes long, drawn only where somebody watches.
    pub(crate) fn bar(&self, of: u64, what: &str) -> ProgressBar {
        self.progress(Some(of), what, "{msg} {wide_bar} {pos} of {len}, {elapsed} of {duration}")
    }

    /// The same for work of which nobody knows how much it is.
    pub(crate) fn bar_without_end(&self, what: &str) -> ProgressBar {
        self.progress(None, what, "{spinner} {pos} {msg}, {elapsed}")
    }

    fn progress(&self, of: Option<u64>, what: &str, template: &str) -> ProgressBar {
        let target = if self.progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(of, target);
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        bar.enable_steady_tick(TICK);
        bar.with_message(what.to_owned())
    }

    fn painted<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.color { Cow::Owned(format!("{BOLD}{text}{PLAIN}")) } else { Cow::Borrowed(text) }
    }
}

/// `maxOffset` as `max offset`.
fn words_of(key: &str) -> String {
    let mut words = String::with_capacity(key.len().saturating_add(4));
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// A text that cannot steer a terminal, and stays in its line.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escaped = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    Cow::Owned(text.chars().map(escaped).collect())
}

const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";
/// How often a bar is drawn anew.
const TICK: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(form: Form, color: bool, show: impl FnOnce(&mut Output<'_>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        show(&mut Output { out: &mut out, form, color, progress: false }).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn table() -> Table {
        let mut table = Table::new(["topic", "maxOffset"]);
        table.push(row!["a", 7_i64]);
        table.push(row!["\u{1b}[2J", None::<i64>]);
        table
    }

    #[test]
    fn a_table_has_columns_or_is_a_list_of_objects() {
        let text = shown(Form::Table, false, |out| out.table(&table()));
        assert_eq!(text, "TOPIC      MAX OFFSET\na                   7\n\\u{1b}[2J           -\n");
        let json: serde_json::Value =
            serde_json::from_str(&shown(Form::Json, true, |out| out.table(&table()))).unwrap();
        assert_eq!(
            json,
            serde_json::json!([{"topic": "a", "maxOffset": 7}, {"topic": "\u{1b}[2J", "maxOffset": null}])
        );
        assert!(shown(Form::Table, true, |out| out.table(&table())).starts_with("\u{1b}[1mTOPIC"));
    }

    #[test]
    fn a_record_has_a_line_for_each_value_or_is_an_object_in_its_order() {
        let record = || Record::default().with("group", "G").with("lastTime", Cell::time(1)).table("queues", table());
        let text = shown(Form::Table, false, |out| out.record(&record()));
        assert!(text.ends_with("\n\ngroup      G\nlast time  1970-01-01T00:00:00.001Z\n"), "{text}");
        let json = shown(Form::Json, false, |out| out.line(&record(), |_| unreachable!()));
        assert!(json.starts_with(r#"{"group":"G","lastTime":1,"queues":[{"topic":"a","#), "{json}");
    }
}

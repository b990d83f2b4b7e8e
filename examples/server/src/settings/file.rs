//! Settings from a TOML file.

use std::{borrow::Cow, ffi::OsStr, fs, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::known::{Finding, Known, invalid};

/// What the file at `path` sets, and all that is wrong with it, from top to bottom.
///
/// `named_by` is the flag or variable that asked for it.
pub(super) fn read(known: &Known, path: &Path, named_by: &str) -> Vec<Finding> {
    let source = match fs::read_to_string(path) {
        Ok(source) => source,
        Err(error) => {
            return vec![Err(format!("cannot read '{}' ({named_by}): {error}", path.display()))];
        }
    };
    let mut reader = Reader { known, path, source: &source, found: Vec::new() };
    match DeTable::parse(&source) {
        Ok(table) => reader.table("", table.get_ref()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let finding = Err(format!("{}: {}", reader.place(at), error.message()));
            reader.found.push((at, finding));
        }
    }
    reader.found.sort_by_key(|(at, _)| *at);
    reader.found.into_iter().map(|(_, finding)| finding).collect()
}

struct Reader<'a> {
    known: &'a Known,
    path: &'a Path,
    source: &'a str,
    /// With the byte each was found at.
    found: Vec<(usize, Finding)>,
}

impl Reader<'_> {
    fn table(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = match (section, plain(name.get_ref())) {
                ("", name) => name.into_owned(),
                (section, name) => format!("{section}.{name}"),
            };
            if let Some(setting) = self.known.by_key(&key) {
                let at = value.span().start;
                let place = self.place(at);
                let found = self.known.check(setting, OsStr::new(&*self.text(value)), &place, &key);
                self.found.push((at, found));
            } else if self.known.names_in(&key).is_empty() {
                let at = name.span().start;
                let unknown = self.unknown(&self.place(at), &key, name.get_ref(), section);
                self.found.push((at, Err(unknown)));
            } else if let DeValue::Table(table) = value.get_ref() {
                self.table(&key, table);
            } else {
                let at = value.span().start;
                let accepted = format!("expected a section, [{key}]");
                let found = invalid(&self.place(at), &key, &self.source[value.span()], &accepted);
                self.found.push((at, Err(found)));
            }
        }
    }

    fn unknown(&self, place: &str, key: &str, name: &str, section: &str) -> String {
        let hint = match self.known.key_like(name, section) {
            Some(key) => format!("did you mean '{key}'?"),
            None => format!("expected {}", self.known.names_in(section).join(", ")),
        };
        format!("{place}: unknown key '{key}'; {hint}")
    }

    /// The value as the flag would have it. What a flag cannot have is left as it is written.
    fn text<'v>(&'v self, value: &'v Spanned<DeValue<'_>>) -> Cow<'v, str> {
        match value.get_ref() {
            DeValue::String(text) => Cow::Borrowed(text),
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map_or(Cow::Borrowed(number.as_str()), |number| number.to_string().into()),
            _ => Cow::Borrowed(&self.source[value.span()]),
        }
    }

    /// The file, and the line and column of a byte in it, counted from 1.
    fn place(&self, at: usize) -> String {
        let before = &self.source[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        format!("{}:{line}:{column}", self.path.display())
    }
}

/// A key as it would be written: in quotes if it needs them, as `"a.b"` does, which is not `a.b`.
fn plain(name: &str) -> Cow<'_, str> {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("{name:?}"))
    }
}

//! The settings of the file that stand for flags, with their lines.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::line_of;

/// A key that stands for a flag of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub section: Section,
    pub key: String,
    /// The value in the form that the flag takes.
    pub value: String,
    /// The line in the file, from 1.
    pub line: usize,
}

impl Setting {
    /// The keys whose values are paths.
    const PATHS: [&'static str; 2] = ["events", "http-token-file"];

    /// The keys whose values are lists of paths.
    const PATH_LISTS: [&'static str; 1] = ["trust"];

    /// The setting with a relative path taken from this folder. (`-` is stdout, and stays.)
    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        if Self::PATHS.contains(&self.key.as_str()) && self.value != "-" {
            self.value = folder.join(&self.value).to_string_lossy().into_owned();
        }
        if Self::PATH_LISTS.contains(&self.key.as_str()) {
            let paths = self.value.split(',').map(|path| folder.join(path).to_string_lossy().into_owned());
            self.value = paths.collect::<Vec<_>>().join(",");
        }
        self
    }
}

/// The part of the file that a setting is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The top level: for every command that has the flag.
    Top,
    Worker,
    Job,
    Serve,
}

impl Section {
    const NAMED: [(&'static str, Self); 3] = [("worker", Self::Worker), ("job", Self::Job), ("serve", Self::Serve)];

    /// The commands whose flags the section has. `None`: all commands.
    #[must_use]
    pub fn commands(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Top => None,
            Self::Worker => Some(&["run"]),
            Self::Job => Some(&["call", "schedule"]),
            Self::Serve => Some(&["serve"]),
        }
    }
}

/// The settings of a file that was parsed without an error.
pub(super) fn settings(text: &str) -> Vec<Setting> {
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let mut settings = of_table(text, Section::Top, table.get_ref());
    for (name, section) in Section::NAMED {
        if let Some(DeValue::Table(table)) = table.get_ref().get(name).map(Spanned::get_ref) {
            settings.extend(of_table(text, section, table));
        }
    }
    settings
}

fn of_table(text: &str, section: Section, table: &DeTable<'_>) -> Vec<Setting> {
    let scalar = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(i128::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        // A list of names, which contain no comma.
        DeValue::Array(items) => {
            let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
            let texts: Option<Vec<String>> = items.iter().map(text).collect();
            texts.filter(|texts| !texts.is_empty()).map(|texts| texts.join(","))
        }
        _ => None,
    };
    let mut settings: Vec<_> = table
        .iter()
        .filter_map(|(key, value)| {
            let (key, line) = (key.get_ref().to_string(), line_of(text, key.span().start));
            Some(Setting { section, key, value: scalar(value.get_ref())?, line })
        })
        .collect();
    settings.sort_by_key(|setting| setting.line);
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_begin_at_the_file() {
        let of = |key: &str, value: &str| {
            let setting = Setting { section: Section::Worker, key: key.to_owned(), value: value.to_owned(), line: 1 };
            setting.relative_to(Path::new("project")).value
        };
        assert_eq!(of("http-token-file", "secret"), "project/secret");
        assert_eq!(of("events", "/var/log/events"), "/var/log/events");
        assert_eq!(of("trust", "a.pub,/b.pub"), "project/a.pub,/b.pub");
        assert_eq!([of("events", "-"), of("http", "8080")], ["-", "8080"]);
    }

    #[test]
    fn each_key_is_found_with_its_line() {
        let text = "topic = \"demo\"\n\n[worker]\n# a word\nmax-running = 1_000\npublish-events = true\n[tasks.a]\ntimeout = \"1s\"\n";
        let found: Vec<_> = settings(text).into_iter().map(|s| (s.section, s.key, s.value, s.line)).collect();
        assert_eq!(
            found,
            [
                (Section::Top, "topic".to_owned(), "demo".to_owned(), 1),
                (Section::Worker, "max-running".to_owned(), "1000".to_owned(), 5),
                (Section::Worker, "publish-events".to_owned(), "true".to_owned(), 6),
            ]
        );
    }
}

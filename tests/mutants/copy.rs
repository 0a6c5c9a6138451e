//! A copy of the protocol crate that contains every mutant, each behind its own switch. So one build is enough for all of them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::list::{Edit, Mutant};

/// The placeholders in a mutant's replacement: `$on` is its switch, `$right` is the text that it replaces. Without `$on` the
/// replacement is used instead of that text while the switch is on.
const ON: &str = "$on";
const RIGHT: &str = "$right";

/// This code is added to the crate. It says which mutant this process runs.
const SWITCH: &str = r#"
pub mod mutant {
    static ON: std::sync::OnceLock<String> = std::sync::OnceLock::new();

    pub fn on(name: &str) -> bool {
        ON.get_or_init(|| std::env::var("BRRR_MUTANT").unwrap_or_default()) == name
    }
}
"#;

/// The protocol's own manifest lists its dependencies, and this manifest has the workspace settings that it inherits. The
/// optimisation level is that of the host's own build, because there are many histories.
const PROFILE: &str = "
[profile.dev]
opt-level = 2
debug = false
incremental = false
";

/// Writes the copy, a small separate workspace, to `target`. Writes only files that have changed, so that nothing is built twice.
///
/// # Errors
/// The names of all mutants whose text does not occur exactly once in its file.
pub fn write(root: &Path, target: &Path, mutants: &[Mutant]) -> Result<(), String> {
    let (source, crate_to) = (root.join("host/protocol"), target.join("host/protocol"));
    let edits: Vec<(&str, &Edit)> = mutants.iter().flat_map(|m| m.edits.iter().map(|edit| (m.name, edit))).collect();
    let mut stale = Vec::new();
    for (name, edit) in &edits {
        let times = match fs::read_to_string(source.join("src").join(edit.file)) {
            Ok(text) => text.matches(edit.right).count(),
            Err(_) => 0,
        };
        if times != 1 {
            stale.push(format!("{name}: {times} times in {}:\n{}", edit.file, edit.right));
        }
    }
    for path in files(&source.join("src")) {
        let file = path.strip_prefix(source.join("src")).unwrap();
        let mut here: Vec<_> = edits.iter().filter(|(_, edit)| Path::new(edit.file) == file).collect();
        // If a text is part of another text, it is replaced after the other one, at each place where it then occurs. This is
        // correct because only one switch is on at a time.
        here.sort_by_key(|(_, edit)| std::cmp::Reverse(edit.right.len()));
        let mut text = read(&path);
        for (name, edit) in here {
            if !text.contains(edit.right) {
                stale.push(format!("{name}: its text in {} reaches into another mutant's:\n{}", edit.file, edit.right));
            }
            text = text.replace(edit.right, &edit.switched(name));
        }
        if file == Path::new("lib.rs") {
            text.push_str(SWITCH);
        }
        put(&crate_to.join("src").join(file), &text);
    }
    if !stale.is_empty() {
        return Err(format!("these mutants do not fit host/protocol/src any more:\n{}", stale.join("\n")));
    }
    let (simulation, simulation_to) = (root.join("tests/simulation"), target.join("tests/simulation"));
    for path in files(&simulation) {
        put(&simulation_to.join(path.strip_prefix(&simulation).unwrap()), &read(&path));
    }
    remove_others(&source.join("src"), &crate_to.join("src"));
    remove_others(&simulation, &simulation_to);
    put(&crate_to.join("Cargo.toml"), &crate_manifest(&read(&source.join("Cargo.toml"))));
    put(&target.join("Cargo.toml"), &workspace_manifest(&read(&root.join("Cargo.toml")))?);
    put(&target.join("Cargo.lock"), &read(&root.join("Cargo.lock")));
    Ok(())
}

fn switch(name: &str) -> String {
    format!("crate::mutant::on({name:?})")
}

impl Edit {
    /// The code in the copy that replaces `right`.
    fn switched(&self, name: &str) -> String {
        let on = switch(name);
        if self.broken.contains(ON) {
            return self.broken.replace(ON, &on).replace(RIGHT, self.right);
        }
        let broken = self.broken.replace(RIGHT, self.right);
        let choice = format!("if {on} {{ {broken} }} else {{ {} }}", self.right);
        let is_statement = self.right.trim_end().ends_with([';', '}']);
        if is_statement { choice } else { format!("({choice})") }
    }
}

/// Copies without any tests except the simulation, and turns warnings off, because code with mutants causes warnings.
fn crate_manifest(text: &str) -> String {
    let sections = format!("\n{text}").replace("\n[", "\n\0[");
    let kept = sections.split('\0').filter(|section| {
        !section.starts_with("[lints]") && (!section.starts_with("[[test]]") || section.contains("\"simulation\""))
    });
    kept.collect::<String>() + "\n[lints.rust]\nwarnings = \"allow\"\n"
}

/// The workspace's manifest, with this crate as its only member.
fn workspace_manifest(text: &str) -> Result<String, String> {
    let head = text.split("[profile.").next().unwrap_or_default();
    let members = head.lines().find(|line| line.starts_with("members = "));
    let members = members.ok_or("Cargo.toml: there is no line that begins with `members = `")?;
    Ok(head.replace(members, "members = [\"host/protocol\"]") + PROFILE)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Removes files from an earlier copy that the original no longer has.
fn remove_others(original: &Path, copy: &Path) {
    for path in files(copy) {
        if !original.join(path.strip_prefix(copy).unwrap()).exists() {
            fs::remove_file(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn put(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

//! Finds out what is in a folder: the language, and the place of the handlers.

use std::fs;
use std::path::{Path, PathBuf};

use super::{BuildError, Language};

/// The handlers that are built into one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// The absolute path of the folder.
    pub folder: PathBuf,
    /// The path as the user wrote it.
    pub shown: PathBuf,
    pub language: Language,
    /// The files that are given to the compiler, relative to the folder. C and C++ may have several; the other
    /// languages have one.
    pub sources: Vec<PathBuf>,
    /// The component's name, without `.wasm`.
    pub name: String,
}

/// The files that mark a folder as a project. A folder must have the mark of one language only.
const MARKS: &[(&str, Language)] = &[
    ("Cargo.toml", Language::Rust),
    ("go.mod", Language::Go),
    ("app.py", Language::Python),
    ("app.ts", Language::Typescript),
    ("app.js", Language::Javascript),
];

/// The folders that may contain the sources of a program in C or C++.
const C_FOLDERS: &[&str] = &["", "src"];

impl Project {
    /// Finds out what `path` is: a project's folder, or the file of its handlers.
    ///
    /// # Errors
    /// When `path` does not exist, or it is unclear what it is.
    pub fn find(path: &Path) -> Result<Self, BuildError> {
        let Ok(absolute) = path.canonicalize() else {
            return Err(BuildError::NotFound { path: path.to_owned() });
        };
        if absolute.is_dir() { Self::of_folder(path, absolute) } else { Self::of_file(path, &absolute) }
    }

    /// The file that the component is written to, if the user names no other.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }

    fn of_folder(shown: &Path, folder: PathBuf) -> Result<Self, BuildError> {
        let not_a_project = |why: String| Err(BuildError::NotAProject { path: shown.to_owned(), why });
        let found: Vec<_> = MARKS.iter().filter(|(mark, _)| folder.join(mark).is_file()).collect();
        let (language, sources) = match found.as_slice() {
            [(mark, language)] => (*language, vec![PathBuf::from(mark)]),
            [] => {
                let sources = c_sources(&folder);
                if sources.is_empty() {
                    let marks: Vec<_> = MARKS.iter().map(|(mark, language)| format!("{mark} ({language})")).collect();
                    return not_a_project(format!(
                        "it has no {}, and no .c or .cpp file (C, C++), here or in src; `brrr-host new` makes a project",
                        marks.join(", ")
                    ));
                }
                (language_of(&sources), sources)
            }
            many => {
                let files: Vec<_> = many.iter().map(|(mark, language)| format!("{mark} ({language})")).collect();
                let first = shown.join(many[0].0);
                return not_a_project(format!(
                    "it has {}; name the one that is meant, e.g. {}",
                    files.join(" and "),
                    first.display()
                ));
            }
        };
        let name = folder.file_name().map_or_else(|| "app".into(), |name| name.to_string_lossy().into_owned());
        Ok(Self { folder, shown: shown.to_owned(), language, sources, name })
    }

    fn of_file(shown: &Path, file: &Path) -> Result<Self, BuildError> {
        let folder = file.parent().unwrap_or(file).to_owned();
        let name = PathBuf::from(file.file_name().unwrap_or_default());
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let manifest = MARKS.iter().find(|(mark, _)| *mark == name.as_os_str() && !mark.starts_with("app."));
        let language = match (manifest, extension) {
            (Some((_, language)), _) => *language,
            (_, "py") => Language::Python,
            (_, "ts" | "mts") => Language::Typescript,
            (_, "js" | "mjs") => Language::Javascript,
            (_, "c" | "cpp" | "cc" | "cxx") => language_of(std::slice::from_ref(&name)),
            _ => {
                let why = "it is no source file of a language that has an SDK, and no folder".to_owned();
                return Err(BuildError::NotAProject { path: shown.to_owned(), why });
            }
        };
        let stem = if manifest.is_some() { folder.file_name() } else { file.file_stem() };
        let stem = stem.map_or_else(|| "app".into(), |name| name.to_string_lossy().into_owned());
        Ok(Self { folder, shown: shown.to_owned(), language, sources: vec![name], name: stem })
    }
}

fn c_sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for below in C_FOLDERS {
        for entry in fs::read_dir(folder.join(below)).into_iter().flatten().flatten() {
            let name = Path::new(below).join(entry.file_name());
            if matches!(name.extension().and_then(|e| e.to_str()), Some("c" | "cpp" | "cc" | "cxx")) {
                found.push(name);
            }
        }
    }
    // The order of the linker's input decides the bytes of the component. It must not depend on the file system.
    found.sort();
    found
}

fn language_of(sources: &[PathBuf]) -> Language {
    if sources.iter().all(|file| file.extension().is_some_and(|e| e == "c")) { Language::C } else { Language::Cpp }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "").expect("a file");
        }
        folder
    }

    #[test]
    fn the_files_of_a_folder_decide_its_language() {
        for (files, language) in [
            (&["Cargo.toml", "src/lib.rs", "shim.c"][..], Language::Rust),
            (&["go.mod", "main.go"], Language::Go),
            (&["app.py", "other.py"], Language::Python),
            (&["app.ts", "package.json"], Language::Typescript),
            (&["app.js", "other.ts"], Language::Javascript),
            (&["one.c", "src/two.c"], Language::C),
            (&["one.c", "src/two.cc"], Language::Cpp),
        ] {
            let folder = folder(files);
            assert_eq!(Project::find(folder.path()).expect("a project").language, language, "{files:?}");
        }
    }

    #[test]
    fn an_unclear_folder_is_an_error_that_lists_the_expected_files() {
        let said = |path: &Path| Project::find(path).expect_err("no project").to_string();
        let empty = said(folder(&["readme.txt"]).path());
        for word in ["Cargo.toml", "go.mod", "app.py", "app.ts", "app.js", ".cpp", "brrr-host new"] {
            assert!(empty.contains(word), "{word} is not in {empty}");
        }
        let two = folder(&["app.py", "app.js"]);
        let both = said(two.path());
        assert!(both.contains("app.py (Python) and app.js (JavaScript)"), "{both}");
        let meant = Project::find(&two.path().join("app.js")).expect("a project");
        assert_eq!((meant.language, meant.name.as_str()), (Language::Javascript, "app"));
        assert!(said(&two.path().join("nowhere")).contains("no such file or folder"));
    }
}

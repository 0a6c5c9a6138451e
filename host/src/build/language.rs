//! The languages in which projects are created and built.

use std::fmt;

/// A language that has an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    Rust,
    Python,
    Javascript,
    Typescript,
    Go,
    C,
    Cpp,
}

impl Language {
    pub const ALL: [Self; 7] =
        [Self::Rust, Self::Python, Self::Javascript, Self::Typescript, Self::Go, Self::C, Self::Cpp];

    /// The name of the language on the command line and in the folders of this repository.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Javascript => "javascript",
            Self::Typescript => "typescript",
            Self::Go => "go",
            Self::C => "c",
            Self::Cpp => "cpp",
        }
    }
}

/// The name of the language as users read it.
impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Javascript => "JavaScript",
            Self::Typescript => "TypeScript",
            Self::Go => "Go",
            Self::C => "C",
            Self::Cpp => "C++",
        })
    }
}

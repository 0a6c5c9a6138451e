//! The bearer token of a gateway.

use std::env::{self, VarError};
use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The variable that may contain the token. There is no flag for the token, because every user of a machine can see the
/// arguments of a process.
pub const TOKEN_ENV: &str = "BRRR_HTTP_TOKEN";

/// The variable that may contain the token of clients that push code.
pub const PUSH_TOKEN_ENV: &str = "BRRR_PUSH_TOKEN";

/// The minimum length of a token in bytes. A shorter token could be guessed by trying.
const SHORTEST: usize = 16;

/// The maximum length of a token in bytes. A longer token would not fit into the head of a request with the other
/// headers.
const LONGEST: usize = 4 << 10;

/// The token that clients must send. Only its digest is kept. All digests have the same length, so the time of a
/// comparison reveals nothing about the token.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// A token that can't be used. The message does not contain the token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Both a file and the environment variable give a token.
    #[error("both {flag} and {variable} give a token; use one of them")]
    Twice { flag: &'static str, variable: &'static str },
    /// Every client could push code.
    #[error("the push token is the token of all clients; make another one with `openssl rand -hex 32`")]
    Shared,
    /// The file of the token can't be read.
    #[error("can't read the token from {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The token is empty, too short, too long, or can't be sent in a header. `origin` is its file or variable.
    #[error("the token of {origin} {reason}; make one with `openssl rand -hex 32`")]
    Unfit { origin: String, reason: String },
}

impl Token {
    /// The token in this file, or else the token of the environment ([`TOKEN_ENV`]). `None`: no token is required.
    ///
    /// # Errors
    /// When it can't be read, can't be sent in a header, or can be guessed.
    pub fn find(file: Option<&Path>) -> Result<Option<Self>, TokenError> {
        Self::of_file_or(file, "--http-token-file", TOKEN_ENV)
    }

    /// The token of clients that push code: in this file, or else in the environment ([`PUSH_TOKEN_ENV`]). `None`: nobody may push.
    ///
    /// # Errors
    /// As `find`, and when it is the token of all clients.
    pub fn find_push(file: Option<&Path>, ordinary: Option<&Self>) -> Result<Option<Self>, TokenError> {
        let found = Self::of_file_or(file, "--push-token-file", PUSH_TOKEN_ENV)?;
        match (&found, ordinary) {
            (Some(token), Some(ordinary)) if bool::from(token.0.ct_eq(&ordinary.0)) => Err(TokenError::Shared),
            _ => Ok(found),
        }
    }

    fn of_file_or(file: Option<&Path>, flag: &'static str, variable: &'static str) -> Result<Option<Self>, TokenError> {
        let of_env = match env::var(variable) {
            Ok(text) => Some(text),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => return Err(unfit(variable, "is not text")),
        };
        match (file, of_env) {
            (Some(_), Some(_)) => Err(TokenError::Twice { flag, variable }),
            (Some(path), None) => Self::read(path).map(Some),
            (None, Some(text)) => Self::of(variable, &text).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn read(path: &Path) -> Result<Self, TokenError> {
        let unreadable = |source| TokenError::Unreadable { path: path.to_owned(), source };
        let mut text = Vec::new();
        File::open(path).and_then(|file| file.take(2 * LONGEST as u64).read_to_end(&mut text)).map_err(unreadable)?;
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        // Only a warning, because secrets are mounted with this mode into containers.
        if mode & 0o004 != 0 {
            let path = path.display();
            tracing::warn!("every user of this machine can read the token in {path}: chmod 600 {path}");
        }
        let text = String::from_utf8(text).map_err(|_| unfit(&path.display().to_string(), "is not text"))?;
        Self::of(&path.display().to_string(), text.trim_end_matches(['\r', '\n']))
    }

    fn of(origin: &str, text: &str) -> Result<Self, TokenError> {
        if text.is_empty() {
            return Err(unfit(origin, "is empty"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(unfit(
                origin,
                "has characters that no header can carry: spaces, line breaks or others than ASCII",
            ));
        }
        if text.len() < SHORTEST {
            return Err(unfit(
                origin,
                &format!("has {} characters and can be guessed; at least {SHORTEST} are needed", text.len()),
            ));
        }
        if text.len() > LONGEST {
            return Err(unfit(origin, &format!("has more than {LONGEST} characters")));
        }
        Ok(Self(digest(text.as_bytes())))
    }

    /// Does the request have the token? The time of the check depends only on what the client sent.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else { return false };
        let Some((scheme, token)) = given.to_str().ok().and_then(|text| text.split_once(' ')) else { return false };
        scheme.eq_ignore_ascii_case("bearer") && bool::from(digest(token.trim().as_bytes()).ct_eq(&self.0))
    }
}

/// The output does not contain the digest.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn unfit(origin: &str, reason: &str) -> TokenError {
    TokenError::Unfit { origin: origin.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TEXT: &str = "0123456789abcdef";

    #[test]
    fn only_the_exact_token_is_accepted() {
        let token = Token::of("x", TEXT).unwrap();
        let opens = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            token.is_in(&headers)
        };
        assert!(opens(&["Bearer 0123456789abcdef"]) && opens(&["bearer  0123456789abcdef "]));
        let wrong = [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer 0123456789abcde"],
            &["Bearer 0123456789abcdef0"],
            &["Bearer 0123456789ABCDEF"],
            &["Basic 0123456789abcdef"],
            &["0123456789abcdef"],
            // It would be unclear which of the two tokens counts.
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ];
        for values in wrong {
            assert!(!opens(values), "{values:?}");
        }
    }

    #[test]
    fn weak_tokens_and_unsendable_tokens_are_refused() {
        for (text, why) in [("", "is empty"), ("short", "5 characters"), ("0123456789abcd f", "spaces"), ("ä", "ASCII")]
        {
            let error = Token::of("FILE", text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("FILE") && error.contains("openssl"), "{error}");
        }
        assert_eq!(format!("{:?}", Token::of("x", TEXT).unwrap()), "Token");
    }
}

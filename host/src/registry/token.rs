//! Asks for tokens, as the specifications of the distribution's "token authentication" and "OAuth2 token authentication" say.

use std::time::{Duration, Instant};

use http_auth::ChallengeParser;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::access::Operation;
use super::http::{self, Redirects};
use super::login::Login;
use super::{Reference, RegistryError};

/// The most bytes of the answer with a token. Tokens are headers later, and servers take no more than some KiB of them.
const LARGEST: usize = 256 << 10;

/// How long a token is good if its server does not say so.
const LIFETIME: u64 = 60;

/// What a registry wants before it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    Nothing,
    /// A user name and a password.
    Basic,
    /// A token, which the server at `realm` gives.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// Of the headers of an answer. A registry may let the client choose: then it is a token.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::Nothing;
        for text in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
            for challenge in ChallengeParser::new(text).filter_map(Result::ok) {
                let parameter = |name: &str| {
                    let mut named = challenge.params.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
                    named.next().map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("Bearer")
                    && let Some(realm) = parameter("realm")
                {
                    return Self::Bearer { realm, service: parameter("service") };
                }
                if challenge.scheme.eq_ignore_ascii_case("Basic") {
                    found = Self::Basic;
                }
            }
        }
        found
    }
}

/// A token of a registry.
pub struct Token {
    pub text: String,
    /// The header with it.
    pub header: HeaderValue,
    /// When it runs out.
    pub until: Instant,
}

/// The answer of a server of tokens. The two specifications name the token differently.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    /// In seconds.
    #[serde(default)]
    expires_in: Value,
}

/// Asks for a token for this.
///
/// # Errors
/// When the server of tokens refuses the login, or can't be used.
pub async fn ask(
    reference: &Reference,
    operation: Operation,
    realm: &str,
    service: Option<&str>,
    login: &Login,
) -> Result<Token, RegistryError> {
    let unusable = |reason: String| RegistryError::Unusable { reference: reference.clone(), reason };
    let url = Url::parse(realm).ok().filter(Url::has_host);
    let url = url.ok_or_else(|| unusable("it names no server that gives tokens".to_owned()))?;
    let server = server(&url);
    if !http::is_safe(reference.is_local(), &url) {
        return Err(unusable(format!("its server of tokens, {server}, has no TLS; nothing was sent there")));
    }
    let client = http::client(reference, Redirects::SameServer).map_err(RegistryError::no_client)?;
    let actions = match operation {
        Operation::Pull => "pull",
        Operation::Publish => "pull,push",
    };
    let scope = format!("repository:{}:{actions}", reference.inner().repository());
    let mut fields = vec![("scope", scope.as_str())];
    fields.extend(service.map(|service| ("service", service)));
    let request = match login {
        Login::None => client.get(url).query(&fields),
        Login::Password(name, password) => client.get(url).query(&fields).basic_auth(name, Some(password)),
        Login::IdentityToken(token) => {
            let grant =
                [("grant_type", "refresh_token"), ("client_id", "brrr-host"), ("refresh_token", token.as_str())];
            fields.extend(grant);
            client.post(url).form(&fields)
        }
    };
    let broken = |error| RegistryError::of_server_of_tokens(reference, &server, error);
    let asked = Instant::now();
    let answer = request.send().await.map_err(broken)?;
    let status = answer.status();
    let body = http::read(answer, LARGEST).await.map_err(broken)?;
    match status {
        StatusCode::OK => {}
        // 400 is what OAuth2 says for an identity token that is not good any more.
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(RegistryError::login(reference, operation, login.is_some()));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            let reason = format!("its server of tokens, {server}, answers with the status {}", status.as_u16());
            return Err(RegistryError::Unreachable { reference: reference.clone(), reason });
        }
        status => {
            let status = status.as_u16();
            return Err(unusable(format!("its server of tokens, {server}, answers with the status {status}")));
        }
    }
    // What the server has sent may be a secret, so it is in no message.
    let token = body.and_then(|body| read(&body, asked));
    token.ok_or_else(|| unusable(format!("its server of tokens, {server}, sends no token")))
}

/// The host of a server, with its port if it is named.
fn server(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The token of an answer. `None`: there is none, or it can't be sent in a header.
fn read(body: &[u8], asked: Instant) -> Option<Token> {
    let Answer { token, access_token, expires_in } = serde_json::from_slice(body).ok()?;
    let text = [token, access_token].into_iter().flatten().find(|text| !text.is_empty())?;
    let mut header = HeaderValue::from_str(&format!("Bearer {text}")).ok()?;
    header.set_sensitive(true);
    let lifetime = Duration::from_secs(expires_in.as_u64().unwrap_or(LIFETIME).min(24 * 60 * 60));
    Some(Token { text, header, until: asked + lifetime })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&'static str]) -> Challenge {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        Challenge::of(&headers)
    }

    #[test]
    fn a_challenge_is_read() {
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        };
        let hub = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\"";
        let scoped = "bearer REALM=\"https://a/b?c=d\",scope=\"repository:x:pull,push\",error=\"insufficient_scope\"";
        for (values, expected) in [
            (&[][..], Challenge::Nothing),
            (&["Negotiate"], Challenge::Nothing),
            (&["Basic realm=\"x\""], Challenge::Basic),
            (&[hub], bearer("https://auth.docker.io/token", Some("registry.docker.io"))),
            (&[scoped], bearer("https://a/b?c=d", None)),
            (&["Basic realm=\"x\"", hub], bearer("https://auth.docker.io/token", Some("registry.docker.io"))),
            (&["Basic realm=\"x\", Bearer realm=\"https://y/\""], bearer("https://y/", None)),
            (&["Bearer service=\"no realm\""], Challenge::Nothing),
        ] {
            assert_eq!(challenge(values), expected, "{values:?}");
        }
    }

    #[test]
    fn the_token_of_an_answer_is_read() {
        let now = Instant::now();
        for (body, text, seconds) in [
            (r#"{"token": "a", "expires_in": 300, "issued_at": "now"}"#, "a", 300),
            (r#"{"access_token": "b"}"#, "b", 60),
            (r#"{"token": "", "access_token": "c", "expires_in": "soon"}"#, "c", 60),
            (r#"{"token": null, "access_token": "d", "expires_in": 18446744073709551615}"#, "d", 86_400),
        ] {
            let token = read(body.as_bytes(), now).expect(body);
            assert_eq!((token.text.as_str(), token.until - now), (text, Duration::from_secs(seconds)), "{body}");
            assert_eq!(token.header, format!("Bearer {text}").as_str());
        }
        for body in ["", "no JSON", "[]", "{}", r#"{"token": ""}"#, r#"{"token": "a\nb: c"}"#, r#"{"token": 5}"#] {
            assert!(read(body.as_bytes(), now).is_none(), "{body}");
        }
    }
}

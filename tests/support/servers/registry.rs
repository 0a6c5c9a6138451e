//! An OCI registry: docker's own, `docker-registry`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::certificates::Certificate;
use crate::servers::{Server, free_port, listens, missing};
use crate::token_server::{ISSUER, SERVICE, TokenServer};

/// The user name and the password of a registry that wants a login.
pub const USER: &str = "tester";
pub const PASSWORD: &str = "a good password";

/// The line of an `htpasswd` file for them: bcrypt of the password.
const LOGIN: &str = "tester:$2b$04$YCdXP8R95boVVbZ0H5CY1OrDsyFgJHDmzWzBmMe1Vw3Ezy.TFURZe\n";

/// What a registry wants from those who use it.
#[derive(Clone, Copy)]
pub enum Wants<'a> {
    Nothing,
    /// A user name and a password.
    Login,
    /// A token of this server.
    Token(&'a TokenServer),
}

pub struct Registry {
    server: Server,
    folder: PathBuf,
}

impl Registry {
    /// Starts a registry whose files are in this folder. `None`: the server is not available here.
    pub fn start(folder: &Path, wants: Wants) -> Option<Self> {
        Self::start_with(folder, wants, None)
    }

    /// Starts a registry that speaks TLS with this certificate.
    pub fn start_with(folder: &Path, wants: Wants, certificate: Option<&Certificate>) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program =
            std::env::split_paths(&path).map(|folder| folder.join("docker-registry")).find(|file| file.exists());
        let Some(program) = program else {
            missing("docker-registry", "scripts/setup/registry.sh");
            return None;
        };
        let (port, storage) = (free_port(), folder.join("registry"));
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let mut text = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            storage.display()
        );
        if let Some(Certificate { chain, key }) = certificate {
            let (chain, key) = (file("registry.pem", chain), file("registry.key", key));
            write!(text, "  tls:\n    certificate: {chain}\n    key: {key}\n").expect("text");
        }
        match wants {
            Wants::Nothing => {}
            Wants::Login => {
                let htpasswd = file("htpasswd", LOGIN);
                write!(text, "auth:\n  htpasswd:\n    realm: test\n    path: {htpasswd}\n").expect("text");
            }
            Wants::Token(tokens) => {
                let roots = file("tokens.pem", &tokens.certificate);
                let realm = &tokens.realm;
                write!(
                    text,
                    "auth:\n  token:\n    realm: {realm}\n    service: {SERVICE}\n    issuer: {ISSUER}\n    rootcertbundle: {roots}\n"
                )
                .expect("text");
            }
        }
        let args = ["serve".to_owned(), file("registry.yml", &text)];
        Some(Self { server: Server::start(port, &program, &args, listens), folder: storage })
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The name of something in the registry: `NAME:TAG`.
    pub fn name(&self, name: &str) -> String {
        format!("oci://127.0.0.1:{}/{name}", self.server.port)
    }

    /// An address in the registry's API.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/v2/{path}", self.server.port)
    }

    /// The file with the bytes of this digest (`sha256:…`).
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        self.folder.join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }
}

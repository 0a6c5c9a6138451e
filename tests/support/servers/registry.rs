//! An OCI registry: docker's own, `docker-registry`.

use std::path::{Path, PathBuf};

use crate::servers::{Server, free_port, listens, missing};

/// The user name and the password of a registry that wants a login.
pub const USER: &str = "tester";
pub const PASSWORD: &str = "a good password";

/// The line of an `htpasswd` file for them: bcrypt of the password.
const LOGIN: &str = "tester:$2b$04$YCdXP8R95boVVbZ0H5CY1OrDsyFgJHDmzWzBmMe1Vw3Ezy.TFURZe\n";

pub struct Registry {
    server: Server,
    folder: PathBuf,
}

impl Registry {
    /// Starts a registry whose files are in this folder. `None`: the server is not available here.
    pub fn start(folder: &Path, wants_login: bool) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program =
            std::env::split_paths(&path).map(|folder| folder.join("docker-registry")).find(|file| file.exists());
        let Some(program) = program else {
            missing("docker-registry", "scripts/setup/registry.sh");
            return None;
        };
        let (port, storage) = (free_port(), folder.join("registry"));
        let htpasswd = folder.join("htpasswd");
        std::fs::write(&htpasswd, LOGIN).expect("a file");
        let login = match wants_login {
            true => format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", htpasswd.display()),
            false => String::new(),
        };
        let text = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n{login}",
            storage.display()
        );
        let config = folder.join("registry.yml");
        std::fs::write(&config, text).expect("a file");
        let args = ["serve".to_owned(), config.display().to_string()];
        Some(Self { server: Server::start(port, &program, &args, listens), folder: storage })
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

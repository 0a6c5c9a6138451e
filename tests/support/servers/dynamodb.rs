//! DynamoDB Local.

use std::path::Path;
use std::sync::OnceLock;

use super::{Server, free_port, java, listens, missing};

/// Starts a server. `None`: the server is not available here.
pub fn start() -> Option<Server> {
    start_in(&[])
}

/// The same, with these variables in the server's environment.
pub fn start_in(variables: &[(&str, String)]) -> Option<Server> {
    let Some(lib) = java::class_path("dynamodb") else {
        missing("DynamoDB Local", "scripts/setup/dynamodb.sh");
        return None;
    };
    let port = free_port();
    let mut args = java::arguments(&lib);
    args.insert(0, format!("-Djava.library.path={}", lib.display()));
    let more = ["com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-disableTelemetry", "-port"];
    args.extend(more.map(str::to_owned));
    args.push(port.to_string());
    Some(Server::start_in(variables, port, Path::new("java"), &args, listens))
}

/// The server that all tests of this program share. `None`: the server is not available here.
pub fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

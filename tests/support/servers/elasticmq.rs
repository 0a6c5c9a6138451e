//! ElasticMQ, which speaks the protocol of SQS.

use std::path::Path;
use std::sync::OnceLock;

use super::{Server, free_port, java, listens, missing};

/// Starts a server. `None`: the server is not available here.
pub fn start() -> Option<Server> {
    start_in(&[])
}

/// The same, with these variables in the server's environment.
pub fn start_in(variables: &[(&str, String)]) -> Option<Server> {
    let Some(lib) = java::class_path("elasticmq") else {
        missing("ElasticMQ", "scripts/setup/elasticmq.sh");
        return None;
    };
    let port = free_port();
    let mut args = vec![
        "-Drest-sqs.bind-hostname=127.0.0.1".to_owned(),
        format!("-Drest-sqs.bind-port={port}"),
        // The server names a queue by the address at which it was asked.
        format!("-Dnode-address.port={port}"),
        "-Dnode-address.host=127.0.0.1".to_owned(),
        "-Drest-stats.enabled=false".to_owned(),
    ];
    args.extend(java::arguments(&lib));
    args.push("org.elasticmq.server.Main".to_owned());
    Some(Server::start_in(variables, port, Path::new("java"), &args, listens))
}

/// The server that all tests of this program share. `None`: the server is not available here.
pub fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

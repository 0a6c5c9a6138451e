//! ElasticMQ, which speaks SQS.

use std::path::Path;
use std::sync::OnceLock;

use super::{Server, free_port, java, listens, missing};

/// A server of its own; `None`: it can't be had here.
pub fn start() -> Option<Server> {
    let Some(lib) = java::class_path("elasticmq") else {
        missing("ElasticMQ", "scripts/setup/elasticmq.sh");
        return None;
    };
    let port = free_port();
    let mut args = vec![
        "-Drest-sqs.bind-hostname=127.0.0.1".to_owned(),
        format!("-Drest-sqs.bind-port={port}"),
        // Queues are named by the address that they were asked at.
        format!("-Dnode-address.port={port}"),
        "-Dnode-address.host=127.0.0.1".to_owned(),
        "-Drest-stats.enabled=false".to_owned(),
    ];
    args.extend(java::arguments(&lib));
    args.push("org.elasticmq.server.Main".to_owned());
    Some(Server::start(port, Path::new("java"), &args, listens))
}

/// The one that all tests of this program share; `None`: it can't be had here.
pub fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

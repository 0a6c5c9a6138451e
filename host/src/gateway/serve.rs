//! The accept loop: bounded in connections, headers and time, and ends gracefully.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

use crate::worker::Shutdown;

/// Each costs a task and some buffers; more wait in the system's backlog.
const CONNECTIONS: u64 = 1024;

/// A client that takes longer for its request's head is broken or hostile.
const HEADERS: Duration = Duration::from_secs(10);

/// Request line and headers; arguments in a query are short, and a JSON body has its own limit.
const HEADER_BYTES: usize = 64 << 10;

/// How long a client may read nothing of its answer, and how long its connection may live: whoever reads a byte at a time
/// holds an answer of megabytes. Clients open another one.
const STALLED: Duration = Duration::from_secs(15);
const AGE: Duration = Duration::from_mins(5);

/// How long open requests may take once the gateway was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// After a failure to accept (out of file descriptors, mostly): trying at once would only burn a core.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until it is asked to stop, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, shutdown: &Shutdown) {
    let slots = Arc::new(Semaphore::new(usize::try_from(connections()).unwrap_or(1)));
    let graceful = GracefulShutdown::new();
    let stopped = shutdown.wait();
    tokio::pin!(stopped);
    loop {
        let accepting = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            _ = &mut stopped => break,
            accepted = accepting => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("could not accept a connection: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // An answer is one small write: waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(STALLED));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _slot = slot;
            match tokio::time::timeout(AGE, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!("a connection ended: {error}"),
                Err(_) => tracing::debug!("a connection was ended, because it is {AGE:?} old"),
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

/// How many connections at once: no more than half of the files that this process may open, so that a flood of them does
/// not keep it from its backend.
fn connections() -> u64 {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    files.map_or(CONNECTIONS, |files| (files / 2).clamp(1, CONNECTIONS))
}

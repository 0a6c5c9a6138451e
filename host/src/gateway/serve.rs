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

use crate::worker::Shutdown;

/// Each costs a task and some buffers; more wait in the system's backlog.
const CONNECTIONS: usize = 1024;

/// A client that takes longer for its request's head is broken or hostile.
const HEADERS: Duration = Duration::from_secs(10);

/// Request line and headers; arguments in a query are short, and a JSON body has its own limit.
const HEADER_BYTES: usize = 64 << 10;

/// How long open requests may take once the gateway was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// After a failure to accept (out of file descriptors, mostly): trying at once would only burn a core.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until it is asked to stop, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, shutdown: &Shutdown) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
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
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

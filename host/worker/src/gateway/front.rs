//! A socket that answers from the start of the process: `/healthz` and `/readyz` at once, and all else when the gateway
//! serves. Until then, requests wait, as they would in the backlog of the socket.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower_service::Service as _;

use super::guard::Guard;
use super::probes;
use super::serve::{self, Bounds};
use crate::health::Health;
use crate::topic_worker::Shutdown;

/// A socket that answers before its gateway serves.
pub struct Front {
    address: Option<SocketAddr>,
    gateway: watch::Sender<Option<Router>>,
    serving: JoinHandle<()>,
}

impl Front {
    /// Answers on this socket, until it is asked to stop.
    #[must_use]
    pub fn open(listener: TcpListener, health: &Health, shutdown: &Shutdown) -> Self {
        health.watch();
        let (address, gateway) = (listener.local_addr().ok(), watch::Sender::new(None));
        let guard = Guard::new((None, None), address, Vec::new());
        let router = Router::new().fallback(pass_on).with_state(gateway.subscribe());
        let router = router.merge(probes::router(health.clone(), None, guard));
        let shutdown = shutdown.clone();
        let serving = tokio::spawn(async move { serve::serve(listener, router, &shutdown, Bounds::default()).await });
        Self { address, gateway, serving }
    }

    /// The address of the socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Passes all other requests on to the gateway, until it is asked to stop.
    pub(super) async fn serve(self, gateway: Router) {
        self.gateway.send_replace(Some(gateway));
        // It ends by itself, and a panic was reported.
        let _ = self.serving.await;
    }
}

async fn pass_on(State(mut gateway): State<watch::Receiver<Option<Router>>>, request: Request) -> Response {
    let router = match gateway.wait_for(Option::is_some).await {
        Ok(router) => router.clone(),
        // The process ends without having served.
        Err(_) => None,
    };
    match router.unwrap_or_default().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

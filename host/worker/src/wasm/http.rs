//! `wasi:http`: requests of guests, as their permissions allow.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Error as SendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error, RequestOptions, Result, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::client::{self, CONNECT, Clients, GuestClient, LeadsInside};
use super::http_limits;
use super::output::{Printer, Touch};
use super::state::State;
use crate::permissions::{Grants, Reach, leads_inside};

/// The most concurrent requests of one run. Further requests wait. Browsers and clients use similar limits. There is no
/// limit over all runs: a user with very many concurrent runs must raise the limit of open files.
const AT_ONCE: usize = 32;

/// The most bytes of a body that a guest may pass at once, because they are copied into the host's memory. Each body
/// that nobody reads holds two such pieces, and a run may have thousands of bodies.
const PIECE: usize = 16 << 10;

/// The most refused hosts that the log names. A component that asks for more invents their names.
const MAX_LOGGED: usize = 100;

/// Links `wasi:http` for every component, so that a component that imports it can be loaded with any permissions.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    http_limits::add_to_linker(linker)
}

/// The permissions of one component's runs, and the clients that they use.
#[derive(Default)]
pub(super) struct Access {
    /// The permissions of the component, applied to this machine.
    pub grants: Grants,
    clients: Arc<Clients>,
    /// The refused hosts that the log has named already.
    logged: Mutex<Vec<String>>,
}

impl Access {
    /// The runs of all components share the clients, and so the connections.
    pub fn new(grants: Grants, clients: Arc<Clients>) -> Self {
        Self { grants, clients, logged: Mutex::default() }
    }

    /// Checks whether a request may go to this host, and which addresses it may reach.
    fn check(&self, uri: &Uri, task: &str) -> Result<Target> {
        let refused = |text: String| Err(Error::InternalError(Some(text)));
        let (Some(authority), Some(host)) = (uri.authority(), uri.host().filter(|host| !host.is_empty())) else {
            return refused("the request names no host".to_owned());
        };
        if authority.as_str().contains('@') {
            return refused("a URL with a user in it is not sent; use the header `authorization`".to_owned());
        }
        let tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let target = |reach| Target { tls, host: host.to_owned(), port, reach };
        self.grants.check_http(tls, host, port).map(target).map_err(|text| self.refused(host, port, task, text))
    }

    /// The error of a refused request. It is also logged, once for each host.
    fn refused(&self, host: &str, port: u16, task: &str, text: String) -> Error {
        let host_and_port = format!("{host}:{port}");
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < MAX_LOGGED && !logged.contains(&host_and_port) {
            tracing::warn!("{task}: {text}");
            logged.push(host_and_port);
        }
        Error::InternalError(Some(text))
    }
}

/// The host that a request goes to.
struct Target {
    tls: bool,
    host: String,
    port: u16,
    reach: Reach,
}

/// The state of a run for `wasi:http`.
pub(super) struct Http {
    ctx: WasiHttpCtx,
    sender: Sender,
}

struct Sender {
    access: Arc<Access>,
    printer: Printer,
    room: Arc<Semaphore>,
    in_flight: OpenRequests,
    traceparent: Option<HeaderValue>,
}

/// The number of requests that a run waits for. While there are any, the run's clock follows the real time.
#[derive(Clone, Default)]
pub(super) struct OpenRequests(Arc<AtomicUsize>);

impl OpenRequests {
    /// Does the run wait for a request?
    pub fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    fn one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }
}

struct Counted(OpenRequests);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let in_flight = self.in_flight();
        let http = self.http.get_or_insert_with(|| {
            let sender = Sender {
                access: self.access.clone(),
                printer: self.printer.clone(),
                room: Arc::new(Semaphore::new(AT_ONCE)),
                in_flight,
                traceparent: self.traceparent.clone(),
            };
            let mut ctx = WasiHttpCtx::new();
            ctx.set_field_size_limit(http_limits::FIELDS);
            Box::new(Http { ctx, sender })
        });
        WasiHttpCtxView { ctx: &mut http.ctx, table: &mut self.table, hooks: &mut http.sender }
    }
}

/// The result of a request: a response, and a task that would drive the connection. The client has its own tasks for
/// that.
type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<()>> + Send>)>;

impl WasiHttpHooks for Sender {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (access, task) = (self.access.clone(), self.printer.task());
        let target = match access.check(request.uri(), &task) {
            Ok(target) => target,
            Err(refused) => return Box::new(async { Err(refused) }),
        };
        if let Some(traceparent) = &self.traceparent {
            // A guest that traces by itself has its own.
            request.headers_mut().entry("traceparent").or_insert_with(|| traceparent.clone());
        }
        self.printer.touch(Touch::Http);
        let client = match access.clients.get(target.reach) {
            Ok(client) => client,
            Err(error) => return Box::new(async move { Err(Error::InternalError(Some(error.to_string()))) }),
        };
        let (room, counted) = (self.room.clone(), self.in_flight.one());
        Box::new(async move {
            let permit = room.acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)?;
            let sent = send(&client, request, options.unwrap_or_default(), (permit, counted)).await;
            let response = sent.map_err(|failed| match failed {
                Failed::LeadsInside(address) => {
                    let Target { tls, host, port, .. } = &target;
                    access.refused(host, *port, &task, leads_inside(*tls, host, *port, address))
                }
                Failed::Otherwise(error) => error,
            })?;
            Ok((response, Box::new(async { Ok(()) }) as Box<dyn Future<Output = Result<()>> + Send>))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE
    }
}

/// What a request holds until its answer was read or dropped.
type Hold = (OwnedSemaphorePermit, Counted);

/// Why a request was not sent, or not answered.
enum Failed {
    /// The host's name has this address, which the request may not reach.
    LeadsInside(IpAddr),
    Otherwise(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Otherwise(error)
    }
}

async fn send(
    client: &GuestClient,
    request: Request<WasiBody>,
    options: RequestOptions,
    hold: Hold,
) -> std::result::Result<Response<WasiBody>, Failed> {
    let host_and_port = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let answer = client.request(request);
    // If the guest sets no limit, the request ends with the run's time.
    let answer = match options.first_byte_timeout {
        Some(wait) => {
            // The connection may exist already. So the time for connecting can't be measured alone, and is added to the
            // limit.
            let wait = wait.saturating_add(options.connect_timeout.unwrap_or(CONNECT));
            tokio::time::timeout(wait, answer).await.map_err(|_| Error::HttpResponseTimeout)?
        }
        None => answer.await,
    };
    let response = answer.map_err(|error| of_sending(&host_and_port, &error))?;
    let idle = options.between_bytes_timeout.map(|idle| (idle, Box::pin(tokio::time::sleep(idle))));
    Ok(response.map(|body| Received { body, idle, _hold: hold }.boxed_unsync()))
}

/// The body of a response while it arrives.
struct Received {
    body: Incoming,
    idle: Option<(Duration, Pin<Box<tokio::time::Sleep>>)>,
    _hold: Hold,
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some((wait, timer)) = &mut this.idle {
                    timer.as_mut().reset(Instant::now() + *wait);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(|error| of_hyper(&error))))
            }
            Poll::Pending => match &mut this.idle {
                Some((_, timer)) => timer.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout))),
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The error as text if WASI has no code for it, because guests show the text to their authors.
fn of_sending(host_and_port: &str, error: &SendError) -> Failed {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(LeadsInside(address)) = error.downcast_ref() {
            return Failed::LeadsInside(*address);
        }
        cause = error.source();
    }
    in_words(host_and_port, error).into()
}

fn in_words(host_and_port: &str, error: &SendError) -> Error {
    let mut cause = error.source();
    let mut last = error.to_string();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return of_hyper(error);
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => return Error::ConnectionRefused,
                io::ErrorKind::TimedOut => return Error::ConnectionTimeout,
                _ => {}
            }
        }
        last = error.to_string();
        cause = error.source();
    }
    let what = if error.is_connect() { "no connection to " } else { "" };
    Error::InternalError(Some(format!("{what}{host_and_port}: {last}")))
}

fn of_hyper(error: &hyper::Error) -> Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let cut = matches!(
        cause,
        Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted)
    );
    if cut || error.is_incomplete_message() {
        return Error::HttpResponseIncomplete;
    }
    if error.is_parse_too_large() {
        return Error::HttpResponseHeaderSectionSize(u32::try_from(client::HEAD).ok());
    }
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Error::InternalError(Some(format!("{error}{cause}")))
}

//! `wasi:http`: requests of guests, to where their permissions let them.

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

/// Requests of one run that are under way at once; further ones wait. What browsers and clients allow themselves. There
/// is no bound over all runs: who lets very many run at once raises the limit of open files.
const AT_ONCE: usize = 32;

/// What a guest may hand over at once of a body: it is copied into the host's memory. Two of them wait in each body that
/// nobody takes, of which a run may have thousands.
const PIECE: usize = 16 << 10;

/// Refused hosts that the log names; whoever asks for more of them is making them up.
const TOLD: usize = 100;

/// Links `wasi:http`, so that a component that imports it can be loaded whatever it may do.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    http_limits::add_to_linker(linker)
}

/// What the runs of one component may touch, and how they get there.
#[derive(Default)]
pub(super) struct Access {
    pub grants: Grants,
    clients: Arc<Clients>,
    /// Hosts that were refused and named in the log.
    told: Mutex<Vec<String>>,
}

impl Access {
    /// Runs of all components share the clients, and so their connections.
    pub fn new(grants: Grants, clients: Arc<Clients>) -> Self {
        Self { grants, clients, told: Mutex::default() }
    }

    /// May a request go there, and how far?
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

    /// What is refused is in the log too, once a host.
    fn refused(&self, host: &str, port: u16, task: &str, text: String) -> Error {
        let place = format!("{host}:{port}");
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD && !told.contains(&place) {
            tracing::warn!("{task}: {text}");
            told.push(place);
        }
        Error::InternalError(Some(text))
    }
}

/// Where a request goes.
struct Target {
    tls: bool,
    host: String,
    port: u16,
    reach: Reach,
}

/// A run's part in `wasi:http`.
pub(super) struct Http {
    ctx: WasiHttpCtx,
    sender: Sender,
}

struct Sender {
    access: Arc<Access>,
    printer: Printer,
    room: Arc<Semaphore>,
    in_flight: OpenRequests,
}

/// How many requests a run waits for: as long as there are some, time passes for it as it does outside.
#[derive(Clone, Default)]
pub(super) struct OpenRequests(Arc<AtomicUsize>);

impl OpenRequests {
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
            };
            let mut ctx = WasiHttpCtx::new();
            ctx.set_field_size_limit(http_limits::FIELDS);
            Box::new(Http { ctx, sender })
        });
        WasiHttpCtxView { ctx: &mut http.ctx, table: &mut self.table, hooks: &mut http.sender }
    }
}

/// What comes of a request: a response, and a task that drives the connection, of which the client has its own.
type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<()>> + Send>)>;

impl WasiHttpHooks for Sender {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (access, task) = (self.access.clone(), self.printer.task());
        let target = match access.check(request.uri(), &task) {
            Ok(target) => target,
            Err(refused) => return Box::new(async { Err(refused) }),
        };
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

/// What a request holds until the last of its answer is read or given up.
type Hold = (OwnedSemaphorePermit, Counted);

/// Why a request was not sent, or not answered.
enum Failed {
    /// The host's name has this address, to which the request may not go.
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
    let place = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let answer = client.request(request);
    // Without a limit of the guest's own, it is the run's time that ends.
    let answer = match options.first_byte_timeout {
        Some(wait) => {
            // A connection that is there already is used, so connecting has no time that could be told apart.
            let wait = wait.saturating_add(options.connect_timeout.unwrap_or(CONNECT));
            tokio::time::timeout(wait, answer).await.map_err(|_| Error::HttpResponseTimeout)?
        }
        None => answer.await,
    };
    let response = answer.map_err(|error| of_sending(&place, &error))?;
    let idle = options.between_bytes_timeout.map(|idle| (idle, Box::pin(tokio::time::sleep(idle))));
    Ok(response.map(|body| Received { body, idle, _hold: hold }.boxed_unsync()))
}

/// The body of a response, as it comes.
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

/// In words, where WASI's codes have none: a guest shows them to its author.
fn of_sending(place: &str, error: &SendError) -> Failed {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(LeadsInside(address)) = error.downcast_ref() {
            return Failed::LeadsInside(*address);
        }
        cause = error.source();
    }
    in_words(place, error).into()
}

fn in_words(place: &str, error: &SendError) -> Error {
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
    Error::InternalError(Some(format!("{what}{place}: {last}")))
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

//! One request over `wasi:http`, without redirects.
//!
//! What belongs to something is dropped before it, or the host stops the guest: pollables before their streams, streams
//! before their bodies. Locals are dropped in the reverse of their order here.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme, http_error_code,
};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::{OutputStream, StreamError};

use super::url::Url;
use super::{Error, Kind, Request, Response};
use crate::io::Ready;

/// Read at once of a body: what the host reads ahead.
const PIECE: u64 = 64 << 10;

/// The end of a request's time.
pub(super) struct Timer {
    ready: std::cell::RefCell<Ready>,
}

impl Timer {
    pub(super) fn new(timeout: Duration) -> Self {
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self { ready: std::cell::RefCell::new(Ready::new(monotonic_clock::subscribe_duration(nanoseconds))) }
    }
}

/// Waits for a pollable, in time.
async fn wait(pollable: Pollable, timer: Option<&Timer>) -> Result<(), Error> {
    let mut ready = pin!(Ready::new(pollable));
    poll_fn(|context| {
        if ready.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let late = timer.is_some_and(|timer| Pin::new(&mut *timer.ready.borrow_mut()).poll(context).is_ready());
        if late { Poll::Ready(Err(Error::new(Kind::Timeout, "no whole answer in its time"))) } else { Poll::Pending }
    })
    .await
}

pub(super) async fn once(request: &Request, url: &Url, timer: Option<&Timer>) -> Result<Response, Error> {
    let invalid = |what: &str| Error::new(Kind::Invalid, format!("{what} is not what HTTP takes"));
    let fields = Fields::from_list(&request.headers)
        .map_err(|error| Error::new(Kind::Invalid, format!("a header is not what HTTP takes: {error:?}")))?;
    if !request.body.is_empty() && !fields.has("content-length") {
        // As it is known, it is said: not every server takes a body in chunks.
        let length = request.body.len().to_string().into_bytes();
        fields.set("content-length", &[length]).map_err(|_| invalid("its length"))?;
    }
    let outgoing = OutgoingRequest::new(fields);
    outgoing.set_method(&method(&request.method)).map_err(|()| invalid("the method"))?;
    let scheme = if url.is_https() { Scheme::Https } else { Scheme::Http };
    outgoing.set_scheme(Some(&scheme)).map_err(|()| invalid("the scheme"))?;
    outgoing.set_authority(Some(url.authority())).map_err(|()| invalid("the host"))?;
    outgoing.set_path_with_query(Some(&url.path_and_query())).map_err(|()| invalid("the path"))?;

    let body = outgoing.body().map_err(|()| invalid("the body"))?;
    let answer = outgoing_handler::handle(outgoing, None).map_err(|code| failed(&code))?;
    upload(body, &request.body, timer).await?;
    let response = loop {
        if let Some(got) = answer.get() {
            let Ok(got) = got else { return Err(Error::new(Kind::Failed, "its answer was taken already")) };
            break got.map_err(|code| failed(&code))?;
        }
        wait(answer.subscribe(), timer).await?;
    };
    let headers = response.headers().entries();
    let body = download(&response, timer).await?;
    Ok(Response { status: response.status(), headers, body, url: String::new() })
}

/// Sends a body. A server that does not want all of it says so in its response, which is what counts.
async fn upload(body: OutgoingBody, bytes: &[u8], timer: Option<&Timer>) -> Result<(), Error> {
    let whole = {
        let Ok(stream) = body.write() else { return Err(Error::new(Kind::Failed, "its body cannot be sent")) };
        write(&stream, bytes, timer).await?
    };
    if whole {
        // Fails where the request has failed, which its answer tells.
        let _ = OutgoingBody::finish(body, None);
    }
    Ok(())
}

/// Has all been written?
async fn write(stream: &OutputStream, mut bytes: &[u8], timer: Option<&Timer>) -> Result<bool, Error> {
    while !bytes.is_empty() {
        let Ok(room) = stream.check_write() else { return Ok(false) };
        if room == 0 {
            wait(stream.subscribe(), timer).await?;
            continue;
        }
        let (piece, rest) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        if stream.write(piece).is_err() {
            return Ok(false);
        }
        bytes = rest;
    }
    Ok(stream.flush().is_ok())
}

async fn download(response: &IncomingResponse, timer: Option<&Timer>) -> Result<Vec<u8>, Error> {
    let gone = |()| Error::new(Kind::Failed, "its body was taken already");
    let body = response.consume().map_err(gone)?;
    let stream = body.stream().map_err(gone)?;
    let mut bytes = Vec::new();
    loop {
        match stream.read(PIECE) {
            Ok(piece) if piece.is_empty() => wait(stream.subscribe(), timer).await?,
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(match http_error_code(&error) {
                    Some(code) => failed(&code),
                    // Of a body, hosts tell it in words alone.
                    None => Error::new(Kind::Failed, error.to_debug_string()),
                });
            }
        }
    }
}

fn method(method: &str) -> Method {
    match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// In words. The host says itself what has no code of its own: what it does not allow, above all.
fn failed(code: &ErrorCode) -> Error {
    let (kind, text) = match code {
        ErrorCode::InternalError(Some(text)) => (Kind::Failed, text.clone()),
        ErrorCode::ConnectionRefused => (Kind::Failed, "connection refused".into()),
        ErrorCode::ConnectionTimeout => (Kind::Timeout, "no connection in time".into()),
        ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => {
            (Kind::Timeout, "no answer in time".into())
        }
        ErrorCode::HttpResponseIncomplete => (Kind::Failed, "incomplete HTTP response".into()),
        ErrorCode::HttpResponseHeaderSectionSize(_) => (Kind::Failed, "the response has too large headers".into()),
        other => (Kind::Failed, format!("{other:?}")),
    };
    Error::new(kind, text)
}

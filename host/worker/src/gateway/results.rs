//! Holds the results that are being sent, in bounded memory: a client that reads slowly keeps its result in memory
//! while it reads. Clients that read the same result share one copy.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use axum::body::Body;
use brrr_protocol::codec;
use brrr_protocol::model::CallHash;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// A result of up to this many bytes does not count: the number of connections bounds those.
const SMALL: usize = 64 << 10;

/// The most bytes of all larger results that are being sent: several of the largest size.
const ROOM: usize = 128 << 20;

/// The most results that are read from the backend at the same time. The size of a result is known only after it was
/// read.
const READS: usize = 16;

/// A connection buffers about one piece of this size, not the whole result.
const PIECE: usize = 64 << 10;

/// The memory for results.
pub struct Results {
    reads: Semaphore,
    room: Arc<Semaphore>,
    bytes: usize,
    sending: Mutex<HashMap<CallHash, Weak<HeldResult>>>,
}

impl Default for Results {
    fn default() -> Self {
        Self::of(ROOM)
    }
}

/// A large result with its share of the memory. It is kept while a connection has a piece of it to send.
struct HeldResult {
    value: Bytes,
    json: Option<Range<usize>>,
    _room: OwnedSemaphorePermit,
}

/// The owner of the memory behind a `Bytes`.
struct Owner(Arc<HeldResult>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0.value
    }
}

/// A result that has its share of the memory.
pub struct Sendable {
    value: Bytes,
    json: Option<Range<usize>>,
}

impl Results {
    fn of(bytes: usize) -> Self {
        Self { reads: Semaphore::new(READS), room: Arc::new(Semaphore::new(bytes)), bytes, sending: Mutex::default() }
    }

    /// Waits for a permit to read a result from the backend. The caller keeps the permit until the result has its share
    /// of the memory.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.reads.acquire().await.ok()
    }

    /// Reserves memory for a result of this call. `None`: the other results take too much.
    pub fn room_for(&self, call: &CallHash, value: Bytes) -> Option<Sendable> {
        let value = if value.is_empty() { Bytes::from_static(codec::json(&[])) } else { value };
        if value.len() <= SMALL {
            let json = json_in(&value);
            return Some(Sendable { value, json });
        }
        let sent = self.lock().get(call).and_then(Weak::upgrade);
        // A value can be forgotten and computed again while the old value is being sent, so the values are compared.
        if let Some(held) = sent.filter(|held| held.value == value) {
            return Some(Sendable::of(held));
        }
        // A result that is larger than the whole memory may be sent if no other result is being sent.
        let bytes = u32::try_from(value.len().min(self.bytes)).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(bytes).ok()?;
        let held = Arc::new(HeldResult { json: json_in(&value), value, _room: room });
        let mut sending = self.lock();
        sending.retain(|_, held| held.strong_count() > 0);
        sending.insert(call.clone(), Arc::downgrade(&held));
        Some(Sendable::of(held))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CallHash, Weak<HeldResult>>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json_in(value: &Bytes) -> Option<Range<usize>> {
    let json = serde_json::from_slice::<&RawValue>(value).ok()?.get();
    // `json` is a part of `value`, without the white space around it.
    let start = json.as_ptr().addr() - value.as_ptr().addr();
    Some(start..start + json.len())
}

impl Sendable {
    fn of(held: Arc<HeldResult>) -> Self {
        let json = held.json.clone();
        Self { value: Bytes::from_owner(Owner(held)), json }
    }

    /// Is it JSON?
    pub fn is_json(&self) -> bool {
        self.json.is_some()
    }

    /// The bytes of the result.
    pub fn bytes(&self) -> &[u8] {
        &self.value
    }

    /// The bytes as they are. JSON is put between `before` and `after`.
    pub fn into_body(self, before: impl Into<Bytes>, after: &'static str) -> Body {
        let parts = match self.json {
            Some(json) => [before.into(), self.value.slice(json), Bytes::from(after)],
            None => [Bytes::new(), self.value, Bytes::new()],
        };
        Body::new(Pieces(parts))
    }
}

/// A body in pieces. Its bytes are not copied.
struct Pieces([Bytes; 3]);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.iter_mut().find(|part| !part.is_empty());
        Poll::Ready(next.map(|part| Ok(Frame::data(part.split_to(part.len().min(PIECE))))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|part| part.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn call(name: &str) -> CallHash {
        name.into()
    }

    fn large(filling: u8) -> Bytes {
        Bytes::from(vec![filling; SMALL + 1])
    }

    #[tokio::test]
    async fn readers_of_one_result_share_it_and_others_are_bounded() {
        let results = Results::of(2 * (SMALL + 1));
        let one: Vec<_> = (0..50).map(|_| results.room_for(&call("a"), large(b'1')).unwrap()).collect();
        assert!(one.windows(2).all(|pair| pair[0].value.as_ptr() == pair[1].value.as_ptr()), "one copy");
        // A result of another call, and another value of the same call.
        let two = results.room_for(&call("a"), large(b'2')).unwrap();
        assert!(results.room_for(&call("b"), large(b'3')).is_none());
        assert!(results.room_for(&call("b"), Bytes::from(vec![b'3'; SMALL])).is_some(), "a small one takes no room");
        // The memory stays reserved while a piece of the body exists.
        let mut body = two.into_body("", "");
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert!(results.room_for(&call("b"), large(b'3')).is_none());
        drop(piece);
        let larger_than_all = Bytes::from(vec![b'4'; 10 * SMALL]);
        assert!(results.room_for(&call("c"), larger_than_all.clone()).is_none());
        drop(one);
        assert!(results.room_for(&call("c"), larger_than_all).is_some());
        assert_eq!(results.lock().len(), 1);
    }

    #[tokio::test]
    async fn json_is_wrapped_and_other_bytes_are_not() {
        let sent = async |value: &'static str| {
            let body = Results::default().room_for(&call("a"), Bytes::from(value)).unwrap().into_body("<", ">");
            let length = http_body::Body::size_hint(&body).exact();
            let bytes = body.collect().await.unwrap().to_bytes();
            assert_eq!(length, Some(bytes.len() as u64));
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        assert_eq!(sent(" [1.0, 2] \n").await, "<[1.0, 2]>");
        assert_eq!(sent("no json").await, "no json");
        assert_eq!(sent("").await, "<null>");
    }
}

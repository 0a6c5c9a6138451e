//! The results that are being sent: all of them together are bounded in memory, because a client that reads slowly keeps
//! its result for as long as it reads. Clients that read the same result share one copy of it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use axum::body::Body;
use brrr_protocol::model::CallHash;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// A result of up to this many bytes takes no room: the number of connections bounds those.
const SMALL: usize = 64 << 10;

/// Bytes of all larger results that are being sent: some of the largest.
const ROOM: usize = 128 << 20;

/// Results that are read from the backend at the same time: how large one is, is known only when it is there.
const READS: usize = 16;

/// A connection buffers about one of these pieces, not the whole result.
const PIECE: usize = 64 << 10;

/// Room for results.
pub struct Results {
    reads: Semaphore,
    room: Arc<Semaphore>,
    bytes: usize,
    sending: Mutex<HashMap<CallHash, Weak<Held>>>,
}

impl Default for Results {
    fn default() -> Self {
        Self::of(ROOM)
    }
}

/// A large result and its room, for as long as a connection has a piece of it to send.
struct Held {
    value: Bytes,
    json: Option<Range<usize>>,
    _room: OwnedSemaphorePermit,
}

/// What `Bytes` owns of it.
struct Owner(Arc<Held>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0.value
    }
}

/// A result that has its room.
pub struct Sendable {
    value: Bytes,
    json: Option<Range<usize>>,
}

impl Results {
    fn of(bytes: usize) -> Self {
        Self { reads: Semaphore::new(READS), room: Arc::new(Semaphore::new(bytes)), bytes, sending: Mutex::default() }
    }

    /// Waits for its turn to read a result from the backend. Whoever has it keeps it until the result has its room.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.reads.acquire().await.ok()
    }

    /// Finds room for a result of this call. `None`: too many others are being sent.
    pub fn room_for(&self, call: &CallHash, value: Bytes) -> Option<Sendable> {
        if value.len() <= SMALL {
            let json = json_in(&value);
            return Some(Sendable { value, json });
        }
        let sent = self.lock().get(call).and_then(Weak::upgrade);
        // A value can be forgotten and computed again while an old one is being sent.
        if let Some(held) = sent.filter(|held| held.value == value) {
            return Some(Sendable::of(held));
        }
        // One that is larger than all the room is sent alone.
        let bytes = u32::try_from(value.len().min(self.bytes)).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(bytes).ok()?;
        let held = Arc::new(Held { json: json_in(&value), value, _room: room });
        let mut sending = self.lock();
        sending.retain(|_, held| held.strong_count() > 0);
        sending.insert(call.clone(), Arc::downgrade(&held));
        Some(Sendable::of(held))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CallHash, Weak<Held>>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json_in(value: &Bytes) -> Option<Range<usize>> {
    let json = serde_json::from_slice::<&RawValue>(value).ok()?.get();
    // A part of `value`, without the white space around it.
    let start = json.as_ptr().addr() - value.as_ptr().addr();
    Some(start..start + json.len())
}

impl Sendable {
    fn of(held: Arc<Held>) -> Self {
        let json = held.json.clone();
        Self { value: Bytes::from_owner(Owner(held)), json }
    }

    /// Is it JSON?
    pub fn is_json(&self) -> bool {
        self.json.is_some()
    }

    /// The bytes as they are; JSON is put between `before` and `after`.
    pub fn into_body(self, before: &'static str, after: &'static str) -> Body {
        let parts = match self.json {
            Some(json) => [Bytes::from(before), self.value.slice(json), Bytes::from(after)],
            None => [Bytes::new(), self.value, Bytes::new()],
        };
        Body::new(Pieces(parts))
    }
}

/// A body in pieces. None of them is copied.
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
        // Another result, and another value of the same call.
        let two = results.room_for(&call("a"), large(b'2')).unwrap();
        assert!(results.room_for(&call("b"), large(b'3')).is_none());
        assert!(results.room_for(&call("b"), Bytes::from(vec![b'3'; SMALL])).is_some(), "a small one takes no room");
        // The room is taken for as long as a piece of the body is there.
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
    }
}

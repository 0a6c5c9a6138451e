//! The bodies of requests: each bounded, and all of them together, because many clients may send at once what one may.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body: as large as a result may be unless told otherwise, so that one can be handed on.
pub const BODY: usize = 16 << 20;

/// Bytes of all bodies that are held at once: some of the largest.
const BODIES: usize = 64 << 20;

/// Room for bodies.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

/// A body, with the room that it takes.
pub struct Held {
    pub bytes: BytesMut,
    _room: Option<OwnedSemaphorePermit>,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BODIES)))
    }
}

impl Room {
    /// Reads a body to its end.
    ///
    /// # Errors
    /// A status, and what is wrong in words: the body is too large, there is no room, or it was cut off.
    pub async fn read(&self, body: Body) -> Result<Held, (StatusCode, &'static str)> {
        const TOO_LARGE: (StatusCode, &str) = (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 16 MiB");
        let mut body = body;
        // What is announced is known before the first byte of it.
        if http_body::Body::size_hint(&body).lower() > BODY as u64 {
            return Err(TOO_LARGE);
        }
        let mut held = Held { bytes: BytesMut::new(), _room: None };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "the body was cut off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if held.bytes.len() + data.len() > BODY {
                return Err(TOO_LARGE);
            }
            let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let Ok(more) = self.0.clone().try_acquire_many_owned(length) else {
                return Err((StatusCode::SERVICE_UNAVAILABLE, "too many large requests at once; try again later"));
            };
            match &mut held._room {
                Some(room) => room.merge(more),
                none => *none = Some(more),
            }
            held.bytes.extend_from_slice(&data);
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_share_their_room_and_give_it_back() {
        let room = Room(Arc::new(Semaphore::new(10)));
        let read = async |text: &'static str| room.read(Body::from(text)).await.map(|held| held.bytes.len());
        let held = room.read(Body::from("123456")).await.ok().unwrap();
        assert_eq!(read("12345").await.unwrap_err().0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(read("1234").await, Ok(4));
        drop(held);
        assert_eq!(read("1234567890").await, Ok(10));
        assert_eq!(read("").await, Ok(0));
    }

    #[tokio::test]
    async fn one_that_is_too_large_is_refused() {
        let refused = Room::default().read(Body::from(vec![b' '; BODY + 1])).await.err().unwrap();
        assert_eq!(refused.0, StatusCode::PAYLOAD_TOO_LARGE);
    }
}

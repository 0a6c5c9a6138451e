//! Reads the bodies of requests, in bounded memory. There is a bound for each body and a bound for all bodies, because
//! many clients may send bodies of the largest size at once. A client that sends slowly occupies its part of this
//! memory, so it must make progress. A small body does not count.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::pace::Pace;

/// The most bytes of a body. This is the default limit of a result, so that a result can be passed on as a body.
pub const BODY: usize = 16 << 20;

/// The most bytes of all bodies that are held at once: several of the largest size.
const BODIES: usize = 64 << 20;

/// The first bytes of each body, which do not count: the number of connections bounds them. So a few large bodies don't
/// block the small ones.
const SMALL: usize = 64 << 10;

/// The limits of bodies.
#[derive(Clone, Copy, Debug)]
pub struct Bodies {
    /// The most bytes of a body.
    pub most: usize,
    /// The most bytes of all bodies that are held at once.
    pub all: usize,
    /// What a client is told whose body is too large.
    pub too_large: &'static str,
}

/// The memory for bodies.
#[derive(Clone)]
pub struct Room {
    bodies: Bodies,
    bytes: Arc<Semaphore>,
    pace: Pace,
}

/// A body, with its share of the memory.
pub struct HeldBody {
    /// The bytes of the body.
    pub bytes: BytesMut,
    _room: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Memory for bodies whose clients must keep this pace.
    pub fn new(pace: Pace) -> Self {
        Self::of(Bodies { most: BODY, all: BODIES, too_large: "the body is larger than 16 MiB" }, pace)
    }

    /// Memory for bodies with these limits.
    pub fn of(bodies: Bodies, pace: Pace) -> Self {
        Self { bodies, bytes: Arc::new(Semaphore::new(bodies.all)), pace }
    }

    /// Reads a body that is not wanted, as far as a body may reach.
    pub async fn drain(&self, body: Body) {
        let (mut body, mut left) = (body, self.bodies.most);
        let (mut last_progress, mut came) = (Instant::now(), 0);
        while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(last_progress + self.pace.within, body.frame()).await {
            let size = frame.data_ref().map_or(0, bytes::Bytes::len);
            let Some(rest) = left.checked_sub(size) else { return };
            left = rest;
            came += size;
            if came >= self.pace.bytes {
                (last_progress, came) = (Instant::now(), 0);
            }
        }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// A status and a text: the body is too large, there is no memory for it, it came too slowly or was cut off.
    pub async fn read(&self, body: Body) -> Result<HeldBody, (StatusCode, &'static str)> {
        let Bodies { most, too_large, .. } = self.bodies;
        let too_large = (StatusCode::PAYLOAD_TOO_LARGE, too_large);
        let mut body = body;
        // The announced length is known before the first byte of the body.
        if http_body::Body::size_hint(&body).lower() > most as u64 {
            return Err(too_large);
        }
        let mut held = HeldBody { bytes: BytesMut::new(), _room: None };
        let (mut last_progress, mut came) = (Instant::now(), 0);
        loop {
            let Ok(frame) = tokio::time::timeout_at(last_progress + self.pace.within, body.frame()).await else {
                return Err((StatusCode::REQUEST_TIMEOUT, "the body came too slowly"));
            };
            let Some(frame) = frame else { return Ok(held) };
            let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "the body was cut off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if held.bytes.len() + data.len() > most {
                return Err(too_large);
            }
            let beyond = |length: usize| length.saturating_sub(SMALL);
            let more = beyond(held.bytes.len() + data.len()) - beyond(held.bytes.len());
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            let Ok(more) = self.bytes.clone().try_acquire_many_owned(more) else {
                return Err((StatusCode::SERVICE_UNAVAILABLE, "too many large requests at once; try again later"));
            };
            match &mut held._room {
                Some(room) => room.merge(more),
                none => *none = Some(more),
            }
            held.bytes.extend_from_slice(&data);
            came += data.len();
            if came >= self.pace.bytes {
                (last_progress, came) = (Instant::now(), 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PACE: Pace = Pace { bytes: 1_000, within: Duration::from_secs(1) };

    #[tokio::test]
    async fn large_bodies_share_a_budget_and_small_bodies_need_none() {
        let room = Room::of(Bodies { most: BODY, all: 10, too_large: "" }, PACE);
        let read = async |beyond: usize| {
            let body = Body::from(vec![b' '; SMALL + beyond]);
            room.read(body).await.map_err(|(status, _)| status)
        };
        let held = read(6).await.ok().unwrap();
        assert_eq!(read(5).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
        let rest = read(4).await.ok().unwrap();
        assert_eq!(read(1).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(read(0).await.ok().unwrap().bytes.len(), SMALL, "small ones are let in");
        drop((held, rest));
        assert!(read(10).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused() {
        let refused = Room::new(PACE).read(Body::from(vec![b' '; BODY + 1])).await.err().unwrap();
        assert_eq!(refused.0, StatusCode::PAYLOAD_TOO_LARGE);
    }

    /// A body in pieces of a size. A piece comes each 50 ms.
    fn slow(size: usize, pieces: u32) -> Body {
        let stream = futures_util::stream::unfold(0, move |n| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            (n < pieces).then(|| (Ok::<_, std::convert::Infallible>(vec![b' '; size]), n + 1))
        });
        Body::from_stream(stream)
    }

    #[tokio::test]
    async fn progress_counts_and_the_total_time_does_not() {
        let room = Room::new(PACE);
        let (steady, trickle) = tokio::join!(room.read(slow(200, 40)), room.read(slow(1, 40)));
        assert_eq!(steady.map_err(|(status, _)| status).ok().unwrap().bytes.len(), 8_000);
        assert_eq!(trickle.err().unwrap().0, StatusCode::REQUEST_TIMEOUT);
    }
}

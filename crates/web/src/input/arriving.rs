//! A body on its way, part by part, from a sender that may drip or stop.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use steward_base::{Error, ErrorKind};
use tokio::time::Sleep;

use crate::site::Limits;

pub(super) struct Arriving {
    body: HttpBody,
    pause: Duration,
    rate: u32,
    /// A sender that drips keeps every pause short: what counts is the time in all, and more of it is earned only by bytes.
    deadline: Pin<Box<Sleep>>,
}

impl Arriving {
    pub(super) fn new(body: HttpBody, limits: &Limits) -> Self {
        let deadline = Box::pin(tokio::time::sleep(limits.body_time));
        Self { body, pause: limits.body_pause, rate: limits.body_rate.max(1), deadline }
    }

    /// The next part; `None` at the end. Fails with `slow_body` or `broken_body`.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let slow = || Error::new(ErrorKind::RequestTimeout, "slow_body", "The body did not arrive in time. Send it again.");
        loop {
            let frame = tokio::select! {
                biased;
                () = &mut self.deadline => return Err(slow()),
                frame = tokio::time::timeout(self.pause, self.body.frame()) => frame.map_err(|_| slow())?,
            };
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| {
                Error::new(ErrorKind::Malformed, "broken_body", "The body ended before it was complete. Send it again.").with_source(error)
            })?;
            if let Ok(data) = frame.into_data() {
                let earned = Duration::from_secs_f64(data.len() as f64 / f64::from(self.rate));
                let end = self.deadline.deadline() + earned;
                self.deadline.as_mut().reset(end);
                return Ok(Some(data));
            }
        }
    }
}

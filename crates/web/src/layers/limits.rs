//! Bounds on the head of a request; the body has its own where it is read.

use axum::extract::Request;
use steward_base::{Error, ErrorKind};

use crate::site::Limits;

pub(super) fn check(request: &Request, limits: &Limits) -> Result<(), Error> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.target_bytes {
        let detail = format!("Path and query may have {} bytes together.", limits.target_bytes);
        return Err(Error::new(ErrorKind::TooLarge, "target_too_large", detail));
    }
    let size = |(name, value): (&http::HeaderName, &http::HeaderValue)| name.as_str().len() + value.len();
    let (largest, total) = request.headers().iter().map(size).fold((0, 0), |(largest, total), size| (size.max(largest), total + size));
    if largest > limits.header_bytes || total > limits.headers_bytes {
        let detail = format!("One header may have {} bytes, all together {}.", limits.header_bytes, limits.headers_bytes);
        return Err(Error::new(ErrorKind::HeadersTooLarge, "headers_too_large", detail));
    }
    Ok(())
}

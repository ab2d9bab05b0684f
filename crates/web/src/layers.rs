//! Everything between the socket and the router, in one list.

mod headers;
mod limits;
mod log;
mod panics;
mod strip;
mod trace;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower::ServiceBuilder;

use crate::site::Site;

/// Puts the layers around a router, outermost first. Authentication is not here: each operation says whom it lets in, and `Call::read` asks.
pub(crate) fn around(router: Router, site: &Site) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(from_fn_with_state(site.clone(), trace::layer))
            .layer(from_fn_with_state(site.clone(), log::layer))
            .layer(from_fn_with_state(site.clone(), headers::layer))
            .layer(from_fn_with_state(site.clone(), panics::layer))
            .layer(from_fn_with_state(site.clone(), limits::layer))
            .layer(from_fn_with_state(site.clone(), strip::layer)),
    )
}

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload};
use postrider_application::{Error, access::Caller};

use crate::{origin::origin, problem::Problem};

/// Whom authentication let in.
pub(crate) struct Authenticated(pub(crate) Caller);

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        // A guarded route outside of the guarded scope: our fault, and never an open door.
        ready(
            caller
                .map(Self)
                .ok_or_else(|| Error::internal("no caller: the route is not guarded").into()),
        )
    }
}

/// Whoever calls a public route: nobody known, whatever they present, but from somewhere.
pub(crate) struct Anybody(pub(crate) Caller);

impl FromRequest for Anybody {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(Caller::anonymous().from(origin(request)))))
    }
}

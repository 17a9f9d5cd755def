use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{Header as _, IF_MATCH},
};
use postrider_application::{Error, ErrorCode, IfMatch};
use postrider_domain::Version;

use crate::problem::Problem;

/// What the request presumes of the resource that it changes: `If-Match` (RFC 9110, section 13.1.1).
pub(crate) struct Presumed(pub(crate) IfMatch);

impl FromRequest for Presumed {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request).map(Self).map_err(Into::into))
    }
}

fn read(request: &HttpRequest) -> Result<IfMatch, Error> {
    use actix_web::http::header::IfMatch as Sent;

    if !request.headers().contains_key(IF_MATCH) {
        return Ok(IfMatch::Unsaid);
    }
    let malformed = |_| {
        Error::new(
            ErrorCode::MalformedRequest,
            "If-Match must be * or a list of entity tags",
        )
    };
    Ok(match Sent::parse(request).map_err(malformed)? {
        Sent::Any => IfMatch::Any,
        // A weak tag never matches strongly; one that is not ours matches nothing.
        Sent::Items(tags) => IfMatch::OneOf(
            tags.iter()
                .filter(|tag| !tag.weak)
                .filter_map(|tag| tag.tag().parse().ok().map(Version))
                .collect(),
        ),
    })
}

/// The entity tag of a version, for the `ETag` of answers.
pub(crate) fn etag(version: Version) -> String {
    format!("\"{}\"", version.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn of(values: &[&str]) -> Result<IfMatch, ErrorCode> {
        let mut request = TestRequest::default();
        for value in values {
            request = request.append_header((IF_MATCH, *value));
        }
        read(&request.to_http_request()).map_err(|error| error.code())
    }

    #[test]
    fn tags_are_versions() {
        let versions = |list: &[u32]| Ok(IfMatch::OneOf(list.iter().copied().map(Version).collect()));
        assert_eq!(of(&[]), Ok(IfMatch::Unsaid));
        assert_eq!(of(&["*"]), Ok(IfMatch::Any));
        assert_eq!(of(&[&etag(Version(3))]), versions(&[3]));
        assert_eq!(of(&["\"1\", \"2\""]), versions(&[1, 2]));
        assert_eq!(of(&["W/\"1\""]), versions(&[]));
        assert_eq!(of(&["\"another's\""]), versions(&[]));
    }
}

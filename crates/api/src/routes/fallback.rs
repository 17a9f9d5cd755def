use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse, Resource, Route,
    dev::ResourceDef,
    http::{Method, header},
    web,
};
use utoipa::openapi::PathItem;

use crate::{openapi, problem::Problem};

/// Every documented path with its methods.
static ROUTES: LazyLock<Vec<(ResourceDef, Vec<&'static str>)>> = LazyLock::new(|| {
    openapi::document()
        .paths
        .paths
        .iter()
        .map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item)))
        .collect()
});

fn methods(item: &PathItem) -> Vec<&'static str> {
    [
        ("GET", item.get.is_some()),
        // Wherever GET is.
        ("HEAD", item.get.is_some()),
        ("PUT", item.put.is_some()),
        ("POST", item.post.is_some()),
        ("PATCH", item.patch.is_some()),
        ("DELETE", item.delete.is_some()),
    ]
    .into_iter()
    .filter_map(|(method, there)| there.then_some(method))
    .collect()
}

/// What no route served: a known path with another method, or no path of ours.
pub(crate) fn fallback() -> Route {
    web::to(unserved)
}

/// What follows the routes of a path that a pattern matches as well: another method of it is none of the pattern's.
pub(super) fn nothing_else(path: &str) -> Resource {
    web::resource(path).default_service(fallback())
}

async fn unserved(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let allow = allowed(request.path());
    if allow.is_empty() {
        Err(Problem::no_such_path())
    } else if *request.method() == Method::OPTIONS {
        let allow = allow.join(", ");
        Ok(HttpResponse::NoContent()
            .insert_header((header::ALLOW, allow))
            .finish())
    } else {
        Err(Problem::method_not_allowed(allow))
    }
}

/// The methods of a path: those of its own, and not of a pattern that matches it besides.
fn allowed(path: &str) -> Vec<&'static str> {
    let own = ROUTES
        .iter()
        .filter(|(pattern, _)| pattern.is_match(path))
        .min_by_key(|(pattern, _)| pattern.pattern().unwrap_or_default().matches('{').count());
    own.map(|(_, methods)| methods.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_its_own_has_its_own_methods() {
        assert_eq!(allowed("/v1/applications/a/messages/batch"), ["POST"]);
        assert_eq!(allowed("/v1/applications/a/messages/other"), ["GET", "HEAD"]);
        assert_eq!(allowed("/v1/invitations/accept"), ["POST"]);
        assert_eq!(allowed("/v1/invitations/inv_1"), ["DELETE"]);
        assert!(allowed("/v1/nowhere").is_empty());
    }
}

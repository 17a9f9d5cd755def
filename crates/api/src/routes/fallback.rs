use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse, Route,
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

async fn unserved(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let allow: Vec<_> = ROUTES
        .iter()
        .filter(|(path, _)| path.is_match(request.path()))
        .flat_map(|(_, methods)| methods.iter().copied())
        .collect();
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

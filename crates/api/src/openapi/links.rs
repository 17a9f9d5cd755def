//! What may follow: from what was created or listed to all that can be done to it.

use utoipa::openapi::{Paths, RefOr, link::LinkBuilder};

use super::operations;

/// An operation on one thing of a collection.
struct Follower {
    id: String,
    /// The collection's path.
    collection: String,
    /// What stands for the thing in the path.
    item: String,
}

/// Adds a link from each operation that creates or lists something to each that is about one such thing.
pub(super) fn add(paths: &mut Paths) {
    let mut followers = Vec::new();
    for (path, item) in &mut paths.paths {
        let Some((collection, name)) = thing(path) else {
            continue;
        };
        for (_, operation) in operations(item) {
            if let Some(id) = &operation.operation_id {
                followers.push(Follower {
                    id: id.clone(),
                    collection: collection.clone(),
                    item: name.clone(),
                });
            }
        }
    }
    for (path, item) in &mut paths.paths {
        for (method, operation) in operations(item) {
            let (statuses, place): (&[&str], _) = match method {
                "POST" => (&["201", "202"], "$response.body#"),
                "GET" => (&["200"], "$response.body#/data/0"),
                _ => continue,
            };
            let body_of = |item: &str| format!("{place}/{}", if item == "name" { "name" } else { "id" });
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if !statuses.contains(&status.as_str()) {
                    continue;
                }
                for follower in followers.iter().filter(|follower| follower.collection == *path) {
                    let mut link = LinkBuilder::new()
                        .operation_id(&follower.id)
                        .parameter(&follower.item, body_of(&follower.item));
                    for outer in parameters(path) {
                        link = link.parameter(outer, format!("$request.path.{outer}"));
                    }
                    response.links.insert(follower.id.clone(), link.build().into());
                }
            }
        }
    }
}

/// The collection of a path that is about one thing of it, and the thing's parameter: of `/a/{b}` and `/a/{b}/c`.
fn thing(path: &str) -> Option<(String, String)> {
    let (collection, rest) = path.rsplit_once("/{")?;
    let (name, _) = rest.split_once('}')?;
    Some((collection.to_owned(), name.to_owned()))
}

fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_the_last_that_a_path_names() {
        let of = |path| thing(path).map(|(collection, name)| format!("{collection} {name}"));
        assert_eq!(of("/v1/a"), None);
        assert_eq!(of("/v1/a/{b}").unwrap(), "/v1/a b");
        assert_eq!(of("/v1/a/{b}/c/{d}/e").unwrap(), "/v1/a/{b}/c d");
        assert_eq!(parameters("/v1/a/{b}/c/{d}/e").collect::<Vec<_>>(), ["b", "d"]);
    }
}

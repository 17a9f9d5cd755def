//! The Rust blocks of docs/architecture.md: routes with their signatures, structs with their fields.

use std::collections::BTreeMap;

use syn::spanned::Spanned as _;

/// A route as it is written: `/* GET /v1/me */ fn get_me() -> Me;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Within the block, from 0.
    pub(super) line: usize,
    /// Method and path, abbreviations resolved.
    pub(super) operation: String,
    /// The function behind the comment, if one follows.
    pub(super) name: Option<String>,
}

/// A function without a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    /// Within the block, from 0.
    pub(super) line: usize,
    /// The type of the argument `body`.
    pub(super) body: Option<String>,
    pub(super) answer: Option<String>,
}

/// A type, and where it stands within the block, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) line: usize,
    pub(super) form: Form,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A struct with these fields.
    Fields(Vec<Field>),
    /// Another name of this type.
    Alias(String),
    /// One of several.
    Choice,
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    /// Of which type, without `Option`.
    pub(super) of: String,
    pub(super) optional: bool,
}

/// Something that is not allowed in the block: where, and what.
pub(super) type Fault = (usize, String);

/// The comments of `text` that name a route. `// A = /v1/b` says what a path beginning with `A` begins with.
pub(super) fn routes(text: &str) -> Vec<Route> {
    let abbreviations = abbreviations(text);
    let mut routes = Vec::new();
    for (at, _) in text.match_indices("/*") {
        let Some((comment, after)) = text[at + 2..].split_once("*/") else {
            continue;
        };
        let mut words = comment.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            continue;
        };
        let end = path.find('/').unwrap_or(path.len());
        let path = match abbreviations.get(&path[..end]) {
            Some(full) => format!("{full}{}", &path[end..]),
            None => path.to_owned(),
        };
        let name = after
            .trim_start()
            .strip_prefix("fn ")
            .and_then(|rest| rest.split_once('('));
        routes.push(Route {
            line: text[..at].matches('\n').count(),
            operation: format!("{method} {path}"),
            name: name.map(|(name, _)| name.trim().to_owned()),
        });
    }
    routes
}

fn abbreviations(text: &str) -> BTreeMap<String, String> {
    let mut known = BTreeMap::<String, String>::new();
    for part in text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("//"))
        .flat_map(|line| line.split('·'))
    {
        let Some((name, path)) = part.split_once(" = ") else {
            continue;
        };
        let (name, path) = (name.trim(), path.trim());
        let end = path.find('/').unwrap_or(path.len());
        let path = match known.get(&path[..end]) {
            Some(full) => format!("{full}{}", &path[end..]),
            None => path.to_owned(),
        };
        known.insert(name.to_owned(), path);
    }
    known
}

/// The functions of the traits in `text`, by name. Anything else, and any body, is a fault.
pub(super) fn signatures(text: &str) -> Result<(BTreeMap<String, Signature>, Vec<Fault>), Fault> {
    let file = parsed(text)?;
    let (mut found, mut faults) = (BTreeMap::new(), Vec::new());
    for item in &file.items {
        let syn::Item::Trait(of) = item else {
            faults.push((
                line(item.span()),
                "something that is no trait of signatures".to_owned(),
            ));
            continue;
        };
        for item in &of.items {
            let syn::TraitItem::Fn(function) = item else {
                faults.push((line(item.span()), "something that is no signature".to_owned()));
                continue;
            };
            let name = function.sig.ident.to_string();
            let place = line(function.sig.ident.span());
            if function.default.is_some() {
                faults.push((place, format!("`{name}` has a body")));
            }
            let signature = Signature {
                line: place,
                body: function.sig.inputs.iter().find_map(body),
                answer: match &function.sig.output {
                    syn::ReturnType::Default => None,
                    syn::ReturnType::Type(_, answer) => Some(written(answer)),
                },
            };
            if found.insert(name.clone(), signature).is_some() {
                faults.push((place, format!("`{name}` stands twice")));
            }
        }
    }
    Ok((found, faults))
}

/// The types of `text`, by name. Anything but types is a fault.
pub(super) fn shapes(text: &str) -> Result<(BTreeMap<String, Shape>, Vec<Fault>), Fault> {
    let (mut found, mut faults) = (BTreeMap::new(), Vec::new());
    for item in &parsed(text)?.items {
        let (name, form) = match item {
            syn::Item::Struct(of) => (
                &of.ident,
                Form::Fields(of.fields.iter().filter_map(field).collect()),
            ),
            syn::Item::Type(of) => (&of.ident, Form::Alias(written(&of.ty))),
            syn::Item::Enum(of) => (&of.ident, Form::Choice),
            other => {
                faults.push((line(other.span()), "something that is no type".to_owned()));
                continue;
            }
        };
        let place = line(name.span());
        let shape = Shape { line: place, form };
        if found.insert(name.to_string(), shape).is_some() {
            faults.push((place, format!("`{name}` stands twice")));
        }
    }
    Ok((found, faults))
}

fn parsed(text: &str) -> Result<syn::File, Fault> {
    syn::parse_file(text).map_err(|error| (line(error.span()), format!("the block is no Rust: {error}")))
}

fn line(place: proc_macro2::Span) -> usize {
    place.start().line.saturating_sub(1)
}

fn body(argument: &syn::FnArg) -> Option<String> {
    match argument {
        syn::FnArg::Typed(argument) => match &*argument.pat {
            syn::Pat::Ident(name) if name.ident == "body" => Some(written(&argument.ty)),
            _ => None,
        },
        syn::FnArg::Receiver(_) => None,
    }
}

fn field(field: &syn::Field) -> Option<Field> {
    let name = field.ident.as_ref()?.to_string();
    let of = written(&field.ty);
    let inner = of.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>'));
    Some(Field {
        name: name.trim_start_matches("r#").to_owned(),
        optional: inner.is_some(),
        of: inner.unwrap_or(&of).to_owned(),
    })
}

/// A type as it is written, without blanks: `List<Endpoint>`.
fn written(of: &syn::Type) -> String {
    let syn::Type::Path(path) = of else {
        return "?".to_owned();
    };
    let Some(last) = path.path.segments.last() else {
        return "?".to_owned();
    };
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return last.ident.to_string();
    };
    let arguments: Vec<_> = arguments
        .args
        .iter()
        .map(|argument| match argument {
            syn::GenericArgument::Type(of) => written(of),
            _ => "?".to_owned(),
        })
        .collect();
    format!("{}<{}>", last.ident, arguments.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_with_their_abbreviations() {
        let text = "// A = /v1/a/{a} · B = A/b\n/* GET A */ fn get() -> X; /* PUT B/{b} */ fn put();\n/* GET /c */ struct C;\n";
        let found: Vec<_> = routes(text)
            .into_iter()
            .map(|route| (route.line, route.operation, route.name))
            .collect();
        assert_eq!(
            found,
            [
                (1, "GET /v1/a/{a}".to_owned(), Some("get".to_owned())),
                (1, "PUT /v1/a/{a}/b/{b}".to_owned(), Some("put".to_owned())),
                (2, "GET /c".to_owned(), None),
            ]
        );
    }

    #[test]
    fn bodies_and_other_items_are_faults() {
        let (found, faults) =
            signatures("trait A {\n    fn a(id: Id, body: New) -> List<X>;\n    fn b() {}\n}\nstruct C;\n")
                .unwrap();
        let a = &found["a"];
        assert_eq!(
            (a.line, a.body.as_deref(), a.answer.as_deref()),
            (1, Some("New"), Some("List<X>"))
        );
        let faults: Vec<_> = faults.into_iter().map(|(line, _)| line).collect();
        assert_eq!(faults, [2, 4]);
        assert!(signatures("fn (").is_err());
    }

    #[test]
    fn fields_say_whether_they_are_optional() {
        let (found, faults) =
            shapes("struct A { r#type: String, b: Option<List<C>> }\ntype D = String;\nfn e() {}\n").unwrap();
        let Form::Fields(fields) = &found["A"].form else {
            panic!("{found:?}");
        };
        let fields: Vec<_> = fields
            .iter()
            .map(|f| (f.name.as_str(), f.of.as_str(), f.optional))
            .collect();
        assert_eq!(fields, [("type", "String", false), ("b", "List<C>", true)]);
        assert_eq!(found["D"].form, Form::Alias("String".to_owned()));
        assert_eq!(faults.len(), 1);
    }
}

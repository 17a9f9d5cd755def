//! What the code says: events, use cases, operations of the API, the stations of a request.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use proc_macro2::TokenTree;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::Repository;

const EVENTS: &str = "crates/domain/src/events.rs";
const FORMS: &str = "crates/application/src/ports/event_forms.rs";
const USE_CASES: &str = "crates/application/src/";
const API: &str = "crates/api/src/";
const PIPELINE: &str = "crates/api/src/pipeline.rs";

/// A name, and where the code has it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) line: usize,
}

impl Named {
    fn new(name: impl Into<String>, file: &str, place: proc_macro2::Span) -> Self {
        Self {
            name: name.into(),
            file: file.to_owned(),
            line: place.start().line,
        }
    }
}

/// What is told: by aggregates (`DomainEvent::kind`), or in the log alone (`EVENT_FORMS`).
pub(super) fn events(repository: &Repository) -> anyhow::Result<Vec<Named>> {
    let mut texts = Texts::default();
    for item in &parsed(repository, EVENTS)?.items {
        if let syn::Item::Impl(of) = item
            && name_of(&of.self_ty).as_deref() == Some("DomainEvent")
        {
            for item in &of.items {
                if let syn::ImplItem::Fn(function) = item
                    && function.sig.ident == "kind"
                {
                    texts.visit_impl_item_fn(function);
                }
            }
        }
    }
    let mut events = texts.named(EVENTS);
    ensure!(!events.is_empty(), "{EVENTS}: DomainEvent::kind names no events");
    let mut texts = Texts::default();
    for item in &parsed(repository, FORMS)?.items {
        if let syn::Item::Const(constant) = item
            && constant.ident == "EVENT_FORMS"
        {
            texts.visit_item_const(constant);
        }
    }
    let forms = texts.named(FORMS);
    ensure!(!forms.is_empty(), "{FORMS}: EVENT_FORMS names no events");
    for form in forms {
        if !events.iter().any(|event| event.name == form.name) {
            events.push(form);
        }
    }
    Ok(events)
}

/// The types that implement `Request`, but for those of tests.
pub(super) fn use_cases(repository: &Repository) -> anyhow::Result<Vec<Named>> {
    let mut use_cases = BTreeMap::new();
    let files: Vec<_> = repository
        .files()
        .filter(|file| file.starts_with(USE_CASES) && has_extension(file, "rs"))
        .collect();
    for file in files {
        if repository.read(file)?.contains("Request for ") {
            collect_requests(file, &parsed(repository, file)?.items, &mut use_cases);
        }
    }
    ensure!(!use_cases.is_empty(), "{USE_CASES}: nothing implements `Request`");
    Ok(use_cases.into_values().collect())
}

fn collect_requests(file: &str, items: &[syn::Item], found: &mut BTreeMap<String, Named>) {
    for item in items {
        match item {
            syn::Item::Mod(module) if !is_test(&module.attrs) => {
                if let Some((_, items)) = &module.content {
                    collect_requests(file, items, found);
                }
            }
            syn::Item::Impl(of) if !is_test(&of.attrs) => {
                let is_request = of
                    .trait_
                    .as_ref()
                    .is_some_and(|(_, path, _)| ends_in(path, "Request"));
                if let (true, Some(name)) = (is_request, name_of(&of.self_ty)) {
                    let named = Named::new(&*name, file, of.self_ty.span());
                    found.insert(name, named);
                }
            }
            _ => {}
        }
    }
}

/// The operations of the API, by the ids that `utoipa::path` gives them.
pub(super) fn operations(repository: &Repository) -> anyhow::Result<Vec<Named>> {
    let mut operations = Vec::new();
    let files: Vec<_> = repository
        .files()
        .filter(|file| file.starts_with(API) && has_extension(file, "rs"))
        .collect();
    for file in files {
        if repository.read(file)?.contains("utoipa::path") {
            let mut ids = OperationIds::default();
            ids.visit_file(&parsed(repository, file)?);
            operations.extend(ids.0.into_iter().map(|(id, place)| Named::new(id, file, place)));
        }
    }
    ensure!(!operations.is_empty(), "{API}: no function has an operation id");
    Ok(operations)
}

/// `operation_id = "…"` in attributes `#[utoipa::path(…)]`.
#[derive(Default)]
struct OperationIds(Vec<(String, proc_macro2::Span)>);

impl<'ast> Visit<'ast> for OperationIds {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let (syn::Meta::List(list), true) = (&attribute.meta, ends_in(attribute.path(), "path")) else {
            return;
        };
        let mut words = list.tokens.clone().into_iter();
        while let Some(word) = words.next() {
            if matches!(&word, TokenTree::Ident(name) if name == "operation_id") {
                let id = words
                    .nth(1)
                    .map(|value| (syn::parse2(value.clone().into()), value.span()));
                if let Some((Ok(syn::Lit::Str(id)), place)) = id {
                    self.0.push((id.value(), place));
                }
            }
        }
    }
}

/// What a request passes, from the outside in: the `wrap`s of `outer_stations`, then those of `app`.
pub(super) fn stations(repository: &Repository) -> anyhow::Result<Vec<Named>> {
    let file = parsed(repository, PIPELINE)?;
    let mut stations = Vec::new();
    for function in ["outer_stations", "app"] {
        let mut wraps = Wraps::default();
        for item in &file.items {
            if let syn::Item::Fn(item) = item
                && item.sig.ident == function
            {
                wraps.visit_item_fn(item);
            }
        }
        ensure!(!wraps.0.is_empty(), "{PIPELINE}: {function} wraps nothing");
        stations.extend(wraps.0);
    }
    Ok(stations)
}

/// The names of what is wrapped around an app. A call further out is met first: its receiver is what it wraps.
#[derive(Default)]
struct Wraps(Vec<Named>);

impl<'ast> Visit<'ast> for Wraps {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "wrap"
            && let Some(argument) = call.args.first()
        {
            let mut names = Names::default();
            names.visit_expr(argument);
            let name = names.0.into_iter().find(|name| name != "from_fn");
            self.0
                .extend(name.map(|name| Named::new(name, PIPELINE, call.method.span())));
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// The names of functions called or handed on: of `Type::new()` the type's.
#[derive(Default)]
struct Names(Vec<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let segments: Vec<_> = path
            .path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        let of_type = segments
            .iter()
            .rev()
            .find(|name| name.starts_with(|c: char| c.is_uppercase()));
        self.0.extend(of_type.or(segments.last()).cloned());
    }
}

/// String literals.
#[derive(Default)]
struct Texts(Vec<(String, proc_macro2::Span)>);

impl Texts {
    fn named(self, file: &str) -> Vec<Named> {
        self.0
            .into_iter()
            .map(|(text, place)| Named::new(text, file, place))
            .collect()
    }
}

impl<'ast> Visit<'ast> for Texts {
    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.0.push((text.value(), text.span()));
    }

    // Documentation is text too.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

fn parsed(repository: &Repository, file: &str) -> anyhow::Result<syn::File> {
    syn::parse_file(&repository.read(file)?).with_context(|| format!("{file} does not parse"))
}

fn has_extension(file: &str, extension: &str) -> bool {
    std::path::Path::new(file)
        .extension()
        .is_some_and(|found| found == extension)
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|argument| argument == "test")
    })
}

fn ends_in(path: &syn::Path, name: &str) -> bool {
    path.segments.last().is_some_and(|segment| segment.ident == name)
}

fn name_of(of: &syn::Type) -> Option<String> {
    match of {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

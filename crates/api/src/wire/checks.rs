use std::borrow::Cow;

use postrider_application::{Error, Violation};
use postrider_domain::InvalidValue;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

/// The most violations of one answer; a body of nothing but faults shall not become a longer answer.
pub(crate) const MAX_VIOLATIONS: usize = 100;

/// A value, or nothing, and then its violation was noted.
pub(crate) type Checked<T> = Option<T>;

/// Collects what is wrong with a request, so that all of it is answered at once: first what `validator` says of the
/// wire type, then what the domain's value objects say.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<Violation>);

impl Checks {
    /// Begins with the rules that stand on the wire type itself.
    pub(crate) fn of(body: &impl Validate) -> Self {
        let mut checks = Self::default();
        if let Err(errors) = body.validate() {
            checks.take(&errors, "");
        }
        checks
    }

    fn take(&mut self, errors: &ValidationErrors, prefix: &str) {
        let mut fields: Vec<_> = errors.errors().iter().collect();
        // It is a hash map; an answer has an order.
        fields.sort_by(|a, b| a.0.cmp(b.0));
        for (field, kind) in fields {
            let field = format!("{prefix}{field}");
            match kind {
                ValidationErrorsKind::Field(errors) => {
                    for error in errors {
                        self.push(Violation {
                            field: field.clone().into(),
                            rule: error.code.clone(),
                            // Every rule on a wire type has a message. What it holds besides is the value.
                            message: error.message.as_deref().unwrap_or("is not valid").to_owned(),
                        });
                    }
                }
                ValidationErrorsKind::Struct(nested) => self.take(nested, &format!("{field}.")),
                ValidationErrorsKind::List(items) => {
                    for (index, nested) in items {
                        self.take(nested, &format!("{field}[{index}]."));
                    }
                }
            }
        }
    }

    /// Notes a violation.
    pub(crate) fn push(&mut self, violation: Violation) {
        if self.0.len() < MAX_VIOLATIONS {
            self.0.push(violation);
        }
    }

    /// The value, or its violation noted and nothing.
    pub(crate) fn check<T>(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        value: Result<T, InvalidValue>,
    ) -> Checked<T> {
        value
            .map_err(|invalid| self.push(Violation::new(field, invalid)))
            .ok()
    }

    /// As [`Self::check`], of a value that may be absent.
    pub(crate) fn optional<V, T>(
        &mut self,
        field: &'static str,
        value: Option<V>,
        parse: impl FnOnce(V) -> Result<T, InvalidValue>,
    ) -> Checked<Option<T>> {
        match value {
            None => Some(None),
            Some(value) => self.check(field, parse(value)).map(Some),
        }
    }

    /// As [`Self::check`], of each of a list, as `field[index]`. A list that the wire type's rules refused, being
    /// too long, is not looked at further.
    pub(crate) fn list<V, T>(
        &mut self,
        field: &'static str,
        values: Vec<V>,
        parse: impl Fn(V) -> Result<T, InvalidValue>,
    ) -> Checked<Vec<T>> {
        if self.0.iter().any(|violation| violation.field == field) {
            return None;
        }
        let before = self.0.len();
        let parsed: Vec<T> = values
            .into_iter()
            .enumerate()
            .filter_map(|(index, value)| self.check(format!("{field}[{index}]"), parse(value)))
            .collect();
        (self.0.len() == before).then_some(parsed)
    }

    /// All the values, or the error with every violation.
    pub(crate) fn all<V: AllThere>(self, values: V) -> Result<V::Values, Error> {
        if self.0.is_empty() {
            // A value is absent only if its violation was noted.
            values
                .all_there()
                .ok_or_else(|| Error::internal("a value is absent without a violation"))
        } else {
            Err(Error::invalid(self.0))
        }
    }
}

/// Several options that are all there, or not.
pub(crate) trait AllThere {
    /// What they hold.
    type Values;

    /// What they hold, if none is absent.
    fn all_there(self) -> Option<Self::Values>;
}

macro_rules! all_there {
    ($($name:ident),*) => {
        impl<$($name),*> AllThere for ($(Option<$name>,)*) {
            type Values = ($($name,)*);

            #[allow(non_snake_case, clippy::unused_unit, reason = "a macro over tuples of any length")]
            fn all_there(self) -> Option<Self::Values> {
                let ($($name,)*) = self;
                Some(($($name?,)*))
            }
        }
    };
}

all_there!();
all_there!(A);
all_there!(A, B);
all_there!(A, B, C);
all_there!(A, B, C, D);
all_there!(A, B, C, D, E);
all_there!(A, B, C, D, E, F);
all_there!(A, B, C, D, E, F, G);
all_there!(A, B, C, D, E, F, G, H);
all_there!(A, B, C, D, E, F, G, H, I);

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_domain::Name;

    #[derive(Validate)]
    struct Inner {
        #[validate(length(min = 3, code = "length", message = "must be from 3 characters"))]
        secret: String,
    }

    #[derive(Validate)]
    struct Outer {
        #[validate(nested)]
        inner: Inner,
        #[validate(nested)]
        list: Vec<Inner>,
        #[validate(length(max = 3, code = "too_long", message = "must have at most 3 entries"))]
        many: Vec<String>,
    }

    #[test]
    fn rules_of_the_wire_and_of_the_domain_are_answered_together() {
        let inner = |secret: &str| Inner {
            secret: secret.to_owned(),
        };
        let body = Outer {
            inner: inner("x"),
            list: vec![inner("long enough"), inner("y")],
            many: vec![String::new(); 4],
        };
        let mut checks = Checks::of(&body);
        let name = checks.check("name", Name::parse(""));
        let names = checks.list("names", vec!["a", "", "b"], Name::parse);
        let many = checks.list("many", body.many, |text| Name::parse(&text));
        let absent = checks.optional("absent", None, Name::parse);
        let error = checks.all((name, names, many, absent)).unwrap_err();
        let faults: Vec<_> = error.violations().iter().map(|v| (&*v.field, &*v.rule)).collect();
        assert_eq!(
            faults,
            [
                ("inner.secret", "length"),
                ("list[1].secret", "length"),
                ("many", "too_long"),
                ("name", "required"),
                ("names[1]", "required"),
            ]
        );
    }

    #[test]
    fn faults_are_bounded() {
        let mut checks = Checks::default();
        for _ in 0..1_000 {
            checks.check("name", Name::parse(""));
        }
        assert_eq!(checks.all(()).unwrap_err().violations().len(), MAX_VIOLATIONS);
    }

    #[test]
    fn values_come_back_when_nothing_is_wrong() {
        let mut checks = Checks::default();
        let name = checks.check("name", Name::parse("a"));
        let (name,) = checks.all((name,)).unwrap();
        assert_eq!(name.as_str(), "a");
    }
}

use std::fmt;

use super::is_passing;

/// An error of the database, reduced to what may be shown in a trace: the server's detail, which quotes values of
/// rows, is left out.
#[derive(Debug)]
pub(crate) struct Fault {
    message: String,
    code: Option<String>,
    constraint: Option<String>,
    /// Whether the same may succeed later.
    passing: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(code) = &self.code {
            write!(f, " (code {code})")?;
        }
        if let Some(constraint) = &self.constraint {
            write!(f, " (constraint {constraint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl From<&sqlx::Error> for Fault {
    fn from(error: &sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(database) => Self {
                message: database.message().to_owned(),
                code: database.code().map(std::borrow::Cow::into_owned),
                constraint: database.constraint().map(str::to_owned),
                passing: is_passing(error),
            },
            None => Self {
                passing: is_passing(error),
                ..Self::saying(error)
            },
        }
    }
}

impl Fault {
    /// No answer came in time; later one may.
    pub(crate) fn late(what: impl fmt::Display) -> Self {
        Self {
            passing: true,
            ..Self::saying(what)
        }
    }

    /// Whether the same may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        self.passing
    }

    /// The SQLSTATE, if the server said one.
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub(super) fn saying(what: impl fmt::Display) -> Self {
        Self {
            message: what.to_string(),
            code: None,
            constraint: None,
            passing: false,
        }
    }
}

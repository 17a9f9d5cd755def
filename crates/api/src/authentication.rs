//! Who calls: the middleware that answers before path, type or body are looked at.

use std::sync::Arc;

use actix_web::{
    Error, HttpMessage as _,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap},
    middleware::Next,
    web::Data,
};
use postrider_application::{
    ErrorCode, ErrorKind,
    access::{Caller, Identity, OnTenant, Principal, PrincipalId},
    authentication::Authenticator,
};
use postrider_crypto::OperatorTokens;
use postrider_domain::{
    TenantId,
    access::{Decision, Target, decide},
};
use secrecy::{ExposeSecret as _, SecretString};
use tracing_actix_web::RootSpan;

use crate::{ApiContext, origin::origin, problem::Problem};

/// The most bytes of a credential. Access tokens have below one thousand.
pub(crate) const MAX_BEARER: usize = 4_096;

/// Finds out who calls and hands it on as a [`Caller`]; whoever cannot say so goes no further.
pub(crate) async fn authenticate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let recognised = match request.app_data::<Data<ApiContext>>().cloned() {
        Some(context) => recognise(&context, request.headers()).await,
        // The context is always there: `pipeline::app` puts it.
        None => Err(postrider_application::Error::internal("no context")),
    };
    match recognised {
        Ok(identity) => {
            note(&request, &identity);
            let caller: Caller = identity.into();
            let caller = caller.from(origin(request.request()));
            request.extensions_mut().insert(caller);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(error) => {
            log_refusal(&error);
            // `into_response` would drop the error that the outer stations render.
            Ok(request.error_response(Problem::from(error)).map_into_right_body())
        }
    }
}

async fn recognise(context: &ApiContext, headers: &HeaderMap) -> postrider_application::Result<Identity> {
    let bearer = bearer(headers)?;
    if bearer.starts_with(OperatorTokens::PREFIX) {
        return context
            .operator_tokens
            .recognise(bearer)
            .map(Identity::Operator)
            .ok_or_else(|| unauthenticated("the credential is not valid, or not any more"));
    }
    context.authenticator.authenticate(bearer).await
}

/// Somebody who was let in, to be looked at again: for an answer that takes longer than a revocation may.
///
/// It keeps their credential, so it is never shown.
pub(crate) struct Standing {
    authenticator: Arc<Authenticator>,
    bearer: SecretString,
    tenant: TenantId,
    rule: OnTenant,
}

impl Standing {
    /// Of whoever makes a request with these headers, in `tenant`, where `rule` let them in.
    pub(crate) fn of(
        context: &ApiContext,
        headers: &HeaderMap,
        tenant: TenantId,
        rule: OnTenant,
    ) -> postrider_application::Result<Self> {
        let authenticator = context.authenticator.clone();
        Ok(Self::of_bearer(authenticator, bearer(headers)?, tenant, rule))
    }

    /// Of whoever presents `bearer`.
    pub(crate) fn of_bearer(
        authenticator: Arc<Authenticator>,
        bearer: &str,
        tenant: TenantId,
        rule: OnTenant,
    ) -> Self {
        Self {
            authenticator,
            bearer: bearer.into(),
            tenant,
            rule,
        }
    }

    /// Fails if they would not be let in now: their credential was revoked or has expired, what it may do was
    /// changed, or the tenant is being deleted.
    pub(crate) async fn check(&self) -> postrider_application::Result<()> {
        let identity = self
            .authenticator
            .authenticate(self.bearer.expose_secret())
            .await?;
        let may = |principal: &Principal| {
            let Principal {
                authority,
                tenant_status,
                ..
            } = principal;
            let decision = decide(authority, *tenant_status, self.rule.0, Target::Tenant);
            principal.tenant == self.tenant && matches!(decision, Decision::Allowed(_))
        };
        match &identity {
            Identity::Principal(principal) if may(principal) => Ok(()),
            _ => Err(postrider_application::Error::new(
                ErrorCode::Forbidden,
                "this is not allowed any more",
            )),
        }
    }
}

/// The one bearer credential of a request (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> postrider_application::Result<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unauthenticated("present an access token or an API key"));
    };
    let credential = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, credential)| credential.trim_matches(' '));
    match credential {
        Some(text)
            if (1..=MAX_BEARER).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Ok(text)
        }
        _ => Err(unauthenticated(
            "the Authorization header must be Bearer and one credential",
        )),
    }
}

fn unauthenticated(detail: &'static str) -> postrider_application::Error {
    postrider_application::Error::new(ErrorCode::Unauthenticated, detail)
}

/// The trace says for which tenant the request was made, and by whom.
fn note(request: &ServiceRequest, identity: &Identity) {
    let extensions = request.extensions();
    let Some(span) = extensions.get::<RootSpan>() else {
        return;
    };
    match identity {
        Identity::Anonymous => {}
        Identity::Operator(name) => {
            span.record("principal", &**name);
        }
        Identity::Principal(principal) => {
            let Principal { tenant, id, .. } = &**principal;
            span.record("tenant", tracing::field::display(tenant));
            let id = match id {
                PrincipalId::User(user, _) => user.to_string(),
                PrincipalId::ApiKey(key) => key.to_string(),
                PrincipalId::Portal(token) => token.to_string(),
            };
            span.record("principal", id);
        }
    }
}

fn log_refusal(error: &postrider_application::Error) {
    match error.code().kind() {
        // The mediator logs its own failures; this one never came so far.
        ErrorKind::Internal | ErrorKind::Unavailable => {
            tracing::error!(
                code = error.code().as_str(),
                error = error.chain(),
                "authentication failed"
            );
        }
        _ => tracing::debug!(reason = error.chain(), "authentication refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{AUTHORIZATION, HeaderValue};

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn one_bearer_credential_and_nothing_else() {
        assert_eq!(bearer(&headers(&["Bearer abc"])).unwrap(), "abc");
        assert_eq!(bearer(&headers(&["bearer  abc"])).unwrap(), "abc");
        let long = format!("Bearer {}", "x".repeat(4_097));
        for bad in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["Basic abc"],
            &["abc"],
            &["Bearer a b"],
            &["Bearer a", "Bearer b"],
            &["Bearer é"],
            &[&long],
        ] {
            let error = bearer(&headers(bad)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unauthenticated, "{bad:?}");
        }
    }
}

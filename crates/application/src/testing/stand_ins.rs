//! Ports that need no memory: tokens that anybody can read, and what nobody asks.

use async_trait::async_trait;
use postrider_domain::{
    Timestamp,
    access::{Permission, PortalAccess},
};

use crate::{
    Error, Result,
    access::TenantScope,
    audit::Record,
    ports::{
        AccessClaims, AccessTokens, Epoch, ExportCursor, ExportPage, OldKeys, Reencrypted,
        ReencryptionCursor, ReencryptionError, RotatedSigningKey, SecretsReencryption, SigningKeys,
        StoreError, Subject, TenantExport, TokenError,
    },
};

/// Tokens that say what they say in plain text.
pub(crate) struct PlainTokens;

#[async_trait]
impl AccessTokens for PlainTokens {
    fn issue(&self, claims: &AccessClaims) -> Result<String> {
        let subject = match &claims.subject {
            Subject::User(user, session) => format!("{user} {session}"),
            Subject::Portal(id, access, generation) => {
                let names: Vec<_> = access.permissions.iter().map(|p| p.as_str()).collect();
                let generation = generation.map_or(0, Timestamp::as_micros);
                format!("{id} {} {generation} {}", access.application, names.join(" "))
            }
        };
        let (issued, expires) = (claims.issued_at.as_micros(), claims.expires_at.as_micros());
        Ok(format!("{} {issued} {expires} {subject}", claims.tenant))
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        let claims = read(token).ok_or(TokenError::Malformed)?;
        if claims.expires_at <= now {
            Err(TokenError::Expired)
        } else {
            Ok(claims)
        }
    }

    async fn refresh_keys(&self) -> Result<()> {
        Ok(())
    }

    fn jwks(&self) -> String {
        r#"{"keys":[]}"#.to_owned()
    }
}

fn read(token: &str) -> Option<AccessClaims> {
    let mut parts = token.split(' ');
    let tenant = parts.next()?.parse().ok()?;
    let mut time = || Some(Timestamp::from_micros(parts.next()?.parse().ok()?));
    let (issued_at, expires_at) = (time()?, time()?);
    let (first, second) = (parts.next()?, parts.next()?);
    let subject = if let (Ok(user), Ok(session)) = (first.parse(), second.parse()) {
        Subject::User(user, session)
    } else {
        let generation = parts.next()?.parse().ok()?;
        let permissions = parts.map(Permission::parse).collect::<Result<_, _>>().ok()?;
        let application = second.parse().ok()?;
        Subject::Portal(
            first.parse().ok()?,
            PortalAccess {
                application,
                permissions,
            },
            (generation > 0).then(|| Timestamp::from_micros(generation)),
        )
    };
    Some(AccessClaims {
        subject,
        tenant,
        issued_at,
        expires_at,
    })
}

/// Nobody asks these in the tests that share this world; their own tests script them.
pub(super) struct Elsewhere;

#[async_trait]
impl SigningKeys for Elsewhere {
    async fn rotate(&self, _: Record, _: OldKeys) -> Result<RotatedSigningKey> {
        Err(Error::internal("no keys here"))
    }
}

#[async_trait]
impl SecretsReencryption for Elsewhere {
    async fn reencrypt(&self, _: Option<ReencryptionCursor>, _: u32) -> Result<Reencrypted, StoreError> {
        Err(StoreError::Internal("no secrets here".into()))
    }

    async fn begin_reencryption(&self) -> Result<Epoch, ReencryptionError> {
        Ok(Epoch(0))
    }

    async fn finish_reencryption(&self, _: Epoch, _: Record) -> Result<(), ReencryptionError> {
        Ok(())
    }
}

#[async_trait]
impl TenantExport for Elsewhere {
    async fn export_page(
        &self,
        _: &TenantScope,
        _: Option<ExportCursor>,
        _: u32,
    ) -> Result<ExportPage, StoreError> {
        Err(StoreError::Internal("no export here".into()))
    }
}

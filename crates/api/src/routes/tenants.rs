use std::io;

use actix_web::{
    HttpResponse, get,
    http::header,
    web::{Bytes, Data},
};
use futures_util::{Stream, stream};
use postrider_application::tenants::{ExportTenant, GetTenant, TenantExporter};

use crate::{
    ApiContext,
    extract::Authenticated,
    problem::Problem,
    wire::{
        export::{self, ExportLines},
        tenants::Tenant,
    },
};

/// Read your tenant
#[utoipa::path(
    operation_id = "getTenant",
    tag = "Tenant",
    extensions(("x-permission" = json!("tenant:read"))),
    responses((status = 200, description = "The tenant.", body = Tenant))
)]
#[get("/tenant")]
pub(super) async fn get_tenant(
    context: Data<ApiContext>,
    caller: Authenticated,
) -> Result<HttpResponse, Problem> {
    let tenant = context.mediator.send(&caller.0, GetTenant).await?;
    Ok(HttpResponse::Ok().json(Tenant::from(tenant)))
}

/// Export your tenant
///
/// Everything that the tenant owns, secrets excepted, as JSON Lines: first `{"kind":"export",…}`, then a line
/// `{"kind":…,"data":{…}}` for each thing, and last `{"kind":"end","rows":{…}}`, which counts them. An export without
/// its last line was cut off. Each thing is shown as it was when it was read.
#[utoipa::path(
    operation_id = "exportTenant",
    tag = "Tenant",
    extensions(("x-permission" = json!("tenant:export"))),
    responses(
        (status = 200, description = "The lines.", content_type = "application/jsonl", body = String,
         headers(("Content-Disposition" = String, description = "The name of a file to keep it in."))),
    )
)]
#[get("/tenant/export")]
pub(super) async fn export_tenant(
    context: Data<ApiContext>,
    caller: Authenticated,
) -> Result<HttpResponse, Problem> {
    let exporter = context.mediator.send(&caller.0, ExportTenant).await?;
    let tenant = exporter.scope().tenant();
    let head = ExportLines::head(tenant, context.clock.now()).map_err(unwritten)?;
    Ok(HttpResponse::Ok()
        .content_type(export::MEDIA_TYPE)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{tenant}.jsonl\""),
        ))
        .streaming(lines(head, exporter)))
}

fn unwritten(error: io::Error) -> postrider_application::Error {
    postrider_application::Error::internal(error)
}

/// Where an export stands.
enum Export {
    Head(Bytes, TenantExporter),
    Rows(TenantExporter, ExportLines),
    Over,
}

/// The lines, a page of rows at a time, as fast as they are taken. An error ends the stream without its last line,
/// and the connection with it.
fn lines(head: Bytes, exporter: TenantExporter) -> impl Stream<Item = Result<Bytes, Cut>> {
    stream::unfold(Export::Head(head, exporter), async |export| {
        let (lines, next) = match export {
            Export::Over => return None,
            Export::Head(head, exporter) => (Ok(head), Export::Rows(exporter, ExportLines::default())),
            Export::Rows(mut exporter, mut lines) => match page(&mut exporter, &mut lines).await {
                Ok(Some(rows)) => (Ok(rows), Export::Rows(exporter, lines)),
                Ok(None) => (lines.end().map_err(|error| cut(&unwritten(error))), Export::Over),
                Err(error) => (Err(cut(&error)), Export::Over),
            },
        };
        Some((lines, next))
    })
}

async fn page(
    exporter: &mut TenantExporter,
    lines: &mut ExportLines,
) -> postrider_application::Result<Option<Bytes>> {
    let Some(rows) = exporter.next().await? else {
        return Ok(None);
    };
    lines.rows(&rows).map(Some).map_err(unwritten)
}

/// An export was cut off.
#[derive(Debug, thiserror::Error)]
#[error("the export was cut off")]
struct Cut;

/// The answer has begun: the caller can be told only by cutting it off.
fn cut(error: &postrider_application::Error) -> Cut {
    tracing::error!(
        code = error.code().as_str(),
        error = error.chain(),
        "an export was cut off"
    );
    Cut
}

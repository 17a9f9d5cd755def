use http_body_util::BodyExt;
use hyper::body::Incoming;
use postrider_domain::deliveries::CapturedBody;

/// Reads the answer's body into `captured`, up to `keep` bytes, and goes on reading so that the connection can be
/// used again, up to `read` bytes in all. More than that is not a fault: the rest is not read, and the connection
/// is closed with it. Fails if the body breaks off before.
pub(super) async fn read(
    mut body: Incoming,
    captured: &mut CapturedBody,
    keep: usize,
    read: usize,
) -> Result<(), hyper::Error> {
    let mut seen = 0usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue; // trailers
        };
        let room = keep.saturating_sub(captured.bytes.len()).min(data.len());
        captured.bytes.extend_from_slice(&data[..room]);
        captured.truncated |= room < data.len();
        seen = seen.saturating_add(data.len());
        if seen > read {
            break;
        }
    }
    Ok(())
}

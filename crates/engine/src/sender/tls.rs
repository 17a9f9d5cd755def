use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::HttpSenderError;

/// TLS 1.2 and 1.3 by aws-lc, trusting Mozilla's roots and the operator's own.
pub(super) fn client_config(extra_roots_pem: &[u8]) -> Result<ClientConfig, HttpSenderError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for certificate in CertificateDer::pem_slice_iter(extra_roots_pem) {
        roots
            .add(certificate.map_err(HttpSenderError::certificate)?)
            .map_err(HttpSenderError::certificate)?;
    }
    // Named rather than taken from the process-wide default, which is somebody else's to install.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(HttpSenderError::certificate)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_certificates_are_refused_and_none_are_fine() {
        assert!(client_config(b"").is_ok());
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(client_config(broken).is_err());
    }
}

//! The first certificate engine: rustls-webpki's path validation (RFC 5280, section 6), P-384 with SHA-384 only.

use pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring::ECDSA_P384_SHA384};

/// Validates the path from the leaf over exactly these intermediates to the root, at a time; otherwise why not.
///
/// The leaf has no extended key usage; the usage asked for here is one that webpki demands only where that extension is
/// present. No revocation list is consulted.
pub(crate) fn validate_path(
    root: &CertificateDer<'_>,
    intermediates: &[Vec<u8>],
    leaf: &[u8],
    at: UnixTime,
) -> Result<(), String> {
    let anchors = [anchor_from_trusted_cert(root).map_err(|error| error.to_string())?];
    let intermediates: Vec<CertificateDer<'_>> =
        intermediates.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|error| error.to_string())?;
    let path = leaf
        .verify_for_usage(&[ECDSA_P384_SHA384], &anchors, &intermediates, at, KeyUsage::client_auth(), None, None)
        .map_err(|error| error.to_string())?;
    let used = path.intermediate_certificates().count();
    if used == intermediates.len() {
        Ok(())
    } else {
        Err(format!("the path needs {used} of the {} intermediates", intermediates.len()))
    }
}

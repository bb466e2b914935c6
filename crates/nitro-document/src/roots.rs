//! The roots that the caller trusts.

use nitrotpm_digest_lanes::{Digest, HashAlgorithm, hash};
use pki_types::CertificateDer;
use pki_types::pem::{PemObject, SectionKind};
use webpki::anchor_from_trusted_cert;

use crate::chain::check_trust_root;

/// The SHA-256 of the DER of the root that AWS publishes for the `aws` partition ("AWS Nitro Enclaves Root-G1",
/// <https://aws-nitro-enclaves.amazonaws.com/AWS_NitroEnclaves_Root-G1.zip>), which NitroTPM documents chain to.
pub const AWS_ROOT_SHA256: [u8; 32] = [
    0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31, 0x7e, 0xd7, 0xcd,
    0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
];

const AWS_ROOT_PEM: &[u8] = include_bytes!("../roots/aws-nitro-enclaves-g1.pem");

/// The root certificates that a document may chain to. A certificate counts by its bytes, never by its name, and the one
/// in the document is never trusted for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRoots(Vec<CertificateDer<'static>>);

/// Why a file is not a trust root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustRootError {
    /// No certificate in the PEM text.
    #[error("there is no CERTIFICATE block in this PEM text; a trust root is an X.509 certificate in PEM or DER")]
    Empty,
    /// The text is not PEM, or holds something else than certificates.
    #[error("the PEM text {problem}; a file of trust roots holds CERTIFICATE blocks only")]
    Pem {
        /// What is wrong.
        problem: String,
    },
    /// The certificate cannot be a root.
    #[error("the certificate cannot be a trust root: {problem}; NitroTPM roots are self-issued P-384 CA certificates")]
    Certificate {
        /// What is wrong.
        problem: String,
    },
}

impl TrustRoots {
    /// No root: every document is refused until one is added.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// The root of the `aws` partition, pinned in this crate ([`AWS_ROOT_SHA256`]). The roots of other partitions are to
    /// be added by the caller.
    #[must_use]
    pub fn aws() -> Self {
        // A test holds the embedded text against the digest. Text that could not be read would leave no root, so that
        // every document is refused.
        Self(CertificateDer::from_pem_slice(AWS_ROOT_PEM).into_iter().collect())
    }

    /// Adds every certificate of a PEM text.
    ///
    /// # Errors
    /// [`TrustRootError`] where the text has no certificate, anything else than certificates, or one that cannot be a
    /// root; nothing is added then.
    pub fn add_pem(&mut self, pem: &[u8]) -> Result<(), TrustRootError> {
        let mut roots = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            match section.map_err(|error| TrustRootError::Pem { problem: format!("cannot be read ({error})") })? {
                (SectionKind::Certificate, der) => roots.push(checked_root(&der)?),
                _ => return Err(TrustRootError::Pem { problem: "holds a block that is no certificate".into() }),
            }
        }
        if roots.is_empty() {
            return Err(TrustRootError::Empty);
        }
        roots.into_iter().for_each(|root| self.push(root));
        Ok(())
    }

    /// Adds one certificate in DER.
    ///
    /// # Errors
    /// [`TrustRootError`] where it cannot be a root.
    pub fn add_der(&mut self, der: &[u8]) -> Result<(), TrustRootError> {
        self.push(checked_root(der)?);
        Ok(())
    }

    /// How many roots there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The SHA-256 of each root's DER.
    pub fn sha256(&self) -> impl Iterator<Item = Digest> + '_ {
        self.0.iter().map(|root| hash(HashAlgorithm::Sha256, &[root]))
    }

    fn push(&mut self, root: CertificateDer<'static>) {
        if !self.0.contains(&root) {
            self.0.push(root);
        }
    }

    /// The trusted root that is this very certificate.
    pub(crate) fn find(&self, der: &[u8]) -> Option<&CertificateDer<'static>> {
        self.0.iter().find(|root| root.as_ref() == der)
    }
}

fn checked_root(der: &[u8]) -> Result<CertificateDer<'static>, TrustRootError> {
    check_trust_root(der).map_err(|problem| TrustRootError::Certificate { problem })?;
    let root = CertificateDer::from(der.to_vec());
    anchor_from_trusted_cert(&root).map_err(|error| TrustRootError::Certificate { problem: error.to_string() })?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_root_is_the_one_that_aws_publishes() {
        let roots = TrustRoots::aws();
        assert_eq!(roots.len(), 1);
        assert_eq!(roots.sha256().next().unwrap().as_bytes(), AWS_ROOT_SHA256);
    }

    #[test]
    fn the_embedded_root_passes_the_checks_of_a_root_that_is_added() {
        let mut roots = TrustRoots::empty();
        roots.add_pem(AWS_ROOT_PEM).unwrap();
        roots.add_pem(AWS_ROOT_PEM).unwrap();
        assert_eq!(roots, TrustRoots::aws());
    }

    #[test]
    fn files_that_are_no_roots_are_refused() {
        let mut roots = TrustRoots::empty();
        assert_eq!(roots.add_pem(b""), Err(TrustRootError::Empty));
        assert_eq!(roots.add_pem(b"no pem at all"), Err(TrustRootError::Empty));
        let key = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        assert!(matches!(roots.add_pem(&[AWS_ROOT_PEM, key].concat()), Err(TrustRootError::Pem { .. })));
        let cut = AWS_ROOT_PEM.get(..400).unwrap();
        assert!(matches!(roots.add_pem(cut), Err(TrustRootError::Pem { .. })));
        assert!(matches!(roots.add_der(b"\x30\x00"), Err(TrustRootError::Certificate { .. })));
        assert!(roots.is_empty());
    }
}

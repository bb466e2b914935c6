//! The second certificate engine: x509-parser and the profile of AWS's chains, with an error for each rule.
//!
//! The profile (`aws-nitro-enclaves-nsm-api`, `attestation_process.md`, section 3.2.3, and what all published documents
//! have in common): root first, each certificate issued and signed by the one before it, P-384 keys and
//! ecdsa-with-SHA384 throughout; CA certificates with critical `BasicConstraints` and critical `KeyUsage` with
//! keyCertSign, a path length on every intermediate (AWS: 2, 1, 0) that is not exceeded; a leaf that is no CA and may
//! sign; no critical extension beside these two. AWS's chains have three intermediates; their number is not fixed here,
//! because AWS does not fix it and the path lengths bound it.

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_signature::{Backend, Curve, PublicKey, Scheme, SignatureBytes};
use pki_types::UnixTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{BasicConstraints, KeyUsage};
use x509_parser::oid_registry::{OID_SIG_ECDSA_WITH_SHA384, OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE};
use x509_parser::prelude::FromDer;
use x509_parser::x509::{X509Name, X509Version};

use crate::error::{CertificateId, printable};
use crate::names::{ModuleId, Place};
use crate::{CertificateSummary, DocumentError};

/// One certificate, parsed; nothing about it is verified yet.
struct Certificate<'a> {
    index: usize,
    der: &'a [u8],
    x509: X509Certificate<'a>,
    not_before: UnixTime,
    not_after: UnixTime,
}

/// A chain, root first, leaf last.
pub(crate) struct Chain<'a> {
    /// Root and intermediates: two at least.
    authorities: Vec<Certificate<'a>>,
    leaf: Certificate<'a>,
}

impl<'a> Certificate<'a> {
    fn parse(index: usize, der: &'a [u8]) -> Result<Self, DocumentError> {
        let malformed = |problem: &str| DocumentError::CertificateMalformed { index, problem: problem.into() };
        let (rest, x509) = X509Certificate::from_der(der).map_err(|error| match error {
            x509_parser::nom::Err::Incomplete(_) => malformed("it is cut short"),
            x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => {
                malformed(&printable(&error.to_string()))
            }
        })?;
        if !rest.is_empty() {
            return Err(malformed("bytes follow it"));
        }
        if x509.version() != X509Version::V3 {
            return Err(malformed("it is not of version 3"));
        }
        let time = |seconds: i64| {
            let seconds = u64::try_from(seconds).map_err(|_| malformed("its validity begins or ends before 1970"))?;
            Ok(UnixTime::since_unix_epoch(core::time::Duration::from_secs(seconds)))
        };
        let (not_before, not_after) =
            (time(x509.validity().not_before.timestamp())?, time(x509.validity().not_after.timestamp())?);
        Ok(Self { index, der, x509, not_before, not_after })
    }

    fn id(&self) -> CertificateId {
        CertificateId { index: self.index, subject: subject_text(self.x509.subject()) }
    }

    fn profile(&self, problem: impl Into<String>) -> DocumentError {
        DocumentError::CertificateProfile { certificate: self.id(), problem: problem.into() }
    }

    fn name_problem(&self, problem: String) -> DocumentError {
        DocumentError::CertificateName { certificate: self.id(), problem }
    }

    /// The certificate's key, which is one of P-384.
    fn key(&self) -> Result<PublicKey, DocumentError> {
        match PublicKey::from_spki_der(self.x509.public_key().raw) {
            Ok(PublicKey::Ec(key)) if key.curve() == Curve::P384 => Ok(PublicKey::Ec(key)),
            _ => Err(self.profile("its key is not one of the curve P-384")),
        }
    }

    /// Checks the certificate's signature, ecdsa-with-SHA384 and nothing else, under its issuer's key.
    fn check_signature(&self, issuer: &PublicKey, backend: Backend) -> Result<(), DocumentError> {
        for algorithm in [&self.x509.signature_algorithm, &self.x509.tbs_certificate.signature] {
            if algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA384 || algorithm.parameters.is_some() {
                return Err(self.profile("it is not signed with ecdsa-with-SHA384"));
            }
        }
        let wrong = || DocumentError::CertificateSignature { certificate: self.id() };
        let bits = &self.x509.signature_value;
        let (r, s) = (bits.unused_bits == 0).then(|| ecdsa_numbers(&bits.data)).flatten().ok_or_else(wrong)?;
        backend
            .verify(
                issuer,
                Scheme::Ecdsa(HashAlgorithm::Sha384),
                self.x509.tbs_certificate.as_ref(),
                SignatureBytes::Ecdsa { r, s },
            )
            .map_err(|_| wrong())
    }

    /// The common name; exactly one.
    fn common_name(&self) -> Result<&str, DocumentError> {
        let mut names = self.x509.subject().iter_common_name();
        match (names.next(), names.next()) {
            (Some(name), None) => name.as_str().map_err(|_| self.profile("its common name is not text")),
            _ => Err(self.profile("it does not have exactly one common name")),
        }
    }

    /// `BasicConstraints` and `KeyUsage`, each present once; no other extension critical, none twice.
    fn constraints(&self) -> Result<Constraints<'_>, DocumentError> {
        self.x509.extensions_map().map_err(|_| self.profile("it has an extension twice"))?;
        for extension in self.x509.extensions() {
            let known = [OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE].contains(&extension.oid);
            if extension.critical && !known {
                return Err(
                    self.profile(format!("it has the critical extension {}, which is not known", extension.oid))
                );
            }
        }
        let basic = self.x509.basic_constraints().ok().flatten();
        let basic = basic.ok_or_else(|| self.profile("it has no readable BasicConstraints"))?;
        if !basic.critical {
            return Err(self.profile("its BasicConstraints are not critical"));
        }
        let usage = self.x509.key_usage().ok().flatten();
        let usage = usage.ok_or_else(|| self.profile("it has no readable KeyUsage"))?;
        Ok(Constraints { basic: basic.value, usage: usage.value, usage_critical: usage.critical })
    }

    /// The rules of a certificate that issues others, with so many CA certificates below it.
    fn check_authority(&self, below: usize, is_root: bool) -> Result<(), DocumentError> {
        let Constraints { basic, usage, usage_critical } = self.constraints()?;
        if !basic.ca {
            return Err(self.profile("it issues certificates and is not a CA (BasicConstraints)"));
        }
        match basic.path_len_constraint {
            Some(limit) if usize::try_from(limit).is_ok_and(|limit| limit < below) => {
                return Err(
                    self.profile(format!("its path length {limit} is exceeded by {below} CA certificates below it"))
                );
            }
            None if !is_root => return Err(self.profile("it is an intermediate without a path length")),
            _ => {}
        }
        if !usage_critical || !usage.key_cert_sign() {
            return Err(self.profile("its KeyUsage is not critical with keyCertSign"));
        }
        Ok(())
    }

    /// The rules of the certificate that signs documents.
    fn check_leaf(&self) -> Result<(), DocumentError> {
        let Constraints { basic, usage, .. } = self.constraints()?;
        if basic.ca || basic.path_len_constraint.is_some() {
            return Err(self.profile("it signs the document and is a CA (BasicConstraints)"));
        }
        if !usage.digital_signature() || usage.key_cert_sign() {
            return Err(self.profile("its KeyUsage is not digitalSignature without keyCertSign"));
        }
        Ok(())
    }

    fn check_validity(&self, at: UnixTime, made: UnixTime) -> Result<(), DocumentError> {
        if at > self.not_after {
            let (certificate, not_after) = (self.id(), self.not_after);
            return Err(DocumentError::CertificateExpired { certificate, not_after, at, made });
        }
        if at < self.not_before {
            let (certificate, not_before) = (self.id(), self.not_before);
            return Err(DocumentError::CertificateNotYetValid { certificate, not_before, at });
        }
        Ok(())
    }

    fn summary(&self) -> CertificateSummary {
        CertificateSummary {
            subject: subject_text(self.x509.subject()),
            not_before: self.not_before,
            not_after: self.not_after,
            sha256: hash(HashAlgorithm::Sha256, &[self.der]),
        }
    }
}

/// The two extensions that the profile rests on.
struct Constraints<'a> {
    basic: &'a BasicConstraints,
    usage: &'a KeyUsage,
    usage_critical: bool,
}

impl<'a> Chain<'a> {
    /// Parses the certificates; root and at least one intermediate are needed.
    pub(crate) fn parse(cabundle: &'a [Vec<u8>], leaf: &'a [u8]) -> Result<Self, DocumentError> {
        if cabundle.len() < 2 {
            return Err(DocumentError::Chain {
                problem: format!(
                    "cabundle has {} certificate(s), and at least a root and an intermediate are needed",
                    cabundle.len()
                ),
            });
        }
        let authorities = cabundle.iter().enumerate().map(|(index, der)| Certificate::parse(index, der));
        Ok(Self {
            authorities: authorities.collect::<Result<_, _>>()?,
            leaf: Certificate::parse(cabundle.len(), leaf)?,
        })
    }

    /// Each certificate with the one that issued it, from the first intermediate to the leaf.
    fn links(&self) -> impl Iterator<Item = (&Certificate<'a>, &Certificate<'a>)> {
        let subjects = self.authorities.iter().skip(1).chain(core::iter::once(&self.leaf));
        self.authorities.iter().zip(subjects)
    }

    /// Checks that each certificate names the one before it as its issuer, byte for byte: AWS's names differ in the order
    /// of their parts.
    pub(crate) fn check_links(&self) -> Result<(), DocumentError> {
        match self.links().find(|(issuer, subject)| issuer.x509.subject().as_raw() != subject.x509.issuer().as_raw()) {
            None => Ok(()),
            Some((_, subject)) => Err(DocumentError::Chain {
                problem: format!(
                    "{} names another issuer than the certificate before it ({})",
                    subject.id(),
                    subject_text(subject.x509.issuer())
                ),
            }),
        }
    }

    /// Checks every signature below the root, which the caller has compared with the trust roots.
    pub(crate) fn check_signatures(&self, backend: Backend) -> Result<(), DocumentError> {
        self.links().try_for_each(|(issuer, subject)| subject.check_signature(&issuer.key()?, backend))
    }

    /// The key that the document must be signed with.
    pub(crate) fn leaf_key(&self) -> Result<PublicKey, DocumentError> {
        self.leaf.key()
    }

    /// Checks extensions and constraints, root first.
    pub(crate) fn check_profile(&self) -> Result<(), DocumentError> {
        let below = (0..self.authorities.len()).rev();
        for (authority, below) in self.authorities.iter().zip(below) {
            authority.check_authority(below, authority.index == 0)?;
        }
        self.leaf.check_leaf()
    }

    /// Checks that every certificate, the root too, is valid at a time. The leaf comes first, because it is the one that
    /// expires first. `made` is the document's own time, for the explanation.
    pub(crate) fn check_validity(&self, at: UnixTime, made: UnixTime) -> Result<(), DocumentError> {
        self.leaf.check_validity(at, made)?;
        self.authorities.iter().rev().try_for_each(|authority| authority.check_validity(at, made))
    }

    /// Checks that the names of all certificates speak of this module, its instance, and one region. Gives the region.
    pub(crate) fn check_names(&self, module_id: &str) -> Result<String, DocumentError> {
        let leaf_name = self.leaf.common_name()?;
        let (Some(place), Some(module)) = (Place::of_leaf(leaf_name, module_id), ModuleId::parse(module_id)) else {
            return Err(self.leaf.name_problem(format!("its common name is not {module_id}.<region>.aws")));
        };
        let mut intermediates = self.authorities.iter().skip(1).rev();
        if let Some(instance) = intermediates.next() {
            let expected = place.instance_name(module.instance_id);
            if instance.common_name()? != expected {
                return Err(instance.name_problem(format!("its common name is not {expected}")));
            }
        }
        let suffix = place.suffix();
        for intermediate in intermediates {
            if !intermediate.common_name()?.ends_with(&suffix) {
                return Err(intermediate.name_problem(format!("its common name does not end with {suffix}")));
            }
        }
        Ok(place.region.into())
    }

    /// Whether the document's time lies in the leaf's validity.
    pub(crate) fn leaf_was_valid_at(&self, time: UnixTime) -> bool {
        (self.leaf.not_before..=self.leaf.not_after).contains(&time)
    }

    pub(crate) fn summaries(&self) -> Vec<CertificateSummary> {
        self.authorities.iter().chain(core::iter::once(&self.leaf)).map(Certificate::summary).collect()
    }
}

/// Whether a certificate can be a trust root, or why not.
pub(crate) fn check_trust_root(der: &[u8]) -> Result<(), String> {
    let check = || {
        let root = Certificate::parse(0, der)?;
        root.check_authority(0, true)?;
        if root.x509.subject().as_raw() != root.x509.issuer().as_raw() {
            return Err(root.profile("it is issued by another certificate"));
        }
        root.check_signature(&root.key()?, Backend::default())
    };
    check().map_err(|error| match error {
        DocumentError::CertificateProfile { problem, .. } | DocumentError::CertificateMalformed { problem, .. } => {
            problem
        }
        _ => "its own signature does not hold".into(),
    })
}

fn subject_text(name: &X509Name<'_>) -> String {
    printable(&name.to_string())
}

/// The numbers r and s of a DER `ECDSA-Sig-Value` (RFC 3279, section 2.2.3) on a curve of up to 384 bits, in the one
/// encoding that DER allows.
fn ecdsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x30, length, content @ ..] = der else { return None };
    if *length >= 0x80 || usize::from(*length) != content.len() {
        return None;
    }
    let (r, content) = der_unsigned(content)?;
    let (s, content) = der_unsigned(content)?;
    content.is_empty().then_some((r, s))
}

/// A DER INTEGER that is not negative, without the zero that keeps it so, and what follows it.
fn der_unsigned(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x02, length, content @ ..] = der else { return None };
    let (number, rest) = content.split_at_checked(usize::from(*length))?;
    match number {
        [0, second, ..] if *second >= 0x80 => Some((number.get(1..)?, rest)),
        [0 | 0x80..=0xFF, ..] | [] => None,
        _ => Some((number, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d11_only_the_one_der_form_of_a_certificate_signature_is_read() {
        let good = [0x30, 0x07, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x7F];
        assert_eq!(ecdsa_numbers(&good), Some((&[0x80][..], &[0x7F][..])));
        for bad in [
            &[0x30, 0x08, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x7F][..],
            &[0x30, 0x07, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x7F, 0x00],
            &[0x30, 0x81, 0x07, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x7F],
            &[0x30, 0x06, 0x02, 0x01, 0x80, 0x02, 0x01, 0x7F],
            &[0x30, 0x07, 0x02, 0x02, 0x00, 0x01, 0x02, 0x01, 0x7F],
            &[0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x7F],
            &[0x30, 0x05, 0x02, 0x00, 0x02, 0x01, 0x7F],
            &[0x30, 0x08, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x7F, 0x00],
            &[0x31, 0x07, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x7F],
            &[],
        ] {
            assert_eq!(ecdsa_numbers(bad), None, "{bad:02x?}");
        }
    }
}

//! The second certificate engine: x509-parser and the profile of AWS's chains, with an error for each rule.
//!
//! The profile (`aws-nitro-enclaves-nsm-api`, `attestation_process.md`, section 3.2.3, and what all published documents
//! have in common): root first, each certificate issued and signed by the one before it, P-384 keys and
//! ecdsa-with-SHA384 throughout; CA certificates with critical `BasicConstraints` and critical `KeyUsage` with
//! keyCertSign, a path length on every intermediate (AWS: 2, 1, 0) that is not exceeded; a leaf that is no CA and may
//! sign; no critical extension beside these two. AWS's chains have three intermediates; their number is not fixed here,
//! because AWS does not fix it and the path lengths bound it.

use nitrotpm_digest_lanes::{Digest, HashAlgorithm, hash};
use nitrotpm_signature::{Backend, PublicKey};
use pki_types::UnixTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{BasicConstraints, KeyUsage};
use x509_parser::oid_registry::{OID_SIG_ECDSA_WITH_SHA384, OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE};
use x509_parser::prelude::FromDer;
use x509_parser::x509::{X509Name, X509Version};

use crate::cache::{ChainCache, Prefix};
use crate::ecdsa::{CertificateSignature, HeldSignatures, is_p384};
use crate::error::{CertificateId, printable};
use crate::names::{ModuleId, Place};
use crate::{CertificateSummary, DocumentError};

/// One certificate, parsed; nothing about it is verified yet.
struct Certificate<'a> {
    index: usize,
    /// SHA-256 of its DER.
    sha256: Digest,
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
        Ok(Self { index, sha256: hash(HashAlgorithm::Sha256, &[der]), x509, not_before, not_after })
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
            Ok(key) if is_p384(&key) => Ok(key),
            _ => Err(self.profile("its key is not one of the curve P-384")),
        }
    }

    /// The certificate's signature, ecdsa-with-SHA384 and nothing else, under its issuer's key: still to be checked.
    fn signature(&self, issuer: PublicKey) -> Result<CertificateSignature<'_>, DocumentError> {
        for algorithm in [&self.x509.signature_algorithm, &self.x509.tbs_certificate.signature] {
            if algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA384 || algorithm.parameters.is_some() {
                return Err(self.profile("it is not signed with ecdsa-with-SHA384"));
            }
        }
        let bits = &self.x509.signature_value;
        if bits.unused_bits != 0 {
            return Err(self.wrong_signature());
        }
        Ok(CertificateSignature { key: issuer, message: self.x509.tbs_certificate.as_ref(), signature: &bits.data })
    }

    fn wrong_signature(&self) -> DocumentError {
        DocumentError::CertificateSignature { certificate: self.id() }
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
            sha256: self.sha256,
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

    /// Checks every signature below the root, which the caller has compared with the trust roots, and gives them.
    ///
    /// Signatures of a prefix that `cache` knows are not computed again; all else about them is checked as ever.
    pub(crate) fn check_signatures(
        &self,
        backend: Backend,
        cache: Option<&ChainCache>,
    ) -> Result<HeldSignatures<'_>, DocumentError> {
        let cache = cache.map(|cache| (cache, self.prefixes(backend)));
        let known = cache.as_ref().map_or(0, |(cache, prefixes)| cache.known(prefixes));
        let mut held = HeldSignatures::default();
        for (place, (issuer, subject)) in self.links().enumerate() {
            if !held.check(subject.signature(issuer.key()?)?, backend, place < known) {
                return Err(subject.wrong_signature());
            }
        }
        if let Some((cache, prefixes)) = cache {
            cache.remember(&prefixes);
        }
        Ok(held)
    }

    /// The root with one more certificate, with two more, and so on up to the whole chain.
    pub(crate) fn prefixes(&self, backend: Backend) -> Vec<Prefix> {
        let mut certificates = self.authorities.iter().chain(core::iter::once(&self.leaf)).map(|one| &one.sha256);
        let Some(root) = certificates.next() else { return Vec::new() };
        let longer = |shorter: &mut Prefix, next: &Digest| {
            *shorter = shorter.followed_by(next);
            Some(*shorter)
        };
        certificates.scan(Prefix::root(backend, root), longer).collect()
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
        let itself = root.signature(root.key()?)?;
        if itself.holds(Backend::default()) { Ok(()) } else { Err(root.wrong_signature()) }
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

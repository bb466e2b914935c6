//! Authenticode signatures: read, and verified against a certificate as EDK II does it.
//!
//! EDK II's `AuthenticodeVerify` hands the signature to OpenSSL with one trusted certificate, partial chains allowed,
//! any purpose, no check of time ("CryptoPkg/Library/BaseCryptLib", `Pkcs7Verify`). The trusted certificate may be the
//! signer's, or any above it.

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_signature::{Backend, PublicKey, Scheme, SignatureBytes};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, RelativeDistinguishedName, X509Certificate, X509Name};

use crate::der::{CONTEXT_0, Element, Elements, INTEGER, OCTET_STRING, OID, SEQUENCE, SET};

/// 1.2.840.113549.1.7.2, `id-signedData`
const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];
/// 1.3.6.1.4.1.311.2.1.4, `SPC_INDIRECT_DATA_OBJID`
const SPC_INDIRECT_DATA: &[u8] = &[0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x04];
/// 1.2.840.113549.1.9.4, `id-messageDigest`
const MESSAGE_DIGEST: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x04];
/// A chain from the signer to the trusted certificate is no longer than this.
const LONGEST_CHAIN: usize = 10;

/// The hash algorithm with this object identifier.
fn hash_algorithm(oid: &[u8]) -> Option<HashAlgorithm> {
    match oid {
        [0x2B, 0x0E, 0x03, 0x02, 0x1A] => Some(HashAlgorithm::Sha1),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => Some(HashAlgorithm::Sha256),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => Some(HashAlgorithm::Sha384),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

/// A certificate, its DER kept.
#[derive(Clone, Debug)]
pub(crate) struct Certificate<'a> {
    pub(crate) der: &'a [u8],
    parsed: X509Certificate<'a>,
}

impl<'a> Certificate<'a> {
    /// A certificate that fills the bytes.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        rest.is_empty().then_some(Self { der, parsed })
    }

    /// The subject in one line.
    pub(crate) fn subject(&self) -> String {
        self.parsed.subject().to_string()
    }

    /// The digest of the to-be-signed part, as dbx has it.
    pub(crate) fn tbs_digest(&self, algorithm: HashAlgorithm) -> Vec<u8> {
        hash(algorithm, &[self.parsed.tbs_certificate.as_ref()]).as_bytes().to_vec()
    }

    fn key(&self) -> Option<PublicKey> {
        PublicKey::from_spki_der(self.parsed.public_key().raw).ok()
    }

    /// Whether the certificate may sign others, by OpenSSL's rule for a chain of any purpose: basicConstraints decide;
    /// without them, a keyUsage with keyCertSign, or a self-issued certificate of version 1.
    fn may_issue(&self) -> bool {
        let constraints = self.parsed.basic_constraints().ok().flatten();
        let usage = self.parsed.key_usage().ok().flatten();
        let may_sign = usage.as_ref().map(|usage| usage.value.key_cert_sign());
        match constraints {
            Some(constraints) => constraints.value.ca && may_sign != Some(false),
            None => match may_sign {
                Some(signs) => signs,
                None => self.parsed.version().0 == 0 && self.parsed.subject() == self.parsed.issuer(),
            },
        }
    }

    /// Whether `issuer` signed this certificate.
    fn is_signed_by(&self, issuer: &Certificate<'_>) -> bool {
        if !is_same_name(self.parsed.issuer(), issuer.parsed.subject()) || !issuer.may_issue() {
            return false;
        }
        let oid = self.parsed.signature_algorithm.algorithm.as_bytes();
        let signature = self.parsed.signature_value.as_ref();
        let Some(scheme) = certificate_scheme(oid) else { return false };
        let Some(key) = issuer.key() else { return false };
        verify(&key, scheme, self.parsed.tbs_certificate.as_ref(), signature)
    }
}

/// Whether two names are one, as OpenSSL compares them: the kind of string, case and runs of space do not count
/// (RFC 5280, section 7.1). Debian's signers name their issuer in another kind of string than the issuer itself does.
fn is_same_name(one: &X509Name<'_>, two: &X509Name<'_>) -> bool {
    fn canonical<'n>(name: &'n X509Name<'_>) -> Vec<Vec<(&'n [u8], Vec<u8>)>> {
        let value = |attribute: &AttributeTypeAndValue<'_>| match attribute.as_str() {
            Ok(text) => text.split_ascii_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase().into_bytes(),
            // Other kinds of value are themselves, tag and all.
            Err(_) => [&attribute.attr_value().header.tag().0.to_be_bytes(), attribute.as_slice()].concat(),
        };
        let part = |rdn: &'n RelativeDistinguishedName<'_>| {
            rdn.iter().map(|attribute| (attribute.attr_type().as_bytes(), value(attribute))).collect()
        };
        name.iter_rdn().map(part).collect()
    }
    one.as_raw() == two.as_raw() || canonical(one) == canonical(two)
}

/// The signature scheme of a certificate.
fn certificate_scheme(oid: &[u8]) -> Option<Scheme> {
    Some(match oid {
        [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x05] => Scheme::RsaPkcs1(HashAlgorithm::Sha1),
        [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B] => Scheme::RsaPkcs1(HashAlgorithm::Sha256),
        [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0C] => Scheme::RsaPkcs1(HashAlgorithm::Sha384),
        [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0D] => Scheme::RsaPkcs1(HashAlgorithm::Sha512),
        [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02] => Scheme::Ecdsa(HashAlgorithm::Sha256),
        [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03] => Scheme::Ecdsa(HashAlgorithm::Sha384),
        _ => return None,
    })
}

/// Checks a signature as certificates and CMS carry it.
fn verify(key: &PublicKey, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
    let signature = match scheme {
        Scheme::Ecdsa(_) => {
            let mut outer = Elements::new(signature);
            let Some(sequence) = outer.expect(SEQUENCE).filter(|_| outer.is_empty()) else { return false };
            let mut numbers = sequence.inside();
            let (Some(r), Some(s)) = (numbers.expect(INTEGER), numbers.expect(INTEGER)) else { return false };
            if !numbers.is_empty() {
                return false;
            }
            SignatureBytes::Ecdsa { r: unsigned(r.content), s: unsigned(s.content) }
        }
        _ => SignatureBytes::Rsa(signature),
    };
    Backend::default().verify(key, scheme, message, signature).is_ok()
}

/// An INTEGER's bytes without the zero that keeps it positive.
fn unsigned(content: &[u8]) -> &[u8] {
    match content {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => content,
    }
}

/// An Authenticode signature: what its bytes say.
#[derive(Clone, Debug)]
pub(crate) struct Signature<'a> {
    /// The algorithm of the image's digest.
    pub(crate) algorithm: HashAlgorithm,
    /// The image's digest that was signed.
    pub(crate) digest: &'a [u8],
    /// The content of the SpcIndirectDataContent, which the signed attributes cover.
    content: &'a [u8],
    certificates: Vec<Certificate<'a>>,
    /// The signer's issuer and serial number.
    signer: Element<'a>,
    hash: HashAlgorithm,
    /// The signed attributes with the tag of a SET, as they are signed.
    attributes: Option<Vec<u8>>,
    message_digest: Option<&'a [u8]>,
    signature: &'a [u8],
}

impl<'a> Signature<'a> {
    /// Reads the PKCS #7 SignedData of a certificate table entry (RFC 2315, section 9; "Windows Authenticode Portable
    /// Executable Signature Format"). Zeros that align the entry may follow.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        Self::read(bytes).ok_or("its PKCS #7 structure cannot be read")
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut content_info = Elements::new(bytes).expect(SEQUENCE)?.inside();
        if content_info.expect(OID)?.content != SIGNED_DATA {
            return None;
        }
        let mut signed_data = content_info.expect(CONTEXT_0)?.inside().expect(SEQUENCE)?.inside();
        signed_data.expect(INTEGER)?;
        signed_data.expect(SET)?;
        let mut encapsulated = signed_data.expect(SEQUENCE)?.inside();
        if encapsulated.expect(OID)?.content != SPC_INDIRECT_DATA {
            return None;
        }
        let indirect = encapsulated.expect(CONTEXT_0)?.inside().expect(SEQUENCE)?;
        let mut fields = indirect.inside();
        fields.expect(SEQUENCE)?;
        let mut digest_info = fields.expect(SEQUENCE)?.inside();
        let algorithm = hash_algorithm(digest_info.expect(SEQUENCE)?.inside().expect(OID)?.content)?;
        let digest = digest_info.expect(OCTET_STRING)?.content;

        let mut certificates = Vec::new();
        if let Some(set) = signed_data.optional(CONTEXT_0) {
            let mut elements = set.inside();
            while !elements.is_empty() {
                let element = elements.next()?;
                // Other kinds than X.509 certificates are no use to firmware.
                if let Some(certificate) = Certificate::parse(element.bytes) {
                    certificates.push(certificate);
                }
            }
        }
        signed_data.optional(0xA1);
        let mut signers = signed_data.expect(SET)?.inside();
        let mut signer_info = signers.expect(SEQUENCE)?.inside();
        if !signers.is_empty() {
            return None;
        }
        signer_info.expect(INTEGER)?;
        let signer = signer_info.expect(SEQUENCE)?;
        let hash = hash_algorithm(signer_info.expect(SEQUENCE)?.inside().expect(OID)?.content)?;
        let attributes = signer_info.optional(CONTEXT_0);
        signer_info.expect(SEQUENCE)?;
        let signature = signer_info.expect(OCTET_STRING)?.content;
        Some(Self {
            algorithm,
            digest,
            content: indirect.content,
            certificates,
            signer,
            hash,
            attributes: attributes.map(|attributes| {
                let mut bytes = attributes.bytes.to_vec();
                // RFC 2315, section 9.3: signed with the tag of a SET, not the one it carries.
                bytes.iter_mut().take(1).for_each(|tag| *tag = SET);
                bytes
            }),
            message_digest: attributes.and_then(|attributes| message_digest(attributes.inside())),
            signature,
        })
    }

    /// The signer's certificate, if the signature carries it.
    pub(crate) fn signer(&self) -> Option<&Certificate<'a>> {
        let mut names = self.signer.inside();
        let (issuer, serial) = (names.expect(SEQUENCE)?, names.expect(INTEGER)?);
        self.certificates.iter().find(|certificate| {
            certificate.parsed.issuer().as_raw() == issuer.bytes && certificate.parsed.raw_serial() == serial.content
        })
    }

    /// Whether the signature holds over `image_digest` and its signer leads to `trusted`.
    pub(crate) fn is_by(&self, image_digest: &[u8], trusted: &Certificate<'_>) -> bool {
        self.digest == image_digest && self.signer_signed() && self.leads_to(trusted)
    }

    /// Whether the signer's key signed the attributes, and they the digest.
    fn signer_signed(&self) -> bool {
        let Some(key) = self.signer().and_then(Certificate::key) else { return false };
        let scheme = match key {
            PublicKey::Rsa(_) => Scheme::RsaPkcs1(self.hash),
            _ => Scheme::Ecdsa(self.hash),
        };
        match &self.attributes {
            Some(attributes) => {
                self.message_digest == Some(hash(self.hash, &[self.content]).as_bytes())
                    && verify(&key, scheme, attributes, self.signature)
            }
            None => verify(&key, scheme, self.content, self.signature),
        }
    }

    /// Whether a chain of the signature's certificates goes from the signer up to `trusted`.
    fn leads_to(&self, trusted: &Certificate<'_>) -> bool {
        let Some(mut current) = self.signer() else { return false };
        for _ in 0..LONGEST_CHAIN {
            if current.der == trusted.der || current.is_signed_by(trusted) {
                return true;
            }
            let above = self.certificates.iter().find(|other| other.der != current.der && current.is_signed_by(other));
            match above {
                Some(issuer) => current = issuer,
                None => return false,
            }
        }
        false
    }
}

/// The value of the one attribute messageDigest.
fn message_digest(mut attributes: Elements<'_>) -> Option<&[u8]> {
    let mut found = None;
    while !attributes.is_empty() {
        let mut attribute = attributes.expect(SEQUENCE)?.inside();
        if attribute.expect(OID)?.content == MESSAGE_DIGEST {
            let value = attribute.expect(SET)?.inside().expect(OCTET_STRING)?.content;
            if found.replace(value).is_some() {
                return None;
            }
        }
    }
    found
}

//! Certificates from templates.

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa, Issuer, PublicKeyData, SerialNumber,
    string::PrintableString,
};
use time::OffsetDateTime;

use crate::der::{BOOLEAN, INTEGER, OCTET_STRING, SEQUENCE, element, named_bits};
use crate::{Curve, IssuerError, Key};

/// A part of a distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamePart {
    /// C, a `PrintableString`.
    Country,
    /// ST
    State,
    /// L
    Locality,
    /// O
    Organization,
    /// OU
    Unit,
    /// CN
    CommonName,
}

/// An extension of a certificate (RFC 5280, section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// `BasicConstraints`.
    BasicConstraints {
        /// Whether it is critical; in AWS's certificates always.
        critical: bool,
        /// Whether the subject is a CA.
        ca: bool,
        /// How many CA certificates may follow.
        path_len: Option<u8>,
    },
    /// `KeyUsage`, the first eight bits: 0x80 digitalSignature, 0x40 nonRepudiation, 0x04 keyCertSign, 0x02 cRLSign.
    KeyUsage {
        /// Whether it is critical; in AWS's leaf it is not.
        critical: bool,
        /// The bits.
        bits: u8,
    },
    /// `SubjectKeyIdentifier`: the SHA-1 of the subject's key (RFC 5280, section 4.2.1.2, method 1).
    SubjectKeyIdentifier,
    /// `AuthorityKeyIdentifier`: the same of the issuer's key.
    AuthorityKeyIdentifier,
    /// `CRLDistributionPoints` with one URL.
    CrlDistributionPoint(String),
    /// Any other.
    Other {
        /// The object identifier.
        oid: Vec<u64>,
        /// Whether it is critical.
        critical: bool,
        /// Its value in DER.
        value: Vec<u8>,
    },
}

/// What a certificate will say, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateTemplate {
    /// The subject's name, part by part in order.
    pub subject: Vec<(NamePart, String)>,
    /// The serial number, big endian, positive.
    pub serial: Vec<u8>,
    /// The first second of its validity, since 1970.
    pub not_before: u64,
    /// The last second of its validity, since 1970.
    pub not_after: u64,
    /// The curve of the subject's key, where one is made.
    pub curve: Curve,
    /// The extensions in order.
    pub extensions: Vec<Extension>,
}

impl CertificateTemplate {
    /// Sets one part of the subject's name.
    pub fn set_name(&mut self, part: NamePart, value: &str) {
        self.subject.iter_mut().filter(|(found, _)| *found == part).for_each(|(_, text)| *text = value.into());
    }

    /// The common name, empty where there is none.
    #[must_use]
    pub fn common_name(&self) -> &str {
        self.subject.iter().find(|(part, _)| *part == NamePart::CommonName).map_or("", |(_, text)| text)
    }

    fn error(&self, problem: impl ToString) -> IssuerError {
        IssuerError::Certificate { subject: self.common_name().into(), problem: problem.to_string() }
    }

    fn distinguished_name(&self) -> Result<DistinguishedName, IssuerError> {
        let mut name = DistinguishedName::new();
        for (part, text) in &self.subject {
            let (kind, value) = match part {
                NamePart::Country => {
                    let text = PrintableString::try_from(text.as_str()).map_err(|error| self.error(error))?;
                    (DnType::CountryName, DnValue::PrintableString(text))
                }
                NamePart::State => (DnType::StateOrProvinceName, DnValue::Utf8String(text.clone())),
                NamePart::Locality => (DnType::LocalityName, DnValue::Utf8String(text.clone())),
                NamePart::Organization => (DnType::OrganizationName, DnValue::Utf8String(text.clone())),
                NamePart::Unit => (DnType::OrganizationalUnitName, DnValue::Utf8String(text.clone())),
                NamePart::CommonName => (DnType::CommonName, DnValue::Utf8String(text.clone())),
            };
            name.push(kind, value);
        }
        Ok(name)
    }

    /// The parameters for rcgen. Every extension is passed as bytes, so that order and criticality are the template's.
    fn parameters(&self, subject: &Key, issuer: &Key) -> Result<CertificateParams, IssuerError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = self.distinguished_name()?;
        parameters.serial_number = Some(SerialNumber::from_slice(&self.serial));
        parameters.not_before = date(self.not_before)?;
        parameters.not_after = date(self.not_after)?;
        parameters.is_ca = IsCa::NoCa;
        parameters.custom_extensions =
            self.extensions.iter().map(|extension| extension.encode(subject, issuer)).collect();
        Ok(parameters)
    }
}

fn date(seconds: u64) -> Result<OffsetDateTime, IssuerError> {
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.ok_or(IssuerError::Time { seconds })
}

impl Extension {
    fn encode(&self, subject: &Key, issuer: &Key) -> CustomExtension {
        let (oid, critical, value) = match self {
            Self::BasicConstraints { critical, ca, path_len } => {
                let ca = if *ca { element(BOOLEAN, &[0xFF]) } else { Vec::new() };
                // An INTEGER of 128 or more needs a zero in front to stay positive.
                let path_len = match path_len {
                    None => Vec::new(),
                    Some(limit @ ..0x80) => element(INTEGER, &[*limit]),
                    Some(limit) => element(INTEGER, &[0, *limit]),
                };
                (vec![2, 5, 29, 19], *critical, element(SEQUENCE, &[ca, path_len].concat()))
            }
            Self::KeyUsage { critical, bits } => (vec![2, 5, 29, 15], *critical, named_bits(*bits)),
            Self::SubjectKeyIdentifier => (vec![2, 5, 29, 14], false, element(OCTET_STRING, &key_identifier(subject))),
            Self::AuthorityKeyIdentifier => {
                (vec![2, 5, 29, 35], false, element(SEQUENCE, &element(0x80, &key_identifier(issuer))))
            }
            Self::CrlDistributionPoint(url) => {
                let name = element(0xA0, &element(0xA0, &element(0x86, url.as_bytes())));
                (vec![2, 5, 29, 31], false, element(SEQUENCE, &element(SEQUENCE, &name)))
            }
            Self::Other { oid, critical, value } => (oid.clone(), *critical, value.clone()),
        };
        let mut extension = CustomExtension::from_oid_content(&oid, value);
        extension.set_criticality(critical);
        extension
    }
}

fn key_identifier(key: &Key) -> Vec<u8> {
    hash(HashAlgorithm::Sha1, &[key.pair.der_bytes()]).as_bytes().to_vec()
}

/// A certificate with its private key, which can issue others.
#[derive(Debug)]
pub struct Authority {
    template: CertificateTemplate,
    key: Key,
    certificate: Vec<u8>,
}

impl Authority {
    /// A root with a new key.
    ///
    /// # Errors
    /// [`IssuerError`] where no key or no certificate can be made.
    pub fn self_signed(template: CertificateTemplate) -> Result<Self, IssuerError> {
        let key = Key::generate(template.curve)?;
        let parameters = template.parameters(&key, &key)?;
        let certificate = parameters.self_signed(&key.pair).map_err(|error| template.error(error))?;
        Ok(Self { certificate: certificate.der().to_vec(), template, key })
    }

    /// An authority that was kept: the template it was made from (of which only the subject still matters), its key and
    /// its certificate in DER. That they belong together is for the caller to know.
    #[must_use]
    pub const fn restored(template: CertificateTemplate, key: Key, certificate: Vec<u8>) -> Self {
        Self { template, key, certificate }
    }

    /// Issues a certificate for a key; gives it in DER. Whether this authority may is not looked at.
    ///
    /// # Errors
    /// [`IssuerError`] where it cannot be built or signed.
    pub fn issue(&self, template: &CertificateTemplate, subject: &Key) -> Result<Vec<u8>, IssuerError> {
        let own = self.template.parameters(&self.key, &self.key)?;
        let issuer = Issuer::from_params(&own, &self.key.pair);
        let certificate = template.parameters(subject, &self.key)?.signed_by(&subject.pair, &issuer);
        Ok(certificate.map_err(|error| template.error(error))?.der().to_vec())
    }

    /// Issues a certificate for a new key, which can then issue others.
    ///
    /// # Errors
    /// [`IssuerError`] where no key or no certificate can be made.
    pub fn issue_authority(&self, template: CertificateTemplate) -> Result<Self, IssuerError> {
        let key = Key::generate(template.curve)?;
        Ok(Self { certificate: self.issue(&template, &key)?, template, key })
    }

    /// The certificate in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
        pem::encode_config(&Pem::new("CERTIFICATE", self.certificate.as_slice()), lines)
    }

    /// The private key.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// What the certificate was made from.
    #[must_use]
    pub const fn template(&self) -> &CertificateTemplate {
        &self.template
    }
}

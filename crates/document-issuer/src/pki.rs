//! AWS's five certificates: root, region, zone, instance, document.

use crate::certificate::{Authority, CertificateTemplate, Extension, NamePart};
use crate::key::random;
use crate::{Curve, IssuerError, Key};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

const DIGITAL_SIGNATURE: u8 = 0x80;
const NON_REPUDIATION: u8 = 0x40;
const KEY_CERT_SIGN: u8 = 0x04;
const CRL_SIGN: u8 = 0x02;

/// The templates of the five certificates of one document. Alter one and the rest stays as AWS has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// `CN=aws.nitro-enclaves`, 30 years.
    pub root: CertificateTemplate,
    /// `CN=<16 hex>.<region>.aws.nitro-enclaves`, 20 days and an hour, path length 2.
    pub regional: CertificateTemplate,
    /// `CN=<16 hex>.zonal.<region>.aws.nitro-enclaves`, 5 days 19 hours, path length 1.
    pub zonal: CertificateTemplate,
    /// `CN=i-<id>.<region>.aws.nitro-enclaves`, a day, path length 0.
    pub instance: CertificateTemplate,
    /// `CN=<module id>.<region>.aws`, from three seconds before the document to three hours after it.
    pub leaf: CertificateTemplate,
}

impl Profile {
    /// The certificates as AWS makes them, for a document made at a time (in seconds since 1970).
    ///
    /// # Errors
    /// [`IssuerError::ModuleId`] where the module id has no instance in it, [`IssuerError::Crypto`] where there are no
    /// random bytes for serial numbers and names.
    pub fn aws(module_id: &str, region: &str, seconds: u64) -> Result<Self, IssuerError> {
        Ok(Self {
            root: Self::aws_root(seconds)?,
            regional: regional(region, seconds)?,
            zonal: zonal(region, seconds)?,
            instance: instance(module_id, region, seconds)?,
            leaf: Self::aws_leaf(module_id, region, seconds),
        })
    }

    /// The root's template; its validity begins a day before `seconds`.
    ///
    /// # Errors
    /// [`IssuerError::Crypto`] where there are no random bytes for the serial number.
    pub fn aws_root(seconds: u64) -> Result<CertificateTemplate, IssuerError> {
        let not_before = seconds.saturating_sub(DAY);
        Ok(CertificateTemplate {
            subject: amazon_usual("aws.nitro-enclaves".into()),
            serial: serial::<16>()?,
            not_before,
            // 30 years, seven or eight of them leap years, and an hour.
            not_after: not_before.saturating_add(10_957 * DAY + HOUR),
            curve: Curve::P384,
            extensions: vec![
                authority(None),
                Extension::SubjectKeyIdentifier,
                key_usage(DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN),
            ],
        })
    }

    /// The leaf's template for a document made at a time (in seconds since 1970).
    #[must_use]
    pub fn aws_leaf(module_id: &str, region: &str, seconds: u64) -> CertificateTemplate {
        let not_before = seconds.saturating_sub(3);
        CertificateTemplate {
            subject: amazon_washington(format!("{module_id}.{region}.aws")),
            // AWS's serial number is the document's time.
            serial: positive(&seconds.to_be_bytes()),
            not_before,
            not_after: not_before.saturating_add(3 * HOUR + 3),
            curve: Curve::P384,
            extensions: vec![
                Extension::BasicConstraints { critical: true, ca: false, path_len: None },
                Extension::KeyUsage { critical: false, bits: DIGITAL_SIGNATURE | NON_REPUDIATION },
            ],
        }
    }
}

/// The authorities of a document's chain.
#[derive(Debug)]
pub struct Pki {
    root: Authority,
    /// Region, zone, instance.
    below: Vec<Authority>,
}

impl Pki {
    /// Makes a root and the three authorities under it.
    ///
    /// # Errors
    /// [`IssuerError`] where a key or certificate cannot be made.
    pub fn generate(profile: &Profile) -> Result<Self, IssuerError> {
        let mut pki = Self::with_root(Authority::self_signed(profile.root.clone())?);
        pki.renew(profile)?;
        Ok(pki)
    }

    /// A root with nothing under it yet.
    #[must_use]
    pub const fn with_root(root: Authority) -> Self {
        Self { root, below: Vec::new() }
    }

    /// Makes the three authorities under the root anew.
    ///
    /// # Errors
    /// [`IssuerError`] where a key or certificate cannot be made; the old ones stay then.
    pub fn renew(&mut self, profile: &Profile) -> Result<(), IssuerError> {
        let mut below: Vec<Authority> = Vec::new();
        for template in [&profile.regional, &profile.zonal, &profile.instance] {
            let issued = below.last().unwrap_or(&self.root).issue_authority(template.clone())?;
            below.push(issued);
        }
        self.below = below;
        Ok(())
    }

    /// The root.
    #[must_use]
    pub const fn root(&self) -> &Authority {
        &self.root
    }

    /// The authorities under the root: region, zone, instance.
    #[must_use]
    pub fn below(&self) -> &[Authority] {
        &self.below
    }

    /// The certificates as a document's `cabundle` has them: root first, in DER.
    #[must_use]
    pub fn cabundle(&self) -> Vec<Vec<u8>> {
        core::iter::once(&self.root).chain(&self.below).map(|authority| authority.certificate().to_vec()).collect()
    }

    /// Makes a key and the leaf certificate for it, issued by the last authority.
    ///
    /// # Errors
    /// [`IssuerError`] where either cannot be made.
    pub fn issue_leaf(&self, template: &CertificateTemplate) -> Result<(Vec<u8>, Key), IssuerError> {
        let key = Key::generate(template.curve)?;
        Ok((self.below.last().unwrap_or(&self.root).issue(template, &key)?, key))
    }
}

fn regional(region: &str, seconds: u64) -> Result<CertificateTemplate, IssuerError> {
    let not_before = seconds.saturating_sub(12 * HOUR);
    Ok(CertificateTemplate {
        subject: amazon_usual(format!("{}.{region}.aws.nitro-enclaves", label()?)),
        serial: serial::<16>()?,
        not_before,
        not_after: not_before.saturating_add(20 * DAY + HOUR),
        curve: Curve::P384,
        extensions: vec![
            authority(Some(2)),
            Extension::AuthorityKeyIdentifier,
            Extension::SubjectKeyIdentifier,
            key_usage(DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN),
            Extension::CrlDistributionPoint(
                "http://crl.example.com/crl/00000000-0000-0000-0000-000000000000.crl".into(),
            ),
        ],
    })
}

fn zonal(region: &str, seconds: u64) -> Result<CertificateTemplate, IssuerError> {
    let not_before = seconds.saturating_sub(6 * HOUR);
    Ok(CertificateTemplate {
        // The one name of AWS's that begins with its most particular part.
        subject: vec![
            (NamePart::CommonName, format!("{}.zonal.{region}.aws.nitro-enclaves", label()?)),
            (NamePart::Unit, "AWS".into()),
            (NamePart::Organization, "Amazon".into()),
            (NamePart::Country, "US".into()),
            (NamePart::State, "WA".into()),
            (NamePart::Locality, "Seattle".into()),
        ],
        serial: serial::<16>()?,
        not_before,
        not_after: not_before.saturating_add(5 * DAY + 19 * HOUR),
        curve: Curve::P384,
        extensions: vec![
            authority(Some(1)),
            Extension::AuthorityKeyIdentifier,
            Extension::SubjectKeyIdentifier,
            key_usage(DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN),
            Extension::CrlDistributionPoint(format!(
                "http://crl-{region}.example.com/crl/00000000-0000-0000-0000-000000000000.crl"
            )),
        ],
    })
}

fn instance(module_id: &str, region: &str, seconds: u64) -> Result<CertificateTemplate, IssuerError> {
    let (instance_id, _) = module_id.rsplit_once('-').ok_or_else(|| IssuerError::ModuleId(module_id.into()))?;
    let not_before = seconds.saturating_sub(64);
    Ok(CertificateTemplate {
        subject: amazon_washington(format!("{instance_id}.{region}.aws.nitro-enclaves")),
        serial: serial::<20>()?,
        not_before,
        not_after: not_before.saturating_add(DAY),
        curve: Curve::P384,
        extensions: vec![
            authority(Some(0)),
            key_usage(KEY_CERT_SIGN),
            Extension::SubjectKeyIdentifier,
            Extension::AuthorityKeyIdentifier,
        ],
    })
}

const fn authority(path_len: Option<u8>) -> Extension {
    Extension::BasicConstraints { critical: true, ca: true, path_len }
}

const fn key_usage(bits: u8) -> Extension {
    Extension::KeyUsage { critical: true, bits }
}

fn amazon_usual(common_name: String) -> Vec<(NamePart, String)> {
    vec![
        (NamePart::Country, "US".into()),
        (NamePart::Organization, "Amazon".into()),
        (NamePart::Unit, "AWS".into()),
        (NamePart::CommonName, common_name),
    ]
}

fn amazon_washington(common_name: String) -> Vec<(NamePart, String)> {
    vec![
        (NamePart::Country, "US".into()),
        (NamePart::State, "Washington".into()),
        (NamePart::Locality, "Seattle".into()),
        (NamePart::Organization, "Amazon".into()),
        (NamePart::Unit, "AWS".into()),
        (NamePart::CommonName, common_name),
    ]
}

/// The 16 hexadecimal digits that name AWS's regional and zonal authorities.
fn label() -> Result<String, IssuerError> {
    Ok(random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A random serial number: positive, never zero, as long as AWS's.
fn serial<const N: usize>() -> Result<Vec<u8>, IssuerError> {
    let mut bytes = random::<N>()?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7F) | 0x40;
    }
    Ok(bytes.to_vec())
}

/// A number without the zeros in front; one byte where it is zero.
fn positive(number: &[u8]) -> Vec<u8> {
    let significant: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    if significant.is_empty() { vec![0] } else { significant }
}

//! What firmware with Secure Boot on decides about an image: EDK II's `DxeImageVerificationHandler`
//! ("SecurityPkg/Library/DxeImageVerificationLib"), which EC2's firmware is built from.

use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_uefi::{Guid, SignatureDatabase, SignatureEntry, SignatureKind, guids};

use crate::authenticode::{Certificate, Signature};
use crate::{PeImage, Refusal};

/// `WIN_CERT_TYPE_PKCS_SIGNED_DATA`
const PKCS_SIGNED_DATA: u16 = 0x0002;
/// `WIN_CERT_TYPE_EFI_GUID`
const EFI_GUID: u16 = 0x0EF1;

/// The decision about one image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It starts; the entry that let it is measured into PCR 7.
    Allowed {
        /// The entry.
        entry: SignatureEntry,
        /// What the entry is, in words.
        authority: String,
    },
    /// It does not start.
    Refused(Refusal),
    /// What the firmware does cannot be said.
    Unknown {
        /// Why not.
        reason: String,
    },
}

/// An entry of the certificate table.
enum TableEntry<'a> {
    Pkcs7(&'a [u8]),
    Other,
}

/// Decides about `image` with these contents of db and dbx. There is no dbt: an entry of dbx that revokes a certificate
/// from some time on counts at once, as it does for firmware without dbt.
#[must_use]
pub fn decide(image: &PeImage<'_>, db: &SignatureDatabase, dbx: &SignatureDatabase) -> Decision {
    let table = image.certificate_table();
    if table.is_empty() {
        return decide_unsigned(image, db, dbx);
    }
    let mut allowed = None;
    let mut detail = None;
    let mut rest = table;
    while let Some((entry, after)) = split_entry(rest) {
        rest = after;
        let TableEntry::Pkcs7(bytes) = entry else { continue };
        let signature = match Signature::parse(bytes) {
            Ok(signature) => signature,
            Err(what) => return Decision::Unknown { reason: format!("a signature of {}: {what}", image.name()) },
        };
        let digest = image.authenticode_digest(signature.algorithm);
        if let Some(refusal) = forbidden(&signature, digest.as_bytes(), dbx) {
            return Decision::Refused(refusal);
        }
        if allowed.is_none() {
            match allowed_by_certificate(&signature, digest.as_bytes(), db, dbx) {
                Ok(found) => allowed = found,
                Err(refusal) => detail = Some(refusal),
            }
        }
        if find_digest(dbx, digest.as_bytes(), signature.algorithm).is_some() {
            return Decision::Refused(Refusal::DigestInDbx { digest: digest.to_string() });
        }
        if allowed.is_none() {
            allowed = find_digest(db, digest.as_bytes(), signature.algorithm)
                .map(|entry| (entry.clone(), format!("the image's {} digest", signature.algorithm)));
        }
        if detail.is_none() {
            detail = Some(Refusal::NotInDb { detail: explain(&signature, digest.as_bytes()) });
        }
    }
    if !rest.is_empty() {
        return Decision::Refused(Refusal::CertificateTable { what: "its entries do not fill it" });
    }
    match (allowed, detail) {
        (Some((entry, authority)), _) => Decision::Allowed { entry, authority },
        (None, Some(refusal)) => Decision::Refused(refusal),
        (None, None) => {
            Decision::Refused(Refusal::NotInDb { detail: "its certificate table has no PKCS #7 signature".into() })
        }
    }
}

fn decide_unsigned(image: &PeImage<'_>, db: &SignatureDatabase, dbx: &SignatureDatabase) -> Decision {
    let digest = image.authenticode_digest(HashAlgorithm::Sha256);
    if find_digest(dbx, digest.as_bytes(), HashAlgorithm::Sha256).is_some() {
        return Decision::Refused(Refusal::DigestInDbx { digest: digest.to_string() });
    }
    match find_digest(db, digest.as_bytes(), HashAlgorithm::Sha256) {
        Some(entry) => Decision::Allowed { entry: entry.clone(), authority: "the image's sha256 digest".into() },
        None => Decision::Refused(Refusal::Unsigned { digest: digest.to_string() }),
    }
}

/// The first `WIN_CERTIFICATE` and what follows it, 8-byte aligned.
fn split_entry(table: &[u8]) -> Option<(TableEntry<'_>, &[u8])> {
    let (header, _) = table.split_first_chunk::<8>()?;
    let [a, b, c, d, _, _, low, high] = *header;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    let body = table.get(8..length)?;
    let entry = match u16::from_le_bytes([low, high]) {
        PKCS_SIGNED_DATA if !body.is_empty() => TableEntry::Pkcs7(body),
        PKCS_SIGNED_DATA => return None,
        EFI_GUID => match body.split_first_chunk::<16>() {
            Some((guid, data)) if Guid::from_bytes(*guid) == guids::CERT_TYPE_PKCS7 => TableEntry::Pkcs7(data),
            Some(_) => TableEntry::Other,
            None => return None,
        },
        _ => TableEntry::Other,
    };
    Some((entry, table.get(length.next_multiple_of(8)..).unwrap_or_default()))
}

/// The entry with an image's digest.
fn find_digest<'a>(
    database: &'a SignatureDatabase,
    digest: &[u8],
    algorithm: HashAlgorithm,
) -> Option<&'a SignatureEntry> {
    let wanted = match algorithm {
        HashAlgorithm::Sha1 => SignatureKind::Sha1,
        HashAlgorithm::Sha256 => SignatureKind::Sha256,
        HashAlgorithm::Sha384 => SignatureKind::Sha384,
        HashAlgorithm::Sha512 => SignatureKind::Sha512,
    };
    let mut matching = database.entries().filter(|(kind, entry)| *kind == wanted && entry.data == digest);
    matching.next().map(|(_, entry)| entry)
}

/// The X.509 certificates of a database; entries that cannot be read verify nothing.
fn certificates(database: &SignatureDatabase) -> impl Iterator<Item = (&SignatureEntry, Certificate<'_>)> + '_ {
    let entries = database.entries().filter(|(kind, _)| *kind == SignatureKind::X509);
    entries.filter_map(|(_, entry)| Certificate::parse(&entry.data).map(|certificate| (entry, certificate)))
}

/// Whether dbx has the digest of the certificate's to-be-signed part.
fn is_revoked(certificate: &Certificate<'_>, dbx: &SignatureDatabase) -> bool {
    dbx.entries().any(|(kind, entry)| {
        let algorithm = match kind {
            SignatureKind::X509Sha256 => HashAlgorithm::Sha256,
            SignatureKind::X509Sha384 => HashAlgorithm::Sha384,
            SignatureKind::X509Sha512 => HashAlgorithm::Sha512,
            _ => return false,
        };
        // The time of revocation follows the digest.
        entry.data.get(..algorithm.digest_len()) == Some(&certificate.tbs_digest(algorithm))
    })
}

fn forbidden(signature: &Signature<'_>, digest: &[u8], dbx: &SignatureDatabase) -> Option<Refusal> {
    if let Some((_, certificate)) = certificates(dbx).find(|(_, certificate)| signature.is_by(digest, certificate)) {
        return Some(Refusal::CertificateInDbx { subject: certificate.subject() });
    }
    let signer = signature.signer().filter(|signer| is_revoked(signer, dbx))?;
    Some(Refusal::CertificateRevoked { subject: signer.subject() })
}

/// The first certificate of db, in db's order, that the signature leads to.
fn allowed_by_certificate(
    signature: &Signature<'_>,
    digest: &[u8],
    db: &SignatureDatabase,
    dbx: &SignatureDatabase,
) -> Result<Option<(SignatureEntry, String)>, Refusal> {
    match certificates(db).find(|(_, certificate)| signature.is_by(digest, certificate)) {
        Some((_, certificate)) if is_revoked(&certificate, dbx) => {
            Err(Refusal::CertificateRevoked { subject: certificate.subject() })
        }
        Some((entry, certificate)) => {
            Ok(Some((entry.clone(), format!("the certificate \"{}\"", certificate.subject()))))
        }
        None => Ok(None),
    }
}

/// Why a signature led nowhere.
fn explain(signature: &Signature<'_>, digest: &[u8]) -> String {
    if signature.digest != digest {
        return "its signature is over another digest, so it was changed after it was signed".into();
    }
    match signature.signer() {
        None => "its signature does not carry the signer's certificate".into(),
        Some(signer) if !signature.is_by(digest, signer) => {
            format!("its signature does not hold with the key of \"{}\"", signer.subject())
        }
        Some(signer) => format!("its signer \"{}\" leads to no certificate in db", signer.subject()),
    }
}

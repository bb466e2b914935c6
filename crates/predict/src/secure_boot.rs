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

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]
mod tests {
    use nitrotpm_digest_lanes::hash;
    use nitrotpm_uefi::SignatureList;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Authority, attach, image};

    const NONE: SignatureDatabase = SignatureDatabase::new(Vec::new());

    fn database(entries: &[(SignatureKind, &[u8])]) -> SignatureDatabase {
        let entry = |data: &[u8]| SignatureEntry { owner: guids::SHIM_LOCK, data: data.to_vec() };
        let list = |(kind, data): &(SignatureKind, &[u8])| SignatureList::new(*kind, vec![entry(data)]).unwrap();
        SignatureDatabase::new(entries.iter().map(list).collect())
    }

    fn unsigned() -> Vec<u8> {
        image(&[(".text", &[1; 700])])
    }

    fn digest(bytes: &[u8]) -> Vec<u8> {
        PeImage::parse("a", bytes).unwrap().authenticode_digest(HashAlgorithm::Sha256).as_bytes().to_vec()
    }

    fn decision(bytes: &[u8], db: &SignatureDatabase, dbx: &SignatureDatabase) -> Decision {
        decide(&PeImage::parse("test.efi", bytes).unwrap(), db, dbx)
    }

    #[track_caller]
    fn allowed_by(bytes: &[u8], db: &SignatureDatabase, dbx: &SignatureDatabase, data: &[u8]) {
        match decision(bytes, db, dbx) {
            Decision::Allowed { entry, .. } => assert_eq!(entry.data, data),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refusal(bytes: &[u8], db: &SignatureDatabase, dbx: &SignatureDatabase) -> Refusal {
        match decision(bytes, db, dbx) {
            Decision::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_unsigned_image_needs_its_digest_in_db() {
        let bytes = unsigned();
        let other = [7; 32];
        let with_digest = database(&[(SignatureKind::Sha256, &other), (SignatureKind::Sha256, &digest(&bytes))]);
        allowed_by(&bytes, &with_digest, &NONE, &digest(&bytes));
        let expected = Refusal::Unsigned { digest: hex(&digest(&bytes)) };
        assert_eq!(refusal(&bytes, &database(&[(SignatureKind::Sha256, &other)]), &NONE), expected);
        let expected = Refusal::DigestInDbx { digest: hex(&digest(&bytes)) };
        assert_eq!(refusal(&bytes, &with_digest, &with_digest), expected);
        // The digest as an entry of another kind lets nothing start.
        let wrong_kind = database(&[(SignatureKind::Other(guids::SHIM_LOCK), &digest(&bytes))]);
        assert!(matches!(refusal(&bytes, &wrong_kind, &NONE), Refusal::Unsigned { .. }));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_signer_or_its_issuer_in_db_lets_start_in_the_order_of_db() {
        let authority = Authority::new("issuer", true);
        let signer = authority.issue("signer");
        let bytes = signer.sign(&unsigned());
        let (leaf, ca) =
            ((SignatureKind::X509, &signer.certificate[..]), (SignatureKind::X509, &authority.certificate[..]));
        let stranger = Authority::new("stranger", true).certificate;
        allowed_by(&bytes, &database(&[leaf]), &NONE, leaf.1);
        allowed_by(&bytes, &database(&[ca]), &NONE, ca.1);
        allowed_by(&bytes, &database(&[(SignatureKind::X509, &stranger), ca, leaf]), &NONE, ca.1);
        allowed_by(&bytes, &database(&[leaf, ca]), &NONE, leaf.1);
        // A certificate comes before a digest, wherever they stand.
        allowed_by(&bytes, &database(&[(SignatureKind::Sha256, &digest(&bytes)), ca]), &NONE, ca.1);
        allowed_by(&bytes, &database(&[(SignatureKind::Sha256, &digest(&bytes))]), &NONE, &digest(&bytes));
        let refused = refusal(&bytes, &database(&[(SignatureKind::X509, &stranger)]), &NONE);
        assert!(refused.to_string().contains("leads to no certificate in db"), "{refused}");
    }

    #[test]
    fn an_issuer_of_the_same_name_with_another_key_is_another() {
        let authority = Authority::new("issuer", true);
        let bytes = authority.issue("signer").sign(&unsigned());
        let imposter = Authority::new("issuer", true).certificate;
        assert!(matches!(
            refusal(&bytes, &database(&[(SignatureKind::X509, &imposter)]), &NONE),
            Refusal::NotInDb { .. }
        ));
        allowed_by(&bytes, &database(&[(SignatureKind::X509, &authority.certificate)]), &NONE, &authority.certificate);
    }

    #[test]
    fn a_certificate_that_may_not_issue_vouches_for_nobody() {
        let authority = Authority::new("no authority", false);
        let bytes = authority.issue("signer").sign(&unsigned());
        let refused = refusal(&bytes, &database(&[(SignatureKind::X509, &authority.certificate)]), &NONE);
        assert!(matches!(refused, Refusal::NotInDb { .. }));
    }

    #[test]
    fn an_image_changed_after_it_was_signed_is_refused() {
        let authority = Authority::new("issuer", true);
        let mut bytes = authority.issue("signer").sign(&unsigned());
        let db = database(&[(SignatureKind::X509, &authority.certificate)]);
        allowed_by(&bytes, &db, &NONE, &authority.certificate);
        bytes[600] ^= 1;
        assert!(refusal(&bytes, &db, &NONE).to_string().contains("changed after it was signed"));
    }

    #[test]
    fn a_signature_by_another_key_is_refused() {
        let authority = Authority::new("issuer", true);
        let signer = authority.issue("signer");
        let bytes = unsigned();
        let db = database(&[(SignatureKind::X509, &authority.certificate)]);
        let signature = signer.pkcs7(&digest(&bytes), &[]);
        allowed_by(&attach(&bytes, &[&signature]), &db, &NONE, &authority.certificate);
        // The ECDSA signature is the last element: its last byte is of the number s.
        let mut forged = signature;
        *forged.last_mut().unwrap() ^= 1;
        assert!(refusal(&attach(&bytes, &[&forged]), &db, &NONE).to_string().contains("does not hold with the key"));
    }

    #[test]
    fn dbx_wins() {
        let authority = Authority::new("issuer", true);
        let signer = authority.issue("signer");
        let bytes = signer.sign(&unsigned());
        let db = database(&[(SignatureKind::X509, &authority.certificate)]);
        allowed_by(&bytes, &db, &database(&[(SignatureKind::Sha256, &[7; 32])]), &authority.certificate);
        let with = |kind, data: &[u8]| refusal(&bytes, &db, &database(&[(kind, data)]));
        let digest = digest(&bytes);
        assert_eq!(with(SignatureKind::Sha256, &digest), Refusal::DigestInDbx { digest: hex(&digest) });
        for (certificate, subject) in [(&signer.certificate, "signer"), (&authority.certificate, "issuer")] {
            let name = format!("CN={subject}");
            match with(SignatureKind::X509, certificate) {
                Refusal::CertificateInDbx { subject } => assert!(subject.ends_with(&name), "{subject}"),
                other => panic!("{other:?}"),
            }
            let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
            for (kind, algorithm) in [
                (SignatureKind::X509Sha256, HashAlgorithm::Sha256),
                (SignatureKind::X509Sha384, HashAlgorithm::Sha384),
                (SignatureKind::X509Sha512, HashAlgorithm::Sha512),
            ] {
                let mut revoked = hash(algorithm, &[parsed.tbs_certificate.as_ref()]).as_bytes().to_vec();
                revoked.extend_from_slice(&[0; 16]);
                assert!(matches!(with(kind, &revoked), Refusal::CertificateRevoked { .. }), "{subject} {algorithm}");
                revoked[0] ^= 1;
                allowed_by(&bytes, &db, &database(&[(kind, &revoked)]), &authority.certificate);
            }
        }
    }

    #[test]
    fn one_of_several_signatures_suffices_and_one_forbidden_is_too_many() {
        let (good, bad) = (Authority::new("good", true), Authority::new("bad", true));
        let bytes = unsigned();
        let by = |authority: &Authority| authority.issue("signer").pkcs7(&digest(&bytes), &[]);
        let both = attach(&bytes, &[&by(&bad), &by(&good)]);
        let db = database(&[(SignatureKind::X509, &good.certificate)]);
        allowed_by(&both, &db, &NONE, &good.certificate);
        let dbx = database(&[(SignatureKind::X509, &bad.certificate)]);
        assert!(matches!(refusal(&both, &db, &dbx), Refusal::CertificateInDbx { .. }));
    }

    #[test]
    fn a_certificate_table_that_does_not_add_up_is_refused() {
        let authority = Authority::new("issuer", true);
        let bytes = authority.issue("signer").sign(&unsigned());
        let db = database(&[(SignatureKind::X509, &authority.certificate)]);
        allowed_by(&bytes, &db, &NONE, &authority.certificate);
        // A second entry of which there is only a part.
        let mut longer =
            attach(&unsigned(), &[PeImage::parse("a", &bytes).unwrap().certificate_table().get(8..).unwrap()]);
        longer.extend_from_slice(&[0xFF, 0, 0, 0, 0, 2, 2, 0]);
        let size = u32::from_le_bytes(*longer[crate::testing::SECURITY + 4..].first_chunk().unwrap()) + 8;
        longer[crate::testing::SECURITY + 4..][..4].copy_from_slice(&size.to_le_bytes());
        assert!(matches!(refusal(&longer, &db, &NONE), Refusal::CertificateTable { .. }));
    }

    #[test]
    fn a_signature_that_cannot_be_read_is_unknown_and_no_pass() {
        let bytes = attach(&unsigned(), &[&[0x30, 3, 2, 1, 1]]);
        assert!(matches!(decision(&bytes, &NONE, &NONE), Decision::Unknown { .. }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// No altered signature lets an image start: what is altered is signed, or is the signature, or is not used.
        #[test]
        fn altered_signatures_never_gain(position in 0_usize..900, bit in 0_u8..8) {
            let authority = Authority::new("issuer", true);
            let mut bytes = authority.issue("signer").sign(&unsigned());
            let db = database(&[(SignatureKind::X509, &Authority::new("issuer", true).certificate)]);
            let start = bytes.len().saturating_sub(900);
            bytes[start..][position] ^= 1 << bit;
            if let Ok(parsed) = PeImage::parse("a", &bytes) {
                let allowed = matches!(decide(&parsed, &db, &NONE), Decision::Allowed { .. });
                prop_assert!(!allowed);
            }
        }
    }
}

//! Signature list entries in words.

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_uefi::{SignatureEntry, SignatureKind};

use crate::authenticode::Certificate;

/// What an entry of PK, KEK, db or dbx is: the subject and SHA-256 fingerprint of a certificate, or the digest. Text from
/// the certificate is not escaped.
#[must_use]
pub fn describe_signature(kind: SignatureKind, entry: &SignatureEntry) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let digest = |name: &str, length: usize, what: &str| match entry.data.split_at_checked(length) {
        Some((digest, _)) => format!("{what} {name}:{}", hex(digest)),
        None => format!("{what} {name}, cut to {} bytes", entry.data.len()),
    };
    match kind {
        SignatureKind::X509 => {
            let fingerprint = hash(HashAlgorithm::Sha256, &[&entry.data]);
            match Certificate::parse(&entry.data) {
                Some(certificate) => format!("certificate \"{}\" sha256:{fingerprint}", certificate.subject()),
                None => format!("certificate that cannot be read, sha256:{fingerprint}"),
            }
        }
        SignatureKind::Sha1 => digest("sha1", 20, "image digest"),
        SignatureKind::Sha224 => digest("sha224", 28, "image digest"),
        SignatureKind::Sha256 => digest("sha256", 32, "image digest"),
        SignatureKind::Sha384 => digest("sha384", 48, "image digest"),
        SignatureKind::Sha512 => digest("sha512", 64, "image digest"),
        SignatureKind::X509Sha256 => digest("sha256", 32, "revoked certificate"),
        SignatureKind::X509Sha384 => digest("sha384", 48, "revoked certificate"),
        SignatureKind::X509Sha512 => digest("sha512", 64, "revoked certificate"),
        other => format!("entry of unknown type {}, {} bytes", other.guid(), entry.data.len()),
    }
}

#[cfg(test)]
mod tests {
    use nitrotpm_uefi::guids;

    use super::*;
    use crate::testing::Authority;

    fn words(kind: SignatureKind, data: &[u8]) -> String {
        describe_signature(kind, &SignatureEntry { owner: guids::SHIM_LOCK, data: data.to_vec() })
    }

    #[test]
    fn entries_are_named_by_what_tells_them_apart() {
        let certificate = Authority::new("issuer", true).certificate;
        let text = words(SignatureKind::X509, &certificate);
        let fingerprint = hash(HashAlgorithm::Sha256, &[&certificate]);
        assert!(text.contains("CN=issuer") && text.ends_with(&fingerprint.to_string()), "{text}");
        assert!(words(SignatureKind::X509, b"x").contains("cannot be read"));
        assert_eq!(words(SignatureKind::Sha256, &[0xAB; 32]), format!("image digest sha256:{}", "ab".repeat(32)));
        assert!(words(SignatureKind::Sha256, &[1]).contains("cut to 1 bytes"));
        assert!(words(SignatureKind::X509Sha384, &[1; 64]).starts_with("revoked certificate sha384:0101"));
        assert!(words(SignatureKind::Other(guids::SHIM_LOCK), &[1; 7]).contains("7 bytes"));
    }
}

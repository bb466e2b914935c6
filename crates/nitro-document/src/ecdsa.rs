//! The signature of a certificate: ecdsa-with-SHA384 under a P-384 key, in DER.

use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_signature::{Backend, Curve, PublicKey, Scheme, SignatureBytes};

/// A signature with the key and the bytes it is about. Nothing says yet that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateSignature<'c> {
    /// The issuer's key, one of P-384.
    pub(crate) key: PublicKey,
    /// The DER of the certificate's `TBSCertificate`.
    pub(crate) message: &'c [u8],
    /// The DER of the `ECDSA-Sig-Value` (RFC 3279, section 2.2.3).
    pub(crate) signature: &'c [u8],
}

impl CertificateSignature<'_> {
    /// Whether it holds: both numbers are in the one encoding that DER allows, and `backend` accepts them.
    pub(crate) fn holds(&self, backend: Backend) -> bool {
        let scheme = Scheme::Ecdsa(HashAlgorithm::Sha384);
        is_p384(&self.key)
            && ecdsa_numbers(self.signature).is_some_and(|(r, s)| {
                backend.verify(&self.key, scheme, self.message, SignatureBytes::Ecdsa { r, s }).is_ok()
            })
    }
}

/// Signatures that hold: computed by [`Self::check`], or known from an earlier computation over the same bytes. Nobody
/// else makes one.
#[derive(Debug, Default)]
pub(crate) struct HeldSignatures<'c>(Vec<CertificateSignature<'c>>);

impl<'c> HeldSignatures<'c> {
    /// Adds a signature if it holds. `known` says that it does, because it was computed before with the same backend.
    pub(crate) fn check(&mut self, signature: CertificateSignature<'c>, backend: Backend, known: bool) -> bool {
        let holds = known || signature.holds(backend);
        if holds {
            self.0.push(signature);
        }
        holds
    }

    /// Whether this very signature, over these very bytes, under this very key (an uncompressed point) is among them.
    pub(crate) fn contain(&self, point: &[u8], message: &[u8], signature: &[u8]) -> bool {
        self.0.iter().any(|held| {
            held.signature == signature
                && held.message == message
                && matches!(&held.key, PublicKey::Ec(key) if key.sec1() == point)
        })
    }
}

/// Whether a key is one of P-384.
pub(crate) fn is_p384(key: &PublicKey) -> bool {
    matches!(key, PublicKey::Ec(key) if key.curve() == Curve::P384)
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

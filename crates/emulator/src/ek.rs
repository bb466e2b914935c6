//! The endorsement key's public part, as EC2's GetInstanceTpmEkPub gives it.

use nitrotpm_signature::{Curve, PublicKey};

use crate::EmulatorError;
use crate::backend::Backend;
use crate::wire::{Authorization, Malformed, Put, Reader, cc, rh};

/// The endorsement keys that EC2 gives out (`--key-type` of `aws ec2 get-instance-tpm-ek-pub`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EkKind {
    /// `rsa-2048`: template L-1 of the TCG EK Credential Profile.
    Rsa2048,
    /// `ecc-sec-p384`: template H-3. That EC2's key has this template is inferred from its name.
    EccP384,
}

/// The public part of an endorsement key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EkPublic {
    /// SubjectPublicKeyInfo in DER (`--key-format der`).
    pub der: Vec<u8>,
    /// `TPMT_PUBLIC`, without the size field of a TPM2B_PUBLIC (`--key-format tpmt`).
    pub tpmt: Vec<u8>,
}

/// PolicySecret(endorsement) in SHA-256 (EK Credential Profile 2.5, B.3.3).
const POLICY_A: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7,
    0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];
/// PolicyB in SHA-384 (EK Credential Profile 2.5, B.6.5).
const POLICY_B: [u8; 48] = [
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48,
    0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09, 0x69, 0x96,
    0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
];

impl EkKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Rsa2048, Self::EccP384];

    /// The name that EC2 gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-2048",
            Self::EccP384 => "ecc-sec-p384",
        }
    }

    fn template(self) -> Result<Vec<u8>, Malformed> {
        let mut template = Vec::new();
        match self {
            Self::Rsa2048 => {
                template.put_u16(0x0001); // RSA
                template.put_u16(0x000b); // SHA-256
                template.put_u32(0x0003_00b2);
                template.put_sized(&POLICY_A)?;
                for field in [0x0006, 128, 0x0043, 0x0010, 2048] {
                    template.put_u16(field); // AES-128-CFB, no scheme, 2,048 bits
                }
                template.put_u32(0); // exponent 65,537
                template.put_sized(&[0; 256])?;
            }
            Self::EccP384 => {
                template.put_u16(0x0023); // ECC
                template.put_u16(0x000c); // SHA-384
                template.put_u32(0x0003_00f2);
                template.put_sized(&POLICY_B)?;
                for field in [0x0006, 256, 0x0043, 0x0010, 0x0004, 0x0010] {
                    template.put_u16(field); // AES-256-CFB, no scheme, P-384, no KDF
                }
                template.put_sized(&[])?; // x
                template.put_sized(&[])?; // y
            }
        }
        Ok(template)
    }

    /// The SubjectPublicKeyInfo of a `TPMT_PUBLIC` of this kind.
    fn spki(self, tpmt: &[u8]) -> Option<Vec<u8>> {
        let template = self.template().ok()?;
        // The unique field is the last of the template: 258 bytes of RSA, two empty coordinates.
        let fixed = match self {
            Self::Rsa2048 => template.len().checked_sub(258)?,
            Self::EccP384 => template.len().checked_sub(4)?,
        };
        let mut unique = Reader::new(tpmt.get(fixed..)?);
        let key = match self {
            Self::Rsa2048 => PublicKey::rsa(unique.sized().ok()?, 65_537),
            Self::EccP384 => PublicKey::ec(Curve::P384, unique.sized().ok()?, unique.sized().ok()?),
        };
        unique.end().ok()?;
        key.ok().map(|key| key.to_spki_der())
    }
}

/// Makes the key, which is always the same one of this TPM, and reads its public part.
pub(crate) fn public(backend: &mut Backend, kind: EkKind) -> Result<EkPublic, EmulatorError> {
    let doing = "make its endorsement key";
    let wrong = || EmulatorError::SwtpmAnswer { doing };
    let mut parameters = Vec::new();
    let mut put = || {
        parameters.put_sized(&[0, 0, 0, 0])?; // neither authorization value nor data
        parameters.put_sized(&kind.template()?)?;
        parameters.put_sized(&[])?;
        parameters.put_u32(0);
        Ok::<_, Malformed>(())
    };
    put().map_err(|Malformed| wrong())?;
    let endorsement = [Authorization::password(b"")];
    let body = backend.run(doing, cc::CREATE_PRIMARY, &[rh::ENDORSEMENT], &endorsement, &parameters)?;
    let mut reader = Reader::new(&body);
    let handle = reader.u32().map_err(|Malformed| wrong())?;
    backend.run(doing, cc::FLUSH_CONTEXT, &[], &[], &handle.to_be_bytes())?;
    let tpmt = reader.u32().and_then(|_| reader.sized()).map_err(|Malformed| wrong())?.to_vec();
    let der = kind.spki(&tpmt).ok_or_else(wrong)?;
    Ok(EkPublic { der, tpmt })
}

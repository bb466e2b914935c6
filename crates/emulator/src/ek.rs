//! The endorsement key's public part, as EC2's GetInstanceTpmEkPub gives it.

use nitrotpm_enrolment::{EndorsementKey, EndorsementTemplate};
use nitrotpm_tpm_wire::{Public, Structure as _};

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

    const fn template(self) -> EndorsementTemplate {
        match self {
            Self::Rsa2048 => EndorsementTemplate::Rsa2048,
            Self::EccP384 => EndorsementTemplate::P384,
        }
    }
}

/// Makes the key, which is always the same one of this TPM, and reads its public part.
pub(crate) fn public(backend: &mut Backend, kind: EkKind) -> Result<EkPublic, EmulatorError> {
    let doing = "make its endorsement key";
    let wrong = || EmulatorError::SwtpmAnswer { doing };
    let template = kind.template().public().to_bytes().map_err(|_| wrong())?;
    let mut parameters = Vec::new();
    let mut put = || {
        parameters.put_sized(&[0, 0, 0, 0])?; // neither authorization value nor data
        parameters.put_sized(&template)?;
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
    let key =
        Public::parse(&tpmt).ok().and_then(|public| EndorsementKey::from_public(public).ok()).ok_or_else(wrong)?;
    let der = key.public_key().to_spki_der();
    Ok(EkPublic { der, tpmt })
}

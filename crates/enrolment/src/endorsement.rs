//! The key that makes a TPM the one it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_signature::{Curve, PublicKey};
use nitrotpm_tpm_wire::{AlgorithmId, EccCurve, ObjectAttributes, Public, PublicParameters, Structure, Symmetric};

use crate::{EndorsementTemplate, EnrolmentError};

/// An endorsement key: a decryption key that never left its TPM.
///
/// Its public area is always known: a key that came as a bare public key is one of the TCG's templates, and its area is
/// put together from that. Nothing here says that the key is genuine: that hangs on where it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndorsementKey {
    public: Public,
    key: PublicKey,
    hash: HashAlgorithm,
    aes_bits: u16,
}

impl EndorsementKey {
    /// Reads a key as PEM, DER `SubjectPublicKeyInfo`, `TPM2B_PUBLIC` or `TPMT_PUBLIC`: all that the EC2 API, tpm2-tools
    /// and openssl write; the last three also as base64, which is how the EC2 API answers. The form is told by its first
    /// bytes and its length, never by trying.
    ///
    /// # Errors
    /// [`EnrolmentError`] for another form, or for a key that is no endorsement key.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnrolmentError> {
        // 0x30 and 0x00 or 0x01 in base64; as a size these letters would be of an area of 16 KiB.
        if let [b'M' | b'A', ..] = bytes {
            let text: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            return Self::parse_bytes(
                &STANDARD
                    .decode(text)
                    .map_err(|_| EnrolmentError::EndorsementKey { detail: "it looks like base64 and is not" })?,
            );
        }
        Self::parse_bytes(bytes)
    }

    fn parse_bytes(bytes: &[u8]) -> Result<Self, EnrolmentError> {
        match bytes {
            [b'-', ..] => Self::from_public_key(&PublicKey::from_spki_pem(bytes)?),
            [0x30, ..] => Self::from_public_key(&PublicKey::from_spki_der(bytes)?),
            _ => Self::from_public(parse_public(bytes)?),
        }
    }

    /// Takes a public area.
    ///
    /// # Errors
    /// [`EnrolmentError::EndorsementKey`] where it is not that of a restricted decryption key that is fixed to its TPM,
    /// with AES-128 or AES-256 in CFB mode, of RSA, P-256 or P-384.
    pub fn from_public(public: Public) -> Result<Self, EnrolmentError> {
        let refuse = |detail| EnrolmentError::EndorsementKey { detail };
        let required = ObjectAttributes::FIXED_TPM
            .with(ObjectAttributes::FIXED_PARENT)
            .with(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
            .with(ObjectAttributes::RESTRICTED)
            .with(ObjectAttributes::DECRYPT);
        if !public.attributes.contains(required) || public.attributes.contains(ObjectAttributes::SIGN) {
            return Err(refuse("it is not a restricted decryption key that was made in its TPM and stays there"));
        }
        let symmetric = match &public.parameters {
            PublicParameters::Rsa { parameters, .. } => parameters.symmetric,
            PublicParameters::Ecc { parameters, .. } => parameters.symmetric,
        };
        let aes_bits = match symmetric {
            Symmetric::Cipher {
                algorithm: AlgorithmId::AES,
                key_bits: key_bits @ (128 | 256),
                mode: AlgorithmId::CFB,
            } => key_bits,
            _ => return Err(refuse("it does not protect credentials with AES-128 or AES-256 in CFB mode")),
        };
        let hash = name_hash(&public)?;
        let key = public_key(&public)?;
        Ok(Self { public, key, hash, aes_bits })
    }

    /// Takes a bare public key, which is one of the TCG's templates: RSA-2048 of L-1, P-256 of L-2, P-384 of H-3.
    ///
    /// # Errors
    /// [`EnrolmentError::EndorsementKey`] for a key of no template.
    pub fn from_public_key(key: &PublicKey) -> Result<Self, EnrolmentError> {
        let template = EndorsementTemplate::of(key).ok_or(EnrolmentError::EndorsementKey {
            detail: "it comes without its public area and is of no TCG template (RSA-2048, P-256, P-384)",
        })?;
        let (first, second) = match key {
            PublicKey::Rsa(key) => (key.modulus(), &[][..]),
            PublicKey::Ec(key) => {
                let coordinates = key.sec1().get(1..).unwrap_or_default();
                coordinates.split_at_checked(key.curve().coordinate_len()).unwrap_or_default()
            }
        };
        Self::from_public(template.with_unique(first, second))
    }

    /// The public area.
    #[must_use]
    pub const fn public(&self) -> &Public {
        &self.public
    }

    /// The key in it.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The template that the key was made from, as far as its public area tells.
    #[must_use]
    pub fn template(&self) -> Option<EndorsementTemplate> {
        let template = EndorsementTemplate::of(&self.key)?;
        (Self::from_public_key(&self.key).ok()?.public == self.public).then_some(template)
    }

    /// Whether both are the same key. The public areas may differ where one was put together from a template.
    #[must_use]
    pub fn same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// The algorithm of the key's Name: never SHA-1.
    #[must_use]
    pub const fn name_hash(&self) -> HashAlgorithm {
        self.hash
    }

    /// The size of the AES key with which it protects what it is sent, in bits: 128 or 256.
    #[must_use]
    pub const fn aes_bits(&self) -> u16 {
        self.aes_bits
    }
}

/// A public area with or without its size in front: with it, the first two bytes state the length of the rest, and a
/// bare one starts with the type, 0x0001 or 0x0023.
pub(crate) fn parse_public(bytes: &[u8]) -> Result<Public, EnrolmentError> {
    let rest = bytes.len().checked_sub(2).and_then(|rest| u16::try_from(rest).ok());
    let stated = bytes.first_chunk().map(|size| u16::from_be_bytes(*size));
    Ok(if stated.is_some() && stated == rest { Public::parse_tpm2b(bytes) } else { Public::parse(bytes) }?)
}

/// The hash of the key's Name, refusing SHA-1, for which two areas with one Name can be made.
pub(crate) fn name_hash(public: &Public) -> Result<HashAlgorithm, EnrolmentError> {
    match public.name_alg.hash() {
        Some(hash @ HashAlgorithm::Sha1) => Err(EnrolmentError::Hash { hash }),
        Some(hash) => Ok(hash),
        None => Err(EnrolmentError::NameAlgorithm { found: public.name_alg }),
    }
}

/// The key in a public area.
pub(crate) fn public_key(public: &Public) -> Result<PublicKey, EnrolmentError> {
    Ok(match &public.parameters {
        PublicParameters::Rsa { parameters, modulus } => {
            if usize::from(parameters.key_bits).div_ceil(8) != modulus.len() {
                return Err(EnrolmentError::KeySize { stated: parameters.key_bits, found: modulus.len() });
            }
            // 0 stands for the usual exponent.
            PublicKey::rsa(modulus, if parameters.exponent == 0 { 65_537 } else { parameters.exponent })?
        }
        PublicParameters::Ecc { parameters, point } => {
            let curve = match parameters.curve {
                EccCurve::NIST_P256 => Curve::P256,
                EccCurve::NIST_P384 => Curve::P384,
                found => return Err(EnrolmentError::Curve { found }),
            };
            PublicKey::ec(curve, &point.x, &point.y)?
        }
    })
}

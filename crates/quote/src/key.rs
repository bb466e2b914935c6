//! The key that signs quotes.

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_signature::{Curve, PublicKey, Scheme};
use nitrotpm_tpm_wire::{
    AlgorithmId, AsymmetricScheme, EccCurve, ObjectAttributes, Public, PublicParameters, Structure, WireError,
};

use crate::QuoteError;
use crate::error::KeyProblem;

/// What an attestation key must be: its signature then says that the TPM made what is signed, and that the key never
/// was elsewhere (TPM 2.0 Library Part 1, chapter on attestation keys).
const REQUIRED: ObjectAttributes = ObjectAttributes::RESTRICTED
    .with(ObjectAttributes::SIGN)
    .with(ObjectAttributes::FIXED_TPM)
    .with(ObjectAttributes::FIXED_PARENT)
    .with(ObjectAttributes::SENSITIVE_DATA_ORIGIN);

/// A key that quotes are verified with: a public key, and the TPM's public area of it where that was given.
///
/// With a public area the key fixes a signature scheme, and it was checked to be fit as an attestation key: restricted,
/// sign, fixedTPM, fixedParent, sensitiveDataOrigin, not decrypt. That is what the area *says*. Software can write any
/// area for a key of its own; it becomes true by whoever vouches for the key: a pin, an enrolment, a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationKey {
    public_key: PublicKey,
    area: Option<Area>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Area {
    public: Public,
    scheme: Scheme,
}

impl AttestationKey {
    /// Reads a key in any of four forms, told apart by how they start, in this order:
    ///
    /// 1. text that starts `-----`: PEM;
    /// 2. first byte 0x30: the DER of a `SubjectPublicKeyInfo`;
    /// 3. a number of two bytes that is the count of the bytes after it: `TPM2B_PUBLIC`;
    /// 4. 0x0001 (RSA) or 0x0023 (ECC): `TPMT_PUBLIC`.
    ///
    /// No key that is accepted fits two of these. A form is settled by its start alone; where the key then is not well
    /// formed, no other form is tried.
    ///
    /// # Errors
    /// [`QuoteError::Key`], [`QuoteError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, QuoteError> {
        match KeyForm::read(bytes)? {
            KeyForm::Area(public) => Self::from_public(*public),
            KeyForm::Numbers(public_key) => Ok(Self::from_public_key(public_key)),
        }
    }

    /// Takes a TPM's public area, and checks that it is one of an attestation key.
    ///
    /// # Errors
    /// [`QuoteError::Key`] where the key's numbers, size, curve, scheme or attributes are not accepted.
    pub fn from_public(public: Public) -> Result<Self, QuoteError> {
        let public_key = numbers(&public)?;
        let missing = REQUIRED.without(public.attributes);
        let forbidden = if public.attributes.contains(ObjectAttributes::DECRYPT) {
            ObjectAttributes::DECRYPT
        } else {
            ObjectAttributes(0)
        };
        if missing.0 != 0 || forbidden.0 != 0 {
            return Err(KeyProblem::Attributes { missing, forbidden }.into());
        }
        let scheme = fixed_scheme(&public)?;
        Ok(Self { public_key, area: Some(Area { public, scheme }) })
    }

    /// Takes a public key alone. Its attributes are not known, and it allows any scheme of its type.
    #[must_use]
    pub const fn from_public_key(public_key: PublicKey) -> Self {
        Self { public_key, area: None }
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The TPM's public area, where it was given.
    #[must_use]
    pub fn public_area(&self) -> Option<&Public> {
        self.area.as_ref().map(|area| &area.public)
    }

    /// The attributes in the public area, `None` where none was given: they are then not known.
    #[must_use]
    pub fn attributes(&self) -> Option<ObjectAttributes> {
        self.public_area().map(|public| public.attributes)
    }

    /// The key's Name: the identifier of the Name's algorithm, two bytes, and the digest of the public area. `None`
    /// where no public area was given, or its algorithm cannot be computed.
    #[must_use]
    pub fn name(&self) -> Option<Vec<u8>> {
        self.public_area()?.name()
    }

    /// The scheme that the key fixes, `None` where no public area was given.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.area.as_ref().map(|area| area.scheme)
    }

    /// The SHA-256 digest of the DER of the key's `SubjectPublicKeyInfo`: the same whatever form the key was read from.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let digest = hash(HashAlgorithm::Sha256, &[&self.public_key.to_spki_der()]);
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// Whether the two are one key: the same public key, and the same public area where both have one. A key that was
    /// pinned with its attributes is not the same as one that claims others.
    #[must_use]
    pub fn same_key(&self, other: &Self) -> bool {
        let same_area = match (self.public_area(), other.public_area()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => true,
        };
        self.public_key == other.public_key && same_area
    }

    /// Whether the key allows a signature in this scheme.
    pub(crate) fn allows(&self, scheme: Scheme) -> bool {
        match self.scheme() {
            Some(fixed) => fixed == scheme,
            None => matches!(
                (&self.public_key, scheme),
                (PublicKey::Rsa(_), Scheme::RsaPkcs1(_) | Scheme::RsaPss(_)) | (PublicKey::Ec(_), Scheme::Ecdsa(_))
            ),
        }
    }

    /// What the key allows, for a message.
    pub(crate) fn allowed(&self) -> String {
        match (self.scheme(), &self.public_key) {
            (Some(fixed), _) => format!("{fixed} only"),
            (None, PublicKey::Rsa(_)) => "RSASSA and RSAPSS".to_owned(),
            (None, PublicKey::Ec(_)) => "ECDSA".to_owned(),
        }
    }
}

/// The public key in a file of any of the forms that [`AttestationKey::parse`] reads, whatever the key is for: an
/// endorsement key has none of the attributes of an attestation key.
///
/// # Errors
/// [`QuoteError::Key`], [`QuoteError::Malformed`].
pub fn parse_public_key(bytes: &[u8]) -> Result<PublicKey, QuoteError> {
    match KeyForm::read(bytes)? {
        KeyForm::Area(public) => Ok(numbers(&public)?),
        KeyForm::Numbers(public_key) => Ok(public_key),
    }
}

/// What a key file holds.
enum KeyForm {
    Area(Box<Public>),
    Numbers(PublicKey),
}

impl KeyForm {
    fn read(bytes: &[u8]) -> Result<Self, QuoteError> {
        let malformed = |source: WireError| QuoteError::Malformed { part: "key", source };
        if bytes.trim_ascii_start().starts_with(b"-----") {
            return Ok(Self::Numbers(PublicKey::from_spki_pem(bytes).map_err(KeyProblem::Numbers)?));
        }
        match bytes {
            [] => Err(KeyProblem::Empty.into()),
            [0x30, ..] => Ok(Self::Numbers(PublicKey::from_spki_der(bytes).map_err(KeyProblem::Numbers)?)),
            [high, low, rest @ ..] if usize::from(u16::from_be_bytes([*high, *low])) == rest.len() => {
                Ok(Self::Area(Box::new(Public::parse_tpm2b(bytes).map_err(malformed)?)))
            }
            [0x00, 0x01 | 0x23, ..] => Ok(Self::Area(Box::new(Public::parse(bytes).map_err(malformed)?))),
            _ => {
                let mut start = [0; 4];
                start.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Err(KeyProblem::Form { start: u32::from_be_bytes(start) }.into())
            }
        }
    }
}

/// The public key of a public area.
fn numbers(public: &Public) -> Result<PublicKey, KeyProblem> {
    match &public.parameters {
        PublicParameters::Rsa { parameters, modulus } => {
            // A TPM's modulus has exactly the stated size: no zeros in front, the first bit set.
            let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
            let found = modulus.len().saturating_mul(8).saturating_sub(usize::try_from(unused).unwrap_or(8));
            if found != usize::from(parameters.key_bits) {
                return Err(KeyProblem::Size { stated: parameters.key_bits, found });
            }
            // Zero stands for the default (TPM 2.0 Library Part 2, section 12.2, TPMS_RSA_PARMS).
            let exponent = if parameters.exponent == 0 { 65_537 } else { parameters.exponent };
            Ok(PublicKey::rsa(modulus, exponent)?)
        }
        PublicParameters::Ecc { parameters, point } => {
            let curve = match parameters.curve {
                EccCurve::NIST_P256 => Curve::P256,
                EccCurve::NIST_P384 => Curve::P384,
                curve => return Err(KeyProblem::Curve { curve }),
            };
            Ok(PublicKey::ec(curve, &point.x, &point.y)?)
        }
    }
}

/// The scheme that the area fixes. A restricted signing key always fixes one, with its hash (TPM 2.0 Library Part 2,
/// section 12.2): a key without was not made by a TPM.
fn fixed_scheme(public: &Public) -> Result<Scheme, KeyProblem> {
    let scheme = public.scheme();
    let AsymmetricScheme::Hashed { scheme: id, hash } = scheme else {
        return Err(KeyProblem::Scheme { scheme });
    };
    let hash = hash.hash().ok_or(KeyProblem::Scheme { scheme })?;
    match (public.key_type(), id) {
        (AlgorithmId::RSA, AlgorithmId::RSASSA) => Ok(Scheme::RsaPkcs1(hash)),
        (AlgorithmId::RSA, AlgorithmId::RSAPSS) => Ok(Scheme::RsaPss(hash)),
        (AlgorithmId::ECC, AlgorithmId::ECDSA) => Ok(Scheme::Ecdsa(hash)),
        _ => Err(KeyProblem::Scheme { scheme }),
    }
}

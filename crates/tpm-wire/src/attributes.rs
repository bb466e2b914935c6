//! What a TPM lets a key do.

/// `TPMA_OBJECT`: the attributes of an object (TPM 2.0 Library Part 2, section 8.3). Reserved bits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectAttributes(pub u32);

impl ObjectAttributes {
    /// The key never leaves its TPM.
    pub const FIXED_TPM: Self = Self(1 << 1);
    /// The object does not survive a TPM restart.
    pub const ST_CLEAR: Self = Self(1 << 2);
    /// The key never leaves its parent.
    pub const FIXED_PARENT: Self = Self(1 << 4);
    /// The TPM made the private part itself.
    pub const SENSITIVE_DATA_ORIGIN: Self = Self(1 << 5);
    /// Its authorization value is enough to use it.
    pub const USER_WITH_AUTH: Self = Self(1 << 6);
    /// The administrator's role needs a policy.
    pub const ADMIN_WITH_POLICY: Self = Self(1 << 7);
    /// Wrong authorizations do not lock the TPM.
    pub const NO_DA: Self = Self(1 << 10);
    /// Duplicates are encrypted.
    pub const ENCRYPTED_DUPLICATION: Self = Self(1 << 11);
    /// The key signs only what the TPM made, or hashed and found not to look as if the TPM had made it.
    pub const RESTRICTED: Self = Self(1 << 16);
    /// The key decrypts.
    pub const DECRYPT: Self = Self(1 << 17);
    /// The key signs (of a symmetric key: encrypts).
    pub const SIGN: Self = Self(1 << 18);
    /// The key signs X.509 certificates only.
    pub const X509_SIGN: Self = Self(1 << 19);

    /// The named bits with their names, low to high.
    pub const NAMES: [(Self, &'static str); 12] = [
        (Self::FIXED_TPM, "fixedTPM"),
        (Self::ST_CLEAR, "stClear"),
        (Self::FIXED_PARENT, "fixedParent"),
        (Self::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
        (Self::USER_WITH_AUTH, "userWithAuth"),
        (Self::ADMIN_WITH_POLICY, "adminWithPolicy"),
        (Self::NO_DA, "noDA"),
        (Self::ENCRYPTED_DUPLICATION, "encryptedDuplication"),
        (Self::RESTRICTED, "restricted"),
        (Self::DECRYPT, "decrypt"),
        (Self::SIGN, "sign"),
        (Self::X509_SIGN, "x509sign"),
    ];

    /// Whether every bit of `other` is set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// All bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The names of the named bits that are set, low to high.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, name)| name)
    }
}

//! The variables that PCR 7 begins with.

use alloc::vec::Vec;

use uguid::Guid;

use crate::{SignatureDatabase, UefiData, UefiError, guids};

/// A variable of Secure Boot, in the order in which firmware measures them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecureBootVariable {
    /// `PK`, the platform key.
    Pk,
    /// `KEK`, the keys that may change db and dbx.
    Kek,
    /// `db`, what may start.
    Db,
    /// `dbx`, what must not start.
    Dbx,
}

impl SecureBootVariable {
    /// All of them, in the order of measurement.
    pub const ALL: [Self; 4] = [Self::Pk, Self::Kek, Self::Db, Self::Dbx];

    /// The variable's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pk => "PK",
            Self::Kek => "KEK",
            Self::Db => "db",
            Self::Dbx => "dbx",
        }
    }

    /// The variable's vendor.
    #[must_use]
    pub const fn vendor(self) -> Guid {
        match self {
            Self::Pk | Self::Kek => guids::GLOBAL_VARIABLE,
            Self::Db | Self::Dbx => guids::IMAGE_SECURITY_DATABASE,
        }
    }
}

/// The contents of PK, KEK, db and dbx; a variable that is not set is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecureBootVariables {
    /// The content of `PK`.
    pub pk: Vec<u8>,
    /// The content of `KEK`.
    pub kek: Vec<u8>,
    /// The content of `db`.
    pub db: Vec<u8>,
    /// The content of `dbx`.
    pub dbx: Vec<u8>,
}

impl SecureBootVariables {
    /// The content of one variable.
    #[must_use]
    pub fn content(&self, variable: SecureBootVariable) -> &[u8] {
        match variable {
            SecureBootVariable::Pk => &self.pk,
            SecureBootVariable::Kek => &self.kek,
            SecureBootVariable::Db => &self.db,
            SecureBootVariable::Dbx => &self.dbx,
        }
    }

    /// Whether Secure Boot is on: on EC2 it is exactly when PK is set (EC2 User Guide, "How UEFI Secure Boot works").
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        !self.pk.is_empty()
    }

    /// The signature lists of one variable.
    ///
    /// # Errors
    /// What [`SignatureDatabase::parse`] says of its content.
    pub fn database(&self, variable: SecureBootVariable) -> Result<SignatureDatabase, UefiError> {
        SignatureDatabase::parse(self.content(variable))
    }

    /// The four variables of a uefi-data blob.
    #[must_use]
    pub fn from_uefi_data(data: &UefiData) -> Self {
        let content = |variable: SecureBootVariable| {
            data.get(&variable.vendor(), variable.name()).map(|found| found.data.clone()).unwrap_or_default()
        };
        Self {
            pk: content(SecureBootVariable::Pk),
            kek: content(SecureBootVariable::Kek),
            db: content(SecureBootVariable::Db),
            dbx: content(SecureBootVariable::Dbx),
        }
    }
}

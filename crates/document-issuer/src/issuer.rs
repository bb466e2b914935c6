//! Documents as one NitroTPM after the other would make them.

use nitrotpm_pcr::{Bank, PcrValues};

use crate::certificate::Authority;
use crate::{Curve, Envelope, IssuerError, Key, Payload, Pki, Profile};

/// What a document says, but for its certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentContents {
    /// The module: `i-<id>-tpm<16 hex digits>`.
    pub module_id: String,
    /// The document's time, in milliseconds since 1970. It decides the validity of the certificates too.
    pub timestamp_millis: u64,
    /// The registers; those of the bank SHA-384 are taken. A NitroTPM writes all 24.
    pub pcrs: PcrValues,
    /// The public key field.
    pub public_key: Option<Vec<u8>>,
    /// The user data field.
    pub user_data: Option<Vec<u8>>,
    /// The nonce field.
    pub nonce: Option<Vec<u8>>,
}

/// Issues documents under one root. The authorities below it are made when first needed and again when they do not cover
/// a document's time; a leaf and its key serve the documents of one second, which its validity and serial number tell.
#[derive(Debug)]
pub struct Issuer {
    region: String,
    pki: Pki,
    module_id: String,
    leaf: Option<Leaf>,
}

/// A leaf certificate, its key, and the second since 1970 that they are for.
#[derive(Debug)]
struct Leaf {
    seconds: u64,
    certificate: Vec<u8>,
    key: Key,
}

impl Issuer {
    /// An issuer with a new root, whose validity begins a day before `seconds` (since 1970).
    ///
    /// # Errors
    /// [`IssuerError`] where no key or certificate can be made.
    pub fn new(region: &str, seconds: u64) -> Result<Self, IssuerError> {
        Ok(Self::with_root(region, Authority::self_signed(Profile::aws_root(seconds)?)?))
    }

    /// An issuer whose root was kept: its certificate in DER and its key ([`Self::root_key`]).
    ///
    /// # Errors
    /// [`IssuerError::Crypto`] where the key is no P-384 key in PKCS #8.
    pub fn restore(region: &str, root: Vec<u8>, key: &[u8]) -> Result<Self, IssuerError> {
        let key = Key::from_pkcs8(Curve::P384, key)?;
        Ok(Self::with_root(region, Authority::restored(Profile::aws_root(0)?, key, root)))
    }

    fn with_root(region: &str, root: Authority) -> Self {
        Self { region: region.into(), pki: Pki::with_root(root), module_id: String::new(), leaf: None }
    }

    /// The root in DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        self.pki.root().certificate()
    }

    /// The root in PEM: what a verifier has to trust.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.pki.root().certificate_pem()
    }

    /// The root's key, PKCS #8 in DER: a secret, to keep for [`Self::restore`].
    #[must_use]
    pub fn root_key(&self) -> Vec<u8> {
        self.pki.root().key().to_pkcs8()
    }

    /// Issues a document.
    ///
    /// # Errors
    /// [`IssuerError`] for contents that no NitroTPM has (no registers, a module id without an instance), or where no key
    /// or certificate can be made.
    pub fn issue(&mut self, contents: &DocumentContents) -> Result<Vec<u8>, IssuerError> {
        if !contents.pcrs.banks().any(|bank| bank == Bank::Sha384) {
            return Err(IssuerError::NoRegisters);
        }
        let seconds = contents.timestamp_millis / 1000;
        self.prepare(&contents.module_id, seconds)?;
        let Some(leaf) = &self.leaf else { return Err(IssuerError::Crypto("there is no leaf certificate".into())) };
        let payload = Payload::nitrotpm(contents, &leaf.certificate, &self.pki.cabundle());
        Ok(Envelope::sign(payload.encode(), &leaf.key)?.encode())
    }

    /// Makes the certificates for a document of this module and second (since 1970), where they are not there: most of the
    /// work of a document, before it is asked for.
    ///
    /// # Errors
    /// [`IssuerError`] for a module id without an instance, or where no key or certificate can be made.
    pub fn prepare(&mut self, module_id: &str, seconds: u64) -> Result<(), IssuerError> {
        if self.module_id == module_id && self.leaf.as_ref().is_some_and(|leaf| leaf.seconds == seconds) {
            return Ok(());
        }
        let profile = Profile::aws(module_id, &self.region, seconds)?;
        if self.module_id != module_id || !self.covers(profile.leaf.not_before, profile.leaf.not_after) {
            self.pki.renew(&profile)?;
            module_id.clone_into(&mut self.module_id);
        }
        let (certificate, key) = self.pki.issue_leaf(&profile.leaf)?;
        self.leaf = Some(Leaf { seconds, certificate, key });
        Ok(())
    }

    /// Whether the authorities below the root are valid all that time.
    fn covers(&self, from: u64, to: u64) -> bool {
        let below = self.pki.below();
        !below.is_empty()
            && below.iter().all(|authority| {
                let template = authority.template();
                template.not_before <= from && to <= template.not_after
            })
    }
}

//! Quotes.

use nitrotpm_pcr::Selection;
use tss_esapi::structures::{Data, SignatureScheme};
use tss_esapi::traits::Marshall;

use super::Tpm;
use super::response::Failed as _;
use crate::{AttesterError, StoredKey};

/// A quote as `TPM2_Quote` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// `TPMS_ATTEST`.
    pub attest: Vec<u8>,
    /// `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
}

impl Tpm {
    /// `TPM2_Quote`: signs the selected registers with the nonce (at most 64 bytes, none for a quote that is fresh to
    /// nobody), in the scheme that the key fixes.
    ///
    /// # Errors
    /// [`AttesterError::NonceLength`]; [`AttesterError::ForeignKey`]; what the TPM says.
    pub fn quote(&mut self, key: &StoredKey, nonce: &[u8], selection: &Selection) -> Result<Quote, AttesterError> {
        const COMMAND: &str = "TPM2_Quote";
        let wrong_length = AttesterError::NonceLength { length: nonce.len() };
        if nonce.len() > 64 {
            return Err(wrong_length);
        }
        let data = Data::try_from(nonce).map_err(|_| wrong_length)?;
        let list = super::pcrs::selection_list(selection)?;
        self.with_key(key, |tpm, handle| {
            let (attest, signature) = tpm
                .context
                .execute_with_session(
                    Some(tss_esapi::interface_types::session_handles::AuthSession::Password),
                    |context| context.quote(handle, data, SignatureScheme::Null, list),
                )
                .failed(COMMAND)?;
            Ok(Quote { attest: attest.marshall().failed(COMMAND)?, signature: signature.marshall().failed(COMMAND)? })
        })
    }
}

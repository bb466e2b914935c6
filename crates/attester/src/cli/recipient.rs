//! `recipient-key`, `decrypt-recipient`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_attester::AttesterError;
use nitrotpm_kms_recipient::{Envelope, RecipientKey};
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use super::files;

#[derive(Debug, clap::Args)]
pub(super) struct KeyArguments {
    /// Where to keep the private key (PEM); the file must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where to write the public key (DER), for `document --public-key`
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
}

impl KeyArguments {
    pub(super) fn run(self) -> Result<String, AttesterError> {
        let key = RecipientKey::generate(&SystemRandom::new())?;
        files::write_new(&self.out, key.to_pkcs8_pem()?.as_bytes())?;
        files::write(&self.public, &key.public_key_der()?)?;
        Ok(String::new())
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct DecryptArguments {
    /// The recipient's private key: PKCS#8, PEM or DER
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// CiphertextForRecipient, as KMS gives it in base64, or decoded ("-": standard input)
    #[arg(long = "in", value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// Where to write the plaintext ("-": standard output)
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
}

impl DecryptArguments {
    pub(super) fn run(self) -> Result<String, AttesterError> {
        let key = RecipientKey::from_pkcs8(&Zeroizing::new(files::read(&self.key)?))?;
        let input = files::read(&self.input)?;
        // CMS starts with 0x30, which is "0": base64 of it starts with "M".
        let envelope = if input.first() == Some(&0x30) { input } else { from_base64(&input)? };
        let plaintext = Envelope::parse(&envelope)?.open(&key, &SystemRandom::new())?;
        files::write_secret(&self.out, &plaintext)?;
        Ok(String::new())
    }
}

fn from_base64(text: &[u8]) -> Result<Vec<u8>, AttesterError> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map_err(|error| AttesterError::Malformed {
        document: "CiphertextForRecipient",
        detail: format!("it is neither CMS nor base64: {error}"),
    })
}

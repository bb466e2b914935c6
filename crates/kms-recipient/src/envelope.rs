//! CMS `EnvelopedData` as KMS writes it.

use aes::Aes256;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::ber::{
    Element, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET, context, context_constructed,
};
use crate::{RecipientError, RecipientKey};

/// 1.2.840.113549.1.7.3
const ENVELOPED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 3];
/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1];
/// 1.2.840.113549.1.1.7
const RSAES_OAEP: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 7];
/// 1.2.840.113549.1.1.8
const MGF1: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 8];
/// 1.2.840.113549.1.1.9
const P_SPECIFIED: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 9];
/// 2.16.840.1.101.3.4.2.1
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
/// 2.16.840.1.101.3.4.1.42
const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2A];

/// A closed envelope: its structure is right, nothing in it is authenticated.
///
/// AES in CBC mode carries no authentication of its own. That it came from KMS is what the TLS connection says.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    encrypted_key: Vec<u8>,
    iv: [u8; 16],
    encrypted_content: Vec<u8>,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Envelope({} bytes encrypted)", self.encrypted_content.len())
    }
}

impl Envelope {
    /// The longest answer, in bytes: the limit that KMS has for documents in a request, far above any plaintext.
    pub const MAX_LEN: usize = 262_144;

    /// Reads an answer of KMS, decoded from base64: one recipient, RSAES-OAEP with SHA-256, AES-256 in CBC mode.
    ///
    /// # Errors
    /// [`RecipientError::Malformed`], [`RecipientError::Algorithm`], [`RecipientError::TooLong`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RecipientError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(RecipientError::TooLong { length: bytes.len(), limit: Self::MAX_LEN });
        }
        let mut outer = Reader::new(bytes);
        let content_info = outer.expect(SEQUENCE, "ContentInfo")?;
        outer.finish("ContentInfo")?;
        let mut content_info = content_info.reader();
        object_identifier(&mut content_info, ENVELOPED_DATA, "contentType", "it is no enveloped data")?;
        let content = content_info.expect(context_constructed(0), "content")?;
        content_info.finish("ContentInfo")?;
        let mut content = content.reader();
        let enveloped = content.expect(SEQUENCE, "EnvelopedData")?;
        content.finish("content")?;

        let mut fields = enveloped.reader();
        let version = fields.expect(INTEGER, "version")?;
        // RFC 5652, section 6.1: 2 where a recipient is named by its key identifier, 0 where by its certificate.
        if !matches!(version.content, [0 | 2]) {
            return Err(algorithm(version, "EnvelopedData version", "version 2 is what KMS writes"));
        }
        let recipients = fields.expect(SET, "recipientInfos")?;
        let mut recipients = recipients.reader();
        let recipient = recipients.expect(SEQUENCE, "KeyTransRecipientInfo")?;
        recipients.finish("recipientInfos")?;
        let encrypted_key = read_recipient(recipient)?;
        let content_info = fields.expect(SEQUENCE, "encryptedContentInfo")?;
        fields.finish("EnvelopedData")?;
        let (iv, encrypted_content) = read_content(content_info)?;
        Ok(Self { encrypted_key, iv, encrypted_content })
    }

    /// Decrypts the content key with the recipient's private key (blinded by `random`), and the content with that.
    ///
    /// # Errors
    /// [`RecipientError::NotOpened`], whatever it is that does not fit; [`RecipientError::Random`].
    pub fn open(&self, key: &RecipientKey, random: &dyn SecureRandom) -> Result<Zeroizing<Vec<u8>>, RecipientError> {
        let content_key = key.decrypt(&self.encrypted_key, random)?;
        let cipher =
            Decryptor::<Aes256>::new_from_slices(&content_key, &self.iv).map_err(|_| RecipientError::NotOpened)?;
        let mut content = Zeroizing::new(self.encrypted_content.clone());
        let length = cipher.decrypt_padded::<Pkcs7>(&mut content).map_err(|_| RecipientError::NotOpened)?.len();
        content.truncate(length);
        Ok(content)
    }
}

/// `KeyTransRecipientInfo`: the encrypted content key.
fn read_recipient(recipient: Element<'_>) -> Result<Vec<u8>, RecipientError> {
    let mut fields = recipient.reader();
    let version = fields.expect(INTEGER, "KeyTransRecipientInfo version")?;
    if !matches!(version.content, [0 | 2]) {
        return Err(algorithm(version, "KeyTransRecipientInfo version", "version 2 is what KMS writes"));
    }
    // Who is meant is known: the key either opens it or does not.
    match fields.peek() {
        Some(identifier) if identifier == context(0) || identifier == context_constructed(0) => {
            fields.element("subjectKeyIdentifier")?.octets("subjectKeyIdentifier")?;
        }
        _ => {
            fields.expect(SEQUENCE, "issuerAndSerialNumber")?;
        }
    }
    read_oaep(fields.expect(SEQUENCE, "keyEncryptionAlgorithm")?)?;
    let encrypted_key = string(&mut fields, OCTET_STRING, "encryptedKey")?;
    fields.finish("KeyTransRecipientInfo")?;
    Ok(encrypted_key)
}

/// `RSAES-OAEP-params` (RFC 4055, section 4.1): SHA-256 twice, no label.
fn read_oaep(algorithm_identifier: Element<'_>) -> Result<(), RecipientError> {
    let mut fields = algorithm_identifier.reader();
    object_identifier(&mut fields, RSAES_OAEP, "keyEncryptionAlgorithm", "RSAES-OAEP is what KMS uses")?;
    // Left out they stand for SHA-1.
    let parameters = fields.expect(SEQUENCE, "RSAES-OAEP-params")?;
    fields.finish("keyEncryptionAlgorithm")?;
    let mut fields = parameters.reader();
    let hash = default_is_sha1(&mut fields, 0, "hashFunc", parameters)?;
    digest(&mut hash.reader(), "hashFunc")?;
    let mask = default_is_sha1(&mut fields, 1, "maskGenFunc", parameters)?;
    let mut mask_fields = mask.reader();
    let mask = mask_fields.expect(SEQUENCE, "maskGenFunc")?;
    mask_fields.finish("maskGenFunc")?;
    let mut mask_fields = mask.reader();
    object_identifier(&mut mask_fields, MGF1, "maskGenFunc", "MGF1 is what KMS uses")?;
    digest(&mut mask_fields, "maskGenFunc")?;
    if !fields.is_empty() {
        let label = fields.expect(context_constructed(2), "pSourceFunc")?;
        let mut label_fields = label.reader();
        let source = label_fields.expect(SEQUENCE, "pSourceFunc")?;
        label_fields.finish("pSourceFunc")?;
        let mut source_fields = source.reader();
        object_identifier(&mut source_fields, P_SPECIFIED, "pSourceFunc", "it is no label")?;
        if !string(&mut source_fields, OCTET_STRING, "pSourceFunc")?.is_empty() {
            return Err(algorithm(source, "pSourceFunc", "KMS uses no label"));
        }
        source_fields.finish("pSourceFunc")?;
    }
    fields.finish("RSAES-OAEP-params")
}

fn default_is_sha1<'a>(
    fields: &mut Reader<'a>,
    number: u8,
    structure: &'static str,
    parameters: Element<'_>,
) -> Result<Element<'a>, RecipientError> {
    if fields.peek() != Some(context_constructed(number)) {
        return Err(algorithm(parameters, structure, "SHA-256 is what KMS uses, and left out it is SHA-1"));
    }
    fields.element(structure)
}

/// The `AlgorithmIdentifier` of SHA-256, the last thing in its place.
fn digest(fields: &mut Reader<'_>, structure: &'static str) -> Result<(), RecipientError> {
    let identifier = fields.expect(SEQUENCE, structure)?;
    fields.finish(structure)?;
    let mut fields = identifier.reader();
    object_identifier(&mut fields, SHA256, structure, "SHA-256 is what KMS uses")?;
    if !fields.is_empty() {
        let null = fields.expect(NULL, structure)?;
        if !null.content.is_empty() {
            return Err(fields.error(structure, "a null has no content"));
        }
    }
    fields.finish(structure)
}

/// `EncryptedContentInfo`: initialization vector and encrypted content.
fn read_content(content_info: Element<'_>) -> Result<([u8; 16], Vec<u8>), RecipientError> {
    let mut fields = content_info.reader();
    object_identifier(&mut fields, DATA, "contentType", "it is no data")?;
    let cipher = fields.expect(SEQUENCE, "contentEncryptionAlgorithm")?;
    let mut cipher_fields = cipher.reader();
    let detail = "AES-256 in CBC mode is what KMS uses";
    object_identifier(&mut cipher_fields, AES256_CBC, "contentEncryptionAlgorithm", detail)?;
    let iv = string(&mut cipher_fields, OCTET_STRING, "initialization vector")?;
    let iv = iv.try_into().map_err(|_| algorithm(cipher, "initialization vector", "it has 16 bytes"))?;
    cipher_fields.finish("contentEncryptionAlgorithm")?;
    let content = string(&mut fields, context(0), "encryptedContent")?;
    fields.finish("encryptedContentInfo")?;
    Ok((iv, content))
}

/// A string with this identifier, whole or in pieces.
fn string(fields: &mut Reader<'_>, identifier: u8, structure: &'static str) -> Result<Vec<u8>, RecipientError> {
    let in_pieces = identifier | 0x20;
    let expected = if fields.peek() == Some(in_pieces) { in_pieces } else { identifier };
    fields.expect(expected, structure)?.octets(structure)
}

fn object_identifier(
    fields: &mut Reader<'_>,
    expected: &[u8],
    structure: &'static str,
    detail: &'static str,
) -> Result<(), RecipientError> {
    let found = fields.expect(OBJECT_IDENTIFIER, structure)?;
    if found.content != expected {
        return Err(algorithm(found, structure, detail));
    }
    Ok(())
}

const fn algorithm(element: Element<'_>, structure: &'static str, detail: &'static str) -> RecipientError {
    RecipientError::Algorithm { structure, offset: element.offset, detail }
}

//! The files in which a signature variable is kept.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uguid::Guid;

use crate::bytes::Reader;
use crate::{SignatureDatabase, SignatureEntry, SignatureKind, SignatureList, UefiError, guids};

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileForm {
    /// No bytes: the variable is not set.
    Empty,
    /// The variable's content itself, `.esl`.
    SignatureList,
    /// An authenticated update, `.auth`: the content after an `EFI_VARIABLE_AUTHENTICATION_2` (UEFI Specification 2.10,
    /// section 8.2.2). Its signature is not checked: what counts is what will be in the variable.
    AuthenticatedUpdate,
    /// A file of Linux' efivarfs: four bytes of attributes, then the content.
    EfivarsDump,
    /// One certificate in DER.
    DerCertificate,
    /// Certificates in PEM.
    PemCertificates,
}

/// A signature variable as read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFile {
    form: FileForm,
    content: Vec<u8>,
}

impl SignatureFile {
    /// Reads a variable and finds out by itself in which form it is.
    ///
    /// `owner` is used for certificates alone, which become a list of one entry each, as efitools' `cert-to-efi-sig-list`
    /// and virt-firmware write them. The owner's GUID is part of what is measured, so it has no default.
    ///
    /// # Errors
    /// [`UefiError::UnknownForm`] where the bytes are none of the forms, [`UefiError::OwnerMissing`] for certificates
    /// without owner, [`UefiError::Certificate`] and [`UefiError::Base64`] for damaged ones, and what
    /// [`SignatureDatabase::parse`] says of a list in an update or a dump.
    pub fn read(bytes: &[u8], owner: Option<Guid>) -> Result<Self, UefiError> {
        let list_error = match SignatureDatabase::parse(bytes) {
            Ok(_) if bytes.is_empty() => return Ok(Self { form: FileForm::Empty, content: Vec::new() }),
            Ok(_) => return Ok(Self { form: FileForm::SignatureList, content: bytes.to_vec() }),
            Err(error) => error,
        };
        if let Some(content) = authenticated_update(bytes)? {
            return Ok(Self { form: FileForm::AuthenticatedUpdate, content: content.to_vec() });
        }
        if let Some(content) = efivars_dump(bytes) {
            return Ok(Self { form: FileForm::EfivarsDump, content: content.to_vec() });
        }
        if contains(bytes, b"-----BEGIN CERTIFICATE-----") {
            let certificates = pem_certificates(bytes)?;
            let content = certificate_lists(certificates, owner)?;
            return Ok(Self { form: FileForm::PemCertificates, content });
        }
        if bytes.starts_with(&[0x30]) {
            let content = certificate_lists(vec![bytes.to_vec()], owner)?;
            return Ok(Self { form: FileForm::DerCertificate, content });
        }
        Err(match list_error {
            // The first GUID is known: it is a list, and what is wrong with it is the news.
            error if starts_with_known_kind(bytes) => error,
            _ => UefiError::UnknownForm { what: "its first bytes belong to no known form" },
        })
    }

    /// The form.
    #[must_use]
    pub const fn form(&self) -> FileForm {
        self.form
    }

    /// The variable's content: what firmware measures.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The variable's content.
    #[must_use]
    pub fn into_content(self) -> Vec<u8> {
        self.content
    }
}

fn starts_with_known_kind(bytes: &[u8]) -> bool {
    let kind = bytes.first_chunk::<16>().map(|guid| SignatureKind::from_guid(Guid::from_bytes(*guid)));
    kind.is_some_and(|kind| !matches!(kind, SignatureKind::Other(_)))
}

/// The content after the header of an authenticated update, `None` where there is no such header.
fn authenticated_update(bytes: &[u8]) -> Result<Option<&[u8]>, UefiError> {
    const STRUCTURE: &str = "EFI_VARIABLE_AUTHENTICATION_2";
    let mut reader = Reader::new(bytes, STRUCTURE);
    let header = (|| -> Result<_, UefiError> {
        let _time: [u8; 16] = reader.array()?;
        let length = reader.length()?;
        let revision = u16::from_le_bytes(reader.array()?);
        let kind = u16::from_le_bytes(reader.array()?);
        let guid = Guid::from_bytes(reader.array()?);
        Ok((length, revision, kind, guid))
    })();
    // WIN_CERT_REVISION_2_0, WIN_CERT_TYPE_EFI_GUID
    let Ok((length, 0x0200, 0x0EF1, guids::CERT_TYPE_PKCS7)) = header else { return Ok(None) };
    // The length counts from itself on: 24 bytes of it are read.
    reader.take(length.checked_sub(24).ok_or(UefiError::ListSizes {
        offset: 16,
        what: "the certificate's length is below the 24 bytes of its own header",
    })?)?;
    let content = reader.rest();
    SignatureDatabase::parse(content)?;
    Ok(Some(content))
}

/// The content after the attributes of an efivarfs dump.
fn efivars_dump(bytes: &[u8]) -> Option<&[u8]> {
    let (attributes, content) = bytes.split_first_chunk::<4>()?;
    // The attributes that UEFI defines; a signature variable can be read at boot time.
    let attributes = u32::from_le_bytes(*attributes);
    if attributes & !0xFF != 0 || attributes & 0x02 == 0 {
        return None;
    }
    SignatureDatabase::parse(content).ok().map(|_| content)
}

/// One list of one entry each.
fn certificate_lists(certificates: Vec<Vec<u8>>, owner: Option<Guid>) -> Result<Vec<u8>, UefiError> {
    let owner = owner.ok_or(UefiError::OwnerMissing)?;
    let mut lists = Vec::with_capacity(certificates.len());
    for data in certificates {
        if !is_one_sequence(&data) {
            return Err(UefiError::Certificate { length: data.len() });
        }
        lists.push(SignatureList::new(SignatureKind::X509, vec![SignatureEntry { owner, data }])?);
    }
    Ok(SignatureDatabase::new(lists).to_bytes())
}

/// Whether the bytes are one DER SEQUENCE to the last byte. What is in it shows when it verifies a signature.
fn is_one_sequence(bytes: &[u8]) -> bool {
    let (length, header) = match bytes {
        [0x30, short, ..] if *short < 0x80 => (usize::from(*short), 2_usize),
        [0x30, 0x81, a, ..] => (usize::from(*a), 3),
        [0x30, 0x82, a, b, ..] => (usize::from(u16::from_be_bytes([*a, *b])), 4),
        _ => return false,
    };
    length > 0 && header.checked_add(length) == Some(bytes.len())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The content of every block `CERTIFICATE`; other text is passed over, as openssl does.
fn pem_certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, UefiError> {
    const ERROR: UefiError = UefiError::Base64 { what: "a PEM block" };
    let text = core::str::from_utf8(bytes).map_err(|_| ERROR)?;
    let mut certificates = Vec::new();
    for block in text.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let (body, _) = block.split_once("-----END CERTIFICATE-----").ok_or(ERROR)?;
        let body: String = body.split_ascii_whitespace().collect();
        certificates.push(STANDARD.decode(body).map_err(|_| ERROR)?);
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const OWNER: Guid = guids::SHIM_LOCK;

    /// Something with a certificate's outside.
    fn certificate() -> Vec<u8> {
        let mut bytes = vec![0x30, 0x82, 0x01, 0x00];
        bytes.extend((0..256_u32).map(|value| u8::try_from(value).unwrap()));
        bytes
    }

    fn list() -> Vec<u8> {
        certificate_lists(vec![certificate()], Some(OWNER)).unwrap()
    }

    fn update(length: u32) -> Vec<u8> {
        let mut bytes = vec![0xE6, 7, 11, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&[0, 2, 0xF1, 0x0E]);
        bytes.extend_from_slice(&guids::CERT_TYPE_PKCS7.to_bytes());
        bytes.extend_from_slice(&[0xAA; 100]);
        bytes.extend_from_slice(&list());
        bytes
    }

    #[track_caller]
    fn reads_as(bytes: &[u8], form: FileForm) {
        let file = SignatureFile::read(bytes, Some(OWNER)).unwrap();
        assert_eq!(file.form(), form);
        assert_eq!(file.content(), if form == FileForm::Empty { Vec::new() } else { list() });
    }

    #[test]
    fn one_variable_in_every_form() {
        reads_as(&[], FileForm::Empty);
        reads_as(&list(), FileForm::SignatureList);
        reads_as(&update(124), FileForm::AuthenticatedUpdate);
        reads_as(&[&[0x27, 0, 0, 0][..], &list()].concat(), FileForm::EfivarsDump);
        reads_as(&certificate(), FileForm::DerCertificate);
        let pem = format!(
            "subject=test\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(certificate())
        );
        reads_as(pem.as_bytes(), FileForm::PemCertificates);
    }

    #[test]
    fn a_certificate_needs_an_owner_and_a_list_has_one() {
        assert_eq!(SignatureFile::read(&certificate(), None), Err(UefiError::OwnerMissing));
        assert!(SignatureFile::read(&list(), None).is_ok());
    }

    #[test]
    fn an_update_with_a_lying_length_is_refused() {
        assert!(SignatureFile::read(&update(124), None).is_ok());
        for length in [0, 23, 123, 125, u32::MAX] {
            assert!(SignatureFile::read(&update(length), None).is_err(), "{length}");
        }
    }

    #[test]
    fn a_damaged_list_is_called_a_list() {
        let mut bytes = list();
        bytes[16] ^= 1;
        assert_eq!(SignatureFile::read(&bytes, None).unwrap_err().code(), "uefi.list-sizes");
        assert_eq!(SignatureFile::read(b"no signature", None).unwrap_err().code(), "uefi.form");
    }

    #[test]
    fn a_cut_certificate_is_refused() {
        let bytes = certificate();
        for cut in [&bytes[..bytes.len() - 1], &[0x30][..], &[0x30, 0x84, 0, 0, 0, 1, 0][..]] {
            assert_eq!(SignatureFile::read(cut, Some(OWNER)).unwrap_err().code(), "uefi.certificate");
        }
    }

    #[test]
    fn pem_without_an_end_is_refused() {
        let text = b"-----BEGIN CERTIFICATE-----\nMIIB\n";
        assert_eq!(SignatureFile::read(text, Some(OWNER)).unwrap_err().code(), "uefi.base64");
    }
}

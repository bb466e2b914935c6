//! `EFI_SIGNATURE_LIST` (UEFI 2.10, section 32.4.1): what PK, KEK, db, dbx and shim's lists hold.

use uguid::{Guid, guid};

use super::x509_subject::subject;
use crate::LogError;
use crate::reader::Reader;
use crate::text::Text;

/// The kind of the entries of a list. Kinds without a name are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignatureType(pub Guid);

impl SignatureType {
    /// A certificate, DER.
    pub const X509: Self = Self(guid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072"));
    /// The SHA-256 digest of an image.
    pub const SHA256: Self = Self(guid!("c1c41626-504c-4092-aca9-41f936934328"));
    /// The SHA-1 digest of an image.
    pub const SHA1: Self = Self(guid!("826ca512-cf10-4ac9-b187-be01496631bd"));
    /// The SHA-224 digest of an image.
    pub const SHA224: Self = Self(guid!("0b6e5233-a65c-44c9-9407-d9ab83bfc8bd"));
    /// The SHA-384 digest of an image.
    pub const SHA384: Self = Self(guid!("ff3e5307-9fd0-48c9-85f1-8ad56c701e01"));
    /// The SHA-512 digest of an image.
    pub const SHA512: Self = Self(guid!("093e0fae-a6c4-4f50-9f1b-d41e2b89c19a"));
    /// An RSA key of 2,048 bits.
    pub const RSA2048: Self = Self(guid!("3c5766e8-269c-4e34-aa14-ed776e85b3b6"));
    /// The SHA-256 digest of a certificate's signed part, with the time from which it is revoked.
    pub const X509_SHA256: Self = Self(guid!("3bd2a492-96c0-4079-b420-fcf98ef103ed"));
    /// The same in SHA-384.
    pub const X509_SHA384: Self = Self(guid!("7076876e-80c2-4ee6-aad2-28b349a6865b"));
    /// The same in SHA-512.
    pub const X509_SHA512: Self = Self(guid!("446dbf63-2502-4cda-bcfa-2465d2b0fe9d"));

    /// The name: `x509`, `sha256`, …
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let names = [
            (Self::X509, "x509"),
            (Self::SHA256, "sha256"),
            (Self::SHA1, "sha1"),
            (Self::SHA224, "sha224"),
            (Self::SHA384, "sha384"),
            (Self::SHA512, "sha512"),
            (Self::RSA2048, "rsa2048"),
            (Self::X509_SHA256, "x509-sha256"),
            (Self::X509_SHA384, "x509-sha384"),
            (Self::X509_SHA512, "x509-sha512"),
        ];
        names.into_iter().find(|(kind, _)| *kind == self).map(|(_, name)| name)
    }
}

/// An entry of a signature list: who put it there, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SignatureEntry<'a> {
    /// The kind.
    pub kind: SignatureType,
    /// Who put it there.
    pub owner: Guid,
    /// The certificate or the digest.
    pub data: &'a [u8],
}

impl<'a> SignatureEntry<'a> {
    /// The most telling name in a certificate's subject: the common name, or else the organisation. Only to show it:
    /// the certificate is not checked.
    #[must_use]
    pub fn certificate_subject(&self) -> Option<Text<'a>> {
        if self.kind == SignatureType::X509 { subject(self.data) } else { None }
    }
}

/// One or more signature lists, all of them checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureLists<'a>(&'a [u8]);

/// Type, list size, header size, entry size.
const HEADER: u32 = 28;
/// An owner and at least one byte.
const SMALLEST_ENTRY: u32 = 17;

/// One list, cut out of the bytes.
struct List<'a> {
    kind: SignatureType,
    size: u32,
    entries: &'a [u8],
}

fn read_list<'a>(reader: &mut Reader<'a>) -> Result<List<'a>, LogError> {
    reader.enter("EFI_SIGNATURE_LIST");
    let offset = reader.offset();
    let malformed = |problem| LogError::Malformed { structure: "EFI_SIGNATURE_LIST", offset, problem };
    let kind = SignatureType(Guid::from_bytes(reader.array()?));
    let (list_size, header_size, size) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let body = list_size.checked_sub(HEADER).ok_or_else(|| malformed("the list is smaller than its header"))?;
    if size < SMALLEST_ENTRY {
        return Err(malformed("an entry is smaller than an owner and one byte"));
    }
    let entries_size =
        body.checked_sub(header_size).ok_or_else(|| malformed("the signature header is larger than the list"))?;
    if entries_size.checked_rem(size) != Some(0) {
        return Err(malformed("the list is not a whole number of entries"));
    }
    reader.take(header_size.into())?;
    Ok(List { kind, size, entries: reader.take(entries_size.into())? })
}

impl<'a> SignatureLists<'a> {
    /// Checks the contents of a variable that holds signature lists: PK, KEK, db, dbx, `MokList`.
    ///
    /// # Errors
    /// [`LogError::Malformed`] or [`LogError::Truncated`], with the offset in `data`, for a list that is smaller than
    /// its header, has entries that are too small or not a whole number of them, or is cut.
    pub fn parse(data: &'a [u8]) -> Result<Self, LogError> {
        Self::parse_at(data, 0)
    }

    pub(crate) fn parse_at(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "EFI_SIGNATURE_LIST");
        while !reader.is_empty() {
            read_list(&mut reader)?;
        }
        Ok(Self(data))
    }

    /// The entries of all lists, in order.
    pub fn entries(&self) -> impl Iterator<Item = SignatureEntry<'a>> + 'a {
        let mut reader = Reader::new(self.0, 0, "EFI_SIGNATURE_LIST");
        // Each list was read once, from the same bytes.
        let lists = core::iter::from_fn(move || if reader.is_empty() { None } else { read_list(&mut reader).ok() });
        lists.flat_map(|list| {
            let size = usize::try_from(list.size).unwrap_or(usize::MAX);
            list.entries.chunks_exact(size).filter_map(move |entry| {
                let (owner, data) = entry.split_first_chunk::<16>()?;
                Some(SignatureEntry { kind: list.kind, owner: Guid::from_bytes(*owner), data })
            })
        })
    }
}

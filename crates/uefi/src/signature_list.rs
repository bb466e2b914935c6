//! `EFI_SIGNATURE_LIST`s: the content of PK, KEK, db, dbx and shim's MokList.

use alloc::vec::Vec;

use uguid::Guid;

use crate::bytes::Reader;
use crate::{UefiError, guids};

/// GUID, list size, header size, signature size.
const LIST_HEADER: usize = 28;
/// An entry is its owner's GUID and at least one byte.
const SMALLEST_ENTRY: usize = 17;

/// What the entries of a list are (UEFI Specification 2.10, section 32.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureKind {
    /// A certificate in DER.
    X509,
    /// The SHA-1 Authenticode digest of an image.
    Sha1,
    /// The SHA-224 Authenticode digest of an image.
    Sha224,
    /// The SHA-256 Authenticode digest of an image.
    Sha256,
    /// The SHA-384 Authenticode digest of an image.
    Sha384,
    /// The SHA-512 Authenticode digest of an image.
    Sha512,
    /// SHA-256 of a certificate's to-be-signed part, then the time of revocation (`EFI_TIME`, 16 bytes).
    X509Sha256,
    /// The same with SHA-384.
    X509Sha384,
    /// The same with SHA-512.
    X509Sha512,
    /// Any other type: its entries are measured and never match an image.
    Other(Guid),
}

impl SignatureKind {
    const KNOWN: [(Self, Guid); 9] = [
        (Self::X509, guids::CERT_X509),
        (Self::Sha1, guids::CERT_SHA1),
        (Self::Sha224, guids::CERT_SHA224),
        (Self::Sha256, guids::CERT_SHA256),
        (Self::Sha384, guids::CERT_SHA384),
        (Self::Sha512, guids::CERT_SHA512),
        (Self::X509Sha256, guids::CERT_X509_SHA256),
        (Self::X509Sha384, guids::CERT_X509_SHA384),
        (Self::X509Sha512, guids::CERT_X509_SHA512),
    ];

    /// The kind with this type GUID.
    #[must_use]
    pub fn from_guid(guid: Guid) -> Self {
        Self::KNOWN.iter().find(|(_, known)| *known == guid).map_or(Self::Other(guid), |(kind, _)| *kind)
    }

    /// The type GUID.
    #[must_use]
    pub fn guid(self) -> Guid {
        match self {
            Self::Other(guid) => guid,
            known => Self::KNOWN.iter().find(|(kind, _)| *kind == known).map_or(Guid::ZERO, |(_, guid)| *guid),
        }
    }
}

/// One entry: `EFI_SIGNATURE_DATA`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignatureEntry {
    /// Who put it there. Part of what is measured.
    pub owner: Guid,
    /// Certificate, digest, or digest and time; at least one byte.
    pub data: Vec<u8>,
}

impl SignatureEntry {
    /// The entry's bytes, owner first: what an authority event of PCR 7 carries.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.owner.to_bytes().to_vec();
        bytes.extend_from_slice(&self.data);
        bytes
    }
}

/// One list: entries of one kind and one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureList {
    kind: SignatureKind,
    header: Vec<u8>,
    signature_size: usize,
    entries: Vec<SignatureEntry>,
}

impl SignatureList {
    /// A list of entries that are all as long as the first.
    ///
    /// # Errors
    /// [`UefiError::ListSizes`] for no entries, empty ones, or ones of different lengths.
    pub fn new(kind: SignatureKind, entries: Vec<SignatureEntry>) -> Result<Self, UefiError> {
        let length = entries.first().map_or(0, |entry| entry.data.len());
        if length == 0 {
            return Err(UefiError::ListSizes { offset: 0, what: "a list needs an entry of at least one byte" });
        }
        if entries.iter().any(|entry| entry.data.len() != length) {
            return Err(UefiError::ListSizes { offset: 0, what: "the entries of one list are all of one length" });
        }
        let signature_size = length.saturating_add(16);
        let size = entries.len().checked_mul(signature_size).and_then(|bytes| bytes.checked_add(LIST_HEADER));
        if size.and_then(|size| u32::try_from(size).ok()).is_none() {
            return Err(UefiError::ListSizes { offset: 0, what: "the list is longer than its 32-bit size can say" });
        }
        Ok(Self { kind, header: Vec::new(), signature_size, entries })
    }

    /// What the entries are.
    #[must_use]
    pub const fn kind(&self) -> SignatureKind {
        self.kind
    }

    /// The entries in order.
    #[must_use]
    pub fn entries(&self) -> &[SignatureEntry] {
        &self.entries
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, UefiError> {
        let offset = reader.offset();
        let available = reader.remaining();
        let sizes = |what| UefiError::ListSizes { offset, what };
        let kind = SignatureKind::from_guid(Guid::from_bytes(reader.array()?));
        let list_size = reader.length()?;
        let header_size = reader.length()?;
        let signature_size = reader.length()?;
        if list_size < LIST_HEADER {
            return Err(sizes("the list's size is below the 28 bytes of its header"));
        }
        if list_size > available {
            return Err(sizes("the list's size goes beyond the end"));
        }
        if signature_size < SMALLEST_ENTRY {
            return Err(sizes("the entries' size is below 17 bytes"));
        }
        let body = list_size
            .checked_sub(LIST_HEADER)
            .and_then(|rest| rest.checked_sub(header_size))
            .ok_or(sizes("the header's size goes beyond the list"))?;
        let count = body.checked_div(signature_size).unwrap_or(0);
        if count.checked_mul(signature_size) != Some(body) {
            return Err(sizes("the entries do not fill the list"));
        }
        let header = reader.take(header_size)?.to_vec();
        // At most one entry for each 17 bytes that are really there.
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let owner = Guid::from_bytes(reader.array()?);
            let data = reader.take(signature_size.saturating_sub(16))?.to_vec();
            entries.push(SignatureEntry { owner, data });
        }
        Ok(Self { kind, header, signature_size, entries })
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let body = self.entries.len().saturating_mul(self.signature_size);
        let size = LIST_HEADER.saturating_add(self.header.len()).saturating_add(body);
        bytes.extend_from_slice(&self.kind.guid().to_bytes());
        for length in [size, self.header.len(), self.signature_size] {
            // Both constructors bound the sizes by u32.
            bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        }
        bytes.extend_from_slice(&self.header);
        self.entries.iter().for_each(|entry| bytes.extend_from_slice(&entry.to_bytes()));
    }
}

/// Any number of lists: the content of a signature variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureDatabase(Vec<SignatureList>);

impl SignatureDatabase {
    /// A database of these lists.
    #[must_use]
    pub const fn new(lists: Vec<SignatureList>) -> Self {
        Self(lists)
    }

    /// Reads lists one after another; no bytes are an empty database.
    ///
    /// # Errors
    /// [`UefiError::Truncated`] and [`UefiError::ListSizes`]: a list's size is at least 28 and fits, an entry's at least
    /// 17, and the entries fill their list exactly.
    pub fn parse(bytes: &[u8]) -> Result<Self, UefiError> {
        let mut reader = Reader::new(bytes, "signature list");
        let mut lists = Vec::new();
        while !reader.is_empty() {
            lists.push(SignatureList::read(&mut reader)?);
        }
        Ok(Self(lists))
    }

    /// The bytes: the same that were parsed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.iter().for_each(|list| list.write(&mut bytes));
        bytes
    }

    /// The lists in order.
    #[must_use]
    pub fn lists(&self) -> &[SignatureList] {
        &self.0
    }

    /// Every entry with its kind, in the order in which firmware goes through them.
    pub fn entries(&self) -> impl Iterator<Item = (SignatureKind, &SignatureEntry)> + '_ {
        self.0.iter().flat_map(|list| list.entries.iter().map(|entry| (list.kind, entry)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn entry(fill: u8, length: usize) -> SignatureEntry {
        SignatureEntry { owner: guids::SHIM_LOCK, data: vec![fill; length] }
    }

    fn two_lists() -> Vec<u8> {
        SignatureDatabase::new(vec![
            SignatureList::new(SignatureKind::X509, vec![entry(1, 700)]).unwrap(),
            SignatureList::new(SignatureKind::Sha256, vec![entry(2, 32), entry(3, 32)]).unwrap(),
        ])
        .to_bytes()
    }

    /// The two lists with a u32 of the first list's header replaced.
    fn with_size(position: usize, value: u32) -> Result<SignatureDatabase, UefiError> {
        let mut bytes = two_lists();
        bytes[position..][..4].copy_from_slice(&value.to_le_bytes());
        SignatureDatabase::parse(&bytes)
    }

    #[test]
    fn lists_of_several_kinds_and_sizes_round_trip() {
        let bytes = two_lists();
        let database = SignatureDatabase::parse(&bytes).unwrap();
        assert_eq!(database.lists().len(), 2);
        assert_eq!(
            database.entries().map(|(kind, _)| kind).collect::<Vec<_>>(),
            [SignatureKind::X509, SignatureKind::Sha256, SignatureKind::Sha256]
        );
        assert_eq!(database.to_bytes(), bytes);
    }

    #[test]
    fn an_unknown_kind_and_a_list_header_are_kept() {
        let mut bytes = two_lists();
        bytes[0] ^= 0xFF;
        // Sixteen bytes of the entry become the list's header.
        bytes[20] = 16;
        bytes[24..28].copy_from_slice(&700_u32.to_le_bytes());
        let database = SignatureDatabase::parse(&bytes).unwrap();
        assert!(matches!(database.lists()[0].kind(), SignatureKind::Other(_)));
        assert_eq!(database.to_bytes(), bytes);
    }

    /// Each size lies once; the twin with the true size is accepted.
    #[test]
    fn lying_sizes_are_refused() {
        assert!(with_size(16, 744).is_ok());
        for (position, value, fragment) in [
            (16, 0, "below the 28 bytes"),
            (16, 27, "below the 28 bytes"),
            (16, u32::MAX, "beyond the end"),
            (16, 743, "do not fill"),
            (20, 717, "beyond the list"),
            (20, u32::MAX, "beyond the list"),
            (20, 1, "do not fill"),
            (24, 0, "below 17"),
            (24, 16, "below 17"),
            (24, 715, "do not fill"),
            (24, u32::MAX, "do not fill"),
        ] {
            let error = with_size(position, value).unwrap_err();
            assert_eq!(error.code(), "uefi.list-sizes", "{position} {value}");
            assert!(alloc::format!("{error}").contains(fragment), "{error}");
        }
    }

    #[test]
    fn a_list_without_entries_is_a_list() {
        let mut bytes = guids::CERT_X509.to_bytes().to_vec();
        [28_u32, 0, 17].iter().for_each(|size| bytes.extend_from_slice(&size.to_le_bytes()));
        let database = SignatureDatabase::parse(&bytes).unwrap();
        assert_eq!(database.entries().count(), 0);
        assert_eq!(database.to_bytes(), bytes);
    }

    #[test]
    fn every_cut_is_refused_but_the_one_between_the_lists() {
        let bytes = two_lists();
        for length in 1..bytes.len() {
            assert_eq!(SignatureDatabase::parse(&bytes[..length]).is_ok(), length == 744, "{length}");
        }
    }

    #[test]
    fn a_list_is_made_of_entries_of_one_length() {
        assert!(SignatureList::new(SignatureKind::X509, vec![entry(1, 7), entry(2, 7)]).is_ok());
        assert!(SignatureList::new(SignatureKind::X509, vec![entry(1, 7), entry(2, 8)]).is_err());
        assert!(SignatureList::new(SignatureKind::X509, vec![]).is_err());
        assert!(SignatureList::new(SignatureKind::X509, vec![entry(1, 0)]).is_err());
    }

    proptest! {
        /// Whatever is accepted is written back byte for byte.
        #[test]
        fn altered_lists_are_refused_or_kept(position in 0_usize..60, value: u8, tail in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = two_lists();
            bytes[position] = value;
            bytes.extend_from_slice(&tail);
            if let Ok(database) = SignatureDatabase::parse(&bytes) {
                prop_assert_eq!(database.to_bytes(), bytes);
            }
        }

        #[test]
        fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = SignatureDatabase::parse(&bytes);
        }
    }
}

//! Signature lists, the files they come in, EC2's uefi-data.

use nitrotpm_uefi::{
    Guid, SecureBootVariable, SecureBootVariables, SignatureDatabase, SignatureFile, UefiData, UefiError, UefiVariable,
    guids,
};

use crate::check::{bounded, shown};

const OWNER: Guid = guids::GLOBAL_VARIABLE;

fn refused(error: &UefiError) {
    shown(error);
    assert!(error.code().starts_with("uefi"), "{}", error.code());
}

/// A signature variable in any of its files. Lists are written as they were read; the event log's decoder, which is
/// another implementation, sees the same entries.
pub(crate) fn signature_files(data: &[u8]) {
    match bounded(data, 16, || SignatureDatabase::parse(data)) {
        Ok(database) => {
            let written = database.to_bytes();
            let again = SignatureDatabase::parse(&written).expect("what was written can be read");
            assert_eq!(again.entries().count(), database.entries().count());
            match nitrotpm_eventlog::SignatureLists::parse(data) {
                Ok(lists) => assert_eq!(lists.entries().count(), database.entries().count()),
                Err(error) => panic!("one decoder refuses what the other reads: {error}"),
            }
        }
        Err(error) => refused(&error),
    }
    for owner in [None, Some(OWNER)] {
        match bounded(data, 32, || SignatureFile::read(data, owner)) {
            Ok(file) => {
                let content = file.content();
                assert!(content.is_empty() || SignatureDatabase::parse(content).is_ok(), "{:?}", file.form());
            }
            Err(error) => refused(&error),
        }
    }
}

/// The first bytes of a blob's zlib stream: the header, and the number of the dictionary.
fn stream_head() -> [u8; 6] {
    let empty = UefiData::default().to_bytes().expect("an empty blob");
    empty.get(16..22).and_then(|head| head.try_into().ok()).expect("a header and a dictionary's number")
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// A blob around a stream, its checksum right.
fn blob(stream: &[u8]) -> Vec<u8> {
    let checked = [&[0; 4], stream].concat();
    [b"AMZNUEFI".as_slice(), &crc32c(&checked).to_le_bytes(), &checked].concat()
}

/// The same content not compressed: a fuzzer changes what it can see.
fn stored(content: &[u8]) -> Vec<u8> {
    let mut stream = stream_head().to_vec();
    let mut chunks = content.chunks(0xFFFF).peekable();
    while let Some(chunk) = chunks.next() {
        let length = u16::try_from(chunk.len()).expect("a chunk's length");
        stream.push(u8::from(chunks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(chunk);
    }
    stream.extend(adler32(content).to_be_bytes());
    stream
}

/// EC2's uefi-data: the bytes as a blob, as a text, as a zlib stream, and as what the stream holds. What inflates stays
/// under its bound.
pub(crate) fn uefi_data(data: &[u8]) {
    let (stream, content) = (blob(data), blob(&stored(data)));
    for bytes in [data, &stream, &content] {
        // The content may have 1 MiB; so may what is read out of it.
        match bounded(&[0; 4 << 16], 16, || UefiData::from_bytes(bytes)) {
            Ok(data) => use_data(&data),
            Err(error) => refused(&error),
        }
    }
    match UefiData::from_base64(data) {
        Ok(data) => use_data(&data),
        Err(error) => refused(&error),
    }
}

fn use_data(data: &UefiData) {
    match data.to_bytes() {
        Ok(bytes) => {
            let again = UefiData::from_bytes(&bytes).expect("what was written can be read");
            assert_eq!(&again, data);
            assert_eq!(data.differences(&again).count(), 0);
        }
        Err(error) => refused(&error),
    }
    let variables = SecureBootVariables::from_uefi_data(data);
    for variable in [SecureBootVariable::Pk, SecureBootVariable::Kek, SecureBootVariable::Db, SecureBootVariable::Dbx] {
        if let Err(error) = variables.database(variable) {
            refused(&error);
        }
    }
}

/// Seeds: what a blob holds, not compressed, and its stream.
pub(crate) fn uefi_data_seeds(text: &[u8]) -> Vec<Vec<u8>> {
    let data = UefiData::from_base64(text).expect("uefi-data");
    let bytes = data.to_bytes().expect("written");
    let mut content = u64::try_from(data.variables().len()).expect("few").to_le_bytes().to_vec();
    for UefiVariable { name, vendor, attributes, data, authentication } in data.variables() {
        for counted in [name.as_bytes(), data] {
            content.extend(u64::try_from(counted.len()).expect("short").to_le_bytes());
            content.extend(counted);
        }
        content.extend(vendor.to_bytes());
        content.extend(attributes.to_le_bytes());
        if let Some(authentication) = authentication {
            content.extend(authentication.timestamp);
            content.extend(u64::try_from(authentication.digest.len()).expect("short").to_le_bytes());
            content.extend(&authentication.digest);
        }
    }
    assert_eq!(
        UefiData::from_bytes(&blob(&stored(&content))).as_ref().ok(),
        Some(&data),
        "the seed is what it should be"
    );
    vec![text.to_vec(), bytes.get(16..).unwrap_or_default().to_vec(), content, bytes]
}

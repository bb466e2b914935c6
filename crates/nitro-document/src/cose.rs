//! The envelope: `COSE_Sign1` (RFC 9052, section 4.2) as AWS writes it, and no other way.

use core::ops::Range;

use crate::DocumentError;
use crate::cbor::{Head, Reader};
use crate::error::{CoseFault, printable};

/// The greatest length of a document in bytes: what AWS KMS takes (`Recipient.AttestationDocument`).
pub const MAX_DOCUMENT_LEN: usize = 262_144;
/// The greatest length of the payload in bytes (`aws-nitro-enclaves-nsm-api`, `attestation_process.md`, section 3.1).
const MAX_PAYLOAD_LEN: usize = 16_384;
/// Longer than any header or signature that could be named in an error.
const MAX_HEADER_LEN: usize = 1024;

/// `COSE_Sign1`'s tag.
const TAG_COSE_SIGN1: u64 = 18;
/// The header label of the algorithm, and ES384 (RFC 9053, section 2.1).
const LABEL_ALGORITHM: i64 = 1;
const ALGORITHM_ES384: i64 = -35;
/// ES384's signature: r and s, 48 bytes each (RFC 9053, section 2.1).
pub(crate) const SIGNATURE_LEN: usize = 96;

/// Where the parts of an envelope stand. The signature is over these bytes as they were received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) protected: Range<usize>,
    pub(crate) payload: Range<usize>,
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

impl Envelope {
    /// Reads an envelope that fills `bytes` to the end.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_DOCUMENT_LEN {
            return Err(DocumentError::Size { structure: "document", length: bytes.len(), limit: MAX_DOCUMENT_LEN });
        }
        let mut reader = Reader::new(bytes, "COSE_Sign1", 0);
        let cose = |offset, fault| DocumentError::Cose { offset, fault };

        if let Head::Tag(tag) = reader.peek()? {
            if tag != TAG_COSE_SIGN1 {
                return Err(cose(reader.offset(), CoseFault::Tag { tag }));
            }
            reader.tag()?;
            if let Head::Tag(tag) = reader.peek()? {
                return Err(cose(reader.offset(), CoseFault::Tag { tag }));
            }
        }
        let offset = reader.offset();
        match reader.array()? {
            4 => {}
            found => return Err(cose(offset, CoseFault::ArrayLength { found })),
        }

        reader.set_structure("protected header");
        let protected_bytes = reader.bytes(MAX_HEADER_LEN)?;
        let protected = range_before(&reader, protected_bytes);
        check_protected_header(protected_bytes, protected.start)?;

        reader.set_structure("unprotected header");
        let offset = reader.offset();
        match reader.map()? {
            0 => {}
            found => return Err(cose(offset, CoseFault::UnprotectedNotEmpty { found })),
        }

        reader.set_structure("payload");
        let offset = reader.offset();
        let payload_bytes = reader.bytes(MAX_DOCUMENT_LEN)?;
        let payload = range_before(&reader, payload_bytes);
        match payload_bytes.len() {
            0 => return Err(cose(offset, CoseFault::PayloadEmpty)),
            1..=MAX_PAYLOAD_LEN => {}
            length => return Err(DocumentError::Size { structure: "payload", length, limit: MAX_PAYLOAD_LEN }),
        }

        reader.set_structure("signature");
        let offset = reader.offset();
        let signature = reader.bytes(MAX_DOCUMENT_LEN)?;
        let signature = <[u8; SIGNATURE_LEN]>::try_from(signature)
            .map_err(|_| cose(offset, CoseFault::SignatureLength { found: signature.len() }))?;

        reader.set_structure("COSE_Sign1");
        reader.end()?;
        Ok(Self { protected, payload, signature })
    }
}

/// Where the bytes stand that were just read.
fn range_before(reader: &Reader<'_>, read: &[u8]) -> Range<usize> {
    let end = reader.position();
    end.saturating_sub(read.len())..end
}

/// The protected header is a map with the algorithm, ES384, and nothing else. With shortest forms only, one encoding is
/// left: `a1 01 38 22`.
fn check_protected_header(bytes: &[u8], base: usize) -> Result<(), DocumentError> {
    let mut reader = Reader::new(bytes, "protected header", base);
    let missing = DocumentError::Cose { offset: base, fault: CoseFault::AlgorithmMissing };
    if bytes.is_empty() {
        // RFC 9052 writes an empty header as an empty string.
        return Err(missing);
    }
    let count = reader.map()?;
    let mut algorithm = None;
    for _ in 0..count {
        let offset = reader.offset();
        let label = match reader.peek()? {
            Head::Text(_) => printable(reader.text(MAX_HEADER_LEN)?),
            _ => match reader.integer()? {
                LABEL_ALGORITHM if algorithm.is_some() => {
                    return Err(DocumentError::DuplicateKey { structure: "protected header", offset, key: "1".into() });
                }
                LABEL_ALGORITHM => {
                    let offset = reader.offset();
                    match reader.integer()? {
                        ALGORITHM_ES384 => algorithm = Some(ALGORITHM_ES384),
                        found => return Err(DocumentError::Cose { offset, fault: CoseFault::Algorithm { found } }),
                    }
                    continue;
                }
                label => label.to_string(),
            },
        };
        return Err(DocumentError::Cose { offset, fault: CoseFault::ProtectedLabel { label } });
    }
    reader.end()?;
    algorithm.map(drop).ok_or(missing)
}

/// The bytes that are signed: `["Signature1", protected, h'', payload]` (RFC 9052, section 4.4), around the received
/// bytes, which are copied and never encoded anew.
pub(crate) fn signed_bytes(protected: &[u8], payload: &[u8]) -> Result<Vec<u8>, DocumentError> {
    let mut encoder = minicbor::Encoder::new(Vec::with_capacity(payload.len().saturating_add(64)));
    encoder
        .array(4)
        .and_then(|encoder| encoder.str("Signature1"))
        .and_then(|encoder| encoder.bytes(protected))
        .and_then(|encoder| encoder.bytes(&[]))
        .and_then(|encoder| encoder.bytes(payload))
        // Writing to a vector does not fail.
        .map_err(|_| DocumentError::Signature)?;
    Ok(encoder.into_writer())
}

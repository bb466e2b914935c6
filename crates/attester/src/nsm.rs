//! What is written into the index and what is read from it: CBOR of the Nitro Secure Module (aws-nitro-enclaves-nsm-api,
//! requests and responses as serde tags them).

use minicbor::data::Type;
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder};

use crate::AttesterError;

/// What goes into an attestation document, each at most 1,024 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DocumentRequest<'a> {
    /// Anything.
    pub user_data: Option<&'a [u8]>,
    /// The verifier's nonce.
    pub nonce: Option<&'a [u8]>,
    /// A public key: of an attestation key for a verifier, of an RSA recipient for KMS. NitroTPM does not look at it.
    pub public_key: Option<&'a [u8]>,
}

/// The most that AWS lets a field of the document have.
const MAX_FIELD: usize = 1024;

impl DocumentRequest<'_> {
    /// `{"Attestation": {"user_data", "nonce", "public_key"}}`, absent ones null.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, AttesterError> {
        let fields = [("user_data", self.user_data), ("nonce", self.nonce), ("public_key", self.public_key)];
        for (field, value) in fields {
            if let Some(length) = value.map(<[u8]>::len).filter(|length| !(1..=MAX_FIELD).contains(length)) {
                return Err(AttesterError::FieldLength { field, length });
            }
        }
        let mut encoder = Encoder::new(Vec::new());
        let mut write = || -> Result<(), minicbor::encode::Error<core::convert::Infallible>> {
            encoder.map(1)?.str("Attestation")?.map(3)?;
            for (field, value) in fields {
                encoder.str(field)?;
                match value {
                    Some(bytes) => encoder.bytes(bytes)?,
                    None => encoder.null()?,
                };
            }
            Ok(())
        };
        write().map_err(|_| AttesterError::FieldLength { field: "request", length: 0 })?;
        Ok(encoder.into_writer())
    }
}

/// What was found in the index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NsmResponse {
    /// The document.
    Document(Vec<u8>),
    /// More has to be read.
    Incomplete,
}

/// Reads as much as there is: `{"Attestation": {"document": bytes}}` or `{"Error": name}`. What follows the item is
/// padding.
pub(crate) fn decode(bytes: &[u8]) -> Result<NsmResponse, AttesterError> {
    match read(&mut Decoder::new(bytes)) {
        Ok(Ok(document)) => Ok(NsmResponse::Document(document)),
        Ok(Err(error)) => Err(error),
        Err(error) if error.is_end_of_input() => Ok(NsmResponse::Incomplete),
        Err(_) => Err(MALFORMED),
    }
}

const MALFORMED: AttesterError = AttesterError::Answer {
    command: "the NitroTPM command 0x20000001",
    detail: "what it wrote is no answer of the Nitro Secure Module",
};

fn read(decoder: &mut Decoder<'_>) -> Result<Result<Vec<u8>, AttesterError>, Error> {
    if decoder.map()? != Some(1) {
        return Ok(Err(MALFORMED));
    }
    match decoder.str()? {
        "Error" => {
            let name: String = decoder.str()?.chars().take(64).filter(char::is_ascii_graphic).collect();
            Ok(Err(AttesterError::Nsm { name }))
        }
        "Attestation" => {
            if decoder.map()? != Some(1) || decoder.str()? != "document" {
                return Ok(Err(MALFORMED));
            }
            // A device was seen to take arrays of numbers for bytes; what it gives are bytes.
            if decoder.datatype()? != Type::Bytes {
                return Ok(Err(MALFORMED));
            }
            Ok(Ok(decoder.bytes()?.to_vec()))
        }
        _ => Ok(Err(MALFORMED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(request: DocumentRequest<'_>) -> Result<String, &'static str> {
        request.encode().map(hex::encode).map_err(|error| error.code())
    }

    #[test]
    fn requests_are_as_the_device_takes_them() {
        // a1 "Attestation" a3 "user_data" null "nonce" h'0102' "public_key" null
        assert_eq!(
            encoded(DocumentRequest { nonce: Some(&[1, 2]), ..DocumentRequest::default() }),
            Ok("a16b4174746573746174696f6ea369757365725f64617461f6656e6f6e63654201026a7075626c69635f6b6579f6"
                .to_owned())
        );
        let most = [7; 1024];
        assert!(encoded(DocumentRequest { user_data: Some(&most), ..DocumentRequest::default() }).is_ok());
        for wrong in [&[7; 1025][..], &[]] {
            let request = DocumentRequest { public_key: Some(wrong), ..DocumentRequest::default() };
            assert_eq!(encoded(request), Err("attester.field-length"));
        }
    }

    #[test]
    fn answers_are_read_when_they_are_complete() {
        // a1 "Attestation" a1 "document" h'aabbcc', padding
        let good = hex::decode("a16b4174746573746174696f6ea168646f63756d656e7443aabbccffff").unwrap();
        assert_eq!(decode(&good).unwrap(), NsmResponse::Document(vec![0xAA, 0xBB, 0xCC]));
        for length in 0..good.len() - 2 {
            assert_eq!(decode(&good[..length]).unwrap(), NsmResponse::Incomplete, "{length} bytes");
        }
    }

    #[test]
    fn errors_of_the_module_are_named() {
        let bytes = [&hex::decode("a1654572726f726d").unwrap()[..], b"InputTooLarge"].concat();
        let error = decode(&bytes).unwrap_err();
        assert_eq!(error.code(), "attester.nsm");
        assert!(error.to_string().contains("InputTooLarge"), "{error}");
    }

    #[test]
    fn other_answers_are_refused() {
        // Two entries, another name, another field, text for bytes, bytes in pieces, no map, an index never written.
        for wrong in [
            "a26b4174746573746174696f6e",
            "a16b4174746573746174696f6fa0",
            "a16b4174746573746174696f6ea168646f63756d656e75",
            "a16b4174746573746174696f6ea168646f63756d656e7461aa",
            "a16b4174746573746174696f6ea168646f63756d656e745f41aaff",
            "00",
            "ffffffff",
        ] {
            let error = decode(&hex::decode(wrong).unwrap()).unwrap_err();
            assert_eq!(error.code(), "attester.answer", "{wrong}");
        }
    }
}

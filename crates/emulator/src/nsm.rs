//! The requests and responses of the Nitro Security Module, in CBOR (aws-nitro-enclaves-nsm-api, `request.rs` and
//! `response.rs`: enums as serde writes them).
//!
//! Which requests NitroTPM's device answers, and with which error it refuses the others, is not documented: what is not
//! an attestation is an assumption here, named so in [`ASSUMPTIONS`](crate::ASSUMPTIONS).

use minicbor::data::Type;
use minicbor::{Decoder, decode};
use nitrotpm_document_issuer::cbor;

/// The longest public key, user data and nonce (EC2 guide, the document's CDDL).
pub(crate) const MAX_FIELD: usize = 1024;

/// Why the module refuses (`ErrorCode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidArgument,
    InvalidOperation,
    BufferTooSmall,
    InputTooLarge,
    InternalError,
}

impl Refusal {
    const fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "InvalidArgument",
            Self::InvalidOperation => "InvalidOperation",
            Self::BufferTooSmall => "BufferTooSmall",
            Self::InputTooLarge => "InputTooLarge",
            Self::InternalError => "InternalError",
        }
    }

    /// `{"Error": name}`.
    pub(crate) fn response(self) -> Vec<u8> {
        cbor::map(&[(cbor::text("Error"), cbor::text(self.name()))])
    }
}

/// What a document is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) public_key: Option<Vec<u8>>,
    pub(crate) user_data: Option<Vec<u8>>,
    pub(crate) nonce: Option<Vec<u8>>,
}

/// A request that is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Attestation(Fields),
    DescribeNsm,
    GetRandom,
}

/// Reads the request at the start of an index' contents. What follows it is not looked at: an index that was never
/// written there holds 0xFF.
pub(crate) fn parse(contents: &[u8]) -> Result<Request, Refusal> {
    let mut decoder = Decoder::new(contents);
    match decoder.datatype().map_err(invalid)? {
        Type::String => match decoder.str().map_err(invalid)? {
            "DescribeNSM" => Ok(Request::DescribeNsm),
            "GetRandom" => Ok(Request::GetRandom),
            _ => Err(Refusal::InvalidArgument),
        },
        Type::Map => {
            if decoder.map().map_err(invalid)? != Some(1) {
                return Err(Refusal::InvalidArgument);
            }
            match decoder.str().map_err(invalid)? {
                "Attestation" => fields(&mut decoder).map(Request::Attestation),
                "DescribePCR" | "ExtendPCR" | "LockPCR" | "LockPCRs" => {
                    decoder.skip().map_err(invalid)?;
                    Err(Refusal::InvalidOperation)
                }
                _ => Err(Refusal::InvalidArgument),
            }
        }
        _ => Err(Refusal::InvalidArgument),
    }
}

fn invalid(_: decode::Error) -> Refusal {
    Refusal::InvalidArgument
}

fn fields(decoder: &mut Decoder<'_>) -> Result<Fields, Refusal> {
    let mut fields = Fields::default();
    let mut seen = Vec::new();
    let mut left = decoder.map().map_err(invalid)?;
    loop {
        match &mut left {
            Some(0) => return Ok(fields),
            Some(count) => *count = count.saturating_sub(1),
            None if matches!(decoder.datatype(), Ok(Type::Break)) => return Ok(fields),
            None => {}
        }
        let key = decoder.str().map_err(invalid)?;
        if seen.contains(&key) {
            return Err(Refusal::InvalidArgument);
        }
        seen.push(key);
        match key {
            "public_key" => fields.public_key = optional_bytes(decoder)?,
            "user_data" => fields.user_data = optional_bytes(decoder)?,
            "nonce" => fields.nonce = optional_bytes(decoder)?,
            // As serde does with what it does not know.
            _ => decoder.skip().map_err(invalid)?,
        }
    }
}

/// Null, a byte string (in pieces or not), or an array of small integers, which the real device was seen to accept.
fn optional_bytes(decoder: &mut Decoder<'_>) -> Result<Option<Vec<u8>>, Refusal> {
    let mut bytes = Vec::new();
    match decoder.datatype().map_err(invalid)? {
        Type::Null => {
            decoder.null().map_err(invalid)?;
            return Ok(None);
        }
        Type::Bytes | Type::BytesIndef => {
            for piece in decoder.bytes_iter().map_err(invalid)? {
                bytes.extend_from_slice(piece.map_err(invalid)?);
            }
        }
        Type::Array | Type::ArrayIndef => {
            for number in decoder.array_iter::<u8>().map_err(invalid)? {
                bytes.push(number.map_err(invalid)?);
            }
        }
        _ => return Err(Refusal::InvalidArgument),
    }
    if bytes.len() > MAX_FIELD { Err(Refusal::InputTooLarge) } else { Ok(Some(bytes)) }
}

/// `{"Attestation": {"document": bytes}}`.
pub(crate) fn attestation(document: &[u8]) -> Vec<u8> {
    variant("Attestation", &[(cbor::text("document"), cbor::bytes(document))])
}

/// `{"GetRandom": {"random": bytes}}`.
pub(crate) fn random(bytes: &[u8]) -> Vec<u8> {
    variant("GetRandom", &[(cbor::text("random"), cbor::bytes(bytes))])
}

/// `{"DescribeNSM": {…}}`.
pub(crate) fn description(module_id: &str) -> Vec<u8> {
    variant(
        "DescribeNSM",
        &[
            (cbor::text("version_major"), cbor::unsigned(1)),
            (cbor::text("version_minor"), cbor::unsigned(0)),
            (cbor::text("version_patch"), cbor::unsigned(0)),
            (cbor::text("module_id"), cbor::text(module_id)),
            (cbor::text("max_pcrs"), cbor::unsigned(24)),
            (cbor::text("locked_pcrs"), cbor::array(&[])),
            (cbor::text("digest"), cbor::text("SHA384")),
        ],
    )
}

fn variant(name: &str, entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    cbor::map(&[(cbor::text(name), cbor::map(entries))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attest(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let entries: Vec<_> = entries.iter().map(|(key, value)| (cbor::text(key), value.clone())).collect();
        variant("Attestation", &entries)
    }

    #[test]
    fn the_request_of_awss_client_is_read() {
        let bytes = hex::decode(
            "a16b4174746573746174696f6ea369757365725f64617461f6656e6f6e63654201026a7075626c69635f6b6579f6ffffff",
        );
        let fields = Fields { nonce: Some(vec![1, 2]), ..Fields::default() };
        assert_eq!(parse(&bytes.unwrap()), Ok(Request::Attestation(fields)));
    }

    #[test]
    fn bytes_may_come_in_pieces_or_as_integers() {
        let expected = Ok(Request::Attestation(Fields { nonce: Some(vec![1, 2, 3]), ..Fields::default() }));
        assert_eq!(parse(&attest(&[("nonce", vec![0x43, 1, 2, 3])])), expected);
        assert_eq!(parse(&attest(&[("nonce", vec![0x5f, 0x41, 1, 0x42, 2, 3, 0xff])])), expected);
        assert_eq!(parse(&attest(&[("nonce", vec![0x83, 1, 2, 3])])), expected);
        assert_eq!(parse(&attest(&[("nonce", vec![0x9f, 1, 2, 3, 0xff])])), expected);
        // 256 is no byte.
        let wrong = attest(&[("nonce", vec![0x83, 1, 2, 0x19, 1, 0])]);
        assert_eq!(parse(&wrong), Err(Refusal::InvalidArgument));
    }

    #[test]
    fn a_field_has_1024_bytes_at_most() {
        for key in ["public_key", "user_data", "nonce"] {
            assert!(parse(&attest(&[(key, cbor::bytes(&[7; 1024]))])).is_ok());
            assert_eq!(parse(&attest(&[(key, cbor::bytes(&[7; 1025]))])), Err(Refusal::InputTooLarge));
        }
    }

    #[test]
    fn what_is_no_request_is_an_invalid_argument() {
        let good = attest(&[("nonce", cbor::bytes(&[1; 100]))]);
        assert!(parse(&good).is_ok());
        for length in 0..good.len() {
            assert_eq!(parse(good.get(..length).unwrap()), Err(Refusal::InvalidArgument), "{length} bytes");
        }
        let twice = attest(&[("nonce", cbor::null()), ("nonce", cbor::null())]);
        for bad in [&[0xff; 64][..], &attest(&[("nonce", cbor::text("x"))]), &cbor::text("Foo"), &twice, &[0xf6]] {
            assert_eq!(parse(bad), Err(Refusal::InvalidArgument));
        }
    }

    #[test]
    fn requests_of_enclaves_are_invalid_operations() {
        let request = variant("DescribePCR", &[(cbor::text("index"), cbor::unsigned(0))]);
        assert_eq!(parse(&request), Err(Refusal::InvalidOperation));
        assert_eq!(parse(&cbor::text("DescribeNSM")), Ok(Request::DescribeNsm));
        assert_eq!(parse(&cbor::text("GetRandom")), Ok(Request::GetRandom));
    }
}

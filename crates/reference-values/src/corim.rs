//! CoRIM: reference values in CBOR, unsigned or signed (draft-ietf-rats-corim-11).
//!
//! Each image is a CoMID with one reference value triple: the environment is the class "AWS", "NitroTPM", and the PCRs
//! are integrity registers. Algorithms are numbers of the Named Information Hash Algorithm registry. The manifest's
//! validity is that of the images.

use std::collections::BTreeMap;

use ::corim::builder::{ComidBuilder, CorimBuilder};
use ::corim::cbor;
use ::corim::types::comid::ComidTag;
use ::corim::types::common::{MeasuredElement, TagIdChoice};
use ::corim::types::corim::{ConciseTagChoice, CorimId, CorimMap, CorimMetaMap, CorimSignerMap};
use ::corim::types::environment::{ClassMap, EnvironmentMap};
use ::corim::types::measurement::{
    Digest as CorimDigest, DigestAlg, IntegrityRegisterId, IntegrityRegisters, MeasurementMap, MeasurementValuesMap,
};
use ::corim::types::signed::{CoseAlgorithm, SignedCorimBuilder, decode_signed_corim_with_limits, encode_signed_corim};
use ::corim::types::triples::ReferenceTriple;
use ::corim::validate::{ValidatedCorim, decode_and_validate_document_at_with_limits};
use nitrotpm_freshness::{Clock, UnixTime};
use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};
use nitrotpm_signature::{Backend, Curve, PublicKey, Scheme, SignatureBytes};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
};

use crate::{Image, ReferenceValueError};

/// How large a manifest may be, in bytes.
pub const MAX_LEN: usize = 4 << 20;
/// The tag of an unsigned manifest (draft-ietf-rats-corim-11, section 11.2).
const TAG_CORIM: u64 = 501;
/// `COSE_Sign1` with tag 18 (RFC 9052, section 2), as its first byte.
const COSE_SIGN1: u8 = 0xD2;

/// A key that signs manifests: P-256 (ES256) or P-384 (ES384).
#[derive(Debug)]
pub struct SigningKey {
    pair: EcdsaKeyPair,
    algorithm: CoseAlgorithm,
}

impl SigningKey {
    /// Reads PKCS #8, as DER or as a `PRIVATE KEY` block.
    ///
    /// # Errors
    /// [`ReferenceValueError::SigningKey`] for anything else.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, ReferenceValueError> {
        let wrong = |what| ReferenceValueError::SigningKey { what };
        let der = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            let block = pem::parse(bytes).map_err(|_| wrong("it is not one PEM block"))?;
            match block.tag() {
                "PRIVATE KEY" => block.into_contents(),
                "EC PRIVATE KEY" => {
                    return Err(wrong("it is in SEC 1 form; convert it with: openssl pkcs8 -topk8 -nocrypt"));
                }
                _ => {
                    return Err(wrong(
                        "the PEM block is no PRIVATE KEY; one that is encrypted must be decrypted first",
                    ));
                }
            }
        } else {
            bytes.to_vec()
        };
        let random = SystemRandom::new();
        let read = |signing: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::from_pkcs8(signing, &der, &random).ok();
        if let Some(pair) = read(&ECDSA_P256_SHA256_FIXED_SIGNING) {
            return Ok(Self { pair, algorithm: CoseAlgorithm::from_i64(ES256) });
        }
        read(&ECDSA_P384_SHA384_FIXED_SIGNING)
            .map(|pair| Self { pair, algorithm: CoseAlgorithm::from_i64(ES384) })
            .ok_or_else(|| wrong("it is no P-256 or P-384 key in PKCS #8 with its public half"))
    }

    /// The public half.
    ///
    /// # Errors
    /// [`ReferenceValueError::SigningKey`]; a key that was read has one.
    pub fn public_key(&self) -> Result<PublicKey, ReferenceValueError> {
        PublicKey::from_sec1(self.pair.public_key().as_ref())
            .map_err(|_| ReferenceValueError::SigningKey { what: "its public half is no point" })
    }
}

/// ECDSA with SHA-256 and with SHA-384 (RFC 9053, section 2.1).
const ES256: i64 = -7;
const ES384: i64 = -35;

/// Images as an unsigned manifest: tag 501, deterministic CBOR.
///
/// # Errors
/// [`ReferenceValueError::NoImage`]; [`ReferenceValueError::CorimImages`] where the images end at different times, or have
/// PCRs of SHA-1, which the registry of algorithms does not have.
pub fn to_unsigned(id: &str, images: &[Image]) -> Result<Vec<u8>, ReferenceValueError> {
    let impossible = |what: String| ReferenceValueError::CorimImages { what };
    let Some(first) = images.first() else { return Err(ReferenceValueError::NoImage) };
    if images.iter().any(|image| image.not_after != first.not_after) {
        let what = "they cease to be accepted at different times, and a manifest has one validity; write each from a policy of its own";
        return Err(impossible(what.to_owned()));
    }
    let mut builder = CorimBuilder::new(CorimId::Text(id.to_owned()));
    if let Some(end) = first.not_after {
        let end = i64::try_from(end.as_secs()).map_err(|_| impossible("a time beyond all calendars".to_owned()))?;
        builder = builder.set_validity(None, end).map_err(|error| impossible(error.to_string()))?;
    }
    for image in images {
        let comid = comid(image)?;
        builder = builder.add_comid_tag(comid).map_err(|error| impossible(error.to_string()))?;
    }
    builder.build_bytes().map_err(|error| impossible(error.to_string()))
}

/// Images as a signed manifest: tag 18, `COSE_Sign1`, with `signer` as the name of who signs.
///
/// # Errors
/// As [`to_unsigned`]; [`ReferenceValueError::SigningKey`] where the key does not sign.
pub fn to_signed(id: &str, images: &[Image], key: &SigningKey, signer: &str) -> Result<Vec<u8>, ReferenceValueError> {
    let impossible = |error: ::corim::EncodeError| ReferenceValueError::CorimImages { what: error.to_string() };
    let meta = CorimMetaMap {
        signer: CorimSignerMap { signer_name: signer.to_owned(), signer_uri: None },
        signature_validity: None,
    };
    let mut builder = SignedCorimBuilder::new(key.algorithm, to_unsigned(id, images)?).set_corim_meta(meta);
    let message = builder.to_be_signed(&[]).map_err(impossible)?;
    let signature = key
        .pair
        .sign(&SystemRandom::new(), &message)
        .map_err(|_| ReferenceValueError::SigningKey { what: "it did not sign" })?;
    builder.build_with_signature(signature.as_ref().to_vec()).map_err(impossible)
}

fn comid(image: &Image) -> Result<ComidTag, ReferenceValueError> {
    let mut registers: BTreeMap<IntegrityRegisterId, Vec<CorimDigest>> = BTreeMap::new();
    for (bank, pcr, value) in image.pcrs.iter() {
        let algorithm = algorithm(bank).ok_or_else(|| ReferenceValueError::CorimImages {
            what: format!(
                "image \"{}\" has PCRs of bank {bank}, which the registry of hash algorithms does not have",
                image.name.escape_debug()
            ),
        })?;
        let id = IntegrityRegisterId::Uint(u64::from(pcr.get()));
        registers.entry(id).or_default().push(CorimDigest::new(algorithm, value.as_bytes().to_vec()));
    }
    let environment = EnvironmentMap {
        class: Some(ClassMap {
            class_id: None,
            vendor: Some(VENDOR.to_owned()),
            model: Some(MODEL.to_owned()),
            layer: None,
            index: None,
        }),
        instance: None,
        group: None,
    };
    let mut values = MeasurementValuesMap::default();
    values.name = Some(image.name.clone());
    values.integrity_registers = Some(IntegrityRegisters(registers));
    let measurement =
        MeasurementMap { mkey: Some(MeasuredElement::Text("PCR".to_owned())), mval: values, authorized_by: None };
    let mut builder = ComidBuilder::new(TagIdChoice::Text(image.name.clone()));
    if let Some(build) = image.build {
        builder = builder.set_tag_version(build);
    }
    builder
        .add_reference_triple(ReferenceTriple::new(environment, vec![measurement]))
        .build()
        .map_err(|error| ReferenceValueError::CorimImages { what: error.to_string() })
}

const VENDOR: &str = "AWS";
const MODEL: &str = "NitroTPM";

/// The number of a bank's algorithm (IANA, Named Information Hash Algorithm Registry).
const fn algorithm(bank: Bank) -> Option<i64> {
    match bank {
        Bank::Sha256 => Some(1),
        Bank::Sha384 => Some(7),
        Bank::Sha512 => Some(8),
        Bank::Sha1 => None,
    }
}

fn bank(algorithm: &DigestAlg) -> Option<Bank> {
    match algorithm {
        DigestAlg::Int(1) => Some(Bank::Sha256),
        DigestAlg::Int(7) => Some(Bank::Sha384),
        DigestAlg::Int(8) => Some(Bank::Sha512),
        DigestAlg::Text(name) => match name.as_str() {
            "sha-256" => Some(Bank::Sha256),
            "sha-384" => Some(Bank::Sha384),
            "sha-512" => Some(Bank::Sha512),
            _ => None,
        },
        _ => None,
    }
}

/// Whose word a manifest has.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'k> {
    /// It is signed by this key.
    Signed(&'k PublicKey),
    /// It is not signed, and the caller takes it as it is.
    Unsigned,
}

/// The images of a manifest, with its validity.
///
/// Registers of each CoMID's reference value triples; other triples are left out and a note says so.
///
/// # Errors
/// [`ReferenceValueError`]: not CBOR of the draft's schema, not encoded deterministically, expired at `clock`, a
/// signature that does not hold, signed where no key is given or not signed where one is, no registers at all.
pub fn read(bytes: &[u8], trust: Trust<'_>, clock: Clock) -> Result<Vec<Image>, ReferenceValueError> {
    if bytes.len() > MAX_LEN {
        let what = format!("it has {} bytes, and at most {MAX_LEN} are read", bytes.len());
        return Err(ReferenceValueError::Corim { what });
    }
    let payload;
    let unsigned = match (trust, bytes.first() == Some(&COSE_SIGN1)) {
        (Trust::Signed(key), true) => {
            payload = verified_payload(bytes, key)?;
            payload.as_slice()
        }
        (Trust::Unsigned, false) => bytes,
        (Trust::Unsigned, true) => {
            return Err(ReferenceValueError::CorimTrust {
                what: "the CoRIM is signed; give the public key that it must be signed with (--trust-key)",
            });
        }
        (Trust::Signed(_), false) => {
            return Err(ReferenceValueError::CorimTrust {
                what: "a key was given and the CoRIM is not signed: whoever could write the file made it",
            });
        }
    };
    let now = i64::try_from(clock.time().as_secs()).unwrap_or(i64::MAX);
    let validated = decode_and_validate_document_at_with_limits(unsigned, now, &limits())
        .map_err(|error| ReferenceValueError::Corim { what: error.to_string().escape_debug().to_string() })?;
    check_encoding(unsigned, &validated.corim)?;
    images(&validated)
}

/// What a manifest of ours can need: the library's own limits are for documents of megabytes.
fn limits() -> cbor::DecodeLimits {
    let mut limits = cbor::DecodeLimits::default();
    limits.max_input_bytes = MAX_LEN;
    limits.max_depth = 24;
    limits.max_values = 200_000;
    limits.max_collection_items = 20_000;
    limits
}

fn verified_payload(bytes: &[u8], key: &PublicKey) -> Result<Vec<u8>, ReferenceValueError> {
    let wrong = |what: String| ReferenceValueError::CorimSignature { what };
    let signed = decode_signed_corim_with_limits(bytes, &limits())
        .map_err(|error| ReferenceValueError::Corim { what: error.to_string().escape_debug().to_string() })?;
    if encode_signed_corim(&signed).ok().as_deref() != Some(bytes) {
        return Err(ReferenceValueError::CorimEncoding { what: "the signed envelope comes out with other bytes" });
    }
    let PublicKey::Ec(point) = key else {
        return Err(wrong("the key is an RSA key, and ES256 or ES384 is expected".to_owned()));
    };
    let (scheme, number) = match point.curve() {
        Curve::P256 => (Scheme::Ecdsa(Bank::Sha256), ES256),
        Curve::P384 => (Scheme::Ecdsa(Bank::Sha384), ES384),
    };
    let header = signed.protected();
    let found = header.alg.to_i64();
    if found != number {
        return Err(wrong(format!("it is made with COSE algorithm {found}, and this key's is {number}")));
    }
    if header.is_hash_envelope() {
        return Err(wrong("it signs a digest of the manifest and not the manifest".to_owned()));
    }
    let message = signed.to_be_signed(&[]).map_err(|error| ReferenceValueError::Corim { what: error.to_string() })?;
    let length = point.curve().coordinate_len();
    let (Some((r, s)), true) =
        (signed.signature.split_at_checked(length), Some(signed.signature.len()) == length.checked_mul(2))
    else {
        return Err(wrong(format!("it has {} bytes, and this key's have two times {length}", signed.signature.len())));
    };
    Backend::default()
        .verify(key, scheme, &message, SignatureBytes::Ecdsa { r, s })
        .map_err(|error| wrong(error.to_string()))?;
    signed.payload.ok_or_else(|| wrong("the manifest is not in the file that is signed".to_owned()))
}

/// Deterministic encoding: what was read is encoded again and must be the same, and so must each tag inside.
fn check_encoding(bytes: &[u8], corim: &CorimMap) -> Result<(), ReferenceValueError> {
    let again = cbor::encode(&cbor::value::Tagged::new(TAG_CORIM, corim.clone())).ok();
    if again.as_deref() != Some(bytes) {
        return Err(ReferenceValueError::CorimEncoding { what: "the manifest comes out with other bytes" });
    }
    for tag in &corim.tags {
        if let ConciseTagChoice::Comid(bytes) = tag {
            let again = cbor::decode::<ComidTag>(bytes).ok().and_then(|comid| cbor::encode(&comid).ok());
            if again.as_deref() != Some(bytes.as_slice()) {
                return Err(ReferenceValueError::CorimEncoding { what: "a CoMID in it comes out with other bytes" });
            }
        }
    }
    Ok(())
}

fn images(validated: &ValidatedCorim) -> Result<Vec<Image>, ReferenceValueError> {
    let not_after = validated.corim.rim_validity.as_ref().map(|validity| validity.not_after.epoch_secs());
    let not_after = not_after
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(|seconds| UnixTime::since_unix_epoch(core::time::Duration::from_secs(seconds)));
    let mut images = Vec::new();
    for comid in &validated.comids {
        let tag = match &comid.tag_identity.tag_id {
            TagIdChoice::Text(text) => text.clone(),
            TagIdChoice::Uuid(bytes) => hex::encode(bytes),
            _ => "corim".to_owned(),
        };
        let measurements: Vec<(&EnvironmentMap, &MeasurementMap)> = comid
            .triples
            .reference_triples
            .iter()
            .flatten()
            .flat_map(|triple| triple.measurements().iter().map(|measurement| (triple.environment(), measurement)))
            .filter(|(_, measurement)| measurement.mval.integrity_registers.is_some())
            .collect();
        for (position, (environment, measurement)) in measurements.iter().enumerate() {
            let mut name = measurement.mval.name.clone().unwrap_or_else(|| tag.clone());
            if measurements.len() > 1 && measurement.mval.name.is_none() {
                name = format!("{name}-{position}");
            }
            let mut image = Image::new(name, registers(&tag, measurement)?);
            image.not_after = not_after;
            image.build = comid.tag_identity.tag_version;
            image.notes = notes(environment);
            images.push(image);
        }
    }
    if images.is_empty() {
        let what = "no reference value triple in it has integrity registers, which is where PCRs stand".to_owned();
        return Err(ReferenceValueError::Corim { what });
    }
    Ok(images)
}

/// Says where the values are of another kind of machine than they will be compared with.
fn notes(environment: &EnvironmentMap) -> Vec<String> {
    let class = environment.class.as_ref();
    let of = |text: Option<&String>| text.map_or_else(|| "nobody named".to_owned(), |text| format!("\"{text}\""));
    let (vendor, model) = (class.and_then(|class| class.vendor.as_ref()), class.and_then(|class| class.model.as_ref()));
    if vendor.is_some_and(|vendor| vendor == VENDOR) && model.is_some_and(|model| model == MODEL) {
        return Vec::new();
    }
    vec![format!("The CoRIM is for vendor {}, model {}.", of(vendor), of(model))]
}

fn registers(tag: &str, measurement: &MeasurementMap) -> Result<PcrValues, ReferenceValueError> {
    let wrong = |what: String| ReferenceValueError::Corim { what: format!("{}: {what}", tag.escape_debug()) };
    let mut values = PcrValues::new();
    for (id, digests) in measurement.mval.integrity_registers.iter().flat_map(|registers| &registers.0) {
        let IntegrityRegisterId::Uint(number) = id else {
            return Err(wrong(format!("the register {id:?} is no PCR: those have numbers")));
        };
        let pcr = u8::try_from(*number)
            .ok()
            .and_then(PcrIndex::new)
            .ok_or_else(|| wrong(format!("register {number} is no PCR; there are 0 to 23")))?;
        for digest in digests {
            let bank = bank(digest.alg())
                .ok_or_else(|| wrong(format!("PCR {pcr} has a digest of an algorithm that no bank here has")))?;
            let value =
                Digest::new(bank, digest.value()).map_err(|error| wrong(format!("PCR {pcr}, bank {bank}: {error}")))?;
            values.insert(pcr, value).map_err(|_| {
                wrong(format!("PCR {pcr} has two values in bank {bank}; images that differ are CoMIDs that differ"))
            })?;
        }
    }
    if values.is_empty() {
        return Err(wrong("its registers have no digest".to_owned()));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use ::coset::{CborSerializable, CoseSign1, TaggedCborSerializable};

    use super::*;

    const NOW: u64 = 1_780_000_000;

    fn clock() -> Clock {
        Clock::Audit(UnixTime::since_unix_epoch(Duration::from_secs(NOW)))
    }

    fn image(name: &str) -> Image {
        let mut pcrs = PcrValues::new();
        for (bank, pcr, byte) in [(Bank::Sha384, 4, 1), (Bank::Sha384, 12, 0), (Bank::Sha256, 4, 2)] {
            let value = Digest::new(bank, &vec![byte; bank.digest_len()]).unwrap();
            pcrs.insert(PcrIndex::new(pcr).unwrap(), value).unwrap();
        }
        let not_after = Some(UnixTime::since_unix_epoch(Duration::from_secs(NOW + 60)));
        Image { not_after, build: Some(41), ..Image::new(name, pcrs) }
    }

    fn key(signing: &'static EcdsaSigningAlgorithm) -> SigningKey {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &SystemRandom::new()).unwrap();
        SigningKey::from_pkcs8(pkcs8.as_ref()).unwrap()
    }

    /// The bytes are those of the draft's CDDL, read here by hand: tag 501, a map of id, tags and validity.
    #[test]
    fn an_unsigned_manifest_is_as_the_draft_writes_it() {
        let bytes = to_unsigned("web", &[image("web-41")]).unwrap();
        // 501 = 0xD901F5; {0: "web", 1: [506(bstr)], 4: {1: 1(time)}}
        assert_eq!(bytes[..9], [0xD9, 0x01, 0xF5, 0xA3, 0x00, 0x63, b'w', b'e', b'b']);
        assert_eq!(bytes[9..14], [0x01, 0x81, 0xD9, 0x01, 0xFA]);
        let end = u32::try_from(NOW + 60).unwrap().to_be_bytes();
        let validity = [&[0x04, 0xA1, 0x01, 0xC1, 0x1A], end.as_slice()].concat();
        assert!(bytes.ends_with(&validity), "{}", hex::encode(&bytes));
        // PCR 4 with SHA-256 (1) and SHA-384 (7): 4: [[1, bstr], [7, bstr]]
        let pcr4 =
            [&[0x04, 0x82, 0x82, 0x01, 0x58, 0x20], [2; 32].as_slice(), &[0x82, 0x07, 0x58, 0x30], &[1; 48]].concat();
        assert!(bytes.windows(pcr4.len()).any(|window| window == pcr4), "{}", hex::encode(&bytes));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let images = [image("web-41"), image("web-42")];
        let bytes = to_unsigned("web", &images).unwrap();
        assert_eq!(read(&bytes, Trust::Unsigned, clock()).unwrap(), images);
        assert_eq!(to_unsigned("web", &[]), Err(ReferenceValueError::NoImage));
        let other_end = Image { not_after: None, ..image("b") };
        assert_eq!(to_unsigned("web", &[image("a"), other_end]).unwrap_err().code(), "corim.malformed");
    }

    #[test]
    fn a_signed_manifest_is_read_under_its_key_alone() {
        for signing in [&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED_SIGNING] {
            let (key, other) = (key(signing), key(signing));
            let bytes = to_signed("web", &[image("web-41")], &key, "the team").unwrap();
            let public = key.public_key().unwrap();
            assert_eq!(read(&bytes, Trust::Signed(&public), clock()).unwrap(), [image("web-41")]);
            // Another library reads the envelope, and its payload is the unsigned manifest.
            let envelope = CoseSign1::from_tagged_slice(&bytes).unwrap();
            assert_eq!(envelope.payload, Some(to_unsigned("web", &[image("web-41")]).unwrap()));
            assert_eq!(
                envelope.protected.header.content_type,
                Some(::coset::ContentType::Text("application/rim+cbor".to_owned()))
            );
            let verified = envelope.verify_signature(&[], |signature, message| {
                let (r, s) = signature.split_at(signature.len() / 2);
                let hash = if signature.len() == 64 { Bank::Sha256 } else { Bank::Sha384 };
                Backend::default().verify(&public, Scheme::Ecdsa(hash), message, SignatureBytes::Ecdsa { r, s })
            });
            assert!(verified.is_ok());

            let code = |bytes: &[u8], trust| read(bytes, trust, clock()).map_err(|error| error.code());
            let theirs = other.public_key().unwrap();
            assert_eq!(code(&bytes, Trust::Signed(&theirs)), Err("corim.signature"));
            assert_eq!(code(&bytes, Trust::Unsigned), Err("corim.trust"));
            let unsigned = to_unsigned("web", &[image("web-41")]).unwrap();
            assert_eq!(code(&unsigned, Trust::Signed(&public)), Err("corim.trust"));
            // Every byte counts.
            for position in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[position] ^= 1;
                assert!(code(&changed, Trust::Signed(&public)).is_err(), "byte {position}");
            }
        }
        let (p256, p384) = (key(&ECDSA_P256_SHA256_FIXED_SIGNING), key(&ECDSA_P384_SHA384_FIXED_SIGNING));
        let bytes = to_signed("web", &[image("a")], &p256, "the team").unwrap();
        let error = read(&bytes, Trust::Signed(&p384.public_key().unwrap()), clock()).unwrap_err();
        assert_eq!(error.code(), "corim.signature");
    }

    #[test]
    fn an_expired_manifest_is_refused() {
        let bytes = to_unsigned("web", &[image("a")]).unwrap();
        let late = Clock::Audit(UnixTime::since_unix_epoch(Duration::from_secs(NOW + 61)));
        assert!(read(&bytes, Trust::Unsigned, late).is_err());
    }

    #[test]
    fn what_is_not_deterministic_or_not_a_manifest_is_refused() {
        let bytes = to_unsigned("web", &[Image { not_after: None, build: None, ..image("a") }]).unwrap();
        let code = |bytes: &[u8]| read(bytes, Trust::Unsigned, clock()).map_err(|error| error.code());
        assert!(code(&bytes).is_ok());
        // The id in a longer form than it needs: 0x63 "web" as 0x7803 "web".
        let long = [&bytes[..5], &[0x78, 0x03], &bytes[6..]].concat();
        assert!(matches!(code(&long), Err("corim.encoding" | "corim.malformed")));
        let trailing = [bytes.as_slice(), &[0]].concat();
        assert_eq!(code(&trailing), Err("corim.malformed"));
        for length in 0..bytes.len() {
            assert!(code(&bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(code(&[0x9F; 4096]), Err("corim.malformed"));
        assert_eq!(code(&vec![0; MAX_LEN + 1]), Err("corim.malformed"));
        // A register that is no PCR, and a digest that is not as long as its algorithm's.
        let at = bytes.windows(2).position(|window| window == [0x04, 0x82]).unwrap();
        let mut register = bytes.clone();
        register[at] = 0x17;
        // 23 is one, and not in its place in the order; what follows is the text of the key's place.
        assert!(code(&register).is_err());
        let coset = CoseSign1::default().to_vec().unwrap();
        assert_eq!(code(&coset), Err("corim.malformed"));
    }

    #[test]
    fn keys_that_sign_nothing_are_refused() {
        let rsa = b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let sec1 = b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
        for bytes in [b"".as_slice(), b"rubbish", rsa, sec1] {
            assert_eq!(SigningKey::from_pkcs8(bytes).unwrap_err().code(), "corim.signing-key");
        }
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", pkcs8.as_ref()));
        assert!(SigningKey::from_pkcs8(pem.as_bytes()).is_ok());
    }
}

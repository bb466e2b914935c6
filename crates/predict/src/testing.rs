//! Small images, signed or not, for the tests.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]

use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};

use nitrotpm_digest_lanes::{HashAlgorithm, hash};

use crate::PeImage;

/// Offsets in the images made here: 64 bytes of DOS header, then the PE header.
const OPTIONAL: usize = 64 + 24;
pub(crate) const CHECKSUM: usize = OPTIONAL + 64;
pub(crate) const SECURITY: usize = OPTIONAL + 144;
pub(crate) const TABLE: usize = OPTIONAL + 240;
const ALIGNMENT: usize = 512;

/// A PE32+ image for x86-64 with these sections, each padded to 512 bytes in the file.
pub(crate) fn image(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let le = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let headers = (TABLE + 40 * sections.len()).next_multiple_of(ALIGNMENT);
    let mut bytes = vec![0; headers];
    let mut put = |offset: usize, value: &[u8]| bytes[offset..][..value.len()].copy_from_slice(value);
    put(0, b"MZ");
    put(0x3C, &le(64));
    put(64, b"PE\0\0\x64\x86");
    put(70, &u16::try_from(sections.len()).unwrap().to_le_bytes());
    put(84, &240_u16.to_le_bytes());
    put(OPTIONAL, &[0x0B, 0x02]);
    put(OPTIONAL + 60, &le(headers));
    put(OPTIONAL + 108, &le(16));
    let mut offset = headers;
    for (index, (name, content)) in sections.iter().enumerate() {
        let header = TABLE + 40 * index;
        put(header, name.as_bytes());
        put(header + 8, &le(content.len()));
        put(header + 12, &le(0x1000 * (index + 1)));
        put(header + 16, &le(content.len().next_multiple_of(ALIGNMENT)));
        put(header + 20, &le(offset));
        offset += content.len().next_multiple_of(ALIGNMENT);
    }
    for (_, content) in sections {
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
    bytes
}

/// A kernel that says which version it is.
pub(crate) fn kernel() -> Vec<u8> {
    let mut text = vec![0; 0x400];
    text[0x100..0x10D].copy_from_slice(b"6.1.0-test #1");
    let mut kernel = image(&[(".text", &text)]);
    // The section begins at 0x200, and with it the setup header; the version's place is given less 0x200.
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x20E..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    kernel
}

pub(crate) const COMMAND_LINE: &str = "root=/dev/vda2 ro";
pub(crate) const INITRD: &[u8] = b"an initrd of 24 bytes...";

/// A unified kernel image with a stub of this version.
pub(crate) fn uki(version: &str) -> Vec<u8> {
    let magic = format!("#### LoaderInfo: systemd-stub {version} ####\0");
    image(&[
        (".text", b"stub"),
        (".sdmagic", magic.as_bytes()),
        (".sbat", b"sbat,1\n"),
        (".osrel", b"ID=test\n"),
        (".cmdline", COMMAND_LINE.as_bytes()),
        (".uname", b"6.1.0-test"),
        (".initrd", INITRD),
        (".linux", &kernel()),
    ])
}

/// A key with its certificate, and the certificate that issued it.
pub(crate) struct Signer {
    key: KeyPair,
    pub(crate) certificate: Vec<u8>,
    serial: Vec<u8>,
    /// The DER of the issuer's name.
    issuer: Vec<u8>,
}

/// A self-signed certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: Vec<u8>,
}

impl Authority {
    pub(crate) fn new(name: &str, ca: bool) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        if ca {
            parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        } else {
            parameters.is_ca = IsCa::ExplicitNoCa;
        }
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(parameters, key), certificate }
    }

    /// A signer that this authority issued.
    pub(crate) fn issue(&self, name: &str) -> Signer {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        let serial = vec![0x11; 8];
        parameters.serial_number = Some(serial.clone().into());
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let (_, own) = x509_parser::parse_x509_certificate(&self.certificate).unwrap();
        Signer { key, certificate, serial, issuer: own.subject().as_raw().to_vec() }
    }
}

/// DER: a tag around contents.
fn der(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let content = contents.concat();
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => bytes.push(length),
        Ok(length) => bytes.extend_from_slice(&[0x81, length]),
        Err(_) => {
            bytes.push(0x82);
            bytes.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend_from_slice(&content);
    bytes
}

impl Signer {
    /// The PKCS #7 signature over an image's SHA-256 digest, with these certificates beside the signer's.
    pub(crate) fn pkcs7(&self, digest: &[u8], beside: &[&[u8]]) -> Vec<u8> {
        let sha256 = der(0x30, &[&[0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01], &[5, 0]]);
        let spc_pe_image = [0x06, 10, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0F];
        let spc_indirect = [0x06, 10, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x04];
        let pkcs9 = |last| [0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, last];
        let image_data = der(0x30, &[&spc_pe_image, &der(0x30, &[])]);
        let content = [image_data, der(0x30, &[&sha256, &der(0x04, &[digest])])].concat();
        let message_digest = hash(HashAlgorithm::Sha256, &[&content]);
        let attributes = [
            der(0x30, &[&pkcs9(3), &der(0x31, &[&spc_indirect])]),
            der(0x30, &[&pkcs9(4), &der(0x31, &[&der(0x04, &[message_digest.as_bytes()])])]),
        ]
        .concat();
        let signature = rcgen::SigningKey::sign(&self.key, &der(0x31, &[&attributes])).unwrap();
        let ecdsa = [0x06, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
        let signer_info = der(
            0x30,
            &[
                &[2, 1, 1],
                &der(0x30, &[&self.issuer, &der(0x02, &[&self.serial])]),
                &sha256,
                &der(0xA0, &[&attributes]),
                &der(0x30, &[&ecdsa]),
                &der(0x04, &[&signature]),
            ],
        );
        let signed_data = der(
            0x30,
            &[
                &[2, 1, 1],
                &der(0x31, &[&sha256]),
                &der(0x30, &[&spc_indirect, &der(0xA0, &[&der(0x30, &[&content])])]),
                &der(0xA0, &[&self.certificate, &beside.concat()]),
                &der(0x31, &[&signer_info]),
            ],
        );
        let oid = [0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];
        der(0x30, &[&oid, &der(0xA0, &[&signed_data])])
    }

    /// Signs an image.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let digest = PeImage::parse("unsigned", bytes).unwrap().authenticode_digest(HashAlgorithm::Sha256);
        attach(bytes, &[&self.pkcs7(digest.as_bytes(), &[])])
    }
}

/// Appends a certificate table with these signatures.
pub(crate) fn attach(bytes: &[u8], signatures: &[&[u8]]) -> Vec<u8> {
    let mut table = Vec::new();
    for signature in signatures {
        table.extend_from_slice(&u32::try_from(signature.len() + 8).unwrap().to_le_bytes());
        table.extend_from_slice(&[0, 2, 2, 0]);
        table.extend_from_slice(signature);
        table.resize(table.len().next_multiple_of(8), 0);
    }
    let mut signed = bytes.to_vec();
    signed.resize(signed.len().next_multiple_of(8), 0);
    let place = [signed.len(), table.len()].map(|value| u32::try_from(value).unwrap().to_le_bytes()).concat();
    signed[SECURITY..][..8].copy_from_slice(&place);
    signed.extend_from_slice(&table);
    signed
}

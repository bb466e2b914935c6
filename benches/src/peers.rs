//! The same work done with other libraries, one message after the other.

use nitrotpm_digest_lanes::{DigestBytes, HashAlgorithm};

/// A library that hashes one message at a time.
pub trait Library {
    /// Its name in the tables.
    const NAME: &'static str;

    /// The digest of a message, in the library's fastest form for short ones.
    fn hash<B: DigestBytes>(message: &[u8]) -> B;

    /// `H(register ‖ digest)`, laid out in one buffer: no library has a faster way to take two pieces.
    fn extend<B: DigestBytes>(register: &B, digest: &B) -> B {
        let length = B::ALGORITHM.digest_len();
        let mut message = [0; 128];
        message[..length].copy_from_slice(register.as_ref());
        message[length..2 * length].copy_from_slice(digest.as_ref());
        Self::hash(&message[..2 * length])
    }
}

fn bytes<B: DigestBytes>(digest: &[u8]) -> B {
    *B::from_slice(digest).expect("the algorithm of this length was asked for")
}

macro_rules! library {
    ($type:ident, $name:literal, $message:ident, $sha1:expr, $sha256:expr, $sha384:expr, $sha512:expr) => {
        #[doc = $name]
        pub struct $type;

        impl Library for $type {
            const NAME: &'static str = $name;

            #[inline]
            fn hash<B: DigestBytes>($message: &[u8]) -> B {
                match B::ALGORITHM {
                    HashAlgorithm::Sha1 => bytes($sha1.as_ref()),
                    HashAlgorithm::Sha256 => bytes($sha256.as_ref()),
                    HashAlgorithm::Sha384 => bytes($sha384.as_ref()),
                    HashAlgorithm::Sha512 => bytes($sha512.as_ref()),
                }
            }
        }
    };
}

library!(
    Ring,
    "ring",
    message,
    ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, message),
    ring::digest::digest(&ring::digest::SHA256, message),
    ring::digest::digest(&ring::digest::SHA384, message),
    ring::digest::digest(&ring::digest::SHA512, message)
);

library!(
    AwsLc,
    "aws-lc-rs",
    message,
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, message),
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message),
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, message),
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, message)
);

library!(
    RustCrypto,
    "sha1, sha2",
    message,
    <sha1::Sha1 as sha1::Digest>::digest(message),
    <sha2::Sha256 as sha2::Digest>::digest(message),
    <sha2::Sha384 as sha2::Digest>::digest(message),
    <sha2::Sha512 as sha2::Digest>::digest(message)
);

// Init, update, final: the functions that hash in one call fetch the algorithm by name each time, and take twice as long.
library!(
    OpenSsl,
    "openssl",
    message,
    {
        let mut hasher = openssl::sha::Sha1::new();
        hasher.update(message);
        hasher.finish()
    },
    {
        let mut hasher = openssl::sha::Sha256::new();
        hasher.update(message);
        hasher.finish()
    },
    {
        let mut hasher = openssl::sha::Sha384::new();
        hasher.update(message);
        hasher.finish()
    },
    {
        let mut hasher = openssl::sha::Sha512::new();
        hasher.update(message);
        hasher.finish()
    }
);

//! One PEM block, strictly (RFC 7468, section 3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::SignatureError;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// The content of the text's only block.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let error = |detail| SignatureError::Pem { detail };
    let text = str::from_utf8(text).map_err(|_| error("it is not text"))?.trim_ascii();
    let body = text.strip_prefix(BEGIN).ok_or_else(|| {
        error(if text.starts_with("-----BEGIN CERTIFICATE") {
            "it is a certificate; take its key out with `openssl x509 -pubkey -noout`"
        } else if text.starts_with("-----BEGIN RSA PUBLIC KEY") {
            "it is a PKCS #1 key; convert it with `openssl rsa -RSAPublicKey_in -pubout`"
        } else if text.contains("PRIVATE KEY") {
            "it is a private key; give the public one"
        } else {
            "it does not start with -----BEGIN PUBLIC KEY-----"
        })
    })?;
    let body = body.strip_suffix(END).ok_or_else(|| {
        error(if body.contains(END) {
            "something follows the block; give one key in one block"
        } else {
            "the line -----END PUBLIC KEY----- is missing; the text was cut"
        })
    })?;
    if !body.starts_with(['\r', '\n']) || !body.ends_with('\n') {
        return Err(error("its first and last line do not stand alone"));
    }
    let digits: String = body.lines().map(str::trim_ascii_end).collect();
    STANDARD.decode(digits).map_err(|_| error("what stands between its first and last line is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, fragment: &str) {
        let error = decode(text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "key.pem");
        assert!(error.to_string().contains(fragment), "{error}");
    }

    #[test]
    fn one_block_and_nothing_else() {
        let good = format!("{BEGIN}\nAQID\r\nBAU=\n{END}\n");
        assert_eq!(decode(good.as_bytes()).unwrap(), [1, 2, 3, 4, 5]);
        assert_eq!(decode(format!("\n {good} \n").as_bytes()).unwrap(), [1, 2, 3, 4, 5]);
        refused(&format!("{good}{good}"), "not base64");
        refused(&format!("{good}x"), "something follows");
        refused(&format!("key: {good}"), "does not start");
        refused(&good[..good.len() - 10], "was cut");
        refused(&good.replace("PUBLIC", "RSA PUBLIC"), "PKCS #1");
        refused(&good.replace("PUBLIC KEY", "CERTIFICATE"), "certificate");
        refused(&good.replace("PUBLIC", "PRIVATE"), "private");
        refused(&good.replace("AQID", "AQ!D"), "not base64");
        refused(&good.replace("BAU=", "BAU"), "not base64");
        refused(&good.replace("BAU=", "BAV="), "not base64");
        refused(&format!("{BEGIN}AQID{END}"), "stand alone");
        refused("", "does not start");
        assert_eq!(decode(&[0xFF, 0xFE]).unwrap_err().code(), "key.pem");
    }
}

//! The GUIDs of variables and signature types (UEFI Specification 2.10, sections 3.3 and 32.4).

use uguid::{Guid, guid};

/// `EFI_GLOBAL_VARIABLE`: the vendor of SecureBoot, PK and KEK.
pub const GLOBAL_VARIABLE: Guid = guid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`: the vendor of db and dbx.
pub const IMAGE_SECURITY_DATABASE: Guid = guid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
/// `SHIM_LOCK_GUID`: the vendor of shim's MokList and SbatLevel.
pub const SHIM_LOCK: Guid = guid!("605dab50-e046-4300-abb6-3dd810dd8b23");
/// `EFI_CERT_TYPE_PKCS7_GUID`, in the header of an authenticated update.
pub const CERT_TYPE_PKCS7: Guid = guid!("4aafd29d-68df-49ee-8aa9-347d375665a7");
/// `EFI_CERT_X509_GUID`: a certificate in DER.
pub const CERT_X509: Guid = guid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/// `EFI_CERT_SHA1_GUID`.
pub const CERT_SHA1: Guid = guid!("826ca512-cf10-4ac9-b187-be01496631bd");
/// `EFI_CERT_SHA224_GUID`.
pub const CERT_SHA224: Guid = guid!("0b6e5233-a65c-44c9-9407-d9ab83bfc8bd");
/// `EFI_CERT_SHA256_GUID`: the Authenticode digest of an image.
pub const CERT_SHA256: Guid = guid!("c1c41626-504c-4092-aca9-41f936934328");
/// `EFI_CERT_SHA384_GUID`.
pub const CERT_SHA384: Guid = guid!("ff3e5307-9fd0-48c9-85f1-8ad56c701e01");
/// `EFI_CERT_SHA512_GUID`.
pub const CERT_SHA512: Guid = guid!("093e0fae-a6c4-4f50-9f1b-d41e2b89c19a");
/// `EFI_CERT_X509_SHA256_GUID`: the digest of a certificate's to-be-signed part, and a time of revocation.
pub const CERT_X509_SHA256: Guid = guid!("3bd2a492-96c0-4079-b420-fcf98ef103ed");
/// `EFI_CERT_X509_SHA384_GUID`.
pub const CERT_X509_SHA384: Guid = guid!("7076876e-80c2-4ee6-aad2-28b349a6865b");
/// `EFI_CERT_X509_SHA512_GUID`.
pub const CERT_X509_SHA512: Guid = guid!("446dbf63-2502-4cda-bcfa-2465d2b0fe9d");

//! Signature variables of the corpus in each form they are kept in.

use nitrotpm_uefi::{FileForm, SecureBootVariable, SecureBootVariables, SignatureFile, UefiData, guids};

use crate::corpus;

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn list_update_dump_certificate_and_blob_are_one_variable() {
    let blob = UefiData::from_base64(&corpus::read("boot/keys/vars-sb.aws.b64")).unwrap();
    let variables = SecureBootVariables::from_uefi_data(&blob);
    for variable in SecureBootVariable::ALL {
        let measured = corpus::read(&format!("boot/uki-sb/{}.esl", variable.name()));
        assert_eq!(variables.content(variable), measured, "{}", variable.name());
        if variable == SecureBootVariable::Dbx {
            continue;
        }
        let update = SignatureFile::read(&corpus::read(&format!("boot/keys/{}.auth", variable.name())), None).unwrap();
        assert_eq!(update.form(), FileForm::AuthenticatedUpdate);
        let database = variables.database(variable).unwrap();
        let (_, entry) = database.entries().next().unwrap();
        // The update was made with another owner's GUID: the certificate is the same.
        let updated = nitrotpm_uefi::SignatureDatabase::parse(update.content()).unwrap();
        assert_eq!(updated.entries().next().unwrap().1.data, entry.data);
        let certificate = corpus::read(&format!("boot/keys/{}.crt", variable.name()));
        let from_pem = SignatureFile::read(&certificate, Some(entry.owner)).unwrap();
        assert_eq!(from_pem.form(), FileForm::PemCertificates);
        assert_eq!(from_pem.content(), measured);
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn dumps_of_efivarfs_are_what_was_measured() {
    for variable in SecureBootVariable::ALL {
        let name = format!("boot/shim-grub-ms/efivars/{}-{}", variable.name(), variable.vendor());
        let dump = SignatureFile::read(&corpus::read(&name), None).unwrap();
        assert_eq!(dump.form(), FileForm::EfivarsDump);
        assert_eq!(dump.content(), corpus::read(&format!("boot/shim-grub-ms/{}.esl", variable.name())));
    }
}

/// A blob that AWS's own tool wrote, its back references into the dictionary.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_blob_of_awss_tool_is_read_and_written() {
    let blob = UefiData::from_base64(&corpus::read("nitro/uefi-data/t02.aws")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&corpus::read("nitro/uefi-data/t02.json")).unwrap();
    let expected = json["variables"].as_array().expect("a list of variables");
    assert_eq!(blob.variables().len(), expected.len());
    for (found, expected) in blob.variables().iter().zip(expected) {
        assert_eq!(found.name, expected["name"].as_str().unwrap());
        assert_eq!(u64::from(found.attributes), expected["attr"].as_u64().unwrap());
    }
    assert!(blob.get(&guids::GLOBAL_VARIABLE, "PK").is_some());
    let again = UefiData::from_base64(blob.to_base64().unwrap().as_bytes()).unwrap();
    assert_eq!(blob.differences(&again).count(), 0);
}

//! PE images: their headers, their signatures, what is predicted from them.

use std::sync::LazyLock;

use nitrotpm_eventlog::{EventLog, ParseOptions};
use nitrotpm_pcr::Bank;
use nitrotpm_predict::{Boot, Decision, PeImage, Sidecars, decide};
use nitrotpm_testkit::pe_image;
use nitrotpm_uefi::{SecureBootVariables, SignatureDatabase, SignatureFile, guids};

use crate::check::{Choices, bounded, shown};
use crate::seeds::fixture;

const BANKS: [Bank; 3] = [Bank::Sha256, Bank::Sha384, Bank::Sha512];

static DB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let certificate = fixture("authenticode/signer.crt");
    SignatureFile::read(&certificate, Some(guids::GLOBAL_VARIABLE)).expect("a certificate").into_content()
});

fn database(bytes: &[u8]) -> SignatureDatabase {
    SignatureDatabase::parse(bytes).expect("lists")
}

/// A file as an image: headers, digest, signatures, prediction with Secure Boot off and on.
pub(crate) fn pe(data: &[u8]) {
    let image = match bounded(data, 2, || PeImage::parse("web.efi", data)) {
        Ok(image) => image,
        Err(error) => return shown(error),
    };
    let digests = BANKS.map(|bank| image.authenticode_digest(bank));
    assert_eq!(digests, BANKS.map(|bank| image.authenticode_digest(bank)));
    use_decision(&decide(&image, &database(&DB), &database(&[])));
    use_decision(&decide(&image, &database(&[]), &database(&DB)));
    predict(&image);
}

fn use_decision(decision: &Decision) {
    if let Decision::Unknown { reason } = decision {
        shown(reason);
    }
}

fn predict(image: &PeImage<'_>) {
    let on = SecureBootVariables { pk: DB.clone(), kek: DB.clone(), db: DB.clone(), dbx: Vec::new() };
    for variables in [&SecureBootVariables::default(), &on] {
        let images = [image.clone()];
        let mut boot = Boot::new(variables, &images);
        boot.command_line = Some("root=/dev/vda2 ro");
        boot.sidecars = Sidecars { credentials: &[("a.cred", b"credential")], ..Sidecars::default() };
        match boot.predict(&BANKS) {
            Ok(prediction) => {
                prediction.unpredictable().for_each(|(_, reason)| shown(reason));
                // Boot phases are extended by userspace, and are in no log of the firmware's.
                boot.phases = &["enter-initrd"];
                assert!(boot.predict(&BANKS).is_ok(), "phases change nothing of whether a boot can be predicted");
                prediction.events().iter().for_each(|event| shown(&event.cause));
                let _ = (prediction.to_json(), prediction.to_aws_json());
                let log = prediction.to_event_log().expect("a log is written");
                let log = EventLog::parse(&log, &ParseOptions::default()).expect("what was written can be read");
                let replayed = log.replay_all().expect("and replayed");
                for (bank, index, value) in prediction.pcrs().iter() {
                    let register = replayed.bank(bank).map(|bank| bank.register(index));
                    assert_eq!(register.and_then(|register| register.value()).as_ref(), Some(value), "PCR {index}");
                }
            }
            Err(error) => shown(error),
        }
    }
}

/// Where the data directory of the fixture has its entry of the certificate table.
const SECURITY: std::ops::Range<usize> = 232..240;

/// The signed image of `fixtures`, and where its certificate table begins.
static SIGNED: LazyLock<(Vec<u8>, usize)> = LazyLock::new(|| {
    let image = fixture("authenticode/signed.efi");
    let offset = image.get(SECURITY).and_then(|entry| entry.first_chunk()).map(|offset| u32::from_le_bytes(*offset));
    let offset = offset.and_then(|offset| usize::try_from(offset).ok()).expect("a certificate table");
    (image, offset)
});

/// The signature of that image.
pub(crate) fn signature_seed() -> Vec<u8> {
    let (image, table) = &*SIGNED;
    let unsigned = authenticated(image.get(table + 8..).unwrap_or_default());
    let decision = decide(&PeImage::parse("signed.efi", &unsigned).expect("an image"), &database(&DB), &database(&[]));
    assert!(matches!(decision, Decision::Allowed { .. }), "the seed is a good signature: {decision:?}");
    image.get(table + 8..).unwrap_or_default().to_vec()
}

/// That image with another signature.
fn authenticated(signature: &[u8]) -> Vec<u8> {
    let (image, table) = &*SIGNED;
    let mut signed = image.get(..*table).unwrap_or_default().to_vec();
    let entry = [u32::try_from(signature.len() + 8).expect("short").to_le_bytes(), [0, 2, 2, 0]].concat();
    let padding = vec![0; signature.len().next_multiple_of(8) - signature.len()];
    let added = [entry, signature.to_vec(), padding].concat();
    let place = [*table, added.len()].map(|value| u32::try_from(value).expect("short").to_le_bytes()).concat();
    signed.get_mut(SECURITY).expect("headers").copy_from_slice(&place);
    signed.extend(added);
    signed
}

/// A signature alone, on an image that does not change: what Authenticode's reader sees. What is allowed was signed.
pub(crate) fn authenticode(data: &[u8]) {
    let signed = authenticated(data);
    match PeImage::parse("signed.efi", &signed) {
        Ok(image) => {
            use_decision(&decide(&image, &database(&DB), &database(&[])));
            use_decision(&decide(&image, &database(&[]), &database(&DB)));
            let nobody = decide(&image, &database(&[]), &database(&[]));
            assert!(!matches!(nobody, Decision::Allowed { .. }), "an empty db allows nothing");
        }
        Err(error) => panic!("{error}"),
    }
}

/// A unified kernel image of sections with any names and contents.
pub(crate) fn uki(data: &[u8]) {
    const NAMES: [&str; 16] = [
        ".sdmagic", ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat",
        ".pcrsig", ".pcrpkey", ".profile", ".dtbauto", ".hwids", ".text",
    ];
    let mut choices = Choices(data);
    let mut sections = Vec::new();
    // As many as fit into the headers of such an image.
    for _ in 0..16 {
        if choices.is_empty() {
            break;
        }
        let name = NAMES[usize::from(choices.byte() % 16)];
        sections.push((name, choices.part()));
    }
    let bytes = pe_image(&sections);
    match PeImage::parse("web.efi", &bytes) {
        Ok(image) => predict(&image),
        Err(error) => shown(error),
    }
}

/// Seeds of the last one: sections as their names' places and contents.
pub(crate) fn uki_seeds() -> Vec<Vec<u8>> {
    let kernel = pe_image(&[(".text", &[0; 600])]);
    let of = |sections: &[(u8, &[u8])]| {
        sections.iter().flat_map(|(name, content)| [&[*name][..], &crate::check::part(content)].concat()).collect()
    };
    ["252", "254", "257"]
        .into_iter()
        .map(|version| {
            let magic = format!("#### LoaderInfo: systemd-stub {version} ####");
            of(&[
                (0, magic.as_bytes()),
                (2, b"ID=debian\n"),
                (3, b"root=/dev/vda2 ro"),
                (8, b"6.1.0"),
                (4, b"an initrd"),
                (9, b"sbat,1\n"),
                (1, &kernel),
                (12, b"ID=debug\n"),
                (3, b"debug"),
            ])
        })
        .collect()
}

//! Whole boots of small images, against values put together here from hashes alone.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]

use nitrotpm_digest_lanes::{Digest, HashAlgorithm, extend, hash};
use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_uefi::{
    SecureBootVariables, SignatureDatabase, SignatureEntry, SignatureKind, SignatureList, guids, variable_data,
};

use crate::testing::{Authority, COMMAND_LINE, INITRD, image, kernel, uki};
use crate::{Boot, GrubMeasurement, LinuxEntry, PeImage, PredictError, Prediction, ShimState, cpio};

const B: Bank = Bank::Sha384;

fn h(bytes: &[u8]) -> Digest {
    hash(B, &[bytes])
}

fn chain(digests: &[Digest]) -> String {
    digests.iter().fold(Digest::zero(B), |register, digest| extend(&register, digest).unwrap()).to_string()
}

/// UTF-16 with a NUL.
fn wide(text: &str) -> Vec<u8> {
    text.bytes().chain([0]).flat_map(|byte| [byte, 0]).collect()
}

fn authenticode(bytes: &[u8]) -> Digest {
    PeImage::parse("a", bytes).unwrap().authenticode_digest(B)
}

fn action() -> Digest {
    h(b"Calling EFI Application from Boot Option")
}

fn separator() -> Digest {
    h(&[0; 4])
}

fn list(certificate: &[u8]) -> Vec<u8> {
    let entry = SignatureEntry { owner: guids::SHIM_LOCK, data: certificate.to_vec() };
    SignatureDatabase::new(vec![SignatureList::new(SignatureKind::X509, vec![entry]).unwrap()]).to_bytes()
}

/// Secure Boot on, with this certificate in db.
fn enabled(certificate: &[u8]) -> SecureBootVariables {
    SecureBootVariables { pk: list(b"pk"), kek: list(b"kek"), db: list(certificate), dbx: Vec::new() }
}

fn try_predict(
    variables: &SecureBootVariables,
    files: &[&[u8]],
    change: impl for<'a> Fn(&mut Boot<'a>),
) -> Result<Prediction, PredictError> {
    let images: Vec<_> = files.iter().map(|bytes| PeImage::parse("test.efi", bytes).unwrap()).collect();
    let mut boot = Boot::new(variables, &images);
    change(&mut boot);
    boot.predict(&[B])
}

fn predict(variables: &SecureBootVariables, files: &[&[u8]], change: impl for<'a> Fn(&mut Boot<'a>)) -> Prediction {
    try_predict(variables, files, change).unwrap()
}

/// Secure Boot off, nothing special.
fn plain(files: &[&[u8]]) -> Prediction {
    predict(&SecureBootVariables::default(), files, |_| {})
}

fn pcr(prediction: &Prediction, index: u8) -> String {
    let value = prediction.pcrs().get(B, PcrIndex::new(index).unwrap());
    value.unwrap_or_else(|| panic!("PCR {index}: {}", reason(prediction, index))).to_string()
}

fn reason(prediction: &Prediction, index: u8) -> String {
    let found = prediction.unpredictable().find(|(unknown, _)| unknown.get() == index);
    found.map(|(_, reason)| reason.to_owned()).unwrap_or_default()
}

const ZERO: &str = "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

/// The values that are seen on EC2 with Secure Boot off.
#[test]
fn constants_of_a_machine_without_keys() {
    let prediction = plain(&[&uki("252.39-1")]);
    let constant = "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35";
    assert_eq!(pcr(&prediction, 7), constant);
    let separator = "518923b0f955d08da077c96aaba522b9decede61c599cea6c41889cfbea4ae4d50529d96fe4d1afdafb65e7f95bf23c4";
    [2, 3, 6].iter().for_each(|index| assert_eq!(pcr(&prediction, *index), separator));
    [8, 12, 13, 14].iter().for_each(|index| assert_eq!(pcr(&prediction, *index), ZERO));
    [0, 1, 5, 10, 15].iter().for_each(|index| assert_ne!(reason(&prediction, *index), ""));
    assert_eq!(prediction.pcrs().get(B, PcrIndex::new(1).unwrap()), None);
}

#[test]
fn the_kernel_is_an_application_by_version_and_secure_boot() {
    let authority = Authority::new("issuer", true);
    let signer = authority.issue("signer");
    let on = enabled(&authority.certificate);
    for (version, secure_boot, counted) in [
        ("252.39-1", false, true),
        ("257.13-1", false, true),
        ("258~rc1", false, false),
        ("252.39-1", true, false),
        ("257.13-1", true, false),
        ("262", true, false),
    ] {
        let bytes = signer.sign(&uki(version));
        let prediction = if secure_boot { predict(&on, &[&bytes], |_| {}) } else { plain(&[&bytes]) };
        let mut expected = vec![action(), separator(), authenticode(&bytes)];
        expected.extend(counted.then(|| authenticode(&kernel())));
        assert_eq!(pcr(&prediction, 4), chain(&expected), "{version} {secure_boot}");
    }
}

#[test]
fn secure_boot_measures_the_variables_and_the_certificate_that_let_start() {
    let authority = Authority::new("issuer", true);
    let bytes = authority.issue("signer").sign(&uki("252"));
    let on = enabled(&authority.certificate);
    let prediction = predict(&on, &[&bytes, &bytes], |_| {});
    let global = |name: &str, data: &[u8]| h(&variable_data(&guids::GLOBAL_VARIABLE, name, data));
    let image = |name: &str, data: &[u8]| h(&variable_data(&guids::IMAGE_SECURITY_DATABASE, name, data));
    let entry = [&guids::SHIM_LOCK.to_bytes(), &authority.certificate[..]].concat();
    let expected = [
        global("SecureBoot", &[1]),
        global("PK", &on.pk),
        global("KEK", &on.kek),
        image("db", &on.db),
        image("dbx", &[]),
        separator(),
        // Once, although two images are let start by it.
        image("db", &entry),
    ];
    assert_eq!(pcr(&prediction, 7), chain(&expected));
    assert!(prediction.secure_boot());
}

#[test]
fn a_refused_image_has_no_prediction() {
    let authority = Authority::new("issuer", true);
    let bytes = authority.issue("signer").sign(&uki("252"));
    assert!(try_predict(&enabled(&authority.certificate), &[&bytes], |_| {}).is_ok());
    let stranger = enabled(&Authority::new("stranger", true).certificate);
    let error = try_predict(&stranger, &[&bytes], |_| {}).unwrap_err();
    assert_eq!(error.code(), "predict.refused");
    assert!(error.to_string().contains("test.efi"), "{error}");
    // With Secure Boot off nobody looks.
    let off = SecureBootVariables { pk: Vec::new(), ..stranger };
    assert!(try_predict(&off, &[&bytes], |_| {}).is_ok());
}

/// The names of the sections in PCR 11, in order.
fn section_names(prediction: &Prediction) -> Vec<String> {
    let events = prediction.events().iter().filter(|event| event.pcr.get() == 11);
    events.filter_map(|event| event.cause.strip_prefix("name of section ").map(str::to_owned)).collect()
}

#[test]
fn sections_are_measured_in_the_order_of_the_version() {
    let old = plain(&[&uki("252.39-1")]);
    assert_eq!(section_names(&old), [".linux", ".osrel", ".cmdline", ".initrd"]);
    let new = plain(&[&uki("254.1")]);
    assert_eq!(section_names(&new), [".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat"]);
    let pair = |name: &str, content: &[u8]| [h(&[name.as_bytes(), &[0]].concat()), h(content)];
    let expected = [
        pair(".linux", &kernel()),
        pair(".osrel", b"ID=test\n"),
        pair(".cmdline", COMMAND_LINE.as_bytes()),
        pair(".initrd", INITRD),
    ];
    assert_eq!(pcr(&old, 11), chain(expected.as_flattened()));
}

#[test]
fn boot_phases_follow_the_sections() {
    let bytes = uki("252");
    let before = plain(&[&bytes]);
    let after = predict(&SecureBootVariables::default(), &[&bytes], |boot| boot.phases = &["enter-initrd", "ready"]);
    let events = before.events().iter().filter(|event| event.pcr.get() == 11);
    let mut digests: Vec<_> = events.map(|event| event.digests[0]).collect();
    digests.extend([h(b"enter-initrd"), h(b"ready")]);
    assert_eq!(pcr(&after, 11), chain(&digests));
}

#[test]
fn the_kernel_measures_command_line_and_initrd() {
    let expected = [h(&wide(COMMAND_LINE)), h(INITRD)];
    assert_eq!(pcr(&plain(&[&uki("252")]), 9), chain(&expected));
    // 257 adds os-release in an archive of its own. The initrd has a length that needs no fill.
    let archive = cpio::archive(cpio::META, &[("os-release", b"ID=test\n")]);
    let expected = [h(&wide(COMMAND_LINE)), h(&[INITRD, &archive].concat())];
    assert_eq!(pcr(&plain(&[&uki("257")]), 9), chain(&expected));
    for version in ["253", "258", "260"] {
        assert!(reason(&plain(&[&uki(version)]), 9).contains("not checked"), "{version}");
    }
    for version in ["261", "262.1"] {
        assert!(reason(&plain(&[&uki(version)]), 9).contains("boot-secret"), "{version}");
    }
}

#[test]
fn a_command_line_of_the_boot_entry_counts_while_secure_boot_is_off() {
    let authority = Authority::new("issuer", true);
    let bytes = authority.issue("signer").sign(&uki("252"));
    let line = "init=/bin/sh";
    let off = predict(&SecureBootVariables::default(), &[&bytes], |boot| boot.command_line = Some(line));
    assert_eq!(pcr(&off, 12), chain(&[h(&wide(line))]));
    assert_eq!(pcr(&off, 9), chain(&[h(&wide(line)), h(INITRD)]));
    assert_eq!(pcr(&off, 4), pcr(&plain(&[&bytes]), 4));
    let on = enabled(&authority.certificate);
    let on = predict(&on, &[&bytes], |boot| boot.command_line = Some(line));
    assert_eq!(pcr(&on, 12), ZERO);
    let odd = predict(&SecureBootVariables::default(), &[&bytes], |boot| boot.command_line = Some(" quiet"));
    assert!(reason(&odd, 12).contains("space"));
}

/// Nothing that was given is passed over because there is no image for it.
#[test]
fn what_is_given_for_another_image_is_said() {
    let loader = systemd_boot("252.39");
    let variables = SecureBootVariables::default();
    let entry = LinuxEntry { options: Some("ro"), initrds: &[] };
    let with = |files: &[&[u8]], command_line: Option<&'static str>, entry: Option<LinuxEntry<'static>>| {
        predict(&variables, files, |boot| (boot.command_line, boot.entry) = (command_line, entry))
    };
    assert_eq!(reason(&with(&[&loader, &kernel()], None, Some(entry)), 12), "");
    assert!(reason(&with(&[&loader, &kernel()], Some("x"), Some(entry)), 12).contains("options of the boot entry"));
    assert!(reason(&with(&[&kernel()], Some("x"), None), 4).contains("no such image"));
    assert!(reason(&with(&[&uki("252")], None, Some(entry)), 12).contains("no kernel behind"));
    let credential = |boot: &mut Boot<'_>| boot.sidecars.credentials = &[("a.cred", b"1")];
    assert!(reason(&predict(&variables, &[&kernel()], credential), 4).contains("no such image"));
    assert_eq!(reason(&predict(&variables, &[&uki("252")], credential), 13), "");
}

fn systemd_boot(version: &str) -> Vec<u8> {
    let magic = format!("#### LoaderInfo: systemd-boot {version} ####");
    image(&[(".text", b"menu"), (".sdmagic", magic.as_bytes())])
}

#[test]
fn systemd_boot_passes_the_command_line_until_254() {
    let line = h(&wide(COMMAND_LINE));
    let bytes = uki("252");
    assert_eq!(pcr(&plain(&[&systemd_boot("252.39"), &bytes]), 12), chain(&[line, line]));
    assert_eq!(pcr(&plain(&[&systemd_boot("255"), &bytes]), 12), ZERO);
    let authority = Authority::new("issuer", true);
    let signer = authority.issue("signer");
    let files = [signer.sign(&systemd_boot("252.39")), signer.sign(&bytes)];
    let on = predict(&enabled(&authority.certificate), &[&files[0], &files[1]], |_| {});
    assert_eq!(pcr(&on, 12), chain(&[line]));
    assert_eq!(pcr(&on, 4), chain(&[action(), separator(), authenticode(&files[0]), authenticode(&files[1])]));
}

#[test]
fn credentials_and_extensions_are_archives() {
    let bytes = uki("252");
    let prediction = predict(&SecureBootVariables::default(), &[&bytes], |boot| {
        boot.sidecars.credentials = &[("b.cred", b"2"), ("a.cred", b"1")];
        boot.sidecars.system_extensions = &[("x.raw", b"image")];
    });
    let credentials = cpio::archive(cpio::CREDENTIALS, &[("a.cred", b"1"), ("b.cred", b"2")]);
    let extensions = cpio::archive(cpio::SYSTEM_EXTENSIONS, &[("x.raw", b"image")]);
    assert_eq!(pcr(&prediction, 12), chain(&[h(&credentials)]));
    assert_eq!(pcr(&prediction, 13), chain(&[h(&extensions)]));
    let initrd = [INITRD, &credentials, &extensions].concat();
    assert_eq!(pcr(&prediction, 9), chain(&[h(&wide(COMMAND_LINE)), h(&initrd)]));
}

#[test]
fn addons_are_loaded_and_add_to_the_command_line() {
    let files = [image(&[(".cmdline", b"second=2")]), image(&[(".cmdline", b"first=1")])];
    let addons = files.each_ref().map(|bytes| PeImage::parse("addon", bytes).unwrap());
    let named = [("b.addon.efi", addons[0].clone()), ("a.addon.efi", addons[1].clone())];
    let with = |version: &str| {
        let variables = SecureBootVariables::default();
        let bytes = uki(version);
        let images = [PeImage::parse("test.efi", &bytes).unwrap()];
        let mut boot = Boot::new(&variables, &images);
        boot.sidecars.addons = &named;
        boot.predict(&[B]).unwrap()
    };
    let prediction = with("257");
    let (stub, [second, first]) = (authenticode(&uki("257")), files.each_ref().map(|bytes| authenticode(bytes)));
    assert_eq!(pcr(&prediction, 4), chain(&[action(), separator(), stub, first, second, authenticode(&kernel())]));
    assert_eq!(pcr(&prediction, 12), chain(&[h(&wide("first=1 second=2"))]));
    let line = format!("{COMMAND_LINE} first=1 second=2");
    assert!(prediction.events().iter().any(|event| event.pcr.get() == 9 && event.digests[0] == h(&wide(&line))));
    // The same with the others that were seen; 252 knows no addons.
    for version in ["254", "262"] {
        assert_eq!(pcr(&with(version), 12), pcr(&prediction, 12), "{version}");
    }
    for version in ["252", "256", "260"] {
        [4, 9, 12].iter().for_each(|index| assert!(reason(&with(version), *index).contains("addons"), "{version}"));
    }
}

/// The values that `os-separator` makes were computed elsewhere.
#[test]
fn os_separator_is_extended_last() {
    let prediction = predict(&SecureBootVariables::default(), &[&uki("262")], |boot| boot.os_separator = true);
    let alone = "e3c46883c278dc51c82b9c643f033a641d85b0deca51d9071d0cc90ba2ed8141c69caa3adf87852076ef61835ade1a00";
    [12, 13, 14].iter().for_each(|index| assert_eq!(pcr(&prediction, *index), alone));
    assert_eq!(pcr(&prediction, 11), pcr(&plain(&[&uki("262")]), 11));
    assert_eq!(pcr(&prediction, 8), ZERO);
}

fn profiles() -> Vec<u8> {
    image(&[
        (".sdmagic", b"#### LoaderInfo: systemd-stub 257 ####"),
        (".osrel", b"ID=test\n"),
        (".cmdline", b"base"),
        (".linux", &kernel()),
        (".profile", b"ID=main\n"),
        (".profile", b"ID=debug\n"),
        (".cmdline", b"debug"),
    ])
}

#[test]
fn a_profile_overrides_the_base() {
    let main = plain(&[&profiles()]);
    assert_eq!(section_names(&main), [".linux", ".osrel", ".cmdline", ".profile"]);
    assert_eq!(pcr(&main, 12), ZERO);
    let debug = predict(&SecureBootVariables::default(), &[&profiles()], |boot| boot.profile = 1);
    let pair = |name: &str, content: &[u8]| [h(&[name.as_bytes(), &[0]].concat()), h(content)];
    let expected = [
        pair(".linux", &kernel()),
        pair(".osrel", b"ID=test\n"),
        pair(".cmdline", b"debug"),
        pair(".profile", b"ID=debug\n"),
    ];
    assert_eq!(pcr(&debug, 11), chain(expected.as_flattened()));
    assert_eq!(pcr(&debug, 12), chain(&[h(&wide("1"))]));
    // systemd-boot says which one, and measures what it says.
    let chosen = |version| {
        let images = [systemd_boot(version), profiles()];
        predict(&SecureBootVariables::default(), &[&images[0], &images[1]], |boot| boot.profile = 1)
    };
    assert_eq!(pcr(&chosen("257.13"), 12), chain(&[h(&wide("@1")), h(&wide("1"))]));
    assert_eq!(pcr(&chosen("257.13"), 9), pcr(&debug, 9));
    assert!(reason(&chosen("254.26"), 12).contains("knows no profiles"));
    let none = predict(&SecureBootVariables::default(), &[&profiles()], |boot| boot.profile = 2);
    assert!(reason(&none, 11).contains("no profile 2"));
}

#[test]
fn what_was_not_seen_has_a_reason_and_no_value() {
    for (bytes, index, fragment) in [
        (uki("251"), 11, "251"),
        (uki("253"), 11, "253"),
        (uki("300"), 11, "300"),
        (image(&[(".text", b"some program")]), 11, "is not known"),
        (systemd_boot("252"), 5, "partition table"),
        (
            image(&[
                (".sdmagic", b"#### LoaderInfo: systemd-stub 257 ####"),
                (".linux", &kernel()),
                (".dtbauto", b"tree"),
            ]),
            11,
            "depends on the machine",
        ),
    ] {
        let prediction = plain(&[&bytes]);
        assert!(reason(&prediction, index).contains(fragment), "{}", reason(&prediction, index));
        assert!(prediction.pcrs().get(B, PcrIndex::new(index).unwrap()).is_none());
        assert!(prediction.events().iter().all(|event| event.pcr.get() != index));
    }
    // An older kernel may not measure.
    let mut old = kernel();
    let at = old.windows(5).position(|text| text == b"6.1.0").unwrap();
    old[at] = b'5';
    let bytes = image(&[(".sdmagic", b"#### LoaderInfo: systemd-stub 252 ####"), (".linux", &old)]);
    assert!(reason(&plain(&[&bytes]), 9).contains("5.1.0"));
}

/// A header can claim that a section has 4 GiB of zeros in memory: they are not hashed.
#[test]
fn r4_a_section_longer_than_its_file_is_not_measured() {
    let bytes = uki("252");
    let name = bytes.windows(8).position(|text| text == b".initrd\0").unwrap();
    assert_eq!(reason(&plain(&[&bytes]), 11), "");
    let mut altered = bytes;
    altered[name + 8..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let prediction = plain(&[&altered]);
    [9, 11].iter().for_each(|index| assert!(reason(&prediction, *index).contains(".initrd is longer")));
    assert_ne!(pcr(&prediction, 4), "");
}

#[test]
fn the_stub_needs_a_version() {
    let code =
        |bytes: &[u8]| try_predict(&SecureBootVariables::default(), &[bytes], |_| {}).map_err(|error| error.code());
    let amazon = b"NAME=\"Amazon Linux\"\nVERSION=\"2023\"\n";
    let with = |sections: &[(&str, &[u8])]| image(&[sections, &[(".linux", &kernel())]].concat());
    assert_eq!(code(&with(&[])), Err("predict.stub-version"));
    assert_eq!(code(&with(&[(".sdmagic", b"#### LoaderInfo: other 252 ####")])), Err("predict.stub-version"));
    assert_eq!(code(&with(&[(".osrel", b"NAME=\"Debian\"\n")])), Err("predict.stub-version"));
    assert!(code(&with(&[(".osrel", amazon)])).is_ok());
    // A stub that says something else is not excused by the distribution.
    assert_eq!(code(&with(&[(".osrel", amazon), (".sdmagic", b"?")])), Err("predict.stub-version"));
}

#[test]
fn shim_starts_grub_and_grub_a_kernel() {
    let (firmware, vendor) = (Authority::new("firmware", true), Authority::new("vendor", true));
    let shim = firmware.issue("signer").sign(&image(&[(".text", b"shim"), (".sbat", b"sbat,1\nshim,4,UEFI shim\n")]));
    let signer = vendor.issue("signer");
    let grub = signer.sign(&image(&[(".text", b"grub"), (".sbat", b"sbat,1\ngrub,5\n"), ("mods", b"m")]));
    let linux = signer.sign(&kernel());
    let mok = list(&vendor.certificate);
    let state =
        ShimState { mok_list: &mok, mok_list_x: Some(b""), mok_list_trusted: &[1], sbat_level: b"sbat,1,2025021800\n" };
    let variables = enabled(&firmware.certificate);
    let images = [&shim, &grub, &linux].map(|bytes| PeImage::parse("a", bytes).unwrap());
    let mut boot = Boot::new(&variables, &images);
    let without = boot.predict(&[B]).unwrap();
    assert!(reason(&without, 7).contains("SbatLevel") && reason(&without, 8).contains("told to do"));
    boot.shim = Some(state);
    let steps = [
        GrubMeasurement::Command("set timeout=0"),
        GrubMeasurement::File { name: "/vmlinuz", content: &linux },
        GrubMeasurement::KernelCommandLine("/vmlinuz quiet"),
    ];
    boot.grub = Some(&steps);
    let prediction = boot.predict(&[B]).unwrap();
    let kernel = authenticode(&linux);
    let applications = [action(), separator(), authenticode(&shim), authenticode(&grub), kernel, kernel];
    assert_eq!(pcr(&prediction, 4), chain(&applications));
    let events = prediction.events().iter().filter(|event| event.pcr.get() == 7).skip(7);
    let entry = [&guids::SHIM_LOCK.to_bytes(), &vendor.certificate[..]].concat();
    assert_eq!(
        events.map(|event| event.digests[0]).collect::<Vec<_>>(),
        [
            h(&variable_data(&guids::SHIM_LOCK, "SbatLevel", state.sbat_level)),
            h(&variable_data(&guids::SHIM_LOCK, "MokListRT", &entry)),
        ]
    );
    assert_eq!(pcr(&prediction, 8), chain(&[h(b"set timeout=0"), h(b"/vmlinuz quiet")]));
    assert_eq!(pcr(&prediction, 9), chain(&[h(&linux)]));
    assert!(reason(&prediction, 14).contains("MokListX"));
    let forbidden = list(&Authority::new("other", true).certificate);
    boot.shim = Some(ShimState { mok_list_x: Some(&forbidden), ..state });
    assert_eq!(pcr(&boot.predict(&[B]).unwrap(), 14), chain(&[h(&mok), h(&forbidden), h(&[1])]));
    // With Secure Boot off shim measures its state all the same, and no authority; nobody measures the kernel.
    let off = SecureBootVariables::default();
    let unchecked = Boot { variables: &off, ..boot }.predict(&[B]).unwrap();
    let events = unchecked.events().iter().filter(|event| event.pcr.get() == 7).skip(6);
    let level = h(&variable_data(&guids::SHIM_LOCK, "SbatLevel", state.sbat_level));
    assert_eq!(events.map(|event| event.digests[0]).collect::<Vec<_>>(), [level]);
    assert_eq!(pcr(&unchecked, 14), chain(&[h(&mok), h(&forbidden), h(&[1])]));
    assert_eq!(pcr(&unchecked, 4), chain(&applications[..4]));
    // What the owner's list forbids is refused, though its signer is in MokList.
    boot.shim = Some(ShimState { mok_list_x: Some(&mok), ..state });
    assert_eq!(boot.predict(&[B]).unwrap_err().code(), "predict.refused");
}

#[test]
fn all_banks_side_by_side() {
    let variables = SecureBootVariables::default();
    let bytes = uki("252");
    let images = [PeImage::parse("a", &bytes).unwrap()];
    let all = Boot::new(&variables, &images).predict(&[Bank::Sha512, Bank::Sha256, B, B]).unwrap();
    assert_eq!(all.banks(), [Bank::Sha256, Bank::Sha384, Bank::Sha512]);
    for bank in [Bank::Sha256, Bank::Sha384, Bank::Sha512] {
        let alone = Boot::new(&variables, &images).predict(&[bank]).unwrap();
        for (bank, index, value) in alone.pcrs().iter() {
            assert_eq!(all.pcrs().get(bank, index), Some(value));
        }
        assert_eq!(alone.pcrs().len() * 3, all.pcrs().len());
    }
    assert!(all.events().iter().all(|event| {
        event.digests.iter().map(Digest::algorithm).eq([
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ])
    }));
}

#[test]
fn nothing_to_do_is_an_error() {
    let variables = SecureBootVariables::default();
    assert_eq!(Boot::new(&variables, &[]).predict(&[B]).unwrap_err().code(), "predict.no-image");
    let bytes = uki("252");
    let images = [PeImage::parse("a", &bytes).unwrap()];
    assert_eq!(Boot::new(&variables, &images).predict(&[]).unwrap_err().code(), "predict.no-bank");
    let damaged = SecureBootVariables { db: vec![1, 2, 3], ..SecureBootVariables::default() };
    assert_eq!(Boot::new(&damaged, &images).predict(&[B]).unwrap_err().code(), "predict.variable");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    /// Whatever is altered in an image, what comes out is a prediction or an error, in bounded time.
    #[test]
    fn altered_images_do_not_panic(
        changes in proptest::collection::vec((0_usize..4096, proptest::prelude::any::<u8>()), 1..6),
        signed: bool,
        cut in 0_usize..400,
    ) {
        let authority = Authority::new("issuer", true);
        let mut bytes = if signed { authority.issue("signer").sign(&uki("257")) } else { uki("257") };
        bytes.truncate(bytes.len() - cut * usize::from(cut > 300));
        for (offset, value) in changes {
            // The headers, and what is at the end.
            let end = bytes.len();
            bytes[if offset < 2048 { offset } else { end - 1 - (offset - 2048) }] = value;
        }
        if let Ok(image) = PeImage::parse("test.efi", &bytes) {
            let variables = if signed { enabled(&authority.certificate) } else { SecureBootVariables::default() };
            let _ = Boot::new(&variables, &[image]).predict(&[B]);
        }
    }
}

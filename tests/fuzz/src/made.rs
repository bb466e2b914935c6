//! Seeds that no file has: one of each shape that a decoder knows.

use nitrotpm_digest_lanes::hash;
use nitrotpm_eventlog::cel::{CelContent, CelLog, CelRecord, CelRegister};
use nitrotpm_eventlog::writer::{LogBuilder, spec_id_event_03, uefi_variable};
use nitrotpm_eventlog::{AlgorithmId, DeclaredBank, EventType, guid};
use nitrotpm_pcr::Bank;
use nitrotpm_testkit::SoftwareKey;
use nitrotpm_tpm_wire::Structure as _;

use crate::prediction;
use crate::seeds::fixture;

const GLOBAL: nitrotpm_eventlog::Guid = guid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
const DATABASE: nitrotpm_eventlog::Guid = guid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
const SHIM: nitrotpm_eventlog::Guid = guid!("605dab50-e046-4300-abb6-3dd810dd8b23");

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A list of one SHA-256 entry.
fn hash_list() -> Vec<u8> {
    let kind = guid!("c1c41626-504c-4092-aca9-41f936934328").to_bytes();
    let sizes = [76_u32, 0, 48].map(u32::to_le_bytes).concat();
    [kind.as_slice(), &sizes, &[0x77; 16], &[0x88; 32]].concat()
}

/// A file on a partition, as a device path.
fn device_path() -> Vec<u8> {
    let file = wide("\\EFI\\BOOT\\BOOTX64.EFI");
    let length = |body: usize| u16::try_from(body + 4).expect("short").to_le_bytes();
    let mut path = [&[4, 1][..], &length(38), &1_u32.to_le_bytes(), &[0; 16], &[7; 16], &[2, 2]].concat();
    path.extend([&[4, 4][..], &length(file.len()), &file, &[0x7F, 0xFF, 4, 0]].concat());
    path
}

fn load_option() -> Vec<u8> {
    let path = device_path();
    let length = u16::try_from(path.len()).expect("short").to_le_bytes();
    [&1_u32.to_le_bytes()[..], &length, &wide("Debian"), &path, b"options"].concat()
}

fn image_load() -> Vec<u8> {
    let path = device_path();
    let numbers = [0x7000_0000, 0x1000, 0, u64::try_from(path.len()).expect("short")];
    [numbers.map(u64::to_le_bytes).concat(), path].concat()
}

fn partitions() -> Vec<u8> {
    let mut table = b"EFI PART\0\0\x01\0\x5c\0\0\0".to_vec();
    table.resize(92, 0);
    table.extend(1_u64.to_le_bytes());
    let mut entry = vec![0x28; 16];
    entry.extend([9; 16]);
    entry.extend([0_u8; 24]);
    entry.extend(wide("EFI System Partition"));
    entry.resize(128, 0);
    table.extend(entry);
    table
}

fn sipa(kind: u32, data: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &u32::try_from(data.len()).expect("short").to_le_bytes(), data].concat()
}

/// Data of events, with the types that they belong to.
fn all() -> Vec<(u32, EventType, Vec<u8>)> {
    let aggregate =
        sipa(0x4001_0001, &[sipa(0x4001_0001, &sipa(0x0002_0001, b"\x01")), sipa(0x0005_0001, &wide("x"))].concat());
    let tagged = |tag: u32, data: &[u8]| sipa(tag, data);
    vec![
        (0, EventType::S_CRTM_VERSION, wide("firmware 1.0")),
        (0, EventType::EFI_PLATFORM_FIRMWARE_BLOB, [0_u64, 4096].map(u64::to_le_bytes).concat()),
        (
            0,
            EventType::EFI_PLATFORM_FIRMWARE_BLOB2,
            [&[4][..], b"text", &[0_u64, 4096].map(u64::to_le_bytes).concat()].concat(),
        ),
        (1, EventType::EFI_HANDOFF_TABLES, [&1_u64.to_le_bytes()[..], &[5; 16], &[0; 8]].concat()),
        (1, EventType::EFI_HANDOFF_TABLES2, [&[2][..], b"ab", &1_u64.to_le_bytes(), &[5; 16], &[0; 8]].concat()),
        (1, EventType::EFI_VARIABLE_BOOT, uefi_variable(GLOBAL, "Boot0001", &load_option())),
        (1, EventType::EFI_VARIABLE_BOOT2, uefi_variable(GLOBAL, "BootOrder", &[1, 0])),
        (5, EventType::EFI_GPT_EVENT, partitions()),
        (5, EventType::EFI_GPT_EVENT2, partitions()),
        (4, EventType::EFI_ACTION, b"Calling EFI Application from Boot Option".to_vec()),
        (4, EventType::EFI_BOOT_SERVICES_APPLICATION, image_load()),
        (7, EventType::EFI_VARIABLE_DRIVER_CONFIG, uefi_variable(GLOBAL, "SecureBoot", &[1])),
        (7, EventType::EFI_VARIABLE_DRIVER_CONFIG, uefi_variable(DATABASE, "db", &hash_list())),
        (
            7,
            EventType::EFI_VARIABLE_AUTHORITY,
            uefi_variable(DATABASE, "db", &[&[7; 16][..], &fixture("authenticode/signer.crt")].concat()),
        ),
        (7, EventType::EFI_VARIABLE_AUTHORITY, uefi_variable(SHIM, "SbatLevel", b"sbat,1,2022052400\n")),
        (14, EventType::IPL, b"MokList\0".to_vec()),
        (8, EventType::IPL, b"grub_cmd: linux /vmlinuz root=/dev/vda2\0".to_vec()),
        (8, EventType::IPL, b"kernel_cmdline: /vmlinuz root=/dev/vda2\0".to_vec()),
        (9, EventType::EVENT_TAG, tagged(0x8F3B_22ED, &wide("LOADED_IMAGE::LoadOptions"))),
        (9, EventType::EVENT_TAG, tagged(0x8F3B_22EC, b"Linux initrd\0")),
        (11, EventType::IPL, wide(".linux")),
        (12, EventType::EVENT_TAG, tagged(0x1396_3B17, &wide("root=/dev/vda2"))),
        (13, EventType::EVENT_TAG, aggregate),
        (0, EventType::NO_ACTION, [b"SP800-155 Event\0".as_slice(), &[0, 1, 0, 0], &[3; 16]].concat()),
        (0, EventType::NO_ACTION, b"HcrtmComponent\0\0\x04\0\0\0text\0\0\0\0".to_vec()),
        (2, EventType::EFI_SPDM_FIRMWARE_BLOB, [b"SPDM Device Sec\0".as_slice(), &[1, 0], &[0; 60]].concat()),
        (0, EventType::POST_CODE, b"POST CODE".to_vec()),
        (0, EventType::SEPARATOR, vec![0; 4]),
    ]
}

/// Logs with everything in them, of each kind.
pub(crate) fn logs() -> Vec<Vec<u8>> {
    let sm3 = DeclaredBank { algorithm: AlgorithmId(0x12), size: 32 };
    let declared = [DeclaredBank { algorithm: Bank::Sha256.into(), size: 32 }, sm3];
    let mut other = LogBuilder::with_header(&[Bank::Sha256], spec_id_event_03(&declared, b"vendor"));
    let mut builders =
        [LogBuilder::crypto_agile(&Bank::ALL), LogBuilder::crypto_agile(&[Bank::Sha256]), LogBuilder::sha1()];
    for builder in &mut builders {
        builder.startup_locality(3);
        for (pcr, event_type, data) in all() {
            builder.measure(pcr, event_type, &data);
        }
    }
    other.measure(4, EventType::SEPARATOR, &[0; 4]);
    let ccel = LogBuilder::ccel(&[Bank::Sha384]).measure(1, EventType::SEPARATOR, &[0; 4]).finish().expect("written");
    let tails = [&ccel[..], &[0xFF; 64]].concat();
    let written = builders.iter().chain([&other]).map(|builder| builder.finish().expect("written"));
    written.chain([tails, ccel]).collect()
}

/// The data of each of those events, and the structures in them.
pub(crate) fn payloads() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = all().into_iter().map(|(_, _, data)| data).collect();
    seeds.extend([hash_list(), device_path(), load_option()]);
    seeds
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u32::try_from(value.len()).expect("short").to_be_bytes(), value].concat()
}

/// Canonical logs, in TLV and JSON.
pub(crate) fn cel() -> Vec<Vec<u8>> {
    let sha256 = tlv(0x0B, hash(Bank::Sha256, &[&[0; 4]]).as_bytes());
    let record = |number: u64, content: &[u8]| {
        [tlv(0, &number.to_be_bytes()), tlv(1, &[4]), tlv(3, &sha256), content.to_vec()].concat()
    };
    let pc_client = tlv(5, &[tlv(0, &EventType::SEPARATOR.0.to_be_bytes()), tlv(1, &[0; 4])].concat());
    let ima = tlv(7, &[tlv(0, b"ima-ng"), tlv(1, b"template")].concat());
    let binary =
        [record(0, &pc_client), record(1, &ima), record(2, &tlv(9, b"enter-initrd\0")), record(3, &tlv(80, b"x"))]
            .concat();
    let hex = hex::encode(hash(Bank::Sha256, &[b"enter-initrd"]).as_bytes());
    let systemd = format!(
        "{{\"pcr\":11,\"digests\":[{{\"hashAlg\":\"sha256\",\"digest\":\"{hex}\"}}],\"content_type\":\"systemd\",\
         \"content\":{{\"string\":\"enter-initrd\",\"bootId\":\"0\",\"timestamp\":1,\"eventType\":\"phase\"}}}}"
    );
    let sequence = format!("\u{1e}{systemd}\n\u{1e}{systemd}\n");
    let array = format!(
        "[{{\"recnum\":0,\"pcr\":4,\"digests\":[{{\"hashAlg\":\"sha256\",\"digest\":\"{hex}\"}}],\
         \"content_type\":\"pcclient_std\",\"content\":{{\"event_type\":\"EV_SEPARATOR\",\"event_data\":\"00000000\"}}}}]"
    );
    let digests = [(AlgorithmId(0x0B), hash(Bank::Sha256, &[&[0; 4]]).as_bytes().to_vec())].to_vec();
    let contents = [
        CelContent::Management { kind: Some(2), value: vec![0xA1, 0, 2] },
        CelContent::PcClient { event_type: EventType::SEPARATOR, data: vec![0; 4] },
        CelContent::ImaTemplate { name: b"ima-ng".to_vec(), data: b"template".to_vec() },
        CelContent::Systemd { string: "enter-initrd".into(), kind: None },
        CelContent::Cbor { content_type: 200, value: vec![0x82, 0x01, 0xA1, 0x61, 0x61, 0xF6] },
    ];
    let registers = (0..).map(|number| CelRegister::NvIndex(0x01C0_0000 + number));
    let records =
        registers.zip(contents).map(|(register, content)| CelRecord::new(Some(0), register, digests.clone(), content));
    let cbor = CelLog::from_records(records.collect()).and_then(|log| log.to_cbor()).expect("written");
    vec![binary, systemd.into_bytes(), sequence.into_bytes(), array.into_bytes(), cbor]
}

/// IMA lists with every template.
pub(crate) fn ima() -> Vec<Vec<u8>> {
    let sized = |bytes: &[u8]| [&u32::try_from(bytes.len()).expect("short").to_le_bytes()[..], bytes].concat();
    let digest = sized(&[b"sha256:\0".as_slice(), &[0x5A; 32]].concat());
    let entry = |template: &str, data: &[u8]| {
        [&10_u32.to_le_bytes()[..], hash(Bank::Sha1, &[data]).as_bytes(), &sized(template.as_bytes()), &sized(data)]
            .concat()
    };
    let ng = [digest.clone(), sized(b"/usr/bin/true\0")].concat();
    let signed = [ng.clone(), sized(b"\x03\x02signature")].concat();
    let modsig = [signed.clone(), digest.clone(), sized(b"modsig")].concat();
    let legacy = [&10_u32.to_le_bytes()[..], &[1; 20], &sized(b"ima"), &[2; 20], &sized(b"/etc/passwd")].concat();
    let violation = [&10_u32.to_le_bytes()[..], &[0; 20], &sized(b"ima-ng"), &sized(&ng)].concat();
    let hex = "5a".repeat(32);
    let hash = "11".repeat(20);
    let text = format!(
        "10 {hash} ima-ng sha256:{hex} /usr/bin/true\n10 {hash} ima-sig sha256:{hex} /usr/bin/a b 0302\n\
         10 {hash} ima {hash} /etc/passwd\n10 {hash} ima-buf sha256:{hex} kernel 00ff\n"
    );
    let all =
        [entry("ima-ng", &ng), entry("ima-sig", &signed), entry("ima-buf", &signed), entry("ima-modsig", &modsig)];
    vec![all.concat(), legacy, violation, text.into_bytes()]
}

/// Lists as `sha256sum` prints them.
pub(crate) fn allow_lists() -> Vec<Vec<u8>> {
    let digest = "5a".repeat(32);
    vec![format!("# files\n{digest}  /usr/bin/true\n{digest} */a b\r\n\\{digest}  /a\\\\\\n\n").into_bytes()]
}

/// A policy with every key.
pub(crate) fn policies() -> Vec<Vec<u8>> {
    let value = "5a".repeat(48);
    let policy = format!(
        "schema = \"nitrotpm.policy/1\"\nname = \"web\"\n[require]\ndocument = true\nquote = false\nevent_log = true\n\
         secure_boot = true\nmax_age_seconds = 300\nminimum_build = 2\ninstance_ids = [\"i-0123456789abcdef0\"]\n\
         [[image]]\nname = \"a\"\nbuild = 3\npcrs.sha384 = {{ 4 = \"{value}\", 12 = \"{value}\" }}\n\
         [[image]]\nname = \"b\"\nbuild = 1\nrevoked = \"old\"\npcrs.sha384 = {{ 4 = \"{value}\" }}\n\
         [revocations]\nimages = [\"{value}\"]\nown_dbx = true\nminimum_sbat_level = 2024010900\n"
    );
    vec![policy.into_bytes()]
}

/// Records of each schema.
pub(crate) fn enrolments() -> Vec<Vec<u8>> {
    use base64::Engine as _;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let ak = base64(&SoftwareKey::rsa2048().attestation_area().to_tpm2b().expect("written"));
    let ek = base64(&fixture("boot/secure-boot-on/ek.pub"));
    let ecc = base64(&fixture("boot/secure-boot-on/ecc-ak.pub"));
    let keys = format!("\"ek_public\":\"{ek}\",\"ak_public\":\"{ak}\"");
    [
        format!(
            "{{\"schema\":\"nitrotpm.enrolment/1\",{keys},\"instance_id\":\"i-0123456789abcdef0\",\
             \"enrolled_at\":\"2026-02-03T10:12:02Z\"}}"
        ),
        format!("{{\"schema\":\"nitrotpm.enrolment/1\",\"ek_public\":\"{ek}\",\"ak_public\":\"{ecc}\"}}"),
        format!("{{\"schema\":\"nitrotpm.enrolment-request/1\",{keys}}}"),
        format!("{{\"schema\":\"nitrotpm.enrolment-pending/1\",{keys},\"secret\":\"{ecc}\"}}"),
        format!("{{\"schema\":\"nitrotpm.enrolment-challenge/1\",\"credential_blob\":\"{ecc}\",\"encrypted_secret\":\"{ek}\",\"ak_name\":\"000b\"}}"),
        "{\"schema\":\"nitrotpm.enrolment-answer/1\",\"secret\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}".into(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// An Authenticode signature.
pub(crate) fn signatures() -> Vec<Vec<u8>> {
    vec![prediction::signature_seed()]
}

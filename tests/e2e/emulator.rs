//! The emulator boots what a real machine booted, and its document says so.

use std::time::Duration;

use nitrotpm_emulator::{DeviceClock, NitroTpm};
use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{DocumentExpectations, TrustRoots, UnverifiedDocument};
use nitrotpm_pcr::{Bank, PcrValues};

use crate::corpus;

const BOOTS: [&str; 8] = [
    "sdboot-uki-sb",
    "shim-grub-ms",
    "tamper-cmdline",
    "uki-nosb",
    "uki-nosb-stub254",
    "uki-sb",
    "uki-sb-stub257",
    "uki-signed-nosb",
];

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn each_real_boot_is_in_the_emulators_document() {
    let seconds = 1_770_113_522;
    for name in BOOTS {
        let log = corpus::read(&format!("boot/{name}/eventlog.bin"));
        let expected: PcrValues =
            serde_json::from_slice(&corpus::read(&format!("boot/{name}/boot-pcrs.json"))).unwrap();
        let clock = DeviceClock::Fixed(seconds * 1000);
        let tpm = NitroTpm::builder().clock(clock).boot_log(log).start().unwrap();
        for bank in [Bank::Sha256, Bank::Sha384, Bank::Sha512] {
            let found = tpm.pcrs(bank).unwrap();
            for (_, index, value) in expected.iter().filter(|(of, ..)| *of == bank) {
                assert_eq!(found.get(bank, index), Some(value), "{name} {bank} {index}");
            }
        }
        let nonce = Nonce::new(b"sixteen bytes or more").unwrap();
        let document = tpm.document(None, None, Some(nonce.as_bytes())).unwrap();
        let mut roots = TrustRoots::empty();
        roots.add_pem(tpm.root_pem().as_bytes()).unwrap();
        let clock = Clock::Audit(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        let expectations = DocumentExpectations::new(clock, NonceExpectation::Expected(&nonce));
        let verified = UnverifiedDocument::parse(&document).unwrap().verify(&roots, &expectations).unwrap();
        let mut compared = 0;
        for (_, index, value) in expected.iter().filter(|(of, ..)| *of == Bank::Sha384) {
            assert_eq!(verified.pcrs().get(Bank::Sha384, index), Some(value), "{name} {index}");
            compared += 1;
        }
        assert!(compared >= 8, "{name}");
    }
}

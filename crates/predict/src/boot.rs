//! From a boot's files to its events.

use std::collections::BTreeMap;

use nitrotpm_eventlog::EventType;
use nitrotpm_pcr::{Bank, Chain, PcrIndex, PcrValues};
use nitrotpm_uefi::{SecureBootVariable, SecureBootVariables, SignatureDatabase, guids, variable_data};

use crate::event::PredictedEvent;
use crate::message::{Message, digest_all};
use crate::uki::{Role, Uki, clean, load_options, role};
use crate::{Decision, GrubMeasurement, PeImage, PredictError, Refusal, ShimState, Sidecars, decide};

/// `EV_EVENT_TAG` of Linux: the initrd.
const TAG_INITRD: u32 = 0x8F3B_22EC;
/// `EV_EVENT_TAG` of Linux: the load options.
const TAG_LOAD_OPTIONS: u32 = 0x8F3B_22ED;
/// `EV_EVENT_TAG` of systemd-stub: the profile ("src/boot/measure.h").
const TAG_PROFILE: u32 = 0x13AE_D6DB;

/// What boots, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'a> {
    /// PK, KEK, db and dbx; Secure Boot is on exactly when there is a PK.
    pub variables: &'a SecureBootVariables,
    /// The images in the order in which they are loaded. A kernel inside an image is not listed.
    pub images: &'a [PeImage<'a>],
    /// The profile of a unified kernel image that has several.
    pub profile: u32,
    /// A kernel command line that the boot entry passes to a unified kernel image. With Secure Boot on it counts only
    /// where the image has none.
    pub command_line: Option<&'a str>,
    /// The files beside a unified kernel image.
    pub sidecars: Sidecars<'a>,
    /// What shim reads, where shim is one of the images.
    pub shim: Option<ShimState<'a>>,
    /// What GRUB measures, in order, where GRUB is one of the images.
    pub grub: Option<&'a [GrubMeasurement<'a>]>,
    /// The boot phases that systemd has extended into PCR 11 when it is read: `enter-initrd`, `leave-initrd`, `sysinit`,
    /// `ready`. None is the moment at which the kernel starts.
    pub phases: &'a [&'a str],
    /// Whether systemd 261 or later extends `os-separator` in the initrd.
    pub os_separator: bool,
}

impl<'a> Boot<'a> {
    /// A boot of these images and nothing else.
    #[must_use]
    pub fn new(variables: &'a SecureBootVariables, images: &'a [PeImage<'a>]) -> Self {
        Self {
            variables,
            images,
            profile: 0,
            command_line: None,
            sidecars: Sidecars::default(),
            shim: None,
            grub: None,
            phases: &[],
            os_separator: false,
        }
    }

    /// Predicts the events of this boot and the PCRs that follow, in these banks.
    ///
    /// # Errors
    /// [`PredictError`] where nothing can be said: no image or bank, an image that cannot be read, variables without
    /// signature lists, an image that Secure Boot refuses. A PCR that cannot be known is no error: it has a reason
    /// instead of a value.
    pub fn predict(&self, banks: &[Bank]) -> Result<Prediction, PredictError> {
        if banks.is_empty() {
            return Err(PredictError::NoBank);
        }
        let mut plan = Plan::new(self)?;
        plan.firmware();
        plan.images()?;
        plan.userspace();
        Ok(plan.finish(banks))
    }
}

/// The predicted events and the PCRs that follow from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    banks: Vec<Bank>,
    secure_boot: bool,
    events: Vec<PredictedEvent>,
    pcrs: PcrValues,
    unpredictable: BTreeMap<PcrIndex, String>,
}

impl Prediction {
    /// The banks, weakest first.
    #[must_use]
    pub fn banks(&self) -> &[Bank] {
        &self.banks
    }

    /// Whether Secure Boot is on.
    #[must_use]
    pub const fn secure_boot(&self) -> bool {
        self.secure_boot
    }

    /// The events in the order in which they are measured. Events of PCRs that cannot be known are not among them.
    #[must_use]
    pub fn events(&self) -> &[PredictedEvent] {
        &self.events
    }

    /// The values of the PCRs that are known.
    #[must_use]
    pub const fn pcrs(&self) -> &PcrValues {
        &self.pcrs
    }

    /// The PCRs that cannot be known, each with the reason.
    pub fn unpredictable(&self) -> impl Iterator<Item = (PcrIndex, &str)> + '_ {
        self.unpredictable.iter().map(|(index, reason)| (*index, reason.as_str()))
    }
}

/// An event before it is hashed.
struct Planned<'a> {
    pcr: u8,
    event_type: EventType,
    message: Message<'a>,
    data: Vec<u8>,
    cause: String,
    by_userspace: bool,
}

struct Plan<'a> {
    boot: Boot<'a>,
    db: SignatureDatabase,
    dbx: SignatureDatabase,
    events: Vec<Planned<'a>>,
    unpredictable: BTreeMap<u8, String>,
    /// The authority events so far: firmware measures each once.
    authorities: Vec<Vec<u8>>,
}

impl<'a> Plan<'a> {
    fn new(boot: &Boot<'a>) -> Result<Self, PredictError> {
        if boot.images.is_empty() {
            return Err(PredictError::NoImage);
        }
        let database =
            |variable| boot.variables.database(variable).map_err(|source| PredictError::Variable { variable, source });
        for variable in [SecureBootVariable::Pk, SecureBootVariable::Kek] {
            database(variable)?;
        }
        let mut plan = Self {
            boot: *boot,
            db: database(SecureBootVariable::Db)?,
            dbx: database(SecureBootVariable::Dbx)?,
            events: Vec::new(),
            unpredictable: BTreeMap::new(),
            authorities: Vec::new(),
        };
        plan.unknown(&[0], "it measures the firmware, which the image does not determine");
        plan.unknown(&[1], "it measures boot variables and hardware, and differs between instances");
        plan.unknown(&[5], "it measures the partition table and what the boot manager does");
        plan.unknown(&[10], "IMA measures files as they are used");
        plan.unknown(&[15], "it measures what userspace decides");
        Ok(plan)
    }

    fn secure_boot(&self) -> bool {
        self.boot.variables.is_enabled()
    }

    /// The first reason for a register stays.
    fn unknown(&mut self, pcrs: &[u8], reason: impl Into<String>) {
        let reason = reason.into();
        for pcr in pcrs {
            self.unpredictable.entry(*pcr).or_insert_with(|| reason.clone());
        }
    }

    /// An event whose data is what is hashed.
    fn measure(&mut self, pcr: u8, event_type: EventType, bytes: Vec<u8>, cause: impl Into<String>) {
        let message = Message::made(bytes.clone());
        self.events.push(Planned { pcr, event_type, message, data: bytes, cause: cause.into(), by_userspace: false });
    }

    /// An event whose data only names what is hashed.
    fn measure_named(
        &mut self,
        pcr: u8,
        event_type: EventType,
        message: Message<'a>,
        data: Vec<u8>,
        cause: impl Into<String>,
    ) {
        self.events.push(Planned { pcr, event_type, message, data, cause: cause.into(), by_userspace: false });
    }

    /// What firmware measures before it starts an image.
    fn firmware(&mut self) {
        let enabled = self.secure_boot();
        let content = [u8::from(enabled)];
        let state = if enabled { "on" } else { "off" };
        self.measure(
            7,
            EventType::EFI_VARIABLE_DRIVER_CONFIG,
            variable_data(&guids::GLOBAL_VARIABLE, "SecureBoot", &content),
            format!("Secure Boot is {state}"),
        );
        for variable in SecureBootVariable::ALL {
            let content = self.boot.variables.content(variable);
            let cause = match content.len() {
                0 => format!("{} is not set", variable.name()),
                length => format!("{}, {length} bytes", variable.name()),
            };
            let data = variable_data(&variable.vendor(), variable.name(), content);
            self.measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, data, cause);
        }
        self.measure(7, EventType::SEPARATOR, vec![0; 4], "separator");
        let action = "Calling EFI Application from Boot Option";
        self.measure(4, EventType::EFI_ACTION, action.into(), "firmware begins to boot");
        for pcr in [2, 3, 4, 6] {
            self.measure(pcr, EventType::SEPARATOR, vec![0; 4], "separator");
        }
    }

    fn images(&mut self) -> Result<(), PredictError> {
        let images = self.boot.images;
        let mut shim = false;
        let mut grub = false;
        let mut systemd_boot = None;
        for image in images {
            let role = role(image)?;
            if grub {
                self.image_after_grub(image, shim)?;
            } else if shim {
                self.load_by_shim(image)?;
            } else {
                self.load_by_firmware(image)?;
            }
            match role {
                Role::Uki(stub) => self.unified_kernel(image, stub, systemd_boot)?,
                Role::SystemdBoot(version) => systemd_boot = Some(version),
                Role::Shim => {
                    shim = true;
                    self.shim_state(image);
                }
                Role::Grub => {
                    grub = true;
                    self.grub(image);
                }
                Role::Other if !grub => {
                    let reason = format!("what {} measures itself is not known", image.name());
                    self.unknown(&[8, 9, 11, 12, 13, 14], reason);
                }
                Role::Other => {}
            }
        }
        Ok(())
    }

    /// The event of a loaded image in PCR 4.
    fn application(&mut self, image: &PeImage<'a>, cause: String) {
        // UEFI_IMAGE_LOAD_EVENT: place in memory, length, link-time address, length of the device path.
        let mut data = vec![0; 8];
        data.extend_from_slice(&u64::try_from(image.bytes().len()).unwrap_or(u64::MAX).to_le_bytes());
        data.extend_from_slice(&[0; 16]);
        self.measure_named(4, EventType::EFI_BOOT_SERVICES_APPLICATION, image.authenticode(), data, cause);
    }

    fn load_by_firmware(&mut self, image: &PeImage<'a>) -> Result<(), PredictError> {
        if self.secure_boot() {
            match decide(image, &self.db, &self.dbx) {
                Decision::Allowed { entry, authority } => {
                    let data = variable_data(&guids::IMAGE_SECURITY_DATABASE, "db", &entry.to_bytes());
                    self.authority(data, format!("{authority} in db lets {} start", image.name()));
                }
                Decision::Refused(reason) => return Err(PredictError::Refused { image: image.name().into(), reason }),
                Decision::Unknown { reason } => self.unknown(&[7], reason),
            }
        }
        self.application(image, format!("firmware loads {}", image.name()));
        Ok(())
    }

    fn authority(&mut self, data: Vec<u8>, cause: String) {
        if !self.authorities.contains(&data) {
            self.authorities.push(data.clone());
            self.measure(7, EventType::EFI_VARIABLE_AUTHORITY, data, cause);
        }
    }

    /// shim verifies against db and its own list, and measures which one it was.
    fn load_by_shim(&mut self, image: &PeImage<'a>) -> Result<(), PredictError> {
        if self.secure_boot()
            && let Some(state) = self.boot.shim
        {
            match self.shim_decision(image, &state) {
                Decision::Allowed { entry, authority } => {
                    let data = variable_data(&guids::SHIM_LOCK, "MokListRT", &entry.to_bytes());
                    self.authority(data, format!("{authority} in MokListRT lets {} start", image.name()));
                }
                Decision::Refused(reason) => return Err(PredictError::Refused { image: image.name().into(), reason }),
                Decision::Unknown { reason } => self.unknown(&[7], reason),
            }
        }
        self.application(image, format!("shim loads {}", image.name()));
        Ok(())
    }

    /// What shim decides by MokListRT; that db lets an image start is said to be unknown.
    fn shim_decision(&self, image: &PeImage<'a>, state: &ShimState<'_>) -> Decision {
        let mok = SignatureDatabase::parse(state.mok_list);
        let forbidden =
            SignatureDatabase::parse(&[&self.boot.variables.dbx, state.mok_list_x.unwrap_or_default()].concat());
        let (Ok(mok), Ok(forbidden)) = (mok, forbidden) else {
            return Decision::Unknown { reason: "MokListRT or MokListXRT does not hold signature lists".into() };
        };
        match decide(image, &self.db, &forbidden) {
            Decision::Allowed { .. } => Decision::Unknown {
                reason: format!("what shim measures when db lets {} start was not checked by a boot", image.name()),
            },
            Decision::Refused(Refusal::NotInDb { .. } | Refusal::Unsigned { .. }) => decide(image, &mok, &forbidden),
            other => other,
        }
    }

    /// A kernel that GRUB starts: with Secure Boot on shim measures it when GRUB verifies it and when GRUB starts it;
    /// with Secure Boot off nobody does.
    fn image_after_grub(&mut self, image: &PeImage<'a>, shim: bool) -> Result<(), PredictError> {
        match (self.secure_boot(), shim) {
            (true, true) => {
                self.load_by_shim(image)?;
                self.application(image, format!("shim measures {} again as GRUB starts it", image.name()));
            }
            (true, false) => {
                self.unknown(&[4, 7], "how GRUB starts a kernel with Secure Boot on and without shim was not checked");
            }
            (false, _) => {}
        }
        Ok(())
    }

    fn shim_state(&mut self, image: &PeImage<'a>) {
        let Some(state) = self.boot.shim else {
            let reason =
                format!("it depends on MokList, MokListX and SbatLevel, which {} reads; give them", image.name());
            return self.unknown(&[7, 14], reason);
        };
        if !self.secure_boot() {
            return self.unknown(&[7, 14], "what shim measures with Secure Boot off was not checked by a boot");
        }
        let Some(mok_list_x) = state.mok_list_x.filter(|content| !content.is_empty()) else {
            self.unknown(&[14], "it depends on MokListX; give MokListXRT");
            return self.shim_events(&state, &[]);
        };
        self.shim_events(&state, mok_list_x);
    }

    fn shim_events(&mut self, state: &ShimState<'a>, mok_list_x: &'a [u8]) {
        let mok = |name: &str| [name.as_bytes(), &[0]].concat();
        for (name, content) in [("MokList", state.mok_list), ("MokListX", mok_list_x)] {
            self.measure_named(14, EventType::IPL, Message::file(content), mok(name), format!("shim's {name}"));
        }
        let level = variable_data(&guids::SHIM_LOCK, "SbatLevel", state.sbat_level);
        self.authority(level, "shim's SBAT revocations".into());
        let name = "MokListTrusted";
        self.measure_named(
            14,
            EventType::IPL,
            Message::file(state.mok_list_trusted),
            mok(name),
            format!("shim's {name}"),
        );
    }

    fn grub(&mut self, image: &PeImage<'a>) {
        let Some(measurements) = self.boot.grub else {
            let reason = format!("{} measures every command and file; give what it is told to do", image.name());
            return self.unknown(&[8, 9], reason);
        };
        for measurement in measurements {
            let (pcr, message, data, cause) = match measurement {
                GrubMeasurement::Command(text) => {
                    (8, Message::file(text.as_bytes()), format!("grub_cmd: {text}"), format!("GRUB runs \"{text}\""))
                }
                GrubMeasurement::KernelCommandLine(text) => (
                    8,
                    Message::file(text.as_bytes()),
                    format!("kernel_cmdline: {text}"),
                    format!("kernel command line \"{text}\""),
                ),
                GrubMeasurement::File { name, content } => {
                    (9, Message::file(content), (*name).to_owned(), format!("GRUB reads {name}"))
                }
            };
            let data = [data.as_bytes(), &[0]].concat();
            self.measure_named(pcr, EventType::IPL, message, data, cause);
        }
    }

    fn unified_kernel(
        &mut self,
        image: &PeImage<'a>,
        stub: u32,
        systemd_boot: Option<u32>,
    ) -> Result<(), PredictError> {
        let uki = match Uki::new(image, stub, self.boot.profile) {
            Ok(uki) => uki,
            Err(reason) => {
                self.unknown(&[4, 7, 9, 11, 12, 13], reason);
                return Ok(());
            }
        };
        if stub < 252 {
            self.unknown(&[9, 11, 12, 13], format!("what systemd-stub {stub} measures was not checked"));
        }
        let passed = self.passed_by_boot_loader(&uki, systemd_boot);
        if self.boot.profile > 0 {
            let number = load_options(&self.boot.profile.to_string());
            let cause = format!("profile {} of {}", self.boot.profile, image.name());
            let data = tagged(TAG_PROFILE, &number);
            self.measure_named(12, EventType::EVENT_TAG, Message::made(number), data, cause);
        }
        self.sections(&uki);
        let command_line = self.settle_command_line(&uki, passed);
        for (pcr, what, bytes) in self.boot.sidecars.archives() {
            let cause = format!("{what}, {} bytes", bytes.len());
            self.measure_named(pcr, EventType::IPL, Message::made(bytes), load_options(what), cause);
        }
        self.embedded_kernel(&uki, stub)?;
        self.kernel(&uki, command_line);
        Ok(())
    }

    /// What systemd-boot passes to the image. Until 254 it passes the image's own command line and measures it.
    fn passed_by_boot_loader(&mut self, uki: &Uki<'_, 'a>, systemd_boot: Option<u32>) -> Option<String> {
        match (systemd_boot, self.boot.command_line) {
            (None, line) => line.map(str::to_owned),
            (Some(version), None) if version < 252 => {
                self.unknown(&[9, 12], format!("what systemd-boot {version} passes on was not checked"));
                None
            }
            (Some(252..=254), None) => match uki.command_line() {
                Ok(Some(line)) => {
                    self.measure(12, EventType::IPL, load_options(&line), format!("systemd-boot passes \"{line}\""));
                    Some(line)
                }
                Ok(None) => None,
                Err(reason) => {
                    self.unknown(&[9, 12], reason);
                    None
                }
            },
            (Some(_), None) => None,
            (Some(_), Some(_)) => {
                self.unknown(&[9, 12], "what systemd-boot measures of a changed command line was not checked");
                None
            }
        }
    }

    fn sections(&mut self, uki: &Uki<'_, 'a>) {
        match uki.measured() {
            Ok(sections) => {
                for (name, section) in sections {
                    // The name is hashed as ASCII and logged as UTF-16, both with NUL.
                    let text = [name.as_bytes(), &[0]].concat();
                    let data = load_options(name);
                    let cause = format!("name of section {name}");
                    self.measure_named(11, EventType::IPL, Message::made(text), data.clone(), cause);
                    let cause = format!("section {name} of {}, {} bytes", uki.name(), section.virtual_size);
                    self.measure_named(11, EventType::IPL, section.memory(), data, cause);
                }
            }
            Err(reason) => self.unknown(&[11], reason),
        }
    }

    /// The command line that the kernel gets; measured where it does not come from the image.
    fn settle_command_line(&mut self, uki: &Uki<'_, 'a>, passed: Option<String>) -> Option<String> {
        let own = match uki.command_line() {
            Ok(own) => own,
            Err(reason) => {
                self.unknown(&[9], reason);
                None
            }
        };
        let has_own = uki.section(".cmdline").is_some();
        match passed.filter(|line| !line.is_empty()) {
            Some(line) if !(self.secure_boot() && has_own) => {
                if let Err(reason) = clean(&line) {
                    self.unknown(&[9, 12], reason);
                }
                self.measure(12, EventType::IPL, load_options(&line), format!("the boot entry passes \"{line}\""));
                Some(line)
            }
            _ => own,
        }
    }

    /// How the stub starts the kernel inside: systemd 252 lets it pass Secure Boot, systemd 258 no longer goes through
    /// firmware at all (systemd PR 24777, PR 37372).
    fn embedded_kernel(&mut self, uki: &Uki<'_, 'a>, stub: u32) -> Result<(), PredictError> {
        if stub >= 258 || (stub >= 252 && self.secure_boot()) {
            return Ok(());
        }
        let Some(section) = uki.kernel() else { return Ok(()) };
        if section.virtual_size > section.raw.len() {
            self.unknown(&[4], "the kernel is longer in memory than in the file");
            return Ok(());
        }
        let kernel = PeImage::parse(&format!("the kernel in {}", uki.name()), section.content())?;
        self.load_by_firmware(&kernel)
    }

    /// What the kernel's own EFI stub measures.
    fn kernel(&mut self, uki: &Uki<'_, 'a>, command_line: Option<String>) {
        let initrd = match uki.kernel_measures().and_then(|()| uki.initrd(&self.boot.sidecars)) {
            Ok(initrd) => initrd,
            Err(reason) => return self.unknown(&[9], reason),
        };
        let Some(line) = command_line else {
            return self.unknown(&[9], "what Linux measures without a command line was not checked by a boot");
        };
        let (options, data) = (load_options(&line), tagged(TAG_LOAD_OPTIONS, b"LOADED_IMAGE::LoadOptions\0"));
        let cause = format!("kernel command line \"{line}\"");
        self.measure_named(9, EventType::EVENT_TAG, Message::made(options), data, cause);
        if initrd.len() > 0 {
            let cause = format!("initrd of {}, {} bytes", uki.name(), initrd.len());
            self.measure_named(9, EventType::EVENT_TAG, initrd, tagged(TAG_INITRD, b"Linux initrd\0"), cause);
        }
    }

    /// What systemd extends from userspace: the firmware's log does not have it.
    fn userspace(&mut self) {
        let before = self.events.len();
        for phase in self.boot.phases {
            self.measure(11, EventType::IPL, (*phase).into(), format!("boot phase {phase}"));
        }
        if self.boot.os_separator {
            for pcr in [2, 3, 4, 6, 7, 9, 12, 13, 14] {
                self.measure(pcr, EventType::IPL, b"os-separator".into(), "os-separator of systemd 261");
            }
        }
        self.events.iter_mut().skip(before).for_each(|event| event.by_userspace = true);
    }

    fn finish(self, banks: &[Bank]) -> Prediction {
        let mut banks = banks.to_vec();
        banks.sort_unstable();
        banks.dedup();
        let index = |pcr: u8| PcrIndex::new(pcr);
        let known: Vec<_> =
            self.events.into_iter().filter(|event| !self.unpredictable.contains_key(&event.pcr)).collect();
        let messages: Vec<_> = known.iter().map(|event| &event.message).collect();
        let rows = digest_all(&messages, &banks);
        let events: Vec<PredictedEvent> = known
            .iter()
            .zip(rows)
            .filter_map(|(event, digests)| {
                let Planned { event_type, by_userspace, .. } = *event;
                let (data, cause) = (event.data.clone(), event.cause.clone());
                Some(PredictedEvent { pcr: index(event.pcr)?, event_type, digests, data, cause, by_userspace })
            })
            .collect();
        let mut pcrs = PcrValues::new();
        for pcr in (2..=14).filter(|pcr| !self.unpredictable.contains_key(pcr)).filter_map(index) {
            for (position, bank) in banks.iter().enumerate() {
                let mut chain = Chain::new(*bank, pcr);
                let digests =
                    events.iter().filter(|event| event.pcr == pcr).filter_map(|event| event.digests.get(position));
                // The digests of one position are all of one bank, and every register is inserted once.
                let extended = digests.map(|digest| chain.extend(digest)).all(|done| done.is_ok());
                let _inserted = extended && pcrs.insert(pcr, chain.value()).is_ok();
            }
        }
        let secure_boot = self.boot.variables.is_enabled();
        let unpredictable =
            self.unpredictable.into_iter().filter_map(|(pcr, reason)| Some((index(pcr)?, reason))).collect();
        Prediction { banks, secure_boot, events, pcrs, unpredictable }
    }
}

/// The data of an `EV_EVENT_TAG`: tag, length, content (`TCG_PCClientTaggedEvent`).
fn tagged(tag: u32, content: &[u8]) -> Vec<u8> {
    let mut data = tag.to_le_bytes().to_vec();
    data.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    data.extend_from_slice(content);
    data
}

//! From a boot's files to its events.

use std::collections::BTreeMap;

use nitrotpm_eventlog::EventType;
use nitrotpm_pcr::{Bank, Chain, PcrIndex, PcrValues};
use nitrotpm_uefi::{SecureBootVariable, SecureBootVariables, SignatureDatabase, guids, variable_data};

use crate::event::PredictedEvent;
use crate::message::Message;
use crate::schedule::digest_all;
use crate::uki::{Role, role};
use crate::{Decision, GrubMeasurement, LinuxEntry, PeImage, PredictError, Refusal, ShimState, Sidecars, decide};

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
    /// What the entry gives a kernel that systemd-boot starts, where the last image is one.
    pub entry: Option<LinuxEntry<'a>>,
    /// The data of the event for the boot disk's partition table; PCR 5 is known only with it.
    pub partition_table: Option<&'a [u8]>,
    /// systemd-boot's `loader.conf`, if the disk with the partition table has one.
    pub loader_conf: Option<&'a [u8]>,
    /// Registers that the caller knows to depend on more than is given here, each list with the reason.
    pub unknown: &'a [(Vec<u8>, String)],
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
            entry: None,
            partition_table: None,
            loader_conf: None,
            unknown: &[],
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

pub(crate) struct Plan<'a> {
    pub(crate) boot: Boot<'a>,
    pub(crate) db: SignatureDatabase,
    pub(crate) dbx: SignatureDatabase,
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
        if boot.partition_table.is_none() {
            plan.unknown(&[5], "it measures the disk's partition table; give the disk image");
        }
        for (pcrs, reason) in boot.unknown {
            plan.unknown(pcrs, reason.as_str());
        }
        plan.unknown(&[10], "IMA measures files as they are used");
        plan.unknown(&[15], "it measures what userspace decides");
        Ok(plan)
    }

    pub(crate) fn secure_boot(&self) -> bool {
        self.boot.variables.is_enabled()
    }

    /// The first reason for a register stays.
    pub(crate) fn unknown(&mut self, pcrs: &[u8], reason: impl Into<String>) {
        let reason = reason.into();
        for pcr in pcrs {
            self.unpredictable.entry(*pcr).or_insert_with(|| reason.clone());
        }
    }

    /// An event whose data is what is hashed.
    pub(crate) fn measure(&mut self, pcr: u8, event_type: EventType, bytes: Vec<u8>, cause: impl Into<String>) {
        let message = Message::made(bytes.clone());
        self.events.push(Planned { pcr, event_type, message, data: bytes, cause: cause.into(), by_userspace: false });
    }

    /// An event whose data only names what is hashed.
    pub(crate) fn measure_named(
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
        for pcr in [2, 3, 4, 5, 6] {
            self.measure(pcr, EventType::SEPARATOR, vec![0; 4], "separator");
        }
        if let Some(data) = self.boot.partition_table {
            self.measure(5, EventType::EFI_GPT_EVENT, data.to_vec(), "the disk's partition table");
        }
    }

    fn images(&mut self) -> Result<(), PredictError> {
        let images = self.boot.images;
        let mut shim = false;
        let mut grub = false;
        let mut systemd_boot = None;
        let mut loader = None;
        let (mut has_unified, mut has_entry) = (false, false);
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
                Role::Uki(stub) => {
                    has_unified = true;
                    self.unified_kernel(image, stub, systemd_boot)?;
                    if !matches!(stub, 252 | 254 | 257 | 262) {
                        self.unknown(&[5], format!("what systemd-stub {stub} measures into it was not checked"));
                    }
                }
                Role::SystemdBoot(version) => {
                    systemd_boot = Some(version);
                    loader = Some(image);
                    self.loader_configuration(version);
                }
                Role::Shim => {
                    shim = true;
                    self.shim_state(image);
                }
                Role::Grub => {
                    grub = true;
                    self.grub(image);
                }
                Role::Other
                    if let (Some(loader), Some(entry)) = (loader, self.boot.entry)
                        && image.is_linux() =>
                {
                    has_entry = true;
                    self.linux_by_entry(image, loader, entry);
                }
                Role::Other if !grub => {
                    let reason = format!("what {} measures itself is not known", image.name());
                    self.unknown(&[5, 8, 9, 11, 12, 13, 14], reason);
                }
                Role::Other => {}
            }
        }
        self.left_over(has_unified, has_entry);
        self.exit_boot_services();
        Ok(())
    }

    /// What was given for an image that is not there is not passed over.
    fn left_over(&mut self, has_unified: bool, has_entry: bool) {
        let boot = self.boot;
        let beside = &boot.sidecars;
        let files = [beside.credentials, beside.global_credentials, beside.system_extensions];
        let given = boot.profile > 0 || !beside.addons.is_empty() || files.iter().any(|files| !files.is_empty());
        if !has_unified && (given || (boot.command_line.is_some() && !has_entry)) {
            let reason =
                "a command line, a profile or files beside a unified kernel image were given, and no such image";
            self.unknown(&[4, 9, 11, 12, 13], reason);
        }
        if boot.entry.is_some() && !has_entry {
            self.unknown(&[9, 12], "a boot entry was given, and no kernel behind systemd-boot");
        }
    }

    /// The event of a loaded image in PCR 4.
    fn application(&mut self, image: &PeImage<'a>, cause: String) {
        // UEFI_IMAGE_LOAD_EVENT: place in memory, length, link-time address, length of the device path.
        let mut data = vec![0; 8];
        data.extend_from_slice(&u64::try_from(image.bytes().len()).unwrap_or(u64::MAX).to_le_bytes());
        data.extend_from_slice(&[0; 16]);
        self.measure_named(4, EventType::EFI_BOOT_SERVICES_APPLICATION, image.authenticode(), data, cause);
    }

    pub(crate) fn load_by_firmware(&mut self, image: &PeImage<'a>) -> Result<(), PredictError> {
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

    /// What systemd extends from userspace: the firmware's log does not have it.
    fn userspace(&mut self) {
        let before = self.events.len();
        for phase in self.boot.phases {
            self.measure(11, EventType::IPL, (*phase).into(), format!("boot phase {phase}"));
        }
        if self.boot.os_separator {
            for pcr in [2, 3, 4, 5, 6, 7, 9, 12, 13, 14] {
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

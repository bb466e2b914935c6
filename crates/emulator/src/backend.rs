//! The TPM behind the emulator: swtpm powered on, and the commands that the emulator gives it for its own ends.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_digest_lanes::{Digest, HashAlgorithm};
use nitrotpm_pcr::{PcrIndex, PcrValues};

use crate::EmulatorError;
use crate::state::StateDir;
use crate::swtpm::{Blob, Swtpm};
use crate::wire::{self, Authorization, Malformed, Put, Reader, Response, cc, rc, rh};

/// What a command looks like: how many handles it has, and whether its response has one (`TPMA_CC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) handles: u8,
    pub(crate) response_handle: bool,
}

/// The banks of a new TPM: SHA-1 is off on EC2 since 2023.
const BANKS: [HashAlgorithm; 3] = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];

/// A TPM that is powered on.
pub(crate) struct Backend {
    swtpm: Swtpm,
    shapes: BTreeMap<u32, Shape>,
    /// Where the firmware starts the TPM from: 0, or 3.
    startup_locality: u8,
}

impl Backend {
    /// Starts swtpm and powers the TPM on at `locality` (0, or 3: TPM2_Startup by firmware that starts it there).
    pub(crate) fn start(program: &OsStr, state: &StateDir, locality: u8) -> Result<Self, EmulatorError> {
        // A swtpm whose owner was killed a moment ago may still hold its lock.
        let patience = Instant::now();
        let swtpm = loop {
            let mut swtpm = Swtpm::spawn(program, &state.path("swtpm"), &state.path("swtpm.log"))?;
            match swtpm.init() {
                Ok(()) => break swtpm,
                Err(_) if patience.elapsed() < Duration::from_secs(3) && can_run(program) => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(error) if can_run(program) => return Err(error),
                Err(_) => {
                    return Err(EmulatorError::SwtpmMissing { source: std::io::ErrorKind::NotFound.into() });
                }
            }
        };
        let mut backend = Self { swtpm, shapes: BTreeMap::new(), startup_locality: locality };
        backend.startup()?;
        if state.read("initialised")?.is_none() {
            backend.allocate_banks()?;
            backend.shutdown();
            backend.swtpm.init()?;
            backend.startup()?;
            state.write("initialised", b"")?;
        }
        backend.shapes = backend.read_shapes()?;
        // A killed swtpm may count as a failed authorization. With a lockout password it is the owner's to reset.
        let reset =
            wire::command(cc::DICTIONARY_ATTACK_LOCK_RESET, &[rh::LOCKOUT], &[Authorization::password(b"")], &[])
                .map_err(|Malformed| EmulatorError::SwtpmAnswer { doing: "reset the lockout" })?;
        backend.swtpm.transact(&reset)?;
        Ok(backend)
    }

    fn startup(&mut self) -> Result<(), EmulatorError> {
        let locality = self.startup_locality;
        if locality != 0 {
            self.swtpm.set_locality(locality)?;
        }
        self.run("start up", cc::STARTUP, &[], &[], &[0, 0])?;
        if locality != 0 {
            self.swtpm.set_locality(0)?;
        }
        Ok(())
    }

    /// Power off and on again: `_TPM_Init` and TPM2_Startup(CLEAR).
    pub(crate) fn reset(&mut self) -> Result<(), EmulatorError> {
        self.shutdown();
        self.swtpm.init()?;
        self.startup()
    }

    /// TPM2_Shutdown(CLEAR). One that fails costs at most a count of the dictionary attack protection.
    pub(crate) fn shutdown(&mut self) {
        let _ = self.run("shut down", cc::SHUTDOWN, &[], &[], &[0, 0]);
    }

    /// TPM2_Shutdown(CLEAR), and nothing after it.
    pub(crate) fn end(&mut self) {
        self.shutdown();
        self.swtpm.give_up();
    }

    /// The locality of the commands that follow.
    pub(crate) fn set_locality(&mut self, locality: u8) -> Result<(), EmulatorError> {
        self.swtpm.set_locality(locality)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.swtpm.is_running()
    }

    pub(crate) fn process(&self) -> u32 {
        self.swtpm.process()
    }

    /// The command's shape, where the TPM knows the command.
    pub(crate) fn shape(&self, code: u32) -> Option<Shape> {
        match code {
            // The handle that is flushed stands in the parameter area.
            cc::FLUSH_CONTEXT => Some(Shape { handles: 0, response_handle: false }),
            cc::NSM_REQUEST => Some(Shape { handles: 2, response_handle: false }),
            _ => self.shapes.get(&code).copied(),
        }
    }

    /// A command as it is, and its response as it is.
    pub(crate) fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, EmulatorError> {
        self.swtpm.transact(command)
    }

    pub(crate) fn control(&mut self, request: &[u8]) -> Result<Vec<u8>, EmulatorError> {
        self.swtpm.control(request)
    }

    pub(crate) fn state_blob(&mut self, blob: Blob) -> Result<Vec<u8>, EmulatorError> {
        self.swtpm.state_blob(blob)
    }

    /// A command of the emulator's own that must succeed; gives the response's body after the header.
    pub(crate) fn run(
        &mut self,
        doing: &'static str,
        code: u32,
        handles: &[u32],
        authorizations: &[Authorization],
        parameters: &[u8],
    ) -> Result<Vec<u8>, EmulatorError> {
        let command = wire::command(code, handles, authorizations, parameters)
            .map_err(|Malformed| EmulatorError::SwtpmAnswer { doing })?;
        for _ in 0..3 {
            let answer = self.swtpm.transact(&command)?;
            let response = Response::parse(&answer).map_err(|Malformed| EmulatorError::SwtpmAnswer { doing })?;
            match response.code {
                rc::SUCCESS => return Ok(response.body.to_vec()),
                rc::RETRY => {}
                code => return Err(EmulatorError::Tpm { doing, code }),
            }
        }
        Err(EmulatorError::Tpm { doing, code: rc::RETRY })
    }

    /// What is read out of a command's answer by `read`.
    pub(crate) fn query<T>(
        &mut self,
        doing: &'static str,
        code: u32,
        handles: &[u32],
        parameters: &[u8],
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
    ) -> Result<T, EmulatorError> {
        let body = self.run(doing, code, handles, &[], parameters)?;
        read(&mut Reader::new(&body)).map_err(|Malformed| EmulatorError::SwtpmAnswer { doing })
    }

    fn read_shapes(&mut self) -> Result<BTreeMap<u32, Shape>, EmulatorError> {
        let mut parameters = Vec::new();
        parameters.put_u32(2); // TPM_CAP_COMMANDS
        parameters.put_u32(0x11f);
        parameters.put_u32(0x200);
        self.query("list its commands", cc::GET_CAPABILITY, &[], &parameters, |reader| {
            reader.u8()?;
            reader.u32()?;
            let count = reader.u32()?;
            let mut shapes = BTreeMap::new();
            for _ in 0..count {
                let attributes = reader.u32()?;
                let handles = u8::try_from((attributes >> 25) & 7).map_err(|_| Malformed)?;
                // Only commands of the TCG are of interest: bit 29 marks a vendor's.
                if attributes & (1 << 29) == 0 {
                    shapes.insert(attributes & 0xffff, Shape { handles, response_handle: attributes & (1 << 28) != 0 });
                }
            }
            Ok(shapes)
        })
    }

    /// Switches on the banks that EC2 has, and the others off. Takes effect at the next reset.
    fn allocate_banks(&mut self) -> Result<(), EmulatorError> {
        let mut selection = Vec::new();
        selection.put_u32(4);
        for bank in HashAlgorithm::ALL {
            selection.put_u16(bank.tpm_id());
            selection.put(if BANKS.contains(&bank) { &[3, 0xff, 0xff, 0xff] } else { &[3, 0, 0, 0] });
        }
        let platform = [Authorization::password(b"")];
        self.run("choose its PCR banks", cc::PCR_ALLOCATE, &[rh::PLATFORM], &platform, &selection)?;
        Ok(())
    }

    /// All PCRs of one bank; none where the bank is off.
    pub(crate) fn pcrs(&mut self, bank: HashAlgorithm) -> Result<PcrValues, EmulatorError> {
        let doing = "read its PCRs";
        let mut values = PcrValues::new();
        let mut wanted: Vec<PcrIndex> = PcrIndex::all().collect();
        while !wanted.is_empty() {
            let mut parameters = Vec::new();
            parameters.put_u32(1);
            parameters.put_u16(bank.tpm_id());
            parameters.put(&[3]);
            parameters.put(&bitmap(&wanted));
            let read = self.query(doing, cc::PCR_READ, &[], &parameters, |reader| {
                reader.u32()?; // how often PCRs changed
                if reader.u32()? == 0 {
                    return Ok(Vec::new());
                }
                reader.u16()?;
                let size = usize::from(reader.u8()?);
                let selected = indices(reader.take(size)?);
                let count = reader.u32()?;
                let mut read = Vec::new();
                for (index, _) in selected.into_iter().zip(0..count) {
                    read.push((index, Digest::new(bank, reader.sized()?).map_err(|_| Malformed)?));
                }
                Ok(read)
            })?;
            if read.is_empty() {
                break;
            }
            for (index, value) in read {
                wanted.retain(|wanted| *wanted != index);
                values.insert(index, value).map_err(|_| EmulatorError::SwtpmAnswer { doing })?;
            }
        }
        Ok(values)
    }
}

/// Whether the program is there: the shell that starts it cannot say so by itself.
fn can_run(program: &OsStr) -> bool {
    std::process::Command::new(program)
        .arg("--version")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The three bytes of a `TPMS_PCR_SELECTION`.
fn bitmap(wanted: &[PcrIndex]) -> [u8; 3] {
    let mut bits = [0u8; 3];
    for index in wanted {
        if let Some(byte) = bits.get_mut(usize::from(index.get() >> 3)) {
            *byte |= 1 << (index.get() & 7);
        }
    }
    bits
}

fn indices(bits: &[u8]) -> Vec<PcrIndex> {
    PcrIndex::all()
        .filter(|index| bits.get(usize::from(index.get() >> 3)).is_some_and(|byte| byte >> (index.get() & 7) & 1 == 1))
        .collect()
}

//! The device that clients talk to: one command at a time, each of them answered.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::backend::Backend;
use crate::boot_log::{self, BootLogReport};
use crate::documents::Documents;
use crate::overlay::{NvPublic, Overlay};
use crate::sessions::Sessions;
use crate::state::StateDir;
use crate::swtpm::control;
use crate::wire::{self, Command, Malformed, cc, command_header, rc};
use crate::{EmulatorError, Fault};

/// Why a command gets no answer made by the emulator.
pub(crate) enum Stop {
    /// The client is answered this response code.
    Code(u32),
    /// The client is answered what the TPM behind answered.
    Answer(Vec<u8>),
    /// The TPM behind is gone.
    Emulator(EmulatorError),
}

impl From<EmulatorError> for Stop {
    fn from(error: EmulatorError) -> Self {
        Self::Emulator(error)
    }
}

impl From<Malformed> for Stop {
    fn from(Malformed: Malformed) -> Self {
        Self::Code(rc::FAILURE)
    }
}

/// What a client's command comes to.
#[derive(Debug)]
pub(crate) enum Reply {
    /// This response.
    Response(Vec<u8>),
    /// Nothing ([`Fault::DroppedResponse`]): the client's connection ends.
    Dropped,
}

/// The device, shared by the transports.
pub(crate) struct SharedDevice(Mutex<Device>);

impl SharedDevice {
    pub(crate) fn new(device: Device) -> Self {
        Self(Mutex::new(device))
    }

    /// Runs `action` alone on the device.
    pub(crate) fn with<T>(&self, action: impl FnOnce(&mut Device) -> T) -> T {
        // A handler that panicked left the TPM as it is; what the emulator keeps is written as a whole or not at all.
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Executes a client's command. Whatever happens inside, the client gets an answer.
    pub(crate) fn execute(&self, command: &[u8]) -> Reply {
        catch_unwind(AssertUnwindSafe(|| self.with(|device| device.execute(command))))
            .unwrap_or_else(|_| Reply::Response(wire::response_code(rc::FAILURE)))
    }

    /// Executes a request of the control channel (swtpm's protocol).
    pub(crate) fn control(&self, request: &[u8]) -> Vec<u8> {
        catch_unwind(AssertUnwindSafe(|| self.with(|device| device.control(request))))
            .unwrap_or_else(|_| CONTROL_FAILED.to_vec())
    }
}

/// TPM_FAIL, the result of a control command that failed.
const CONTROL_FAILED: [u8; 4] = 9u32.to_be_bytes();

/// The TPM with what NitroTPM adds to it.
pub(crate) struct Device {
    pub(crate) backend: Backend,
    pub(crate) state: StateDir,
    pub(crate) sessions: Sessions,
    pub(crate) overlay: Overlay,
    pub(crate) documents: Documents,
    pub(crate) faults: BTreeSet<Fault>,
    /// What the firmware of this machine measures at each start.
    boot_log: Option<Vec<u8>>,
    pub(crate) boot_log_report: Option<BootLogReport>,
    /// Public areas that swtpm has told while this command is executed; nothing of it outlives a change.
    pub(crate) publics: BTreeMap<u32, Option<NvPublic>>,
    /// Authorization values of large indices, found in the TPM's state. Whatever may change one forgets it.
    pub(crate) auths: BTreeMap<u32, Vec<u8>>,
    /// swtpm's response to the last command that was signed for a client.
    pub(crate) last_response: Vec<u8>,
    /// A client of the control channel has shut the TPM down.
    pub(crate) shut_down: bool,
}

impl Device {
    pub(crate) fn new(
        backend: Backend,
        state: StateDir,
        documents: Documents,
        faults: BTreeSet<Fault>,
        boot_log: Option<Vec<u8>>,
        overlay_above: u16,
    ) -> Result<Self, EmulatorError> {
        let overlay = Overlay::load(&state, overlay_above)?;
        let sessions = Sessions::default();
        let mut device = Self {
            backend,
            state,
            sessions,
            overlay,
            documents,
            faults,
            boot_log,
            boot_log_report: None,
            publics: BTreeMap::new(),
            auths: BTreeMap::new(),
            last_response: Vec::new(),
            shut_down: false,
        };
        device.reconcile()?;
        device.boot()?;
        Ok(device)
    }

    fn execute(&mut self, command: &[u8]) -> Reply {
        let response = match self.dispatch(command) {
            Ok(response) | Err(Stop::Answer(response)) => response,
            Err(Stop::Code(code)) => wire::response_code(code),
            Err(Stop::Emulator(_)) => wire::response_code(rc::FAILURE),
        };
        let is_vendor = command_header(command).is_ok_and(|(_, code)| code == cc::NSM_REQUEST);
        if is_vendor && self.faults.contains(&Fault::DroppedResponse) {
            return Reply::Dropped;
        }
        Reply::Response(response)
    }

    fn dispatch(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Stop> {
        self.publics.clear();
        // Anything else would bring the channel to swtpm out of step.
        let (_, code) = command_header(bytes).map_err(|Malformed| Stop::Code(rc::COMMAND_SIZE))?;
        let command = self.backend.shape(code).and_then(|shape| Command::parse(bytes, shape.handles).ok());
        let Some(command) = command else {
            // Unknown or malformed: swtpm says what is wrong with it.
            return if code == cc::NSM_REQUEST {
                Err(Stop::Code(rc::COMMAND_SIZE))
            } else {
                Ok(self.backend.transact(bytes)?)
            };
        };
        if code == cc::NSM_REQUEST {
            return self.vendor(&command);
        }
        if code == cc::NV_DEFINE_SPACE
            && let Some(response) = self.define(&command)?
        {
            return Ok(response);
        }
        // A session bound to a large index names it, and no HMAC covers that.
        let names_large = command.handles.iter().any(|handle| self.overlay.contains(*handle));
        if names_large && (code != cc::START_AUTH_SESSION || !command.authorizations.is_empty()) {
            return self.overlaid(&command, bytes);
        }
        self.pass(&command, bytes)
    }

    /// Switches the machine off and on.
    pub(crate) fn reset(&mut self) -> Result<(), EmulatorError> {
        self.sessions.clear();
        self.backend.reset()?;
        self.boot()
    }

    fn boot(&mut self) -> Result<(), EmulatorError> {
        let log = self.boot_log.as_deref();
        self.boot_log_report = log.map(|log| boot_log::replay(&mut self.backend, log)).transpose()?;
        Ok(())
    }

    /// A request of swtpm's control protocol. Those that would take the TPM out of the emulator's hands (read or replace
    /// its state, another data channel) are refused.
    pub(crate) fn control(&mut self, request: &[u8]) -> Vec<u8> {
        let code = request.first_chunk().map(|code| u32::from_be_bytes(*code));
        if matches!(code, Some(control::INIT | control::STOP)) {
            self.sessions.clear();
        }
        match code {
            Some(
                control::GET_CAPABILITY
                | control::INIT
                | control::GET_ESTABLISHED
                | control::SET_LOCALITY
                | control::HASH_START
                | control::HASH_DATA
                | control::HASH_END
                | control::CANCEL
                | control::STORE_VOLATILE
                | control::RESET_ESTABLISHED
                | control::STOP
                | control::GET_CONFIG
                | control::SET_BUFFER_SIZE
                | control::GET_INFO,
            ) => self.backend.control(request).unwrap_or_else(|_| CONTROL_FAILED.to_vec()),
            Some(control::SHUTDOWN) => {
                self.backend.end();
                self.shut_down = true;
                0u32.to_be_bytes().to_vec()
            }
            _ => CONTROL_FAILED.to_vec(),
        }
    }
}

//! The emulator as its user holds it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nitrotpm_pcr::{Bank, PcrValues};
use tempfile::TempDir;

use crate::backend::Backend;
use crate::boot_log::{self, BootLogReport};
use crate::device::{Device, Reply, SharedDevice};
use crate::documents::{DeviceClock, Documents};
use crate::ek::{self, EkKind, EkPublic};
use crate::nsm::Fields;
use crate::overlay::NATIVE_MAX;
use crate::self_test;
use crate::state::StateDir;
use crate::transport::{FuseTransport, PtyTransport, TcpTransport, UnixTransport};
use crate::{EmulatorError, Fault};

/// How a NitroTPM is to be started.
#[derive(Clone, Debug, Default)]
pub struct NitroTpmBuilder {
    state: Option<PathBuf>,
    swtpm: Option<OsString>,
    tcp: Option<u16>,
    unix: Option<PathBuf>,
    pty: Option<PathBuf>,
    fuse: Option<PathBuf>,
    region: Option<String>,
    module_id: Option<String>,
    clock: DeviceClock,
    faults: BTreeSet<Fault>,
    boot_log: Option<Vec<u8>>,
    overlay_above: Option<u16>,
}

impl NitroTpmBuilder {
    /// The directory that holds the TPM's state. It is created where needed, and with it a new TPM. Without one the TPM
    /// lives in a temporary directory and ends with its [`NitroTpm`].
    #[must_use]
    pub fn state_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state = Some(directory.into());
        self
    }

    /// The program swtpm. Without this, what the environment variable SWTPM names, and else `swtpm` in the path.
    #[must_use]
    pub fn swtpm(mut self, program: impl Into<OsString>) -> Self {
        self.swtpm = Some(program.into());
        self
    }

    /// The TCP port of the commands; control is on the next one. Without this, two free ports.
    #[must_use]
    pub const fn tcp_port(mut self, port: u16) -> Self {
        self.tcp = Some(port);
        self
    }

    /// Offers the TPM on a Unix socket too, and its control at the same path with `.ctrl` behind it.
    #[must_use]
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix = Some(path.into());
        self
    }

    /// Offers the TPM on a pseudo terminal too; `path` becomes a symbolic link to it.
    #[must_use]
    pub fn pty(mut self, path: impl Into<PathBuf>) -> Self {
        self.pty = Some(path.into());
        self
    }

    /// Offers the TPM as a file that behaves as /dev/tpm0 does, by FUSE: `path` is created where it is not there. Needs
    /// /dev/fuse, and root or fusermount3.
    #[must_use]
    pub fn fuse(mut self, path: impl Into<PathBuf>) -> Self {
        self.fuse = Some(path.into());
        self
    }

    /// The region in the certificates' names. Without this, `us-east-1`.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The module id in the documents: `i-<8 to 17 hex digits>-tpm<16 hex digits>`. It is kept with the state; a new TPM
    /// makes one up.
    #[must_use]
    pub fn module_id(mut self, module_id: impl Into<String>) -> Self {
        self.module_id = Some(module_id.into());
        self
    }

    /// The device's clock, which gives documents and their certificates their times.
    #[must_use]
    pub const fn clock(mut self, clock: DeviceClock) -> Self {
        self.clock = clock;
        self
    }

    /// Something that this device does wrong; may be called again for more.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.insert(fault);
        self
    }

    /// An event log in any of the TCG's formats, whose events are extended into the PCRs at each start and
    /// [`reset`](NitroTpm::reset): the machine measures what the logged one measured.
    #[must_use]
    pub fn boot_log(mut self, log: impl Into<Vec<u8>>) -> Self {
        self.boot_log = Some(log.into());
        self
    }

    /// Keeps the contents of NV indices of more than so many bytes outside swtpm. Without this, those that libtpms cannot
    /// hold. For the test that compares what is kept here with what swtpm keeps; a state directory has one such number.
    #[doc(hidden)]
    #[must_use]
    pub const fn overlay_above(mut self, size: u16) -> Self {
        self.overlay_above = Some(size);
        self
    }

    /// Starts the TPM and offers it.
    ///
    /// # Errors
    /// [`EmulatorError`] says what is missing or in the way.
    pub fn start(self) -> Result<NitroTpm, EmulatorError> {
        let temporary = match self.state {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("nitrotpm-")
                    .tempdir()
                    .map_err(|source| EmulatorError::State { path: std::env::temp_dir(), source })?,
            ),
        };
        let root = self.state.or_else(|| temporary.as_ref().map(|directory| directory.path().to_path_buf()));
        let state = StateDir::open(&root.unwrap_or_default())?;
        let program = self.swtpm.or_else(|| std::env::var_os("SWTPM")).unwrap_or_else(|| OsString::from("swtpm"));
        let region = self.region.as_deref().unwrap_or("us-east-1");
        let documents = Documents::open(&state, region, self.module_id, self.clock)?;
        let directory = state.root().to_path_buf();
        let locality = self.boot_log.as_deref().map_or(Ok(0), boot_log::startup_locality)?;
        let mut backend = Backend::start(&program, &state, locality)?;
        self_test::run(&mut backend)?;
        let overlay_above = self.overlay_above.unwrap_or(NATIVE_MAX);
        let device = Device::new(backend, state, documents, self.faults, self.boot_log, overlay_above)?;
        let device = Arc::new(SharedDevice::new(device));
        let tcp = TcpTransport::start(self.tcp, &device)?;
        let unix = self.unix.map(|path| UnixTransport::start(&path, &device)).transpose()?;
        let pty = self.pty.map(|path| PtyTransport::start(&path, &device)).transpose()?;
        let fuse = self.fuse.map(|path| FuseTransport::start(&path, &device)).transpose()?;
        Ok(NitroTpm { _fuse: fuse, _pty: pty, _unix: unix, tcp, device, directory, _temporary: temporary })
    }
}

/// A running NitroTPM. Dropping it shuts the TPM down, ends swtpm and closes all connections; a process that is killed
/// leaves no swtpm behind either.
///
/// ```no_run
/// let tpm = nitrotpm_emulator::NitroTpm::start()?;
/// std::process::Command::new("tpm2_pcrread").env("TPM2TOOLS_TCTI", tpm.tcti()).status().unwrap();
/// # Ok::<(), nitrotpm_emulator::EmulatorError>(())
/// ```
pub struct NitroTpm {
    // Dropped in this order: no client is left when the TPM ends, no TPM when its directory goes.
    _fuse: Option<FuseTransport>,
    _pty: Option<PtyTransport>,
    _unix: Option<UnixTransport>,
    tcp: TcpTransport,
    device: Arc<SharedDevice>,
    directory: PathBuf,
    _temporary: Option<TempDir>,
}

impl NitroTpm {
    /// A new TPM with a temporary directory and free ports of its own: as many as wanted run side by side.
    ///
    /// # Errors
    /// [`EmulatorError`] says what is missing or in the way.
    pub fn start() -> Result<Self, EmulatorError> {
        Self::builder().start()
    }

    /// A TPM with state, places and behaviour as chosen.
    #[must_use]
    pub fn builder() -> NitroTpmBuilder {
        NitroTpmBuilder::default()
    }

    /// Executes one command, given with its header, as a client of any transport would. No bytes are the answer where the
    /// device loses it ([`Fault::DroppedResponse`]).
    #[must_use]
    pub fn execute(&self, command: &[u8]) -> Vec<u8> {
        match self.device.execute(command) {
            Reply::Response(response) => response,
            Reply::Dropped => Vec::new(),
        }
    }

    /// The certificate, in PEM, under which this device's documents verify.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.device.with(|device| device.documents.root_pem())
    }

    /// The module id in this device's documents.
    #[must_use]
    pub fn module_id(&self) -> String {
        self.device.with(|device| device.documents.module_id().to_owned())
    }

    /// A document as the vendor command makes it, without the TPM commands around it; faults show in it as they do there.
    ///
    /// # Errors
    /// [`EmulatorError::Issuer`] where it cannot be made, [`EmulatorError::SwtpmLost`] where swtpm has ended.
    pub fn document(
        &self,
        public_key: Option<&[u8]>,
        user_data: Option<&[u8]>,
        nonce: Option<&[u8]>,
    ) -> Result<Vec<u8>, EmulatorError> {
        let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
        let fields = Fields { public_key: owned(public_key), user_data: owned(user_data), nonce: owned(nonce) };
        self.device.with(|device| {
            let pcrs = device.backend.pcrs(Bank::Sha384)?;
            let made = device.documents.make(fields, pcrs, &device.faults);
            made.map_err(|source| EmulatorError::Issuer { source })
        })
    }

    /// What became of the boot log at the last start; `None` where there is none.
    #[must_use]
    pub fn boot_log_report(&self) -> Option<BootLogReport> {
        self.device.with(|device| device.boot_log_report.clone())
    }

    /// What this device does wrong from now on.
    pub fn set_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.device.with(|device| device.faults = faults.into_iter().collect());
    }

    /// The device's clock from now on.
    pub fn set_clock(&self, clock: DeviceClock) {
        self.device.with(|device| device.documents.set_clock(clock));
    }

    /// The port on 127.0.0.1 that takes TPM commands. Control is on the next one.
    #[must_use]
    pub const fn tcp_port(&self) -> u16 {
        self.tcp.port()
    }

    /// What to give libtss2, tpm2-tools and tss-esapi as the TCTI.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.tcp_port())
    }

    /// The directory with the TPM's state and the files for its users.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The PCRs of a bank as they are now; none where the bank is off.
    ///
    /// # Errors
    /// [`EmulatorError`] where swtpm has ended.
    pub fn pcrs(&self, bank: Bank) -> Result<PcrValues, EmulatorError> {
        self.device.with(|device| device.backend.pcrs(bank))
    }

    /// The public part of an endorsement key, as EC2's GetInstanceTpmEkPub gives it. It is the same each time; making it
    /// takes a tenth of a second and more for RSA.
    ///
    /// # Errors
    /// [`EmulatorError::Tpm`] where the endorsement hierarchy has an authorization value, or no room for one more object.
    pub fn ek_public(&self, kind: EkKind) -> Result<EkPublic, EmulatorError> {
        self.device.with(|device| ek::public(&mut device.backend, kind))
    }

    /// Writes both endorsement keys into the directory: `ek-pub.der` and `ek-pub.tpmt` of the RSA key, and
    /// `ek-pub-ecc-sec-p384.der` and `.tpmt`.
    ///
    /// # Errors
    /// As of [`Self::ek_public`], or where the directory is not writable.
    pub fn write_ek_public(&self) -> Result<(), EmulatorError> {
        self.device.with(|device| {
            for kind in EkKind::ALL {
                let public = ek::public(&mut device.backend, kind)?;
                let stem = match kind {
                    EkKind::Rsa2048 => "ek-pub".to_owned(),
                    EkKind::EccP384 => format!("ek-pub-{}", kind.name()),
                };
                device.state.write(&format!("{stem}.der"), &public.der)?;
                device.state.write(&format!("{stem}.tpmt"), &public.tpmt)?;
            }
            Ok(())
        })
    }

    /// Switches the machine off and on: sessions, loaded objects and PCRs go, TPM2_Startup(CLEAR) is sent, and
    /// the boot log, if there is one, measured again. (A reset through the control channel leaves both to the client.)
    ///
    /// # Errors
    /// [`EmulatorError`] where swtpm has ended.
    pub fn reset(&self) -> Result<(), EmulatorError> {
        self.device.with(|device| device.reset())
    }

    /// Whether swtpm is running. Without it each command is answered TPM_RC_FAILURE.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.device.with(|device| device.backend.is_running())
    }

    /// Whether a client has shut the TPM down over the control channel (`swtpm_ioctl -s`). Nothing brings it back.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.device.with(|device| device.shut_down)
    }

    /// The process id of swtpm.
    #[must_use]
    pub fn swtpm_process(&self) -> u32 {
        self.device.with(|device| device.backend.process())
    }
}

impl Drop for NitroTpm {
    fn drop(&mut self) {
        self.device.with(|device| device.backend.end());
    }
}

impl fmt::Debug for NitroTpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NitroTpm").field("directory", &self.directory()).field("tcti", &self.tcti()).finish()
    }
}

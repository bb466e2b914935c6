//! NV indices larger than libtpms holds (2,048 bytes; AWS's client defines 8,192).
//!
//! The contents are kept here; swtpm has a placeholder of eight bytes with the same handle, attributes and authorization
//! value. It does all checks: existence, rights, locks, written, dictionary attack.

use std::collections::BTreeMap;

use crate::EmulatorError;
use crate::state::StateDir;
use crate::wire::{Malformed, Put, Reader};

/// The largest index that libtpms holds (`TpmProfile.h`, `MAX_NV_INDEX_SIZE`).
pub(crate) const NATIVE_MAX: u16 = 2048;
/// The largest index of the emulator, as of NitroTPM.
pub(crate) const MAX: u16 = 8192;
/// Bytes of a placeholder.
pub(crate) const PLACEHOLDER: u16 = 8;

/// Bits of an index' attributes (`TPMA_NV`).
pub(crate) mod nv_attribute {
    pub(crate) const PPWRITE: u32 = 1 << 0;
    pub(crate) const OWNERWRITE: u32 = 1 << 1;
    pub(crate) const AUTHWRITE: u32 = 1 << 2;
    /// Counter, bit field, extend or PIN: anything but zero is no index of ordinary data.
    pub(crate) const TYPE: u32 = 0xf << 4;
    pub(crate) const WRITELOCKED: u32 = 1 << 11;
    pub(crate) const WRITEALL: u32 = 1 << 12;
    pub(crate) const NO_DA: u32 = 1 << 25;
    pub(crate) const ORDERLY: u32 = 1 << 26;
    pub(crate) const CLEAR_STCLEAR: u32 = 1 << 27;
    pub(crate) const PLATFORMCREATE: u32 = 1 << 30;
    pub(crate) const PPREAD: u32 = 1 << 16;
    pub(crate) const OWNERREAD: u32 = 1 << 17;
    pub(crate) const AUTHREAD: u32 = 1 << 18;
}

/// The public area of an NV index (`TPMS_NV_PUBLIC`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NvPublic {
    pub(crate) handle: u32,
    pub(crate) name_algorithm: u16,
    pub(crate) attributes: u32,
    pub(crate) policy: Vec<u8>,
    pub(crate) size: u16,
}

impl NvPublic {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let public = Self {
            handle: reader.u32()?,
            name_algorithm: reader.u16()?,
            attributes: reader.u32()?,
            policy: reader.sized()?.to_vec(),
            size: reader.u16()?,
        };
        reader.end()?;
        Ok(public)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let mut bytes = Vec::with_capacity(80);
        bytes.put_u32(self.handle);
        bytes.put_u16(self.name_algorithm);
        bytes.put_u32(self.attributes);
        bytes.put_sized(&self.policy)?;
        bytes.put_u16(self.size);
        Ok(bytes)
    }

    /// Whether a placeholder can stand in for an index like this. Any other is left to swtpm, which refuses it with a
    /// reason of its own.
    const fn is_suited(&self) -> bool {
        let unsuited =
            nv_attribute::TYPE | nv_attribute::WRITEALL | nv_attribute::ORDERLY | nv_attribute::CLEAR_STCLEAR;
        self.size <= MAX && self.attributes & unsuited == 0
    }
}

/// The contents of the large indices, in memory and on disk.
pub(crate) struct Overlay {
    indices: BTreeMap<u32, Vec<u8>>,
    /// Indices of more than so many bytes are kept here: what libtpms does not hold, or less in a test that compares.
    above: u16,
}

/// First bytes of a file with an index' contents.
const MAGIC: &[u8] = b"nitrotpm-nv 1\n";

fn file_name(handle: u32) -> String {
    format!("nv/{handle:08x}")
}

impl Overlay {
    /// Reads the indices from the state directory.
    pub(crate) fn load(state: &StateDir, above: u16) -> Result<Self, EmulatorError> {
        let mut indices = BTreeMap::new();
        for name in state.list("nv")? {
            // Left over by a process that was killed while it wrote.
            let Some(handle) = (name.len() == 8).then(|| u32::from_str_radix(&name, 16).ok()).flatten() else {
                state.remove(&format!("nv/{name}"))?;
                continue;
            };
            let damaged = |what| EmulatorError::StateDamaged { path: state.path(&file_name(handle)), what };
            let bytes = state.read(&file_name(handle))?.unwrap_or_default();
            let data = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no file of this emulator"))?;
            if data.len() <= usize::from(above) || data.len() > usize::from(MAX) {
                return Err(damaged("it has not the length of a large index"));
            }
            indices.insert(handle, data.to_vec());
        }
        Ok(Self { indices, above })
    }

    /// Whether an index like this is to be kept here.
    pub(crate) const fn takes(&self, public: &NvPublic) -> bool {
        public.size > self.above && public.is_suited()
    }

    pub(crate) fn contains(&self, handle: u32) -> bool {
        self.indices.contains_key(&handle)
    }

    pub(crate) fn handles(&self) -> Vec<u32> {
        self.indices.keys().copied().collect()
    }

    pub(crate) fn data(&self, handle: u32) -> Option<&[u8]> {
        self.indices.get(&handle).map(Vec::as_slice)
    }

    /// Keeps an index' contents: on disk first, so that what is acknowledged is not lost.
    pub(crate) fn put(&mut self, state: &StateDir, handle: u32, data: Vec<u8>) -> Result<(), EmulatorError> {
        let mut bytes = MAGIC.to_vec();
        bytes.put(&data);
        state.write(&file_name(handle), &bytes)?;
        self.indices.insert(handle, data);
        Ok(())
    }

    /// Forgets an index that swtpm no longer has.
    pub(crate) fn remove(&mut self, state: &StateDir, handle: u32) -> Result<(), EmulatorError> {
        self.indices.remove(&handle);
        state.remove(&file_name(handle))
    }
}

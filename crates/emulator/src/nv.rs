//! Commands that name a large NV index: translated to its placeholder, answered from the overlay.

use crate::EmulatorError;
use crate::authorize::{nv_name, placeholder};
use crate::device::{Device, Stop};
use crate::overlay::{NvPublic, PLACEHOLDER};
use crate::wire::{self, Command, Put, Reader, cc, rc, session_attribute, sized};

/// The most bytes of one NV_Read or NV_Write (TPM_PT_NV_BUFFER_MAX).
pub(crate) const NV_BUFFER: usize = 1024;

/// Parameters of NV_Read: the first byte.
pub(crate) const READ_ONE: [u8; 4] = [0, 1, 0, 0];

impl Device {
    /// TPM2_NV_DefineSpace: `None` where it is not for the overlay, and goes to swtpm as it is.
    pub(crate) fn define(&mut self, command: &Command<'_>) -> Result<Option<Vec<u8>>, Stop> {
        let mut reader = Reader::new(command.parameters);
        let read = reader.sized().and_then(|_| reader.sized()).and_then(NvPublic::parse);
        // Only the first parameter, the authorization value, may be encrypted.
        let Ok(public) = read else { return Ok(None) };
        if reader.end().is_err() || !self.overlay.takes(&public) || command.authorizations.is_empty() {
            return Ok(None);
        }
        refuse_audit(command)?;
        let mut authorized = self.authorize(command, None)?;
        let plain = authorized.parameters()?;
        let auth = Reader::new(&plain).sized()?;
        let mut parameters = sized(auth)?;
        parameters.put_sized(&placeholder(&public).encode()?)?;
        let handle = public.handle;
        // On disk before the placeholder exists: whoever is killed in between leaves a file without placeholder, which
        // the next start removes, and never a placeholder that looks like an index of eight bytes.
        let is_new = self.native_public(handle)?.is_none();
        if is_new {
            self.auths.remove(&handle);
            self.overlay.put(&self.state, handle, vec![0xff; usize::from(public.size)])?;
        }
        match self.native(&mut authorized, cc::NV_DEFINE_SPACE, &parameters, false) {
            Ok(_) => Ok(Some(authorized.answer(&[])?)),
            Err(stop) => {
                if is_new {
                    self.overlay.remove(&self.state, handle)?;
                }
                Err(stop)
            }
        }
    }

    /// A command with a large index among its handles.
    pub(crate) fn overlaid(&mut self, command: &Command<'_>, bytes: &[u8]) -> Result<Vec<u8>, Stop> {
        let large = command.handles.iter().copied().find(|handle| self.overlay.contains(*handle));
        let Some(handle) = large else { return Ok(self.backend.transact(bytes)?) };
        match command.code {
            // They would tell of the placeholder: its Name or its contents.
            cc::NV_CERTIFY | cc::POLICY_NV | cc::POLICY_SECRET => return Err(Stop::Code(rc::COMMAND_CODE)),
            _ => refuse_audit(command)?,
        }
        match command.code {
            cc::NV_READ_PUBLIC if command.parameters.is_empty() => self.read_public(command, handle),
            // Without authorization: swtpm says so, or it is a command that needs none.
            _ if command.authorizations.is_empty() => Ok(self.backend.transact(bytes)?),
            cc::NV_WRITE => self.write(command, handle),
            cc::NV_READ => self.read(command, handle),
            _ => {
                let response = self.resigned(command)?;
                self.auths.remove(&handle);
                if matches!(command.code, cc::NV_UNDEFINE_SPACE | cc::NV_UNDEFINE_SPACE_SPECIAL) {
                    self.overlay.remove(&self.state, handle)?;
                }
                Ok(response)
            }
        }
    }

    fn read_public(&mut self, command: &Command<'_>, handle: u32) -> Result<Vec<u8>, Stop> {
        let mut authorized = self.authorize(command, None)?;
        self.native(&mut authorized, cc::NV_READ_PUBLIC, &[], false)?;
        let public = self.client_public(handle)?.ok_or(Stop::Code(rc::FAILURE))?;
        let mut parameters = sized(&public.encode()?)?;
        parameters.put_sized(&nv_name(&public)?)?;
        authorized.answer(&parameters)
    }

    fn write(&mut self, command: &Command<'_>, handle: u32) -> Result<Vec<u8>, Stop> {
        let mut authorized = self.authorize(command, None)?;
        let plain = authorized.parameters()?;
        let mut reader = Reader::new(&plain);
        let read = reader.sized().and_then(|data| Ok((data, usize::from(reader.u16()?))));
        let (data, offset) = match read {
            Ok((data, offset)) if data.len() <= NV_BUFFER && reader.end().is_ok() => (data, offset),
            // Malformed, or too much at once: swtpm says which.
            _ => return self.resigned(command),
        };
        let contents = self.overlay.data(handle).ok_or(Stop::Code(rc::FAILURE))?;
        let (shadow_size, shadow_offset) = shadow(data.len(), offset, contents.len());
        let mut replaced = contents.to_vec();
        if let Some(target) = offset.checked_add(data.len()).and_then(|end| replaced.get_mut(offset..end)) {
            target.copy_from_slice(data);
        }
        let mut parameters = sized(data.get(..usize::from(shadow_size)).unwrap_or_default())?;
        parameters.put_u16(shadow_offset);
        self.native(&mut authorized, cc::NV_WRITE, &parameters, false)?;
        self.overlay.put(&self.state, handle, replaced)?;
        if offset == 0 {
            // The start of a request, most likely: the vendor command will be there within this second.
            self.documents.prepare();
        }
        authorized.answer(&[])
    }

    fn read(&mut self, command: &Command<'_>, handle: u32) -> Result<Vec<u8>, Stop> {
        let mut authorized = self.authorize(command, None)?;
        let mut reader = Reader::new(command.parameters);
        let read = reader.u16().and_then(|size| Ok((usize::from(size), usize::from(reader.u16()?))));
        let (size, offset) = match read {
            Ok(range) if reader.end().is_ok() => range,
            _ => return self.resigned(command),
        };
        let contents = self.overlay.data(handle).ok_or(Stop::Code(rc::FAILURE))?;
        let wanted = offset.checked_add(size).and_then(|end| contents.get(offset..end)).map(<[u8]>::to_vec);
        let (mut shadow_size, shadow_offset) = shadow(size, offset, contents.len());
        if size > NV_BUFFER {
            // More than fits into one answer, which is judged before the range.
            shadow_size = u16::try_from(size).map_err(|_| Stop::Code(rc::FAILURE))?;
        }
        let mut parameters = Vec::new();
        parameters.put_u16(shadow_size);
        parameters.put_u16(shadow_offset);
        self.native(&mut authorized, cc::NV_READ, &parameters, false)?;
        authorized.answer(&sized(&wanted.unwrap_or_default())?)
    }

    /// Removes what swtpm has no placeholder for: an index undefined by TPM2_Clear, or half defined when the emulator was
    /// killed.
    pub(crate) fn reconcile(&mut self) -> Result<(), EmulatorError> {
        self.publics.clear();
        for handle in self.overlay.handles() {
            self.auths.remove(&handle);
            let placeholder = self.native_public(handle)?.is_some_and(|public| public.size == PLACEHOLDER);
            if !placeholder {
                self.overlay.remove(&self.state, handle)?;
            }
        }
        Ok(())
    }
}

/// Size and offset for the placeholder that say of it what the client's say of the index: that they are in range, that the
/// offset is beyond the end, or that the end is. swtpm judges that in its order, after existence, rights and locks.
const fn shadow(size: usize, offset: usize, length: usize) -> (u16, u16) {
    if offset > length {
        (1, PLACEHOLDER + 1)
    } else if size > length.saturating_sub(offset) {
        (1, PLACEHOLDER)
    } else {
        // Nothing is nothing there too.
        (if size == 0 { 0 } else { 1 }, 0)
    }
}

/// An audit digest would be of swtpm's commands, not of the client's.
pub(crate) fn refuse_audit(command: &Command<'_>) -> Result<(), Stop> {
    refuse_attribute(command, session_attribute::AUDIT)
}

/// Refuses sessions with one of these attributes: TPM_RC_ATTRIBUTES, session 1 to 3.
pub(crate) fn refuse_attribute(command: &Command<'_>, attributes: u8) -> Result<(), Stop> {
    for (number, authorization) in (1u32..).zip(&command.authorizations) {
        if authorization.session != wire::rh::PASSWORD && authorization.has(attributes) {
            return Err(Stop::Code(rc::ATTRIBUTES_SESSION | (number << 8)));
        }
    }
    Ok(())
}

//! Commands that pass through, and what is learned from them. Observing never fails a command.

use crate::device::{Device, Stop};
use crate::overlay::MAX;
use crate::sessions::{Bound, Session};
use crate::wire::{self, Command, Malformed, Put, Reader, Response, cc, is_nv, rc, rh};

/// TPM_CAP_COMMANDS and TPM_CAP_TPM_PROPERTIES.
const COMMANDS: u32 = 2;
const PROPERTIES: u32 = 6;

/// `TPMA_CC` of the vendor command: vendor, command index 1, two handles.
const NSM_ATTRIBUTES: u32 = (1 << 29) | (2 << 25) | 1;

/// What EC2's device says of itself where swtpm says something else (`TPM_PT`).
const PROPERTIES_OF_NITROTPM: [(u32, u32); 6] = [
    (0x105, u32::from_be_bytes(*b"AMZN")), // manufacturer
    (0x106, u32::from_be_bytes(*b"Nitr")), // vendor string
    (0x107, u32::from_be_bytes(*b"oTPM")),
    (0x108, 0),
    (0x109, 0),
    (0x117, 8192), // largest NV index
];

impl Device {
    /// Gives swtpm the client's bytes and the client swtpm's, but for capabilities.
    pub(crate) fn pass(&mut self, command: &Command<'_>, bytes: &[u8]) -> Result<Vec<u8>, Stop> {
        let response = self.backend.transact(bytes)?;
        if Response::parse(&response).is_ok_and(|response| response.code == rc::SUCCESS) {
            // A response that cannot be read teaches nothing; a session that is not known can authorize no large index.
            match self.observe(command, &response) {
                Err(Stop::Emulator(error)) => return Err(error.into()),
                Ok(Some(rewritten)) => return Ok(rewritten),
                _ => {}
            }
        }
        Ok(response)
    }

    fn observe(&mut self, command: &Command<'_>, response: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
        let response = Response::parse(response)?;
        let shape = self.backend.shape(command.code).ok_or(Malformed)?;
        let parts = response.parts(shape.response_handle, &command.authorizations)?;
        self.sessions.roll(&parts.authorizations);
        match command.code {
            cc::START_AUTH_SESSION => {
                let handle = parts.handle.ok_or(Malformed)?;
                self.sessions.remove(handle);
                let mut session = Session::requested(&command.handles, command.parameters).ok_or(Malformed)?;
                // Under encryption the nonce is not readable; the next response in the session tells the next one.
                let encrypted = command.authorizations.iter().any(|sent| sent.has(wire::session_attribute::ENCRYPT));
                if !encrypted {
                    session.nonce_tpm = Some(Reader::new(parts.parameters).sized()?.to_vec());
                }
                if let Some(bind) = command.handles.get(1).copied().filter(|bind| *bind != rh::NULL) {
                    session.bound = self.bound(bind)?;
                }
                self.sessions.insert(handle, session);
            }
            cc::FLUSH_CONTEXT => self.sessions.remove(Reader::new(command.parameters).u32()?),
            cc::STARTUP => self.sessions.clear(),
            cc::CLEAR => self.reconcile()?,
            cc::GET_CAPABILITY if command.authorizations.is_empty() => {
                return Ok(Some(capabilities(command.parameters, parts.parameters)?));
            }
            _ => {}
        }
        Ok(None)
    }

    /// What a session is bound to, where that can authorize a command on an NV index.
    fn bound(&mut self, handle: u32) -> Result<Option<Bound>, Stop> {
        let name = if is_nv(handle) {
            match self.native_public(handle)? {
                Some(public) => crate::authorize::nv_name(&public)?,
                None => return Ok(None),
            }
        } else if matches!(handle, rh::OWNER | rh::PLATFORM) {
            handle.to_be_bytes().to_vec()
        } else {
            return Ok(None);
        };
        Ok(Some(Bound { handle, name, auth: self.auth_value(handle)? }))
    }
}

/// The answer to TPM2_GetCapability as NitroTPM would give it: other properties, one more command.
fn capabilities(asked: &[u8], answer: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(asked);
    let (_, first, most) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let mut reader = Reader::new(answer);
    let (mut more, capability, count) = (reader.u8()?, reader.u32()?, reader.u32()?);
    let mut body = Vec::with_capacity(answer.len().saturating_add(4));
    match capability {
        PROPERTIES => {
            let mut properties = Vec::with_capacity(answer.len());
            for _ in 0..count {
                let (property, value) = (reader.u32()?, reader.u32()?);
                let ours = PROPERTIES_OF_NITROTPM.iter().find(|(ours, _)| *ours == property).map(|(_, value)| *value);
                // One command of a vendor, and so one command more.
                let counted = if matches!(property, 0x129 | 0x12b) { value.saturating_add(1) } else { value };
                properties.put_u32(property);
                properties.put_u32(ours.unwrap_or(counted));
            }
            body.put_u32(count);
            body.put(&properties);
        }
        COMMANDS => {
            let mut commands = reader.take(reader.rest().len())?.to_vec();
            let mut listed = count;
            // The list is ordered, and a vendor's commands come last.
            if more == 0 && first <= cc::NSM_REQUEST {
                if listed < most {
                    commands.put_u32(NSM_ATTRIBUTES);
                    listed = listed.saturating_add(1);
                } else {
                    more = 1;
                }
            }
            body.put_u32(listed);
            body.put(&commands);
        }
        _ => return Ok(wire::message(wire::NO_SESSIONS, rc::SUCCESS, answer)),
    }
    let mut parameters = vec![more];
    parameters.put_u32(capability);
    parameters.put(&body);
    Ok(wire::message(wire::NO_SESSIONS, rc::SUCCESS, &parameters))
}

const _: () = assert!(MAX == 8192);

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(capability: u32, first: u32, most: u32) -> Vec<u8> {
        [capability, first, most].iter().flat_map(|field| field.to_be_bytes()).collect()
    }

    fn list(more: u8, capability: u32, fields: &[u32], count: u32) -> Vec<u8> {
        let mut out = vec![more];
        out.put_u32(capability);
        out.put_u32(count);
        for field in fields {
            out.put_u32(*field);
        }
        out
    }

    fn parameters(response: &[u8]) -> Vec<u8> {
        Response::parse(response).unwrap().body.to_vec()
    }

    #[test]
    fn the_largest_index_and_the_names_are_nitrotpms() {
        let answer = list(1, PROPERTIES, &[0x105, 1, 0x110, 7, 0x117, 2048, 0x129, 100], 4);
        let rewritten = capabilities(&ask(PROPERTIES, 0x105, 4), &answer).unwrap();
        let expected = list(1, PROPERTIES, &[0x105, 0x414d_5a4e, 0x110, 7, 0x117, 8192, 0x129, 101], 4);
        assert_eq!(parameters(&rewritten), expected);
    }

    #[test]
    fn the_vendor_command_is_the_last_of_the_list() {
        let all = capabilities(&ask(COMMANDS, 0, 254), &list(0, COMMANDS, &[5, 6], 2)).unwrap();
        assert_eq!(parameters(&all), list(0, COMMANDS, &[5, 6, 0x2400_0001], 3));
        let full = capabilities(&ask(COMMANDS, 0, 2), &list(0, COMMANDS, &[5, 6], 2)).unwrap();
        assert_eq!(parameters(&full), list(1, COMMANDS, &[5, 6], 2));
        let not_yet = capabilities(&ask(COMMANDS, 0, 254), &list(1, COMMANDS, &[5, 6], 2)).unwrap();
        assert_eq!(parameters(&not_yet), list(1, COMMANDS, &[5, 6], 2));
        let only = capabilities(&ask(COMMANDS, 0x2000_0001, 1), &list(0, COMMANDS, &[], 0)).unwrap();
        assert_eq!(parameters(&only), list(0, COMMANDS, &[0x2400_0001], 1));
        let beyond = capabilities(&ask(COMMANDS, 0x2000_0002, 1), &list(0, COMMANDS, &[], 0)).unwrap();
        assert_eq!(parameters(&beyond), list(0, COMMANDS, &[], 0));
    }
}

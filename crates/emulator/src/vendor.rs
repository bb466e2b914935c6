//! NitroTPM's vendor command 0x20000001: the NSM request in an NV index is replaced by the response.
//!
//! `authHandle, nvIndex, one authorization, no parameters`. swtpm judges existence, authorization and the right to read by
//! an NV_Read in the client's session, and writes the index itself where it holds it.

use std::thread;
use std::time::Duration;

use nitrotpm_pcr::Bank;

use crate::Fault;
use crate::authorize::Authorized;
use crate::device::{Device, Stop};
use crate::nsm::{self, Refusal, Request};
use crate::nv::{NV_BUFFER, READ_ONE, refuse_attribute};
use crate::overlay::{NvPublic, nv_attribute as nv};
use crate::self_test::random;
use crate::wire::{Command, Put, Reader, SESSIONS, cc, is_nv, rc, rh, session_attribute};

/// What is assumed of the real device where nothing is documented and nobody could look: each of these rows is the
/// emulator's own choice, until somebody tries it on EC2.
pub const ASSUMPTIONS: &[(&str, &str)] = &[
    ("vendor command with parameters", "TPM_RC_SIZE (0x095)"),
    ("vendor command without sessions", "TPM_RC_AUTH_MISSING (0x125)"),
    ("vendor command in an unknown or flushed session", "TPM_RC_REFERENCE_S0 (0x918)"),
    ("vendor command whose second handle is no NV index", "TPM_RC_VALUE, handle 2 (0x284)"),
    ("vendor command in a policy session", "TPM_RC_AUTH_TYPE (0x124)"),
    ("vendor command with an audit, encrypt or decrypt session", "TPM_RC_ATTRIBUTES, session (0x982)"),
    ("vendor command on an index without AUTHWRITE, by its own authorization", "TPM_RC_AUTH_UNAVAILABLE (0x12f)"),
    ("vendor command on an index without OWNERWRITE, by the owner", "TPM_RC_NV_AUTHORIZATION (0x149)"),
    ("vendor command on an index locked against writing", "TPM_RC_NV_LOCKED (0x148)"),
    ("NSM response larger than the index", "success; the index holds the NSM error BufferTooSmall"),
    ("public key, user data or nonce of more than 1,024 bytes", "success; NSM error InputTooLarge"),
    ("malformed CBOR, text for bytes, a request of another name", "success; NSM error InvalidArgument"),
    ("DescribePCR, ExtendPCR, LockPCR, LockPCRs", "success; NSM error InvalidOperation"),
    ("DescribeNSM, GetRandom", "success; answered"),
    ("the response's authorization area", "as of any TPM command"),
    ("the command in TPM_CAP_COMMANDS", "listed as 0x24000001"),
    ("NV_Certify, PolicyNV and PolicySecret on an index of more than 2,048 bytes", "TPM_RC_COMMAND_CODE (0x143)"),
];

impl Device {
    /// Executes the vendor command.
    pub(crate) fn vendor(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        self.ill()?;
        if command.tag != SESSIONS {
            return Err(Stop::Code(rc::AUTH_MISSING));
        }
        if !command.parameters.is_empty() {
            return Err(Stop::Code(rc::SIZE));
        }
        let [authority, index] = *command.handles.as_slice() else { return Err(Stop::Code(rc::FAILURE)) };
        if !is_nv(index) {
            return Err(Stop::Code(rc::VALUE_HANDLE_2));
        }
        refuse_attribute(command, session_attribute::AUDIT | session_attribute::ENCRYPT | session_attribute::DECRYPT)?;
        let mut authorized = self.authorize(command, Some((cc::NV_READ, &READ_ONE)))?;
        if authorized.has_policy(self) {
            return Err(Stop::Code(rc::AUTH_TYPE));
        }
        let Some(public) = self.client_public(index)? else {
            // Not there: swtpm says so.
            self.native(&mut authorized, cc::NV_READ, &READ_ONE, false)?;
            return Err(Stop::Code(rc::FAILURE));
        };
        // Whether it may be written is judged first: once swtpm has executed a command in the session, the client could
        // not be refused any more without losing the session's nonce.
        if may(&public, authority, READ) {
            if !may(&public, authority, WRITE) {
                let own = authority == index;
                return Err(Stop::Code(if own { rc::AUTH_UNAVAILABLE } else { rc::NV_AUTHORIZATION }));
            }
            if public.attributes & nv::WRITELOCKED != 0 {
                return Err(Stop::Code(rc::NV_LOCKED));
            }
        }
        let size = usize::from(public.size);
        let contents = self.contents(&mut authorized, index, size)?;
        let response = self.respond(&contents, size)?;
        self.replace(&mut authorized, index, response)?;
        let mut answer = authorized.answer(&[])?;
        if self.faults.contains(&Fault::WrongHmac)
            && let Some(byte) = answer.last_mut()
        {
            *byte ^= 1;
        }
        Ok(answer)
    }

    /// What an ill device answers instead.
    fn ill(&self) -> Result<(), Stop> {
        let has = |fault| self.faults.contains(&fault);
        if has(Fault::Slow) {
            thread::sleep(Duration::from_secs(2));
        }
        let ills = [
            (Fault::NoVendorCommand, rc::COMMAND_CODE),
            (Fault::Failing, rc::FAILURE),
            (Fault::Retry, rc::RETRY),
            (Fault::Lockout, rc::LOCKOUT),
        ];
        ills.iter().find(|(fault, _)| has(*fault)).map_or(Ok(()), |(_, code)| Err(Stop::Code(*code)))
    }

    /// Reads the index with the client's authorization.
    fn contents(&mut self, authorized: &mut Authorized<'_>, index: u32, size: usize) -> Result<Vec<u8>, Stop> {
        if self.overlay.contains(index) {
            // The one command that swtpm gets: it lets go of the session if the client does.
            self.native(authorized, cc::NV_READ, &READ_ONE, false)?;
            return Ok(self.overlay.data(index).ok_or(Stop::Code(rc::FAILURE))?.to_vec());
        }
        let mut contents = Vec::with_capacity(size);
        while contents.len() < size {
            let length = size.saturating_sub(contents.len()).min(NV_BUFFER);
            let parameters = range(length, contents.len())?;
            let read = self.native(authorized, cc::NV_READ, &parameters, true)?;
            contents.put(Reader::new(&read).sized()?);
        }
        Ok(contents)
    }

    /// Writes the index with the client's authorization. The last command lets go of the session if the client does.
    fn replace(&mut self, authorized: &mut Authorized<'_>, index: u32, mut contents: Vec<u8>) -> Result<(), Stop> {
        if self.faults.contains(&Fault::Garbage) {
            contents.fill(0xff);
        }
        if self.overlay.contains(index) {
            // Nothing to write in swtpm, where the index is written already, as it was read; whether it may be written was
            // judged by its attributes.
            self.overlay.put(&self.state, index, contents)?;
            return Ok(());
        }
        let mut offset: usize = 0;
        let mut pieces = contents.chunks(NV_BUFFER).peekable();
        while let Some(piece) = pieces.next() {
            let mut parameters = Vec::new();
            parameters.put_sized(piece)?;
            parameters.put_u16(u16::try_from(offset).map_err(|_| Stop::Code(rc::FAILURE))?);
            self.native(authorized, cc::NV_WRITE, &parameters, pieces.peek().is_some())?;
            offset = offset.saturating_add(piece.len());
        }
        Ok(())
    }

    /// The NSM response, padded to the size of the index.
    fn respond(&mut self, contents: &[u8], size: usize) -> Result<Vec<u8>, Stop> {
        let has = |fault| self.faults.contains(&fault);
        let mut response = if has(Fault::InternalError) {
            Refusal::InternalError.response()
        } else if has(Fault::BufferTooSmall) {
            Refusal::BufferTooSmall.response()
        } else {
            match nsm::parse(contents) {
                Err(refusal) => refusal.response(),
                Ok(Request::DescribeNsm) => nsm::description(self.documents.module_id()),
                Ok(Request::GetRandom) => nsm::random(&random::<256>()?),
                Ok(Request::Attestation(fields)) => {
                    let pcrs = self.backend.pcrs(Bank::Sha384)?;
                    match self.documents.make(fields, pcrs, &self.faults) {
                        Ok(document) => nsm::attestation(&document),
                        Err(_) => Refusal::InternalError.response(),
                    }
                }
            }
        };
        if response.len() > size {
            response = Refusal::BufferTooSmall.response();
        }
        // Where not even that fits, what fits of it.
        response.resize(size, 0xff);
        Ok(response)
    }
}

/// Rights by owner, platform and the index itself.
const READ: [u32; 3] = [nv::OWNERREAD, nv::PPREAD, nv::AUTHREAD];
const WRITE: [u32; 3] = [nv::OWNERWRITE, nv::PPWRITE, nv::AUTHWRITE];

/// Whether the index can be read (written) on this authority.
fn may(public: &NvPublic, authority: u32, [owner, platform, auth]: [u32; 3]) -> bool {
    let needed = match authority {
        rh::OWNER => owner,
        rh::PLATFORM => platform,
        handle if handle == public.handle => auth,
        _ => return false,
    };
    public.attributes & needed != 0
}

/// Parameters of NV_Read.
fn range(size: usize, offset: usize) -> Result<Vec<u8>, Stop> {
    let field = |value: usize| u16::try_from(value).map_err(|_| Stop::Code(rc::FAILURE));
    let mut parameters = Vec::new();
    parameters.put_u16(field(size)?);
    parameters.put_u16(field(offset)?);
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_each_assumption() {
        let page = include_str!("../../../docs/emulator.md");
        for (request, answer) in ASSUMPTIONS {
            assert!(
                page.contains(&format!("| {request} | {answer} |")),
                "docs/emulator.md lacks: {request} | {answer}"
            );
        }
        let listed = page.lines().skip_while(|line| !line.starts_with("| request to the device")).skip(2);
        assert_eq!(listed.take_while(|line| line.starts_with('|')).count(), ASSUMPTIONS.len());
    }
}

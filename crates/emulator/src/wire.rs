//! TPM commands and responses as bytes: header, handles, authorization area, parameters (TPM 2.0 Library Part 1, 18).

/// The code of a command (`TPM_CC`).
pub(crate) mod cc {
    pub(crate) const NV_UNDEFINE_SPACE_SPECIAL: u32 = 0x11f;
    pub(crate) const NV_UNDEFINE_SPACE: u32 = 0x122;
    pub(crate) const CLEAR: u32 = 0x126;
    pub(crate) const NV_DEFINE_SPACE: u32 = 0x12a;
    pub(crate) const PCR_ALLOCATE: u32 = 0x12b;
    pub(crate) const CREATE_PRIMARY: u32 = 0x131;
    pub(crate) const NV_WRITE: u32 = 0x137;
    pub(crate) const DICTIONARY_ATTACK_LOCK_RESET: u32 = 0x139;
    pub(crate) const STARTUP: u32 = 0x144;
    pub(crate) const SHUTDOWN: u32 = 0x145;
    pub(crate) const POLICY_NV: u32 = 0x149;
    pub(crate) const NV_READ: u32 = 0x14e;
    pub(crate) const POLICY_SECRET: u32 = 0x151;
    pub(crate) const FLUSH_CONTEXT: u32 = 0x165;
    pub(crate) const NV_READ_PUBLIC: u32 = 0x169;
    pub(crate) const READ_PUBLIC: u32 = 0x173;
    pub(crate) const START_AUTH_SESSION: u32 = 0x176;
    pub(crate) const GET_CAPABILITY: u32 = 0x17a;
    pub(crate) const PCR_READ: u32 = 0x17e;
    pub(crate) const PCR_EXTEND: u32 = 0x182;
    pub(crate) const NV_CERTIFY: u32 = 0x184;
    /// NitroTPM's vendor command: the NSM request in an NV index is answered in that index.
    pub(crate) const NSM_REQUEST: u32 = 0x2000_0001;
}

/// Response codes (`TPM_RC`) that the emulator gives itself.
pub(crate) mod rc {
    pub(crate) const SUCCESS: u32 = 0;
    /// Parameters were present where there are none (TPM_RC_SIZE, without a number: the area as a whole).
    pub(crate) const SIZE: u32 = 0x095;
    pub(crate) const FAILURE: u32 = 0x101;
    pub(crate) const AUTH_TYPE: u32 = 0x124;
    pub(crate) const AUTH_MISSING: u32 = 0x125;
    pub(crate) const AUTH_UNAVAILABLE: u32 = 0x12f;
    pub(crate) const COMMAND_SIZE: u32 = 0x142;
    pub(crate) const COMMAND_CODE: u32 = 0x143;
    pub(crate) const NV_LOCKED: u32 = 0x148;
    pub(crate) const NV_AUTHORIZATION: u32 = 0x149;
    /// TPM_RC_VALUE, handle 2.
    pub(crate) const VALUE_HANDLE_2: u32 = 0x284;
    /// TPM_RC_ATTRIBUTES, to which the session's number is added.
    pub(crate) const ATTRIBUTES_SESSION: u32 = 0x882;
    pub(crate) const LOCKOUT: u32 = 0x921;
    pub(crate) const RETRY: u32 = 0x922;
}

/// Handles with a fixed meaning (`TPM_RH`, `TPM_RS`).
pub(crate) mod rh {
    pub(crate) const OWNER: u32 = 0x4000_0001;
    pub(crate) const NULL: u32 = 0x4000_0007;
    pub(crate) const PASSWORD: u32 = 0x4000_0009;
    pub(crate) const LOCKOUT: u32 = 0x4000_000a;
    pub(crate) const ENDORSEMENT: u32 = 0x4000_000b;
    pub(crate) const PLATFORM: u32 = 0x4000_000c;
}

/// The tag of a message without, and of one with, authorization area (`TPM_ST`).
pub(crate) const NO_SESSIONS: u16 = 0x8001;
pub(crate) const SESSIONS: u16 = 0x8002;

/// The longest command or response: what the NitroTPM's CRB buffer and the kernel's /dev/tpm0 take.
pub(crate) const MAX_MESSAGE: usize = 4096;

/// Bytes of a header: tag, size, code.
pub(crate) const HEADER: usize = 10;

/// Bits of a session's attributes (`TPMA_SESSION`).
pub(crate) mod session_attribute {
    pub(crate) const CONTINUE: u8 = 0x01;
    pub(crate) const DECRYPT: u8 = 0x20;
    pub(crate) const ENCRYPT: u8 = 0x40;
    pub(crate) const AUDIT: u8 = 0x80;
}

/// Whether a handle names an NV index.
pub(crate) const fn is_nv(handle: u32) -> bool {
    handle >> 24 == 0x01
}

/// The bytes are not what the structure demands: too few, too many, or a length that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads big-endian fields from the front of some bytes.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A TPM2B: two bytes of length, then as many bytes.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Appends big-endian fields.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }
    /// A TPM2B.
    fn put_sized(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.put_u16(u16::try_from(bytes.len()).map_err(|_| Malformed)?);
        self.put(bytes);
        Ok(())
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A TPM2B with these contents.
pub(crate) fn sized(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(bytes.len().saturating_add(2));
    out.put_sized(bytes)?;
    Ok(out)
}

/// One authorization of a command (`TPMS_AUTH_COMMAND`) or of a response (`TPMS_AUTH_RESPONSE`, which names no session).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) session: u32,
    pub(crate) nonce: Vec<u8>,
    pub(crate) attributes: u8,
    pub(crate) hmac: Vec<u8>,
}

impl Authorization {
    /// The password session with this password.
    pub(crate) fn password(password: &[u8]) -> Self {
        Self { session: rh::PASSWORD, nonce: Vec::new(), attributes: 0, hmac: password.to_vec() }
    }

    pub(crate) const fn has(&self, attribute: u8) -> bool {
        self.attributes & attribute != 0
    }
}

/// Tag and command code of a command whose size field is right.
pub(crate) fn command_header(bytes: &[u8]) -> Result<(u16, u32), Malformed> {
    let mut reader = Reader::new(bytes);
    let (tag, size, code) = (reader.u16()?, reader.u32()?, reader.u32()?);
    if usize::try_from(size) == Ok(bytes.len()) && bytes.len() <= MAX_MESSAGE {
        Ok((tag, code))
    } else {
        Err(Malformed)
    }
}

/// A command taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Command<'a> {
    pub(crate) tag: u16,
    pub(crate) code: u32,
    pub(crate) handles: Vec<u32>,
    pub(crate) authorizations: Vec<Authorization>,
    pub(crate) parameters: &'a [u8],
}

impl<'a> Command<'a> {
    /// Takes a command apart that has `handle_count` handles.
    pub(crate) fn parse(bytes: &'a [u8], handle_count: u8) -> Result<Self, Malformed> {
        let (tag, code) = command_header(bytes)?;
        let mut reader = Reader::new(bytes);
        reader.take(HEADER)?;
        let handles = (0..handle_count).map(|_| reader.u32()).collect::<Result<Vec<_>, _>>()?;
        let mut authorizations = Vec::new();
        if tag == SESSIONS {
            let size = usize::try_from(reader.u32()?).map_err(|_| Malformed)?;
            let mut area = Reader::new(reader.take(size)?);
            while !area.rest().is_empty() {
                let (session, nonce, attributes) = (area.u32()?, area.sized()?.to_vec(), area.u8()?);
                authorizations.push(Authorization { session, nonce, attributes, hmac: area.sized()?.to_vec() });
                // A TPM takes three sessions at most.
                if authorizations.len() > 3 {
                    return Err(Malformed);
                }
            }
            if authorizations.is_empty() {
                return Err(Malformed);
            }
        }
        Ok(Self { tag, code, handles, authorizations, parameters: reader.rest() })
    }
}

/// Puts a command together. The tag follows from whether there are authorizations.
pub(crate) fn command(
    code: u32,
    handles: &[u32],
    authorizations: &[Authorization],
    parameters: &[u8],
) -> Result<Vec<u8>, Malformed> {
    let mut body = Vec::with_capacity(parameters.len().saturating_add(256));
    for handle in handles {
        body.put_u32(*handle);
    }
    if !authorizations.is_empty() {
        let mut area = Vec::new();
        for authorization in authorizations {
            area.put_u32(authorization.session);
            area.put_sized(&authorization.nonce)?;
            area.put(&[authorization.attributes]);
            area.put_sized(&authorization.hmac)?;
        }
        body.put_u32(u32::try_from(area.len()).map_err(|_| Malformed)?);
        body.put(&area);
    }
    body.put(parameters);
    Ok(message(if authorizations.is_empty() { NO_SESSIONS } else { SESSIONS }, code, &body))
}

/// A response of a code alone.
pub(crate) fn response_code(code: u32) -> Vec<u8> {
    message(NO_SESSIONS, code, &[])
}

/// Header and body. A body is never longer than a message may be: it was read from one, or made of parts that were.
pub(crate) fn message(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let length = body.len().saturating_add(HEADER);
    let mut out = Vec::with_capacity(length);
    out.put_u16(tag);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out.put_u32(code);
    out.put(body);
    out
}

/// A response taken apart as far as its header.
#[derive(Clone, Copy)]
pub(crate) struct Response<'a> {
    pub(crate) tag: u16,
    pub(crate) code: u32,
    pub(crate) body: &'a [u8],
}

impl<'a> Response<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (tag, size, code) = (reader.u16()?, reader.u32()?, reader.u32()?);
        if usize::try_from(size) != Ok(bytes.len()) {
            return Err(Malformed);
        }
        Ok(Self { tag, code, body: reader.rest() })
    }

    /// Handle, parameters and authorizations of a response. The authorizations are in the order of the command's, and
    /// get its session handles.
    pub(crate) fn parts(self, has_handle: bool, sessions: &[Authorization]) -> Result<ResponseParts<'a>, Malformed> {
        let mut reader = Reader::new(self.body);
        let handle = if has_handle { Some(reader.u32()?) } else { None };
        if self.tag != SESSIONS {
            return Ok(ResponseParts { handle, parameters: reader.rest(), authorizations: Vec::new() });
        }
        let size = usize::try_from(reader.u32()?).map_err(|_| Malformed)?;
        let parameters = reader.take(size)?;
        let mut authorizations = Vec::with_capacity(sessions.len());
        for sent in sessions {
            let (nonce, attributes) = (reader.sized()?.to_vec(), reader.u8()?);
            let hmac = reader.sized()?.to_vec();
            authorizations.push(Authorization { session: sent.session, nonce, attributes, hmac });
        }
        reader.end()?;
        Ok(ResponseParts { handle, parameters, authorizations })
    }
}

/// A response's body taken apart.
pub(crate) struct ResponseParts<'a> {
    pub(crate) handle: Option<u32>,
    pub(crate) parameters: &'a [u8],
    pub(crate) authorizations: Vec<Authorization>,
}

/// A response with an authorization area, to a command whose response has no handle.
pub(crate) fn response(parameters: &[u8], authorizations: &[Authorization]) -> Result<Vec<u8>, Malformed> {
    if authorizations.is_empty() {
        return Ok(message(NO_SESSIONS, rc::SUCCESS, parameters));
    }
    let mut body = Vec::with_capacity(parameters.len().saturating_add(256));
    body.put_u32(u32::try_from(parameters.len()).map_err(|_| Malformed)?);
    body.put(parameters);
    for authorization in authorizations {
        body.put_sized(&authorization.nonce)?;
        body.put(&[authorization.attributes]);
        body.put_sized(&authorization.hmac)?;
    }
    Ok(message(SESSIONS, rc::SUCCESS, &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_comes_apart_into_what_it_was_made_of() {
        let authorization =
            Authorization { session: 0x0200_0000, nonce: vec![7; 32], attributes: 1, hmac: vec![9; 32] };
        let bytes = command(cc::NV_READ, &[1, 2], &[authorization.clone(), Authorization::password(b"x")], b"abc");
        let bytes = bytes.unwrap();
        let parsed = Command::parse(&bytes, 2).unwrap();
        assert_eq!(parsed.tag, SESSIONS);
        assert_eq!(parsed.handles, [1, 2]);
        assert_eq!(parsed.authorizations, [authorization, Authorization::password(b"x")]);
        assert_eq!(parsed.parameters, b"abc");
    }

    #[test]
    fn each_truncation_of_a_command_is_malformed() {
        let bytes = command(cc::NV_READ, &[1, 2], &[Authorization::password(b"x")], &[]).unwrap();
        assert!(Command::parse(&bytes, 2).is_ok());
        for length in 0..bytes.len() {
            // With the size field that fits the truncation, so that it is not that which is refused.
            let mut cut = bytes.get(..length).unwrap().to_vec();
            if let Some(field) = cut.get_mut(2..6) {
                field.copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
            }
            assert!(Command::parse(&cut, 2).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_size_field_that_lies_is_malformed() {
        let good = command(cc::NV_READ_PUBLIC, &[1], &[], &[]).unwrap();
        assert!(command_header(&good).is_ok());
        let mut longer = good.clone();
        longer.push(0);
        assert!(command_header(&longer).is_err());
        assert!(command_header(good.get(..9).unwrap()).is_err());
    }

    #[test]
    fn four_sessions_are_too_many() {
        let three = vec![Authorization::password(b""); 3];
        assert!(Command::parse(&command(1, &[], &three, &[]).unwrap(), 0).is_ok());
        let four = vec![Authorization::password(b""); 4];
        assert!(Command::parse(&command(1, &[], &four, &[]).unwrap(), 0).is_err());
    }
}

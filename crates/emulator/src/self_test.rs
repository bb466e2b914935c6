//! Proves at each start that session keys and authorization values are where [`crate::keys`] looks for them.

use nitrotpm_digest_lanes::HashAlgorithm;
use ring::rand::{SecureRandom, SystemRandom};

use crate::EmulatorError;
use crate::backend::Backend;
use crate::crypto::kdfa;
use crate::keys;
use crate::overlay::{NvPublic, nv_attribute as nv};
use crate::swtpm::Blob;
use crate::wire::{Authorization, Malformed, Put, cc, rh};

/// The index of the self-test, and its attributes: a combination that nobody else has a use for, so that an index left
/// behind by a start that was killed is recognised.
const INDEX: u32 = 0x013f_ff5e;
const ATTRIBUTES: u32 =
    nv::PPWRITE | nv::PPREAD | nv::OWNERREAD | nv::AUTHWRITE | nv::AUTHREAD | nv::NO_DA | nv::PLATFORMCREATE;

/// An index with a known authorization value and sessions bound to it, whose keys follow from that value: are they found?
pub(crate) fn run(backend: &mut Backend) -> Result<(), EmulatorError> {
    let doing = "run the emulator's self-test";
    let public =
        NvPublic { handle: INDEX, name_algorithm: 0x000b, attributes: ATTRIBUTES, policy: Vec::new(), size: 8 };
    let encoded = public.encode().map_err(|Malformed| EmulatorError::SwtpmAnswer { doing })?;
    let left_behind =
        backend.query(doing, cc::NV_READ_PUBLIC, &[INDEX], &[], |reader| NvPublic::parse(reader.sized()?));
    match left_behind {
        Ok(found) if found == public => undefine(backend, doing)?,
        Ok(_) => return Err(EmulatorError::SelfTestIndex { index: INDEX }),
        Err(EmulatorError::Tpm { .. }) => {}
        Err(error) => return Err(error),
    }

    let mut auth = random::<32>()?;
    if let Some(last) = auth.last_mut() {
        *last |= 1; // no trailing zero, which a TPM would drop
    }
    let mut parameters = Vec::new();
    let put = parameters.put_sized(&auth).and_then(|()| parameters.put_sized(&encoded));
    put.map_err(|Malformed| EmulatorError::SwtpmAnswer { doing })?;
    backend.run(doing, cc::NV_DEFINE_SPACE, &[rh::PLATFORM], &[Authorization::password(b"")], &parameters)?;
    let tested = compare(backend, doing, &encoded, &auth);
    undefine(backend, doing)?;
    tested
}

fn compare(backend: &mut Backend, doing: &'static str, public: &[u8], auth: &[u8]) -> Result<(), EmulatorError> {
    let check = |holds: bool, what| if holds { Ok(()) } else { Err(EmulatorError::SelfTest { what }) };
    let permanent = backend.state_blob(Blob::Permanent)?;
    check(keys::nv_auth(&permanent, public) == Some(auth), "the authorization value of an NV index")?;
    check(keys::owner_auth(&permanent).is_some(), "the owner's authorization value")?;
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let nonce_caller = random::<32>()?;
        let mut parameters = Vec::new();
        let put = parameters.put_sized(&nonce_caller).and_then(|()| parameters.put_sized(&[]));
        put.map_err(|Malformed| EmulatorError::SwtpmAnswer { doing })?;
        parameters.put(&[0]); // an HMAC session
        parameters.put_u16(0x0010); // no parameter encryption
        parameters.put_u16(algorithm.tpm_id());
        let (session, nonce_tpm) =
            backend.query(doing, cc::START_AUTH_SESSION, &[rh::NULL, INDEX], &parameters, |reader| {
                Ok((reader.u32()?, reader.sized()?.to_vec()))
            })?;
        let volatile = backend.state_blob(Blob::Volatile)?;
        backend.run(doing, cc::FLUSH_CONTEXT, &[], &[], &session.to_be_bytes())?;
        let bits = u32::try_from(algorithm.digest_len()).unwrap_or_default().saturating_mul(8);
        let expected = kdfa(algorithm, auth, "ATH", &nonce_tpm, &nonce_caller, bits);
        let found = keys::session_key(&volatile, algorithm.digest_len(), &nonce_tpm);
        check(found == Some(expected.as_slice()), "a session's key")?;
        // Empty: it has just authorized the definition of the index.
        check(keys::platform_auth(&volatile) == Some([].as_slice()), "the platform's authorization value")?;
    }
    Ok(())
}

fn undefine(backend: &mut Backend, doing: &'static str) -> Result<(), EmulatorError> {
    let platform = [Authorization::password(b"")];
    backend.run(doing, cc::NV_UNDEFINE_SPACE, &[rh::PLATFORM, INDEX], &platform, &[])?;
    Ok(())
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], EmulatorError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| EmulatorError::Random)?;
    Ok(bytes)
}

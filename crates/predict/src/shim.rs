//! shim and GRUB: the state they read, and what GRUB was told to do.

use nitrotpm_uefi::{SignatureDatabase, SignatureEntry, SignatureKind, SignatureList, guids};

use crate::PeImage;

/// The content of shim's variables, as Linux shows them in efivarfs after a boot.
#[derive(Clone, Copy, Debug)]
pub struct ShimState<'a> {
    /// `MokListRT`: the owner's keys, and shim's built-in vendor certificate.
    pub mok_list: &'a [u8],
    /// `MokListXRT`: what the owner and shim itself forbid. PCR 14 is known only with it; without it an image is taken
    /// as not forbidden by it.
    pub mok_list_x: Option<&'a [u8]>,
    /// `MokListTrustedRT`: one byte.
    pub mok_list_trusted: &'a [u8],
    /// `SbatLevelRT`: the text of the SBAT revocations.
    pub sbat_level: &'a [u8],
}

/// Something that GRUB measures while it runs its configuration.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum GrubMeasurement<'a> {
    /// A command, as GRUB prints it after `grub_cmd: ` (PCR 8).
    Command(&'a str),
    /// The kernel's command line, its file name first (PCR 8).
    KernelCommandLine(&'a str),
    /// A file that was read (PCR 9).
    File {
        /// The name as GRUB prints it.
        name: &'a str,
        /// The content.
        content: &'a [u8],
    },
}

/// shim's `SBAT_VAR_ORIGINAL`.
const FIRST_SBAT_LEVEL: &[u8] = b"sbat,1,2021030218\n";

/// The state of a shim whose owner enrolled nothing: MokList, MokListX and SbatLevel were never set, so that shim takes
/// what is built into it. Read from shim itself.
///
/// Seen in boots of Debian's shim 16.1; the form of the tables is that of shim ("cert.S", "include/sbat_var_defs.h").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimDefaults<'a> {
    mok_list: Vec<u8>,
    mok_list_x: &'a [u8],
    sbat_level: &'a [u8],
}

impl<'a> ShimDefaults<'a> {
    /// Reads what is built into shim.
    ///
    /// `None` for an image without shim's sections `.vendor_cert` and `.sbatlevel`, one whose tables lie about their
    /// sizes, and one whose vendor certificate is a list of several.
    #[must_use]
    pub fn of(shim: &PeImage<'a>) -> Option<Self> {
        let vendor = shim.long_named_section(".vendor_cert")?.content();
        let [allowed, forbidden, allowed_at, forbidden_at] = numbers(vendor)?;
        let certificate = part(vendor, allowed_at, allowed)?;
        // A list of several starts with the type of its first signature list; a certificate with a DER sequence.
        if certificate.first() != Some(&0x30) {
            return None;
        }
        let entry = SignatureEntry { owner: guids::SHIM_LOCK, data: certificate.to_vec() };
        let list = SignatureList::new(SignatureKind::X509, vec![entry]).ok()?;
        let sbat = shim.long_named_section(".sbatlevel")?.content();
        // Version 0: behind the version the offsets, counted from there, of the automatic and of the latest level.
        let [version, automatic, _] = numbers(sbat)?;
        let texts = sbat.get(4..)?;
        let text = texts.get(usize::try_from(automatic).ok()?..)?;
        let sbat_level = text.split(|byte| *byte == 0).next().filter(|text| text.starts_with(b"sbat,"))?;
        (version == 0).then_some(Self {
            mok_list: SignatureDatabase::new(vec![list]).to_bytes(),
            mok_list_x: part(vendor, forbidden_at, forbidden)?,
            sbat_level,
        })
    }

    /// The variables that Linux shows after a boot with this shim. With Secure Boot off shim takes the first SBAT level
    /// that there was, which revokes nothing.
    #[must_use]
    pub fn state(&self, secure_boot: bool) -> ShimState<'_> {
        ShimState {
            mok_list: &self.mok_list,
            mok_list_x: Some(self.mok_list_x),
            mok_list_trusted: &[1],
            sbat_level: if secure_boot { self.sbat_level } else { FIRST_SBAT_LEVEL },
        }
    }
}

/// The first numbers of a table, little-endian.
fn numbers<const N: usize>(table: &[u8]) -> Option<[u32; N]> {
    let (chunks, _) = table.as_chunks::<4>();
    let chunks = chunks.get(..N)?;
    let mut numbers = [0; N];
    numbers.iter_mut().zip(chunks).for_each(|(number, chunk)| *number = u32::from_le_bytes(*chunk));
    Some(numbers)
}

fn part(table: &[u8], start: u32, length: u32) -> Option<&[u8]> {
    table.get(usize::try_from(start).ok()?..)?.get(..usize::try_from(length).ok()?)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]
mod tests {
    use super::*;
    use crate::testing::image;

    fn table(numbers: &[u32], content: &[u8]) -> Vec<u8> {
        [numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>(), content.to_vec()].concat()
    }

    /// An image whose sections have long names, as shim's have: the string table lies behind its sections.
    fn shim(vendor: &[u8], sbat: &[u8]) -> Vec<u8> {
        let mut bytes = image(&[("/4", vendor), ("/17", sbat)]);
        let place = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        bytes[64 + 12..][..4].copy_from_slice(&place);
        bytes.extend_from_slice(b"\x23\0\0\0.vendor_cert\0.sbatlevel\0");
        bytes
    }

    const LEVEL: &str = "sbat,1,2025021800\nshim,4\n";

    fn vendor() -> Vec<u8> {
        table(&[3, 5, 16, 19], b"\x30\x01\x02dbxes")
    }

    fn sbat() -> Vec<u8> {
        table(&[0, 8, 34], [LEVEL, "\0sbat,1,2026010100\n\0"].concat().as_bytes())
    }

    fn of(vendor: &[u8], sbat: &[u8]) -> Option<ShimDefaults<'static>> {
        ShimDefaults::of(&PeImage::parse("shim", shim(vendor, sbat).leak()).unwrap())
    }

    #[test]
    fn the_defaults_are_the_vendors_certificate_his_dbx_and_the_automatic_sbat_level() {
        let defaults = of(&vendor(), &sbat()).unwrap();
        assert_eq!(defaults.state(false).sbat_level, b"sbat,1,2021030218\n");
        let state = defaults.state(true);
        let list = SignatureDatabase::parse(state.mok_list).unwrap();
        let entries: Vec<_> = list.entries().map(|(kind, entry)| (kind, entry.owner, entry.data.clone())).collect();
        assert_eq!(entries, [(SignatureKind::X509, guids::SHIM_LOCK, vec![0x30, 1, 2])]);
        assert_eq!((state.mok_list_x, state.mok_list_trusted), (Some(&b"dbxes"[..]), &[1][..]));
        assert_eq!(state.sbat_level, LEVEL.as_bytes());
    }

    #[test]
    fn tables_that_lie_give_nothing() {
        for (numbers, what) in [
            ([3, 5, 16, 20], "dbx ends outside"),
            ([3, 5, 16, u32::MAX], "dbx begins outside"),
            ([9, 5, 16, 19], "the certificate ends outside"),
            ([3, 5, 19, 19], "no certificate"),
            ([0, 5, 16, 19], "an empty certificate"),
        ] {
            assert_eq!(of(&table(&numbers, b"\x30\x01\x02dbxes"), &sbat()), None, "{what}");
        }
        assert_eq!(of(&[0x30; 15], &sbat()), None, "a table that is too short");
        for (numbers, what) in [([1, 8, 34], "version"), ([0, 9000, 34], "outside"), ([0, 9, 34], "no text of SBAT")] {
            assert_eq!(of(&vendor(), &table(&numbers, LEVEL.as_bytes())), None, "{what}");
        }
        let mut bytes = shim(&vendor(), &sbat());
        bytes[64 + 12..][..4].fill(0xFF);
        assert_eq!(ShimDefaults::of(&PeImage::parse("shim", &bytes).unwrap()), None, "no string table");
        let plain = image(&[(".text", b"shim")]);
        assert_eq!(ShimDefaults::of(&PeImage::parse("shim", &plain).unwrap()), None, "no sections");
    }
}

//! The number of a register.

use core::fmt;

/// The index of a PCR: 0 to 23 (TCG PC Client Platform TPM Profile, section 3.6.3: a platform TPM has 24 registers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// How many registers a bank has.
    pub const COUNT: u8 = 24;

    /// The index with this number, or `None` from 24 on.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// All indices in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        (0..Self::COUNT).map(Self)
    }

    /// What the register records, in a few words (TCG PC Client Platform Firmware Profile 1.06, section 3.3.4, and what
    /// systemd and GRUB document).
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self.0 {
            0 => "firmware code",
            1 => "firmware configuration",
            2 => "option ROM code",
            3 => "option ROM configuration",
            4 => "boot loader and kernel images",
            5 => "boot loader configuration and partition table",
            6 => "host platform events",
            7 => "Secure Boot state and keys",
            8 => "boot loader commands and kernel command line",
            9 => "files read by the boot loader, kernel command line and initrd",
            10 => "files measured by IMA",
            11 => "unified kernel image sections and boot phases",
            12 => "kernel command line overrides and credentials",
            13 => "system extensions",
            14 => "shim's machine owner keys",
            15 => "system identity",
            16 => "debug",
            17..=22 => "dynamic launch",
            _ => "application",
        }
    }

    /// Whether software at locality 0 may reset the register (16, debug, and 23, application): its value is then no
    /// evidence of what was booted.
    #[must_use]
    pub const fn is_resettable(self) -> bool {
        matches!(self.0, 16 | 23)
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<PcrIndex> for u8 {
    fn from(index: PcrIndex) -> Self {
        index.0
    }
}

impl From<PcrIndex> for usize {
    fn from(index: PcrIndex) -> Self {
        Self::from(index.0)
    }
}

impl TryFrom<u32> for PcrIndex {
    type Error = PcrIndexOutOfRange;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        u8::try_from(number).ok().and_then(Self::new).ok_or(PcrIndexOutOfRange { number })
    }
}

/// A number from 24 on where the index of a PCR was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{number} is not the index of a PCR; they go from 0 to 23")]
pub struct PcrIndexOutOfRange {
    /// The number found.
    pub number: u32,
}

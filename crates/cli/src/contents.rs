//! Large files in memory.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use memmap2::MmapMut;
use nitrotpm_disk_image::LARGEST_FILE;

use crate::exit::Failure;
use crate::input::read_image;

/// From this many bytes on a file is worth memory of its own: two large pages.
const LARGE: u64 = 4 << 20;

/// What a file has, read as a whole.
///
/// Most of the time that reading a large file takes is spent on handing out its pages of 4 KiB one by one. A large file is
/// read into pages of 2 MiB, where the kernel has them. The file itself is not mapped: what happens to it afterwards
/// changes nothing here.
pub(crate) enum Contents {
    Bytes(Vec<u8>),
    Pages(MmapMut),
}

impl Contents {
    /// Reads a part of an image to its end, or standard input for `-`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let pages = if path == Path::new("-") { None } else { large(path) };
        // All that can be wrong is said there.
        pages.map_or_else(|| read_image(path).map(Self::Bytes), |pages| Ok(Self::Pages(pages)))
    }
}

impl AsRef<[u8]> for Contents {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Pages(pages) => pages,
        }
    }
}

/// The contents of a regular, large file; `None` for any other, and where it is not as long as it said to be.
fn large(path: &Path) -> Option<MmapMut> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || !(LARGE..=LARGEST_FILE.into()).contains(&metadata.len()) {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let mut pages = MmapMut::map_anon(usize::try_from(metadata.len()).ok()?).ok()?;
    // A kernel without large pages refuses, and gives small ones.
    #[cfg(target_os = "linux")]
    let _refused = pages.advise(memmap2::Advice::HugePage);
    file.read_exact(&mut pages).ok()?;
    (file.read(&mut [0]).ok()? == 0).then_some(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_files_are_read_to_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (length, is_large) in [(0, false), (5, false), ((4 << 20) - 1, false), (4 << 20, true), (5_000_001, true)] {
            let bytes: Vec<u8> = (0..length).map(|i: u32| u8::try_from(i % 251).unwrap()).collect();
            std::fs::write(&path, &bytes).unwrap();
            let contents = Contents::read(&path).unwrap_or_else(|failure| panic!("{}", failure.message));
            assert!(contents.as_ref() == bytes, "{length} bytes");
            assert_eq!(matches!(contents, Contents::Pages(_)), is_large, "{length} bytes");
        }
        assert_eq!(Contents::read(&folder.path().join("none")).err().map(|failure| failure.code), Some("file.read"));
        assert_eq!(Contents::read(folder.path()).err().map(|failure| failure.code), Some("file.read"));
    }
}

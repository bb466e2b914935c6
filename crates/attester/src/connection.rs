//! How to reach the TPM.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::AttesterError;

/// How long a device may be in somebody else's hands, or full of somebody else's objects: `/dev/tpm0` and swtpm serve one
/// program at a time, and a TPM has three places.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How to reach the TPM, as libtss2 writes it.
///
/// Options that libtss2 does not know are refused here: its own parser drops them in silence, and
/// `swtpm:path=/run/tpm.sock` would talk to whatever listens on port 2321.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// `device:PATH`: a character device, or a file that behaves like one.
    Device(PathBuf),
    /// `swtpm:host=HOST,port=PORT`: the data port of swtpm; its control port is the next one.
    Swtpm {
        /// A name or an address.
        host: String,
        /// The data port.
        port: u16,
    },
    /// `mssim:host=HOST,port=PORT`: the reference simulator.
    Mssim {
        /// A name or an address.
        host: String,
        /// The command port.
        port: u16,
    },
    /// `tabrmd`: the resource manager daemon on the system's D-Bus.
    Tabrmd,
}

impl Connection {
    /// The resource manager's device, or the bare one where there is no resource manager.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let managed = Path::new("/dev/tpmrm0");
        Self::Device(if managed.exists() { managed.into() } else { "/dev/tpm0".into() })
    }
}

impl FromStr for Connection {
    type Err = AttesterError;

    fn from_str(text: &str) -> Result<Self, AttesterError> {
        let refuse = |detail| AttesterError::Connection { text: text.to_owned(), detail };
        let (kind, options) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "device" if options.is_empty() => Ok(Self::of_this_machine()),
            "device" => Ok(Self::Device(options.into())),
            "swtpm" | "mssim" => {
                let (mut host, mut port) = (None, None);
                for option in options.split(',').filter(|option| !option.is_empty()) {
                    match option.split_once('=') {
                        Some(("host", value)) if host.is_none() && is_host(value) => host = Some(value.to_owned()),
                        Some(("port", value)) if port.is_none() => {
                            let number = value.parse().ok().filter(|number| *number != 0);
                            port = Some(number.ok_or_else(|| refuse("the port is no number from 1 to 65535"))?);
                        }
                        Some(("path", _)) => {
                            return Err(refuse("libtss2 cannot use a socket's path, give host and port"));
                        }
                        _ => return Err(refuse("its options are host=… and port=…, once each")),
                    }
                }
                let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
                let port = port.unwrap_or(2321);
                Ok(if kind == "swtpm" { Self::Swtpm { host, port } } else { Self::Mssim { host, port } })
            }
            "tabrmd" if options.is_empty() => Ok(Self::Tabrmd),
            "tabrmd" => Err(refuse("tabrmd takes no options here")),
            _ => Err(refuse("its kind is not known")),
        }
    }
}

/// The characters of names, IPv4 and IPv6 addresses.
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    !text.is_empty() && text.bytes().all(allowed)
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(f, "device:{}", path.display()),
            Self::Swtpm { host, port } => write!(f, "swtpm:host={host},port={port}"),
            Self::Mssim { host, port } => write!(f, "mssim:host={host},port={port}"),
            Self::Tabrmd => f.pad("tabrmd"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_written_as_libtss2_takes_them() {
        for text in [
            "device:/dev/tpm0",
            "swtpm:host=127.0.0.1,port=2321",
            "swtpm:host=::1,port=9",
            "mssim:host=tpm.example,port=65535",
            "tabrmd",
        ] {
            assert_eq!(text.parse::<Connection>().unwrap().to_string(), text);
        }
        assert_eq!("swtpm".parse::<Connection>().unwrap().to_string(), "swtpm:host=127.0.0.1,port=2321");
    }

    #[test]
    fn options_that_libtss2_would_drop_are_refused() {
        assert!("swtpm:host=127.0.0.1,port=2321".parse::<Connection>().is_ok());
        for text in [
            "swtpm:path=/run/tpm.sock",
            "swtpm:port=0",
            "swtpm:port=65536",
            "swtpm:port=1,port=2",
            "swtpm:host=a b,port=1",
            "swtpm:localhost",
            "tabrmd:bus_name=x",
            "cmd:x",
            "",
        ] {
            assert_eq!(text.parse::<Connection>().unwrap_err().code(), "attester.connection", "{text}");
        }
    }
}

//! Which instance.

use core::fmt;
use core::str::FromStr;

use crate::EnrolmentError;

/// The identifier of an EC2 instance: `i-` and 8 to 17 lower-case hexadecimal digits. Nothing else is one, so that it can
/// be a file's name or a log's field without more care.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceId(String);

impl InstanceId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = EnrolmentError;

    fn from_str(text: &str) -> Result<Self, EnrolmentError> {
        let digits = text.strip_prefix("i-").ok_or(EnrolmentError::InstanceId)?;
        let hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !hexadecimal || !(8..=17).contains(&digits.len()) {
            return Err(EnrolmentError::InstanceId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e8_only_the_identifier_itself_is_accepted() {
        for good in ["i-01234567", "i-0123456789abcdef0"] {
            assert_eq!(good.parse::<InstanceId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "i-",
            "i-0123456",
            "i-0123456789abcdef01",
            "i-0123456789ABCDEF0",
            "i-../../../etc",
            "i-0123456789abcdef\n",
            " i-0123456789abcdef0",
            "j-0123456789abcdef0",
            "i-0123456789abcdeg0",
            "i-0123456789abcdef0-tpm0000000000000000",
        ] {
            assert_eq!(bad.parse::<InstanceId>().unwrap_err().code(), "credential.instance-id", "{bad:?}");
        }
    }
}

//! The grammar of identifiers: module ids and the common names of the chain.
//!
//! An identifier that passes here is safe in a file name, a URL path or a log line: lower-case letters, digits, `-` and
//! `.` only.

/// A NitroTPM module id taken apart: `i-01cfb383223e42522-tpm0000000000000000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModuleId<'a> {
    /// The instance's id: `i-` and 8 to 17 hexadecimal digits.
    pub(crate) instance_id: &'a str,
}

/// The longest module id that is looked at, in bytes; a real one has 39.
pub(crate) const MAX_MODULE_ID_LEN: usize = 128;

impl<'a> ModuleId<'a> {
    /// Takes a module id apart, or `None` where it is not one of a NitroTPM.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (instance_id, module) = text.split_once("-tpm")?;
        (is_instance_id(instance_id) && module.len() == 16 && is_lower_hex(module)).then_some(Self { instance_id })
    }
}

/// Whether a module id is one of a Nitro enclave: `…-enc` and hexadecimal digits. Looser than the grammar on purpose: it
/// only chooses the words of a refusal.
pub(crate) fn is_enclave_module_id(text: &str) -> bool {
    text.rsplit_once("-enc").is_some_and(|(_, module)| is_lower_hex(module))
}

/// Whether text is the id of an EC2 instance: `i-` and 8 to 17 lower-case hexadecimal digits.
#[must_use]
pub fn is_instance_id(text: &str) -> bool {
    text.strip_prefix("i-").is_some_and(|digits| (8..=17).contains(&digits.len()) && is_lower_hex(digits))
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The place a certificate chain speaks for, from the leaf's common name: `<module id>.<region>.<partition>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) region: &'a str,
    pub(crate) partition: &'a str,
}

impl<'a> Place<'a> {
    /// The place in the leaf's common name, or `None` where the name is not this module's.
    pub(crate) fn of_leaf(common_name: &'a str, module_id: &str) -> Option<Self> {
        let (region, partition) = common_name.strip_prefix(module_id)?.strip_prefix('.')?.split_once('.')?;
        // Partitions: `aws`, `aws-cn`, `aws-us-gov`, …
        (is_label(region) && is_label(partition) && partition.starts_with("aws")).then_some(Self { region, partition })
    }

    /// The common name of the certificate that speaks for one instance and issues the leaf.
    pub(crate) fn instance_name(&self, instance_id: &str) -> String {
        format!("{instance_id}.{}.{}.nitro-enclaves", self.region, self.partition)
    }

    /// What the common name of every certificate between the root and the leaf ends with.
    pub(crate) fn suffix(&self) -> String {
        format!(".{}.{}.nitro-enclaves", self.region, self.partition)
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_ids_of_a_nitrotpm_are_taken_apart() {
        let id = ModuleId::parse("i-01cfb383223e42522-tpm0000000000000000").unwrap();
        assert_eq!(id.instance_id, "i-01cfb383223e42522");
        assert_eq!(ModuleId::parse("i-12345678-tpm0000000000000001").unwrap().instance_id, "i-12345678");
    }

    #[test]
    fn e8_other_module_ids_are_not_ones_of_a_nitrotpm() {
        for text in [
            "",
            "i-01cfb383223e42522",
            "i-01cfb383223e42522-tpm",
            "i-01cfb383223e42522-tpm000000000000000",
            "i-01cfb383223e42522-tpm00000000000000000",
            "i-01CFB383223E42522-tpm0000000000000000",
            "i-1234567-tpm0000000000000000",
            "i-012345678901234567-tpm0000000000000000",
            "../i-01cfb383223e42522-tpm0000000000000000",
            "i-01cfb383223e42522-tpm0000000000000000\n",
            "i-01cfb383223e42522-enc0000000000000000",
            "i-12345678-tpm0000000000000000-tpm0000000000000000",
        ] {
            assert_eq!(ModuleId::parse(text), None, "{text:?}");
        }
        assert!(is_enclave_module_id("i-01cfb383223e42522-enc019b55a68bd2ed4b"));
        assert!(!is_enclave_module_id("i-01cfb383223e42522-tpm0000000000000000"));
    }

    #[test]
    fn the_place_is_taken_from_the_leaf_and_bound_to_the_module() {
        let module = "i-12345678-tpm0000000000000000";
        let place = Place::of_leaf("i-12345678-tpm0000000000000000.us-east-1.aws", module).unwrap();
        assert_eq!((place.region, place.partition), ("us-east-1", "aws"));
        assert_eq!(place.instance_name("i-12345678"), "i-12345678.us-east-1.aws.nitro-enclaves");
        for name in [
            "i-12345678-tpm0000000000000001.us-east-1.aws",
            "i-12345678-tpm0000000000000000.us-east-1",
            "i-12345678-tpm0000000000000000..aws",
            "i-12345678-tpm0000000000000000.us-east-1.example",
            "i-12345678-tpm0000000000000000.us-east-1.aws.nitro-enclaves",
            "i-12345678-tpm0000000000000000us-east-1.aws",
        ] {
            assert_eq!(Place::of_leaf(name, module), None, "{name}");
        }
    }
}

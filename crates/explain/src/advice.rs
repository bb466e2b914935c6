//! What to look at next.

use nitrotpm_eventlog::Cause;

/// What a person checks first where a difference comes from this.
pub(crate) const fn of(cause: Cause) -> &'static str {
    match cause {
        Cause::SecureBootPolicy => {
            "compare PK, KEK, db and dbx of the instance with those of the reference: aws ec2 get-instance-uefi-data"
        }
        Cause::KernelCommandLine => {
            "look who may write to the EFI system partition and to the boot entries, and hold .cmdline of the image \
             against the build"
        }
        Cause::Initrd => "hold the initrd, and credentials and extensions beside the image, against the build",
        Cause::BootImage => "hold the images on the EFI system partition against those that were built",
        Cause::BootOrder => "look at the boot entries (efibootmgr) and at what changed them",
        Cause::Firmware => "a change of Amazon's firmware, or another machine type: do not pin these registers",
        _ => "compare the event logs of both boots: nitrotpm eventlog diff",
    }
}

/// The same where nothing is known to compare with.
pub(crate) const fn without_reference(has_reference: bool) -> &'static str {
    if has_reference {
        "collect the event log with the evidence: its events tell which file or variable it was"
    } else {
        "give a prediction of the image, or the event log of a boot that is known to be good, as reference: its events \
         tell which file or variable it was"
    }
}

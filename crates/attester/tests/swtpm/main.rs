//! The attester against a software TPM: skipped in the open where swtpm is missing.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod enrolment;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod on_the_way;
#[cfg(test)]
mod program;
#[cfg(test)]
mod software_tpm;

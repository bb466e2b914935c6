//! DER, as far as a PKCS #7 signature needs it.

/// One element: its tag, its content, and all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) bytes: &'a [u8],
}

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// Context tag 0, constructed.
pub(crate) const CONTEXT_0: u8 = 0xA0;

/// Elements one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element: one-byte tag, definite length in its shortest form.
    pub(crate) fn next(&mut self) -> Option<Element<'a>> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        if tag & 0x1F == 0x1F {
            return None;
        }
        let (length, header) = if *first < 0x80 {
            (usize::from(*first), 2_usize)
        } else {
            let count = usize::from(first & 0x7F);
            if !(1..=4).contains(&count) {
                return None;
            }
            let digits = rest.get(..count)?;
            let length = digits.iter().fold(0_usize, |value, digit| value << 8 | usize::from(*digit));
            if digits.first() == Some(&0) || length < 0x80 {
                return None;
            }
            (length, count.checked_add(2)?)
        };
        let (bytes, rest) = self.0.split_at_checked(header.checked_add(length)?)?;
        self.0 = rest;
        Some(Element { tag: *tag, content: bytes.get(header..)?, bytes })
    }

    /// The next element if it has this tag; anything else ends the parse.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element only if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        let mut ahead = *self;
        let element = ahead.expect(tag)?;
        *self = ahead;
        Some(element)
    }
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub(crate) const fn inside(&self) -> Elements<'a> {
        Elements::new(self.content)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_have_one_form() {
        let long = [&[0x04, 0x81, 0x80][..], &[0; 0x80]].concat();
        assert_eq!(Elements::new(&long).next().unwrap().content.len(), 0x80);
        for refused in [
            &[0x04, 0x80, 0, 0][..],
            &[0x04, 0x81, 0x01, 0],
            &[0x04, 0x82, 0x00, 0x01, 0],
            &[0x04, 0x02, 0],
            &[0x04, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x1F, 0x01, 0],
            &[0x04],
        ] {
            assert_eq!(Elements::new(refused).next(), None, "{refused:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut elements = Elements::new(&bytes);
            while elements.next().is_some() {}
        }
    }
}

//! The order of versions (UAPI Group, "Version Format Specification"), as systemd-boot sorts its menu by it.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

/// What a version consists of; everything else only separates.
fn counts(character: char) -> bool {
    character.is_ascii_alphanumeric() || "~-^.".contains(character)
}

fn run(version: &mut Peekable<Chars<'_>>, belongs: impl Fn(&char) -> bool) -> String {
    let mut run = String::new();
    while let Some(character) = version.next_if(&belongs) {
        run.push(character);
    }
    run
}

/// Which of two versions is newer: `123~rc1` before `123` before `123-1` before `123^post1` before `123.1` before `124`.
#[must_use]
pub fn compare_versions(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one.chars().peekable(), two.chars().peekable());
    loop {
        run(&mut one, |character| !counts(*character));
        run(&mut two, |character| !counts(*character));
        // The mark of what comes before the release makes a version older, even than its end.
        match (one.next_if_eq(&'~').is_some(), two.next_if_eq(&'~').is_some()) {
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            _ => {}
        }
        match (one.peek(), two.peek()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            _ => {}
        }
        for separator in ['-', '^', '.'] {
            match (one.next_if_eq(&separator).is_some(), two.next_if_eq(&separator).is_some()) {
                (true, false) => return Ordering::Less,
                (false, true) => return Ordering::Greater,
                _ => {}
            }
        }
        let is_digit = |next: Option<&char>| next.is_some_and(char::is_ascii_digit);
        let order = if is_digit(one.peek()) || is_digit(two.peek()) {
            let (a, b) = (run(&mut one, char::is_ascii_digit), run(&mut two, char::is_ascii_digit));
            // A number is newer than letters; numbers of any length compare without being computed.
            let present = a.is_empty().cmp(&b.is_empty()).reverse();
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            present.then(a.len().cmp(&b.len())).then(a.cmp(b))
        } else {
            let (a, b) = (run(&mut one, char::is_ascii_alphabetic), run(&mut two, char::is_ascii_alphabetic));
            a.cmp(&b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of the specification, oldest first.
    #[test]
    fn versions_have_an_order() {
        let order = [
            "~",
            "",
            "0~rc1",
            "0",
            "122.1",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-1",
            "123-1.1",
            "123^post1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124-1",
        ];
        for (position, one) in order.iter().enumerate() {
            for (other, two) in order.iter().enumerate() {
                assert_eq!(compare_versions(one, two), position.cmp(&other), "{one:?} {two:?}");
            }
        }
        for (one, two) in [("00123", "123"), ("123_a", "123a"), ("1 2", "1_2"), ("", ""), ("_", "")] {
            assert_eq!(compare_versions(one, two), Ordering::Equal, "{one} {two}");
        }
        assert_eq!(compare_versions("6.1.0-100", "6.1.0-56"), Ordering::Greater);
        assert_eq!(compare_versions("99999999999999999999999", "100000000000000000000000"), Ordering::Less);
    }

    proptest! {
        #[test]
        fn it_is_an_order(one in "[0-9a-c~^.-]{0,8}", two in "[0-9a-c~^.-]{0,8}") {
            prop_assert_eq!(compare_versions(&one, &two), compare_versions(&two, &one).reverse());
            prop_assert_eq!(compare_versions(&one, &one), Ordering::Equal);
        }
    }
}

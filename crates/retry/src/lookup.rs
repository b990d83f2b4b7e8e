use http::{HeaderMap, HeaderName, HeaderValue};

/// Up to this many headers are looked at one by one, which takes less than to hash a long name.
const FEW: usize = 4;

/// Whether a header has a value like this.
#[inline]
pub(crate) fn any(
    headers: &HeaderMap,
    name: &HeaderName,
    is: impl Fn(&HeaderValue) -> bool,
) -> bool {
    if headers.len() > FEW {
        return headers.get_all(name).iter().any(is);
    }
    headers.iter().any(|(other, value)| other == name && is(value))
}

/// Whether a header is there.
#[inline]
pub(crate) fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    any(headers, name, |_| true)
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use super::*;

    #[test]
    fn of_few_headers_and_of_many_every_value_is_found() {
        let [wanted, other] = ["x-attempt", "x-other"].map(HeaderName::from_static);
        for before in 0..2 * FEW {
            let mut headers = HeaderMap::new();
            for number in 0..before {
                headers.append(&other, HeaderValue::from(number));
            }
            assert!(!has(&headers, &wanted), "{before} others");
            headers.append(&wanted, HeaderValue::from_static("1"));
            headers.append(&wanted, HeaderValue::from_static("2"));
            for (value, expected) in [("1", true), ("2", true), ("3", false)] {
                let found = any(&headers, &wanted, |found| found == value);
                assert_eq!(found, expected, "{value} among {before} others");
            }
            assert_eq!(has(&headers, &other), before > 0);
        }
    }
}

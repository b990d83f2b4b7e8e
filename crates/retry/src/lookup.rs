use http::{HeaderMap, HeaderName, HeaderValue};

/// Up to this many headers are looked at one by one, which takes less than to hash a long name.
const FEW: usize = 4;

/// The first value of a header.
#[inline]
pub(crate) fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    if headers.len() > FEW {
        return headers.get(name);
    }
    headers.iter().find(|&(other, _)| other == name).map(|(_, value)| value)
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use super::*;

    #[test]
    fn of_few_headers_and_of_many_the_first_value_is_found() {
        let [wanted, other] = ["x-attempt", "x-other"].map(HeaderName::from_static);
        for before in 0..2 * FEW {
            let mut headers = HeaderMap::new();
            for number in 0..before {
                headers.append(&other, HeaderValue::from(number));
            }
            assert_eq!(first(&headers, &wanted), None, "{before} others");
            headers.append(&wanted, HeaderValue::from_static("1"));
            headers.append(&wanted, HeaderValue::from_static("2"));
            assert_eq!(first(&headers, &wanted), headers.get(&wanted), "{before} others");
            assert_eq!(first(&headers, &other), headers.get(&other), "{before} others");
        }
    }
}

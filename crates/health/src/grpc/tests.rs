//! Held against prost, an implementation that is not ours.

use std::{collections::HashMap, sync::Arc};

use palisade_core::GrpcCode;
use proptest::{prelude::*, sample::select};
use prost::Message;

use super::{
    frame::{LONGEST, PREFIX},
    message::MOST_LISTED,
    *,
};
use crate::ServingStatus;

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthListRequest {}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[derive(Clone, PartialEq, Message)]
struct HealthListResponse {
    #[prost(map = "string, message", tag = "1")]
    statuses: HashMap<String, HealthCheckResponse>,
}

const STATUSES: [ServingStatus; 4] = [
    ServingStatus::Unknown,
    ServingStatus::Serving,
    ServingStatus::NotServing,
    ServingStatus::ServiceUnknown,
];

fn prefixed(flag: u8, length: usize, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("it is short").to_be_bytes();
    [&[flag][..], &length, message].concat()
}

fn gather<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Malformed> {
    let mut incoming = Incoming::new();
    parts.into_iter().try_for_each(|part| incoming.push(part))?;
    incoming.finish()
}

/// The message of an answer, which must be all there is in it.
fn unprefixed(answer: &[u8]) -> &[u8] {
    let (prefix, message) = answer.split_at(PREFIX);
    assert_eq!(prefix, prefixed(0, message.len(), &[]));
    message
}

#[test]
fn statuses_are_encoded_as_the_protocol_numbers_them() {
    for (number, status) in (0..).zip(STATUSES) {
        let answer = response(status);
        let decoded = HealthCheckResponse::decode(unprefixed(&answer)).unwrap();
        assert_eq!(decoded, HealthCheckResponse { status: number });
        assert_eq!(unprefixed(&answer), HealthCheckResponse { status: number }.encode_to_vec());
    }
}

#[test]
fn what_is_wrong_with_a_request_is_told() {
    let long = vec![0; LONGEST + 1];
    for (request, expected) in [
        (prefixed(1, 0, b""), Malformed::Compressed),
        (prefixed(2, 0, b""), Malformed::Garbage),
        (prefixed(0, LONGEST + 1, &long), Malformed::TooLong),
        (prefixed(0, usize::try_from(u32::MAX).unwrap(), b""), Malformed::TooLong),
        (prefixed(0, 3, b"ab"), Malformed::Truncated),
        (prefixed(0, 3, b"abcd"), Malformed::MoreThanOne),
        (prefixed(0, 0, b"")[..4].to_vec(), Malformed::Truncated),
        (Vec::new(), Malformed::Truncated),
    ] {
        assert_eq!(gather([&*request]), Err(expected), "{request:?}");
    }
    assert_eq!(Malformed::Compressed.code(), GrpcCode::Unimplemented);
    assert_eq!(Malformed::TooLong.code(), GrpcCode::ResourceExhausted);
    for malformed in [Malformed::Truncated, Malformed::MoreThanOne, Malformed::Garbage] {
        assert_eq!(malformed.code(), GrpcCode::InvalidArgument);
    }
    assert!(Malformed::TooLong.to_string().contains("4096"));
}

#[test]
fn the_longest_message_is_taken_and_no_byte_more_is_kept() {
    let longest = vec![0; LONGEST];
    let whole = prefixed(0, LONGEST, &longest);
    assert_eq!(gather([&*whole]), Ok(longest));
    let mut incoming = Incoming::new();
    incoming.push(&whole).unwrap();
    assert_eq!(incoming.push(&[0]), Err(Malformed::MoreThanOne));
    assert_eq!(incoming.push(&vec![0; 1 << 20]), Err(Malformed::MoreThanOne));
    assert_eq!(incoming.finish().map(|message| message.len()), Ok(LONGEST));
}

#[test]
fn more_than_a_hundred_services_are_not_listed() {
    let services = |number| {
        let name = |n: usize| (Arc::<str>::from(format!("service.{n}")), ServingStatus::Serving);
        (0..number).map(name).collect::<Vec<_>>()
    };
    let listed = list_response(&services(MOST_LISTED)).unwrap();
    let listed = HealthListResponse::decode(unprefixed(&listed)).unwrap();
    assert_eq!(listed.statuses.len(), 100);
    assert_eq!(list_response(&services(MOST_LISTED + 1)), Err(TooMany));
}

/// Fields that are neither, of all layouts, groups among them: what a later version may send.
#[test]
fn fields_of_later_versions_are_skipped() {
    let later = [
        &[0x10, 0x96, 0x01][..],
        b"\x0a\x03pkg",
        &[0x19, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x22, 2, 0xff, 0xff],
        &[0x2b, 0x10, 5, 0x33, 0x34, 0x2c],
        &[0x35, 1, 2, 3, 4],
    ]
    .concat();
    assert_eq!(check_request(&later), Ok("pkg"));
    assert_eq!(HealthCheckRequest::decode(&*later).unwrap().service, "pkg");
    assert_eq!(list_request(&later), Ok(()));
    // A group that another's end closes, one that nobody closes, and one too many within another.
    for garbage in [&[0x2b, 0x34][..], &[0x2b], &[0x2c]] {
        assert_eq!(list_request(garbage), Err(Malformed::Garbage), "{garbage:?}");
    }
    // A number of 64 bits, and one of 65.
    for (last, fits) in [(1, true), (2, false)] {
        let number = [&[0x10][..], &[0xff; 9], &[last]].concat();
        assert_eq!(list_request(&number).is_ok(), fits);
        assert_eq!(HealthListRequest::decode(&*number).is_ok(), fits);
    }
    for (deep, fits) in [(100, true), (101, false)] {
        let groups = [vec![0x2b; deep], vec![0x2c; deep]].concat();
        assert_eq!(list_request(&groups).is_ok(), fits);
        assert_eq!(HealthListRequest::decode(&*groups).is_ok(), fits);
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let field = (1..4_u8, 0..8_u8, any::<Vec<u8>>())
        .prop_map(|(number, layout, value)| [vec![number << 3 | layout], value].concat());
    let string = (1..3_u8, "[a-zA-Z.é]{0,20}").prop_map(|(number, name)| {
        let length = u8::try_from(name.len()).expect("it is short");
        [&[number << 3 | 2, length], name.as_bytes()].concat()
    });
    let varint = proptest::collection::vec(select(&[0x80_u8, 0xff, 0, 1, 2][..]), 1..12);
    prop_oneof![any::<Vec<u8>>(), field, string, varint]
}

proptest! {
    #[test]
    fn a_request_in_any_parts_is_the_request(
        service in ".{0,200}",
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let message = HealthCheckRequest { service: service.clone() }.encode_to_vec();
        let whole = prefixed(0, message.len(), &message);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|cut| &whole[cut[0]..cut[1]]);
        let gathered = gather(parts);
        prop_assert_eq!(gathered.as_deref(), Ok(&*message));
        prop_assert_eq!(check_request(&message), Ok(&*service));
    }

    #[test]
    fn whatever_comes_is_read_as_prost_reads_it(
        pieces in proptest::collection::vec(piece(), 0..5),
    ) {
        let message = pieces.concat();
        let ours = check_request(&message).map(str::to_owned).ok();
        let theirs = HealthCheckRequest::decode(&*message).map(|request| request.service).ok();
        prop_assert_eq!(ours, theirs);
        let theirs = HealthListRequest::decode(&*message).is_ok();
        prop_assert_eq!(list_request(&message).is_ok(), theirs);
    }

    #[test]
    fn no_bytes_at_all_are_too_much(parts in proptest::collection::vec(any::<Vec<u8>>(), 0..8)) {
        if let Ok(message) = gather(parts.iter().map(Vec::as_slice)) {
            let whole = prefixed(0, message.len(), &message);
            prop_assert_eq!(parts.concat(), whole);
        }
    }

    #[test]
    fn a_list_is_what_was_listed(
        services in proptest::collection::hash_map(".{0,200}", select(&STATUSES[..]), 0..=100),
    ) {
        let listed: Vec<_> =
            services.iter().map(|(name, &status)| (Arc::from(&**name), status)).collect();
        let answer = list_response(&listed).unwrap();
        let statuses = services
            .into_iter()
            .map(|(name, status)| (name, HealthCheckResponse { status: status as i32 }))
            .collect();
        let decoded = HealthListResponse::decode(unprefixed(&answer)).unwrap();
        prop_assert_eq!(decoded, HealthListResponse { statuses });
    }
}

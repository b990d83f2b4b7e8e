use super::frame::Malformed;

/// Reads a protobuf message, field by field.
#[derive(Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

/// The number of a field, and how its value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) number: u32,
    pub(crate) layout: u8,
}

pub(crate) const VARINT: u8 = 0;
const EIGHT_BYTES: u8 = 1;
pub(crate) const LENGTH: u8 = 2;
const GROUP: u8 = 3;
const GROUP_END: u8 = 4;
const FOUR_BYTES: u8 = 5;

/// Groups within groups that are skipped; the bound of the usual libraries.
const DEEPEST: usize = 100;

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The key of the next field, whose value is to be read or skipped then.
    pub(crate) fn next(&mut self) -> Result<Option<Key>, Malformed> {
        if self.0.is_empty() { Ok(None) } else { self.key().map(Some) }
    }

    fn key(&mut self) -> Result<Key, Malformed> {
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed::Garbage)?;
        let (number, layout) = (key >> 3, key.to_le_bytes()[0] & 7);
        if number == 0 { Err(Malformed::Garbage) } else { Ok(Key { number, layout }) }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        // 64 bits in sevens: nine bytes, and one bit of a tenth.
        for (shift, &byte) in (0..64).step_by(7).zip(self.0) {
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                self.take(shift / 7 + 1)?;
                return Ok(value);
            }
        }
        Err(Malformed::Garbage)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::Garbage)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Garbage)?;
        str::from_utf8(self.take(length)?).map_err(|_| Malformed::Garbage)
    }

    /// Skips the value of a field that is not known.
    pub(crate) fn skip(&mut self, mut key: Key) -> Result<(), Malformed> {
        let mut open = Vec::new();
        loop {
            match key.layout {
                VARINT => drop(self.varint()?),
                EIGHT_BYTES => drop(self.take(8)?),
                FOUR_BYTES => drop(self.take(4)?),
                LENGTH => {
                    let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Garbage)?;
                    self.take(length)?;
                }
                GROUP if open.len() < DEEPEST => open.push(key.number),
                GROUP_END if open.pop() == Some(key.number) => {}
                _ => return Err(Malformed::Garbage),
            }
            if open.is_empty() {
                return Ok(());
            }
            key = self.key()?;
        }
    }
}

pub(crate) fn put_varint(mut value: u64, into: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            into.push(low);
            return;
        }
        into.push(low | 0x80);
    }
}

pub(crate) fn put_bytes(number: u8, bytes: &[u8], into: &mut Vec<u8>) {
    into.push(number << 3 | LENGTH);
    put_varint(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

use std::fmt;

use palisade_core::GrpcCode;

/// A request's only message, gathered from its frames.
///
/// Holds no more than a message may be long, and refuses as soon as it is known that something is wrong.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
}

/// Why a request is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It is compressed, which nobody asked for.
    Compressed,
    /// It is longer than [`LONGEST`].
    TooLong,
    /// It ends before its end.
    Truncated,
    /// More follows, where there should be one message.
    MoreThanOne,
    /// It is no such message.
    Garbage,
}

/// A flag that says whether it is compressed, and the length in 32 bits.
pub(crate) const PREFIX: usize = 5;

/// No message of a request is longer, in bytes: it holds the name of a service.
pub(crate) const LONGEST: usize = 4096;

impl Incoming {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the next part of the body.
    pub(crate) fn push(&mut self, part: &[u8]) -> Result<(), Malformed> {
        let missing = PREFIX.saturating_sub(self.bytes.len());
        let (prefix, message) = part.split_at(missing.min(part.len()));
        self.bytes.extend_from_slice(prefix);
        let Some(length) = self.length()? else { return Ok(()) };
        if message.len() > PREFIX + length - self.bytes.len() {
            return Err(Malformed::MoreThanOne);
        }
        self.bytes.extend_from_slice(message);
        Ok(())
    }

    /// The message, now that the body is over.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Malformed> {
        match self.length()? {
            Some(length) if self.bytes.len() == PREFIX + length => {
                let mut bytes = self.bytes;
                Ok(bytes.split_off(PREFIX))
            }
            _ => Err(Malformed::Truncated),
        }
    }

    /// How long the message is to be, once that is there.
    fn length(&self) -> Result<Option<usize>, Malformed> {
        let Some((&[flag, ref length @ ..], _)) = self.bytes.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        match flag {
            0 => {}
            1 => return Err(Malformed::Compressed),
            _ => return Err(Malformed::Garbage),
        }
        let length = u32::from_be_bytes(*length);
        let length = usize::try_from(length).ok().filter(|&length| length <= LONGEST);
        length.map(Some).ok_or(Malformed::TooLong)
    }
}

impl Malformed {
    /// What the client is told.
    pub(crate) const fn code(self) -> GrpcCode {
        match self {
            Self::Compressed => GrpcCode::Unimplemented,
            Self::TooLong => GrpcCode::ResourceExhausted,
            Self::Truncated | Self::MoreThanOne | Self::Garbage => GrpcCode::InvalidArgument,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compressed => f.write_str("The request is compressed, which is not supported."),
            Self::TooLong => write!(f, "The request's message is longer than {LONGEST} bytes."),
            Self::Truncated => f.write_str("The request ends before its message does."),
            Self::MoreThanOne => f.write_str("The request has more than one message."),
            Self::Garbage => f.write_str("The request's message is not of the method's type."),
        }
    }
}

/// A message of ours with its prefix.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    // What we send is a hundred names, each as long as the program made it; 4 GiB of them are not made.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(PREFIX + message.len());
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

//! docs later
mod authority;
mod extract;
mod forwarded;
mod header;
mod missing;
mod net;
mod peer;

pub use authority::Authority;
pub use extract::{ExtractKey, Global};
pub use forwarded::{ForwardedIp, InvalidCidr};
pub use header::HeaderKey;
pub use missing::{Asker, InvalidMissing, KEY_MISSING, Missing};
pub use net::{ClientNet, InvalidClientNet, InvalidPrefix};
pub use peer::{ByConnectInfo, ByExtension, FindPeer, IntoPeer, PeerIp};

pub use ipnet::IpNet;
#[doc(no_inline)]
pub use palisade_core::{Head, Reason, Rejection};

//! Tries again what failed, where that is safe, and never so often that it makes things worse.

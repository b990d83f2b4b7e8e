//! What those allocate that have more to say of it.

mod health;
mod retry;

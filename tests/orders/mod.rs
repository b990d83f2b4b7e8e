//! Where those stand that have more to say of it.

mod breaker;
mod health;
mod retry;

//! An axum service that stacks Palisade's layers: `cargo run`, then follow what it prints.
//!
//! The stack is in `app.rs`, what can be set in `settings.rs`, and how it stops in `serve.rs`.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::Parser;
use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::{settings::Settings, signals::Signals};

mod app;
mod problem;
mod query;
mod routes;
mod serve;
mod settings;
mod signals;
mod tour;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    log_to_stderr();
    run(settings).await.unwrap_or_else(|error| {
        // Nobody is left to tell if even stderr is closed.
        let _ = writeln!(io::stderr(), "error: {error}");
        ExitCode::FAILURE
    })
}

async fn run(mut settings: Settings) -> Result<ExitCode, String> {
    let asked = settings.listen;
    let listener = TcpListener::bind(asked).await.map_err(|error| {
        format!("cannot listen on {asked}: {error}; choose another address with --listen")
    })?;
    // For port 0 this is where the real port becomes known.
    settings.listen = listener
        .local_addr()
        .map_err(|error| format!("cannot tell the address of --listen {asked}: {error}"))?;
    // Before anybody can know of the process and send it one.
    let signals =
        Signals::listen().map_err(|error| format!("cannot listen for signals: {error}"))?;

    let announcement = tour::announcement(&settings);
    // A closed stdout is no reason not to serve.
    let _ = io::stdout().write_all(announcement.as_bytes());
    Ok(serve::serve(listener, app::app(&settings), settings.grace, signals).await)
}

fn log_to_stderr() {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

//! An axum service that stacks Palisade's layers: `cargo run`, then follow what it prints.
//!
//! The stack is in `app.rs`, that around its own calls in `calls.rs`, what it takes to be well in `health.rs`,
//! what can be set in `settings.rs`, and how it stops in `serve.rs`.

use std::{
    env,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    process::ExitCode,
};

use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::{
    settings::{LogFormat, Settings},
    signals::Signals,
};

mod app;
mod breakers;
mod calls;
mod client;
mod demo;
mod fields;
mod health;
mod limits;
mod live;
mod page;
mod problem;
mod query;
mod retries;
mod routes;
mod sampler;
mod serve;
mod settings;
mod signals;
mod status;
mod tour;
mod upstream;

#[tokio::main]
async fn main() -> ExitCode {
    let asked = settings::load(env::args_os(), env::vars_os()).unwrap_or_else(|error| error.exit());
    let done = if asked.print_config {
        print(&asked.settings.to_toml())
    } else {
        log_to_stderr(asked.settings.log.format);
        run(asked.settings).await
    };
    done.unwrap_or_else(|error| {
        // Nobody is left to tell if even stderr is closed.
        let _ = writeln!(io::stderr(), "error: {error}");
        ExitCode::FAILURE
    })
}

fn print(text: &str) -> Result<ExitCode, String> {
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(|error| format!("cannot write to stdout: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(mut settings: Settings) -> Result<ExitCode, String> {
    let listener = bind(&mut settings.listen, "--listen").await?;
    let upstream = bind(&mut settings.upstream.listen, "--upstream-listen").await?;
    // Before anybody can know of the process and send it one.
    let signals =
        Signals::listen().map_err(|error| format!("cannot listen for signals: {error}"))?;

    let announcement = tour::announcement(&settings);
    // A closed stdout is no reason not to serve.
    let _ = io::stdout().write_all(announcement.as_bytes());
    let app = app::app(&settings);
    let upstream = upstream::Running::start(upstream, app.handles.behaviour.clone());
    let leave = serve::Leave { delay: settings.health.drain_delay.0, grace: settings.grace.0 };
    Ok(serve::serve(listener, app, upstream, leave, signals).await)
}

/// Listens there. For port 0, `address` becomes the real one.
async fn bind(address: &mut SocketAddr, flag: &str) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(*address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; choose another address with {flag}")
    })?;
    *address = listener
        .local_addr()
        .map_err(|error| format!("cannot tell the address of {flag} {address}: {error}"))?;
    Ok(listener)
}

fn log_to_stderr(format: LogFormat) {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

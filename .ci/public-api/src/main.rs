//! Compares the public API of each published crate with `crates/*/public-api.txt`.
//!
//! `bash .ci/run api` fails on a difference; `bash .ci/run bless_api` writes the snapshots, and their
//! diff is what a review argues about.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Folder under `crates/`, and the library's name.
const PUBLISHED: [(&str, &str); 9] = [
    ("breaker", "palisade_breaker"),
    ("core", "palisade_core"),
    ("health", "palisade_health"),
    ("key", "palisade_key"),
    ("limit-concurrency", "palisade_limit_concurrency"),
    ("limit-rate", "palisade_limit_rate"),
    ("retry", "palisade_retry"),
    ("timeout", "palisade_timeout"),
    ("palisade", "palisade"),
];

fn main() -> ExitCode {
    let bless = env::args().nth(1).as_deref() == Some("--bless");
    let mut same = true;
    for (folder, library) in PUBLISHED {
        let Some(json) = rustdoc(library) else { return ExitCode::FAILURE };
        let api = public_api::Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .build();
        let api = match api {
            Ok(api) => api.to_string(),
            Err(error) => {
                // Its form changes between Rust releases; that is no fault of a change of ours.
                println!(
                    "warning: public APIs are NOT compared, as this toolchain's rustdoc is not understood: {error}"
                );
                return if bless { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            }
        };
        let path = Path::new("crates").join(folder).join("public-api.txt");
        if bless {
            fs::write(&path, api).expect("snapshots can be written");
            println!("{} is written", path.display());
            continue;
        }
        let snapshot = fs::read_to_string(&path).unwrap_or_default();
        for line in api.lines().filter(|line| !snapshot.lines().any(|old| old == *line)) {
            println!("{}: + {line}", path.display());
        }
        for line in snapshot.lines().filter(|line| !api.lines().any(|new| new == *line)) {
            println!("{}: - {line}", path.display());
        }
        same &= snapshot == api;
    }
    if bless {
        ExitCode::SUCCESS
    } else if same {
        println!("the public APIs are as their snapshots say");
        ExitCode::SUCCESS
    } else {
        println!("the public API changed: review it, then `bash .ci/run bless_api`");
        ExitCode::FAILURE
    }
}

/// The file in which rustdoc writes what it knows of a library. It only does so for programs when it
/// is treated as a nightly one.
fn rustdoc(library: &str) -> Option<PathBuf> {
    let target = "target/public-api";
    let status = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["doc", "--quiet", "--locked", "--no-deps", "--all-features", "--target-dir", target])
        .args(["--package", &library.replace('_', "-")])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTDOCFLAGS", "-Z unstable-options --output-format json")
        .status()
        .expect("cargo runs");
    status.success().then(|| Path::new(target).join("doc").join(library).with_extension("json"))
}

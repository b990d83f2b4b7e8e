//! What ARCHITECTURE.md forbids, as far as a program can see it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// What is under `crates/` and is no layer.
const NOT_LAYERS: [&str; 4] = ["palisade", "palisade-core", "palisade-key", "palisade-testkit"];

/// All that a layer may depend on.
const A_LAYERS_DEPENDENCIES: [&str; 12] = [
    "bytes",
    "foldhash",
    "http",
    "http-body",
    "http-body-util",
    "palisade-core",
    "palisade-key",
    "pin-project",
    "tokio",
    "tower-layer",
    "tower-service",
    "tracing",
];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo describes the workspace")
}

fn folder(package: &Package) -> &Path {
    package.manifest_path.parent().expect("a manifest is in a folder").as_std_path()
}

fn layers(metadata: &Metadata) -> Vec<&Package> {
    let crates = metadata.workspace_root.join("crates");
    let layers: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.manifest_path.starts_with(&crates))
        .filter(|package| !NOT_LAYERS.contains(&package.name.as_str()))
        .collect();
    assert!(!layers.is_empty(), "no layers found: this test sees nothing");
    layers
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("folders can be read") {
            let path = entry.expect("entries can be read").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {}", folder.display());
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("sources can be read")
}

fn is_code(line: &&str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

#[test]
fn a_layer_depends_on_no_other_layer_and_on_little_else() {
    let metadata = metadata();
    for layer in layers(&metadata) {
        let normal = layer.dependencies.iter().filter(|dependency| {
            dependency.kind == DependencyKind::Normal && dependency.target.is_none()
        });
        for dependency in normal {
            assert!(
                A_LAYERS_DEPENDENCIES.contains(&dependency.name.as_str()),
                "{} depends on {}",
                layer.name,
                dependency.name
            );
        }
    }
}

#[test]
fn core_has_no_runtime_and_knows_no_layer() {
    let metadata = metadata();
    let core = metadata.packages.iter().find(|package| package.name == "palisade-core");
    for dependency in &core.expect("there is a core").dependencies {
        if dependency.kind == DependencyKind::Normal {
            let name = &dependency.name;
            assert!(name != "tokio" && !name.starts_with("palisade"), "core depends on {name}");
        }
    }
}

/// Every keyed layer's users build these along.
#[test]
fn key_needs_a_server_only_if_asked_to_and_knows_no_layer() {
    let metadata = metadata();
    let key = metadata.packages.iter().find(|package| package.name == "palisade-key");
    for dependency in &key.expect("there is a key").dependencies {
        if dependency.kind == DependencyKind::Normal && !dependency.optional {
            let name = dependency.name.as_str();
            assert!(["http", "ipnet", "palisade-core"].contains(&name), "key depends on {name}");
        }
    }
}

#[test]
fn core_stays_small() {
    let metadata = metadata();
    let folder = metadata.workspace_root.join("crates/core/src");
    let lines = |path: PathBuf| {
        let source = read(&path);
        let own = source.split("#[cfg(test)]").next().unwrap_or_default();
        own.lines().filter(is_code).count()
    };
    let is_source = |path: &PathBuf| !path.ends_with("tests.rs");
    let lines: usize = sources(folder.as_std_path()).into_iter().filter(is_source).map(lines).sum();
    assert!((100..=1900).contains(&lines), "core has {lines} lines of code");
}

/// Where the timer of a body that has to wait is boxed, that of a gate that is shut, and that of a request
/// until it is tried again: not on the path of what is there. And where a body that may be sent again is, which
/// is not to move but outlives each copy. And what only a call of gRPC health has: its request's body, and the
/// stream of who watches.
const MAY_BOX: [&str; 8] = [
    "timeout/src/watch.rs",
    "breaker/src/gate.rs",
    "health/src/body.rs",
    "health/src/call.rs",
    "retry/src/kept.rs",
    "retry/src/replay.rs",
    "retry/src/replay/shared.rs",
    "retry/src/waiting.rs",
];

#[test]
fn no_layer_boxes_a_future() {
    for layer in layers(&metadata()) {
        let sources = sources(&folder(layer).join("src"));
        for path in sources.iter().filter(|path| !MAY_BOX.iter().any(|file| path.ends_with(file))) {
            for (number, line) in read(path).lines().enumerate().filter(|(_, line)| is_code(line)) {
                for boxed in ["Box::pin", "BoxFuture", "Pin<Box<", "async_trait"] {
                    assert!(!line.contains(boxed), "{}:{}: {line}", path.display(), number + 1);
                }
            }
        }
    }
}

#[test]
fn a_crates_root_has_no_code() {
    let metadata = metadata();
    for path in sources(metadata.workspace_root.join("crates").as_std_path()) {
        if path.ends_with("src/lib.rs") {
            for line in read(&path).lines().filter(is_code) {
                let forbidden = ["fn ", "struct ", "enum ", "trait ", "impl ", "impl<"];
                let item = line.trim_start().trim_start_matches("pub ");
                assert!(
                    !forbidden.iter().any(|word| item.starts_with(word)),
                    "{}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_source_is_longer_than_400_lines() {
    let root = metadata().workspace_root;
    for folder in ["crates", "examples", "tests", "benches"] {
        for path in sources(root.join(folder).as_std_path()) {
            let lines = read(&path).lines().count();
            assert!(lines <= 400, "{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn every_crate_keeps_the_workspaces_lints_and_version() {
    for package in &metadata().packages {
        let manifest = fs::read_to_string(&package.manifest_path).expect("manifests can be read");
        for line in [
            "[lints]\nworkspace = true",
            "version.workspace = true",
            "rust-version.workspace = true",
        ] {
            assert!(manifest.contains(line), "{} lacks {line:?}", package.name);
        }
    }
}

/// Both licences ask that their text goes along, and what is published is one crate's folder.
#[test]
fn every_published_crate_has_the_texts_of_its_licences() {
    for package in &metadata().packages {
        let is_published = package.publish.as_ref().is_none_or(|registries| !registries.is_empty());
        for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let has_text = folder(package).join(name).exists();
            assert!(has_text || !is_published, "{} has no {name}", package.name);
        }
    }
}

#[test]
fn every_layer_has_the_same_files() {
    for layer in layers(&metadata()) {
        let src = folder(layer).join("src");
        let files: BTreeSet<_> = sources(&src).into_iter().collect();
        for name in ["lib.rs", "layer.rs", "service.rs", "future.rs", "handle.rs"] {
            assert!(files.contains(&src.join(name)), "{} has no {name}", layer.name);
        }
    }
}

/// As a type is called whose crate is called so.
fn camel_case(name: &str) -> String {
    let words = name.split('-').filter_map(|word| word.split_at_checked(1));
    words.map(|(first, rest)| first.to_uppercase() + rest).collect()
}

/// Each file, with what it has beside it, holds every layer to something.
#[test]
fn every_layer_is_in_every_test_of_all_layers() {
    let metadata = metadata();
    let tests = metadata.workspace_root.join("tests");
    for (test, beside) in [
        ("laws", Some("subjects")),
        ("order", Some("orders")),
        ("allocations", Some("allocated")),
        ("chaos", Some("chaos")),
        ("auto_traits", None),
    ] {
        let mut code = read(tests.join(test).with_extension("rs").as_std_path());
        for path in beside.into_iter().flat_map(|beside| sources(tests.join(beside).as_std_path()))
        {
            code += &read(&path);
        }
        for layer in layers(&metadata) {
            let name = camel_case(layer.name.trim_start_matches("palisade-")) + "Layer";
            assert!(code.contains(&name), "{test} does not have {name}");
        }
    }
}

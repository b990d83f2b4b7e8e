//! What the workspace depends on: under which licences, and whether it is used.

use std::{fs, path::Path};

use cargo_metadata::{Dependency, DependencyKind, MetadataCommand, Package};
use spdx::{Expression, LicenseReq};
use toml::Table;

fn allowed() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deny.toml");
    let deny: Table = fs::read_to_string(path).expect("it can be read").parse().expect("is TOML");
    let allow = deny["licenses"]["allow"].as_array().expect("a list of licences");
    allow.iter().map(|licence| licence.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn all_licences_are_allowed_ones() {
    let allowed = allowed();
    let is_allowed = |asked: &LicenseReq| {
        // An exception ("Apache-2.0 WITH …") only allows more than the licence alone.
        let name = asked.license.id().map(|licence| licence.name);
        name.is_some_and(|name| allowed.iter().any(|allowed| allowed == name))
    };
    let metadata = MetadataCommand::new().exec().expect("cargo resolves the dependencies");
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or_default().replace('/', " OR ");
        let expression = Expression::parse(&licence)
            .unwrap_or_else(|error| panic!("{}: {licence:?}: {error}", package.name));
        assert!(expression.evaluate(is_allowed), "{} is under {licence}", package.name);
    }
}

/// A crate's own code: what it is built of, or with that of its tests, examples and benches.
fn code(package: &Package, kind: DependencyKind) -> String {
    let folder = package.manifest_path.parent().expect("a manifest is in a folder");
    if kind == DependencyKind::Build {
        return fs::read_to_string(folder.join("build.rs")).unwrap_or_default();
    }
    let folders: &[_] = if kind == DependencyKind::Normal {
        &["src"]
    } else {
        &["src", "tests", "examples", "benches"]
    };
    let mut folders: Vec<_> =
        folders.iter().map(|name| folder.join(name).into_std_path_buf()).collect();
    let mut code = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("entries can be read").path();
            if path.is_dir() && !path.join("Cargo.toml").exists() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                code += &fs::read_to_string(path).expect("sources can be read");
            }
        }
    }
    code
}

/// Whether a path or a macro of this crate is somewhere in the code, examples in docs included.
fn is_used(dependency: &Dependency, code: &str) -> bool {
    let name = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
    let part_of_a_name = |letter: char| letter.is_alphanumeric() || "_:.".contains(letter);
    code.match_indices(&name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let begins = !before.ends_with(part_of_a_name) || before.ends_with(" ::");
        let imported = before.ends_with("use ") && after.starts_with([';', ' ']);
        begins && (imported || after.starts_with("::") || after.starts_with('!'))
    })
}

#[test]
fn every_dependency_is_used() {
    let mut unused = Vec::new();
    for package in &MetadataCommand::new().no_deps().exec().expect("cargo describes it").packages {
        let ignored = package.metadata["cargo-machete"]["ignored"].as_array();
        let ignored: Vec<_> =
            ignored.into_iter().flatten().filter_map(|name| name.as_str()).collect();
        for dependency in &package.dependencies {
            let code = code(package, dependency.kind);
            if !ignored.contains(&dependency.name.as_str()) && !is_used(dependency, &code) {
                unused.push(format!("{} by {}", dependency.name, package.name));
            }
        }
    }
    assert!(unused.is_empty(), "not used: {unused:?}");
}

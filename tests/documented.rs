//! The documentation names tests, which there are.

use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("it can be read")
}

/// The names of all functions below `folder`.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("folders can be read") {
        let path = entry.expect("entries can be read").path();
        if path.is_dir() {
            if !path.ends_with("target") {
                functions(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = read(&path);
            let names = source.split("fn ").skip(1);
            let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
            found.extend(names.map(|rest| rest.chars().take_while(|&l| is_name(l)).collect()));
        }
    }
}

/// Sentences between backticks: `no_future_is_this_long`.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split('`').filter(move |code| code.matches('_').count() >= 3 && code.chars().all(is_word))
}

#[test]
fn every_test_that_the_documentation_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in ["crates", "examples", "tests", "benches"] {
        functions(&root.join(folder), &mut found);
    }
    for (page, at_least) in [
        ("ARCHITECTURE.md", 80),
        ("crates/palisade/src/compared.rs", 10),
        ("crates/palisade/src/ordering.rs", 15),
    ] {
        let text = read(&root.join(page));
        let named = sentences(&text).inspect(|name| {
            assert!(found.contains(*name), "{page} names {name}, which there is not");
        });
        assert!(named.count() >= at_least, "{page} names few tests: this one sees too little");
    }
}

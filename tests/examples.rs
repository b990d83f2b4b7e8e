//! Every example of the ladder prints what its first lines say.

use std::{env, fs, path::Path, process::Command};

/// The `text` block in the example's documentation.
fn foretold(source: &str) -> String {
    let block = source.lines().skip_while(|line| *line != "//! ```text").skip(1);
    let block = block.take_while(|line| *line != "//! ```");
    lines(block.map(|line| line.trim_start_matches("//!")))
}

/// Lines without the space around them.
fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(|line| line.trim().to_owned() + "\n").collect()
}

#[test]
fn each_prints_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut run = 0;
    for entry in fs::read_dir(folder).expect("there are examples") {
        let path = entry.expect("entries can be read").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let name = path.file_stem().expect("a file has a name");
        let foretold = foretold(&fs::read_to_string(&path).expect("sources can be read"));
        assert!(!foretold.is_empty(), "{name:?} does not say what it prints");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.env_remove("RUST_LOG");
        let output = cargo.args(["run", "--quiet", "--example"]).arg(name).output();
        let output = output.expect("cargo runs examples");
        let printed = lines(String::from_utf8_lossy(&output.stdout).lines());
        assert!(output.status.success(), "{name:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(printed, foretold, "{name:?}");
        run += 1;
    }
    assert!(run > 0, "no example was run");
}

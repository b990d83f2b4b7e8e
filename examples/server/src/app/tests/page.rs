//! That the page has all it needs, and needs nothing that is not there.

use super::*;

const HTML: &str = include_str!("../../page.html");
const SCRIPT: &str = include_str!("../../page.js");
const STYLE: &str = include_str!("../../page.css");

/// What stands between these two, wherever it does.
fn all<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts.map(|part| part.split_once(after).expect("it has an end").0).collect()
}

#[tokio::test]
async fn nothing_runs_on_it_but_its_own_script_and_it_loads_nothing() {
    let app = with(&[]);
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let response = get(&app, "/").await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        let [script, style] = ["script-src 'nonce-", "style-src 'nonce-"].map(|source| {
            let [nonce] = all(&policy, source, "'")[..] else { panic!("{policy}") };
            nonce.to_owned()
        });
        assert!(script == style && script.len() == 32, "{policy}");
        for source in ["default-src 'none'; ", "connect-src 'self'; ", "frame-ancestors 'none'"] {
            assert!(policy.contains(source), "{policy}");
        }
        let page = text(response).await;
        assert_eq!(all(&page, "<script", ">"), [format!(r#" nonce="{script}""#)]);
        assert_eq!(all(&page, "<style", ">"), [format!(r#" nonce="{script}""#)]);
        for placeholder in ["{nonce}", "{list}", "{style}", "{script}", "{stalled}", "{sigterm}"] {
            assert!(!page.contains(placeholder), "{placeholder}");
        }
        nonces.push(script);
    }
    assert_ne!(nonces[0], nonces[1]);
    for part in [HTML, SCRIPT, STYLE] {
        for outside in ["://", "src=", "@import", "url(", "innerHTML", "outerHTML", "onclick"] {
            assert!(!part.contains(outside), "{outside}");
        }
    }
    assert_eq!(all(HTML, "href=\"", "\""), ["data:,", "#shell"]);
    assert!(!SCRIPT.contains("</"), "it would end there");
}

#[tokio::test(start_paused = true)]
async fn every_number_on_it_is_told() {
    let told = text(here(&with(&[]), "GET", "/status", "").await).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let shown = all(HTML, "data-show=\"", "\"");
    assert!(shown.len() > 40);
    for path in shown {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert!(told.pointer(&pointer).is_some(), "{path}");
    }
}

#[test]
fn every_button_does_something_and_every_action_has_a_button() {
    let mut buttons = all(HTML, "data-do=\"", "\"");
    let (_, actions) = SCRIPT.split_once("const actions = {").unwrap();
    let (actions, _) = actions.split_once("\n};").unwrap();
    // Of a name at the beginning of a line, as `async "name"() {` or `"name": `.
    let lines = actions.lines().filter_map(|line| line.strip_prefix("  "));
    let begins = lines.filter(|line| line.starts_with('"') || line.starts_with("async \""));
    let mut named: Vec<_> = begins.map(|line| line.split('"').nth(1).unwrap()).collect();
    buttons.sort_unstable();
    named.sort_unstable();
    assert_eq!(buttons, named);
    // The script finds what it looks for by its id.
    for id in all(SCRIPT, "byId(\"", "\"") {
        assert!(HTML.contains(&format!("id=\"{id}\"")), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_route_that_its_script_asks_is_there() {
    let app = with(&[]);
    // As in `get("/work?ms=0")` or `tell("PUT", "/upstream/mode", …)`.
    let mut asked = 0;
    for (at, _) in SCRIPT.match_indices("\"/") {
        let path = SCRIPT[at + 1..].split('"').next().unwrap();
        let before = SCRIPT[..at].strip_suffix("\", ").map(|text| text.rsplit('"').next().unwrap());
        let method = before.unwrap_or("GET");
        let status = here(&app, method, path, "{}").await.status();
        assert!(![404, 405].contains(&status.as_u16()), "{method} {path}: {status}");
        asked += 1;
    }
    assert!(asked > 15, "{asked}");
}

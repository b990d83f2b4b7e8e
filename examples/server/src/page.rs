//! `GET /`: the page, which shows how the layers stand and makes them act.
//!
//! Its markup, style and script are the files beside this one. They are sent as one document, and need no build.

use std::fmt::Write;

use axum::{
    extract::State,
    http::{
        HeaderMap, Uri,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST},
        uri::Authority,
    },
    response::{Html, IntoResponse},
};
use palisade::Id;

use crate::{
    settings::Settings,
    tour::{Stop, sigterm, stalled, stops},
};

/// `GET /`: what there is to try, on a page.
///
/// It is as any other route behind the layers, and loads nothing else. Nothing but its own script runs on it.
pub(crate) async fn page(
    State(settings): State<Settings>,
    uri: Uri,
    headers: HeaderMap,
) -> impl IntoResponse {
    let host = host(&uri, &headers).unwrap_or_else(|| settings.listen.to_string());
    // For one answer, which therefore is not to be kept.
    let nonce = format!("{:032x}", Id::random().as_u128());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [(CACHE_CONTROL, "no-store".to_owned()), (CONTENT_SECURITY_POLICY, policy)];
    (headers, Html(html(&host, &settings, &nonce)))
}

/// The host the client asked for: `:authority` over HTTP/2, `Host` over HTTP/1.
///
/// It ends up in HTML and in command lines that people copy into a shell, so only what is safe in
/// both is believed.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let asked = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(HOST)?.to_str().ok()?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".:-[]".contains(c);
    (asked.chars().all(plain) && asked.parse::<Authority>().is_ok()).then(|| asked.to_owned())
}

/// One document, as seen from `host`. Its own script and style are let in by the nonce.
fn html(host: &str, settings: &Settings, nonce: &str) -> String {
    let mut list = String::new();
    for Stop { route, does, curl } in stops(host, settings) {
        let [route, does, curl] = [route, &does, &curl].map(escape);
        write!(list, "<dt><code>{route}</code></dt>\n<dd>{does}<pre>{curl}</pre></dd>\n")
            .expect("a String takes all");
    }
    include_str!("page.html")
        .replace("{style}", include_str!("page.css"))
        .replace("{script}", include_str!("page.js"))
        .replace("{nonce}", nonce)
        .replace("{stalled}", &escape(&stalled(host, settings).curl))
        .replace("{sigterm}", &escape(&sigterm(settings).curl))
        .replace("{list}", &list)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

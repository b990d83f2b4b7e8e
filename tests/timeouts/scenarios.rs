use http_body_util::BodyExt;
use hyper::body::Incoming;
use palisade_testkit::sockets::{Raw, eventually, exchange};

use super::{LIMIT, LONG, Served, answers::FLOOD, is_hello, is_problem, outlast};

pub(crate) async fn a_handler_that_hangs_is_given_up_and_its_connection_kept(served: Served) {
    // One layer counts for all connections.
    for client in [served.client().await, served.client().await] {
        for _ in 0..2 {
            let response = client.read("/hangs").await.unwrap();
            is_problem(&response, 503, "timed-out");
            assert!(!response.headers().contains_key("connection"));
            // It was dropped before the answer went out.
            assert_eq!(served.work.under_way(), 0);
            is_hello(&client).await;
        }
    }
    assert_eq!(served.counted(), (4, 0, 0));
}

pub(crate) async fn a_body_that_hangs_is_cut_off(served: Served) {
    let client = served.client().await;
    let response = client.get("/endless").await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "soup");
    // It failed: it did not come to an end.
    body.frame().await.unwrap().unwrap_err();
    eventually(|| served.work.under_way() == 0).await;
    if served.version == http::Version::HTTP_2 {
        is_hello(&client).await;
    } else {
        client.read("/hello").await.unwrap_err();
    }
    is_hello(&served.client().await).await;
    assert_eq!(served.counted(), (0, 1, 0));
}

/// Over HTTP/1.1, where it is for the connection to say it.
pub(crate) async fn what_is_cut_off_does_not_look_whole(served: Served) {
    let answer = exchange(&served.server, "GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("transfer-encoding: chunked\r\n"), "{answer}");
    // The last chunk, of no length, never came.
    assert!(answer.ends_with("\r\n\r\n4\r\nsoup\r\n"), "{answer}");
    assert_eq!(served.counted(), (0, 1, 0));
}

/// The limit is for the silence between frames.
pub(crate) async fn a_body_that_keeps_going_is_not_idle(served: Served) {
    let client = served.client().await;
    assert_eq!(client.read("/ticks").await.unwrap().into_body(), "..........");
    client.read("/endless").await.unwrap_err();
    eventually(|| served.work.under_way() == 0).await;
    assert_eq!(served.counted(), (0, 1, 0));
    // The head is bounded like any other.
    is_problem(&served.client().await.read("/hangs").await.unwrap(), 503, "timed-out");
}

pub(crate) async fn a_body_that_is_excluded_is_not_cut_off(served: Served) {
    let client = served.client().await;
    let mut body = client.get("/endless").await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "soup");
    outlast(LIMIT).await;
    assert_eq!((served.counted(), served.work.under_way()), ((0, 0, 0), 1));
    drop((client, body));
    eventually(|| served.work.under_way() == 0).await;
    is_problem(&served.client().await.read("/hangs").await.unwrap(), 503, "timed-out");
}

/// A server asks a body for its next frame when there is room for it. While the client does not read,
/// there comes to be none, and a body that is not asked cannot fail: the stream, and all that the body
/// holds, is kept until the client reads or goes. Then at the latest it is cut off.
pub(crate) async fn a_reader_that_stalls_is_cut_off_when_it_reads_again(served: Served) {
    let client = served.client().await;
    let body = client.get("/flood").await.unwrap().into_body();
    outlast(LIMIT).await;
    // The time has long been up.
    assert_eq!((served.counted(), served.work.under_way()), ((0, 0, 0), 1));
    let (read, whole) = read_all(body).await;
    assert!(read < FLOOD && !whole, "{read}");
    eventually(|| served.work.under_way() == 0).await;
    assert_eq!(served.counted(), (0, 1, 0));
    is_hello(&served.client().await).await;
}

pub(crate) async fn a_reader_that_stalls_and_goes_is_not_counted(served: Served) {
    let client = served.client().await;
    let body = client.get("/flood").await.unwrap().into_body();
    outlast(LIMIT).await;
    drop((client, body));
    eventually(|| served.work.under_way() == 0).await;
    assert_eq!(served.counted(), (0, 0, 0));
}

/// It is the handler whose silence is bounded.
pub(crate) async fn a_reader_may_be_idle(served: Served) {
    let client = served.client().await;
    let body = client.get("/flood").await.unwrap().into_body();
    outlast(LIMIT).await;
    assert_eq!(read_all(body).await, (FLOOD, true));
    assert_eq!(served.counted(), (0, 0, 0));
}

/// How much came, and whether that was all.
async fn read_all(mut body: Incoming) -> (usize, bool) {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (read, false) };
        read += frame.into_data().unwrap().len();
    }
    (read, true)
}

pub(crate) async fn an_upgraded_connection_is_not_cut_off(served: Served) {
    let sent = "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    stays_open(&served, sent, 101).await;
}

pub(crate) async fn a_tunnel_is_not_cut_off(served: Served) {
    let sent = "CONNECT example:443 HTTP/1.1\r\nhost: example:443\r\n\r\n";
    stays_open(&served, sent, 200).await;
}

async fn stays_open(served: &Served, sent: &str, status: u16) {
    let mut raw = Raw::open(&served.server, sent).await;
    let head = raw.read_to("\r\n\r\n").await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    outlast(LIMIT).await;
    raw.write("ping;").await;
    assert_eq!(raw.read_to(";").await, "ping;");
    assert_eq!(served.counted(), (0, 0, 0));
}

/// By its path here; on axum it could be the route.
pub(crate) async fn each_request_may_have_a_limit_of_its_own(served: Served) {
    assert_eq!(served.timeouts.limit(), LONG);
    let client = served.client().await;
    is_problem(&client.read("/hangs").await.unwrap(), 503, "timed-out");
    is_hello(&client).await;
    assert_eq!(served.counted(), (1, 0, 0));
}

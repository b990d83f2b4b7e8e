//! Several windows, and who is refused most.

use serde_json::json;

use super::*;

const TWO: [&str; 4] = ["--rate", "2/s", "--rate-windows", "minute=3/min"];

#[tokio::test(start_paused = true)]
async fn a_client_needs_room_in_each_window_and_is_told_of_all_of_them() {
    let app = with(&TWO);
    let first = send(&app, from(ANN, "/", &[])).await;
    assert_eq!(first.headers()["ratelimit"], r#""default";r=1;t=1, "minute";r=2;t=20"#);
    assert_eq!(first.headers()["ratelimit-policy"], r#""default";q=2;w=1, "minute";q=3;w=60"#);
    assert_eq!(statuses(&app, ANN, &[]).await, [200, 429, 429]);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(statuses(&app, ANN, &[]).await, [200, 429, 429]);
    let refused = send(&app, from(ANN, "/", &[])).await;
    assert_eq!(refused.headers()["ratelimit"], r#""minute";r=0;t=19, "default";r=1"#);
    assert_eq!(refused.headers()["retry-after"], "19");
    assert_eq!(problem(refused).await["violated-policies"], json!(["minute"]));
    assert_eq!(statuses(&app, BEN, &[]).await, LET_IN);
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_of_each_window_and_first_of_what_matters_most() {
    let app = with(&TWO);
    let first = json!({
        "name": "default", "policy": "2/s", "limit": 2, "remaining": 2,
        "retry_after": null, "reset_after": 0.0,
    });
    let full = limits(&app, ANN, &[]).await;
    assert_eq!((&full["name"], &full["windows"][0]), (&"default".into(), &first));
    for _ in 0..3 {
        send(&app, from(ANN, "/", &[])).await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let spent = limits(&app, ANN, &[]).await;
    assert_eq!(spent["windows"][0], first);
    let minute = json!({
        "name": "minute", "policy": "3/min", "limit": 3, "remaining": 0,
        "retry_after": 17.0, "reset_after": 57.0,
    });
    assert_eq!(spent["windows"][1], minute);
    for (name, value) in minute.as_object().unwrap() {
        assert_eq!(&spent[name], value);
    }
    // Those without a key are told of what they share.
    let tenants = with(&[&TWO[..], &["--rate-key", "header:x-tenant"]].concat());
    send(&tenants, from(ANN, "/", &[])).await;
    let shared = limits(&tenants, BEN, &[]).await;
    assert_eq!((&shared["key"], &shared["windows"][1]["remaining"]), (&Value::Null, &2.into()));
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_most_comes_first_by_a_number_and_knows_itself() {
    let flags = ["--rate", "2/h", "--rate-key", "header:x-api-key"];
    let app = with(&flags);
    let (ann, ben) = ([("x-api-key", "s3cret")], [("x-api-key", "ben")]);
    assert_eq!(limits(&app, ANN, &ann).await["offenders"], json!([]));
    for (key, times) in [(&ann, 1), (&ben, 3)] {
        for _ in 0..times {
            statuses(&app, ANN, key).await;
        }
    }
    let told = limits(&app, ANN, &ann).await;
    assert!(!told.to_string().contains("s3cret"));
    let [first, second] = &told["offenders"].as_array().unwrap()[..] else { panic!("{told}") };
    assert_eq!((&first["refused"], &first["at_least"]), (&7.into(), &7.into()));
    assert_eq!((&first["you"], &second["you"]), (&false.into(), &true.into()));
    assert_eq!(second["id"].as_str().unwrap().len(), 16);
    assert_ne!(first["id"], second["id"]);
    assert_eq!(limits(&app, ANN, &ben).await["offenders"][0]["id"], first["id"]);
}

#[tokio::test]
async fn as_many_windows_as_can_be_set_fit_and_leave_room_for_as_many_clients() {
    let windows: Vec<_> = ('a'..='g').map(|name| format!("{name}=1/h")).collect();
    let app = with(&["--rate-windows", &windows.join(",")]);
    assert_eq!(app.handles.limits.buckets.windows().count(), 8);
    assert_eq!(
        app.handles.limits.buckets.store().capacity(),
        8 * with(&[]).handles.limits.buckets.store().capacity()
    );
    assert_eq!(statuses(&app, ANN, &[]).await, [200, 429, 429]);
}

#[tokio::test]
async fn the_page_says_how_to_ask_too_often_of_a_window_that_is_slow() {
    let app = with(&["--rate-windows", "minute=60/min burst 9, daily=5000/d"]);
    let page = text(get(&app, "/").await).await;
    for part in ["than 1000/s or 60/min burst 9 or 5000/d<", "/?[1-14]'"] {
        assert!(page.contains(part), "{part}");
    }
}

//! The four services as processes: any of them may die, and be replaced, while requests flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Process, client, get, post, signal, wait_for};

const BODY: &str = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;

/// The process number of a component, from the table that `weir run` prints.
fn pid(process: &Process, component: &str) -> u32 {
    let line =
        process.lines.iter().find(|it| it.starts_with(component)).unwrap_or_else(|| panic!("no {component}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// What a stream of requests met.
#[derive(Debug, Default)]
struct Met {
    good: usize,
    refused: Vec<(u16, Option<String>)>,
    unconnected: usize,
    slowest: Duration,
}

/// Sends requests one after the other until told to stop.
async fn stream(url: String, stop: Arc<AtomicBool>) -> Met {
    let client = client();
    let mut met = Met::default();
    while !stop.load(Ordering::Acquire) {
        let started = Instant::now();
        match client.post(&url).body(BODY).send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let origin = answer.headers().get("x-error-origin").map(|it| it.to_str().unwrap().to_owned());
                let text = answer.text().await.unwrap_or_default();
                if status == 200 {
                    assert_eq!(text, r#"{"predictions":["versicolor"]}"#);
                    met.good += 1;
                } else {
                    met.refused.push((status, origin));
                }
            }
            Err(_) => met.unconnected += 1,
        }
        met.slowest = met.slowest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    met
}

#[tokio::test(flavor = "multi_thread")]
async fn any_process_is_killed_and_comes_back_while_requests_flow() {
    let process = Process::start(&["-f", "deploy/samples/iris.yaml", "--separate"], &[]);
    process.ready().await;
    let url = process.url("/v1/models/iris:predict");
    for component in ["predictor", "transformer", "explainer", "router"] {
        let others: Vec<u32> = ["predictor", "transformer", "explainer", "router"]
            .iter()
            .filter(|it| **it != component)
            .filter_map(|it| current_pid(&process, it))
            .collect();
        let victim = current_pid(&process, component).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let requests = tokio::spawn(stream(url.clone(), Arc::clone(&stop)));
        wait_for(Duration::from_secs(10), || async { post_quietly(&url).await == Some(200) }).await;
        signal(victim, "KILL");
        wait_for(Duration::from_secs(20), || async {
            current_pid(&process, component).is_some_and(|it| it != victim)
                && post_quietly(&url).await == Some(200)
        })
        .await;
        process.ready().await;
        stop.store(true, Ordering::Release);
        let met = requests.await.unwrap();
        assert!(met.good > 0, "{component}: {met:?}");
        assert!(met.slowest < Duration::from_secs(5), "{component}: {met:?}");
        for (status, origin) in &met.refused {
            assert!(matches!(status, 502 | 503), "{component}: {met:?}");
            assert_eq!(origin.as_deref(), Some(component), "{met:?}");
        }
        if component == "router" {
            assert!(met.refused.is_empty(), "{met:?}");
        } else {
            assert_eq!(met.unconnected, 0, "{component}: {met:?}");
        }
        if component == "explainer" {
            assert!(met.refused.is_empty(), "predictions need no explainer: {met:?}");
        }
        for other in others {
            assert!(alive(other), "{component} took process {other} with it");
        }
        println!(
            "{component} killed: {} answered, {} refused, {} unconnected, slowest {:?}",
            met.good,
            met.refused.len(),
            met.unconnected,
            met.slowest
        );
    }
    let explained = post(&process.url("/v1/models/iris:explain"), BODY).await;
    assert_eq!(explained.status, 200, "{}", explained.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_predictor_is_gone_the_answer_says_so_at_once() {
    // A predictor that ends as soon as it is started never comes up: its port is refused.
    let process = Process::start(&["-f", "deploy/samples/iris.yaml", "--separate"], &[]);
    process.ready().await;
    let predictor = pid(&process, "predictor");
    // Stopped, not killed: it neither answers nor refuses. The deadline is what ends the wait: long enough for a busy machine to
    // get as far as the predictor.
    signal(predictor, "STOP");
    let url = process.url("/v1/models/iris:predict");
    let started = Instant::now();
    let request = client().post(&url).header("x-request-timeout-ms", "2000").body(BODY);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.headers()["x-error-origin"], "predictor");
    assert!(started.elapsed() < Duration::from_secs(10));
    signal(predictor, "CONT");
    wait_for(Duration::from_secs(10), || async { post_quietly(&url).await == Some(200) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_every_process() {
    let process = Process::start(&["-f", "deploy/samples/iris.yaml", "--separate"], &[]);
    process.ready().await;
    let children = children_of(process.pid());
    assert_eq!(children.len(), 4, "{children:?}");
    assert!(process.terminate().success());
    for child in children {
        assert!(!alive(child), "process {child} outlived its supervisor");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn children_end_when_their_supervisor_is_killed() {
    let process = Process::start(&["-f", "deploy/samples/iris.yaml", "--separate"], &[]);
    process.ready().await;
    let children = children_of(process.pid());
    signal(process.pid(), "KILL");
    wait_for(Duration::from_secs(10), || async { !children.iter().any(|it| alive(*it)) }).await;
}

async fn post_quietly(url: &str) -> Option<u16> {
    client().post(url).body(BODY).send().await.ok().map(|it| it.status().as_u16())
}

/// The process of a component as it is now: the supervisor's child with that subcommand.
fn current_pid(process: &Process, component: &str) -> Option<u32> {
    children_of(process.pid()).into_iter().find(|child| {
        let command = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        command.split(|it| *it == 0).nth(1) == Some(component.as_bytes())
    })
}

fn children_of(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        children.extend(text.split_whitespace().map(|it| it.parse::<u32>().unwrap()));
    }
    children
}

/// Whether a process is there and no zombie.
fn alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_tells_that_it_is_not_ready_and_still_answers() {
    let process = Process::start(&["-f", "deploy/samples/iris.yaml", "--lame-duck-seconds", "1.5"], &[]);
    process.ready().await;
    signal(process.pid(), "TERM");
    let ready = process.url("/v2/health/ready");
    wait_for(Duration::from_secs(1), || async { get(&ready).await.is_ok_and(|it| it.status == 503) }).await;
    let answer = post(&process.url("/v1/models/iris:predict"), BODY).await;
    assert_eq!(answer.json(), json!({"predictions": ["versicolor"]}));
    assert!(process.wait().success());
}

//! The README is true: its requests are sent, its commands are run, its links lead somewhere.

use std::time::Duration;

use reqwest::Method;
use weir::Mesh;

use crate::harness::{Process, client, mesh, root, weir};

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// A fenced block: its language and its text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let mut parts = text.split("```");
    // What stands outside of fences comes first, and then in between.
    parts.next();
    let mut blocks = Vec::new();
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        blocks.push(block.split_once('\n').unwrap_or((block, "")));
    }
    blocks
}

/// A `curl` line taken apart.
struct Curl {
    method: Method,
    url: String,
    body: Option<String>,
    headers: Vec<(String, String)>,
}

fn curl(line: &str) -> Curl {
    let mut words = words(line).into_iter();
    assert_eq!(words.next().as_deref(), Some("curl"));
    let mut it = Curl { method: Method::GET, url: String::new(), body: None, headers: Vec::new() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "-s" => {}
            "-d" => (it.method, it.body) = (Method::POST, words.next()),
            "-H" => {
                let header = words.next().unwrap();
                let (name, value) = header.split_once(": ").unwrap();
                it.headers.push((name.to_owned(), value.to_owned()));
            }
            flag if flag.starts_with('-') => panic!("this test does not know curl's `{flag}`: {line}"),
            url => it.url = if url.starts_with("http") { url.to_owned() } else { format!("http://{url}") },
        }
    }
    it
}

/// Splits a line as a shell does, as far as blanks and single quotes go.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.trim().chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|it| !it.is_empty());
    words
}

/// Whether a text is the pattern, whose `...` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let squeeze = |it: &str| it.split_whitespace().collect::<Vec<_>>().join(" ");
    let (pattern, text) = (squeeze(pattern), squeeze(text));
    let parts: Vec<&str> = pattern.split("...").map(str::trim).collect();
    let Some(mut rest) = text.strip_prefix(parts[0]) else { return false };
    for part in &parts[1..] {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || pattern.ends_with("...")
}

async fn send(mesh: &Mesh, curl: &Curl) -> String {
    let url = curl.url.replace("localhost:8080", &mesh.http().to_string());
    let mut request = client().request(curl.method.clone(), url);
    for (name, value) in &curl.headers {
        request = request.header(name, value);
    }
    if let Some(body) = &curl.body {
        request = request.body(body.clone());
    }
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_readme_gets_the_answer_that_stands_there() {
    let iris = mesh("deploy/samples/iris.yaml").await;
    let penguins = mesh("deploy/samples/penguins.yaml").await;
    let text = readme();
    let blocks = blocks(&text);
    let mut sent = 0;
    for (index, (language, block)) in blocks.iter().enumerate() {
        let requests: Vec<&str> = block.lines().filter(|line| line.starts_with("curl")).collect();
        if *language != "sh" || requests.is_empty() {
            continue;
        }
        let mut answers = String::new();
        for line in requests {
            let curl = curl(line);
            answers += &send(if curl.url.contains("penguins") { &penguins } else { &iris }, &curl).await;
            answers.push('\n');
            sent += 1;
        }
        let expected = blocks.get(index + 1).unwrap().1;
        assert!(
            matches(expected, &answers),
            "the README says\n{expected}\nthe answer to\n{block}\nis\n{answers}"
        );
    }
    assert!(sent >= 4, "the README shows {sent} requests");
}

/// Every command of the README that this program can run here, run: `cargo run --release -- ARGS` as the command under test.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_works() {
    let text = readme();
    let mut commands: Vec<&str> = blocks(&text)
        .into_iter()
        .filter(|(language, _)| *language == "sh")
        .flat_map(|(_, block)| block.lines())
        .filter_map(|line| line.strip_prefix("cargo run --release -- "))
        .collect();
    assert!(commands.contains(&"run -f deploy/samples/iris.yaml"), "the main command is not in the README");
    assert!(text.contains("\ncargo test --workspace\n"), "the test command is not in the README");
    commands.sort_unstable();
    commands.dedup();
    for command in commands {
        let args: Vec<String> = words(command.split(" #").next().unwrap());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args.split_first() {
            Some((&"run", rest)) => {
                let mut rest = rest.to_vec();
                if let Some(at) = rest.iter().position(|it| *it == "--http-port") {
                    rest.drain(at..=at + 1);
                }
                let process = Process::start(&rest, &[]);
                process.ready().await;
                assert!(process.terminate().success(), "{command}");
            }
            // It asks a mesh that the reader has started before.
            Some((&"healthcheck", _)) => {}
            _ => {
                let out = weir().current_dir(root()).args(&args).output().unwrap();
                assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
            }
        }
    }
    // The readiness the health check asks for, on a mesh of its own.
    let process = Process::start(&["-f", "deploy/samples/iris.yaml"], &[]);
    process.ready().await;
    let url = process.url("/v2/health/ready");
    assert!(weir().args(["healthcheck", &url]).status().unwrap().success());
    let refused = weir().args(["healthcheck", "http://127.0.0.1:9/"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    tokio::time::timeout(Duration::from_secs(5), async { drop(process) }).await.unwrap();
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let mut documents =
        vec!["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
            .into_iter()
            .map(|it| root().join(it))
            .collect::<Vec<_>>();
    documents.extend(root().join("docs").read_dir().unwrap().map(|it| it.unwrap().path()));
    let mut links = 0;
    for document in documents {
        let text = std::fs::read_to_string(&document)
            .unwrap_or_else(|error| panic!("{}: {error}", document.display()));
        for link in text.split("](").skip(1).filter_map(|it| it.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(document.parent().unwrap().join(path).exists(), "{} links to {link}", document.display());
            links += 1;
        }
    }
    assert!(links > 0);
}

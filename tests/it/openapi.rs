//! The documentation that servers give of themselves: the document says what is served, the page shows it and is safe.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use weir_sdk::{BuildError, Env, Launch, Running, ServerFlags, Service, Sockets};

use crate::harness::{Answer, client, get, manifest, mesh, post_with, root, wait_for};
use crate::schema;

/// Starts one service on free ports, and waits until it is ready.
async fn serve(build: fn(&Launch) -> Result<Service, BuildError>, args: &[&str]) -> Running {
    let launch = Launch { args: args.iter().map(|&it| it.to_owned()).collect(), env: Env::default() };
    let mut service = build(&launch).unwrap_or_else(|error| panic!("{error}"));
    let enable_docs_url = service.flags.enable_docs_url;
    service.flags = ServerFlags { enable_docs_url, ..ServerFlags::loopback() };
    let sockets = Sockets::bind(&service.flags, &Env::default()).await.unwrap();
    let running = service.start(sockets);
    let url = format!("http://{}/v2/health/ready", running.http);
    wait_for(Duration::from_secs(20), || async { get(&url).await.is_ok_and(|it| it.status == 200) }).await;
    running
}

async fn predictor(name: &str, folder: &str) -> Running {
    serve(weir_predictor::build, &["--model_name", name, "--model_dir", folder]).await
}

fn sample(model: &str) -> String {
    root().join("deploy/samples/models").join(model).display().to_string()
}

async fn document(base: &str) -> Value {
    let answer = get(&format!("{base}/openapi.json")).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// Every path and method of a document.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(|(method, it)| (path.clone(), method.clone(), it.clone()))
    });
    each.collect()
}

fn ids(document: &Value) -> Vec<String> {
    operations(document).iter().map(|(_, _, it)| it["operationId"].as_str().unwrap().to_owned()).collect()
}

/// Calls every path with every example, and compares the answers with what is said of them. Returns how many were examples.
async fn check(base: &str) -> usize {
    let document = document(base).await;
    assert_eq!(document["openapi"], "3.1.0");
    schema::references(&document);
    let mut ids = ids(&document);
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an operationId is there twice");
    let mut examples = 0;
    for (path, method, operation) in operations(&document) {
        if path.ends_with("/unload") || path.ends_with("/load") {
            continue;
        }
        let version = operation["parameters"].as_array().unwrap().iter().find(|it| it["name"] == "version");
        let version = version.map_or("", |it| it["schema"]["enum"][0].as_str().unwrap());
        assert_eq!(path.contains("{version}"), !version.is_empty(), "{path}");
        let url = format!("{base}{}", path.replace("{version}", version));
        for body in bodies(&operation) {
            examples += usize::from(body.is_some());
            let sent = body.as_ref().map(Value::to_string);
            if let Some(body) = body {
                let told = &operation["requestBody"]["content"]["application/json"]["schema"];
                schema::check(&document, told, &body).unwrap_or_else(|why| panic!("{path}: {body}: {why}"));
            }
            let answer = send(&method, &url, sent).await;
            let status = answer.status.to_string();
            let told = &operation["responses"][&status];
            assert!(told.is_object(), "{method} {path} is not said to answer {status}: {}", answer.text);
            // Without an example of the model's own nobody knows what to send; what is refused is refused for that.
            let known = operation["requestBody"].is_null() || bodies(&operation)[0].is_some();
            assert!(answer.status == 200 || !known, "{method} {path}: {status} {}", answer.text);
            assert_ne!(answer.status, 501, "{method} {path}");
            if answer.status == 200 {
                let told = &told["content"]["application/json"]["schema"];
                let why = schema::check(&document, told, &answer.json());
                why.unwrap_or_else(|why| panic!("{method} {path}: {}: {why}", answer.text));
            }
        }
    }
    examples
}

/// The examples of an operation, or nothing to send once.
fn bodies(operation: &Value) -> Vec<Option<Value>> {
    let examples = operation["requestBody"]["content"]["application/json"]["examples"].as_object();
    let bodies: Vec<_> = examples.into_iter().flatten().map(|(_, it)| Some(it["value"].clone())).collect();
    if bodies.is_empty() { vec![None] } else { bodies }
}

async fn send(method: &str, url: &str, body: Option<String>) -> Answer {
    match method {
        "get" => get(url).await.unwrap(),
        "post" => post_with(url, body.unwrap_or_default(), &[("content-type", "application/json")]).await,
        other => panic!("nothing is sent by {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_the_samples_answers_as_the_document_says() {
    let mesh = mesh("deploy/samples").await;
    let base = format!("http://{}", mesh.http());
    assert!(check(&base).await > 20);
    let ids = ids(&document(&base).await);
    for id in
        ["v1_predict_iris", "v1_classify_penguins", "v1_explain_iris", "v2_infer_penguins", "unload_iris"]
    {
        assert!(ids.iter().any(|it| it == id), "{id} is not in {ids:?}");
    }
    assert!(!ids.iter().any(|it| it.contains("regress")), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_predictor_alone_says_what_its_model_takes() {
    for model in ["iris", "penguins"] {
        let running = predictor(model, &sample(model)).await;
        let base = format!("http://{}", running.http);
        assert!(check(&base).await > 5);
        let document = document(&base).await;
        assert!(!ids(&document).iter().any(|it| it.contains("explain")), "a predictor does not explain");
        let request = &document["components"]["schemas"][format!("{model}.V1Request")];
        let refuse = |body: Value| schema::check(&document, request, &body).unwrap_err();
        refuse(json!({"instances": [[1, 2, 3]]}));
        refuse(json!({"instances": [["a", "b", "c", "d", "e", "f"]]}));
        refuse(json!({"instances": []}));
        refuse(json!({}));
    }
    // The columns' names are in the file, so rows may be objects.
    let running = predictor("penguins", &sample("penguins")).await;
    let document = document(&format!("http://{}", running.http)).await;
    let predict = &document["paths"]["/v1/models/penguins:predict"]["post"]["requestBody"];
    let records = &predict["content"]["application/json"]["examples"]["records"]["value"];
    assert_eq!(records["instances"][0].as_object().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_unloaded_leaves_the_document_and_comes_back() {
    let running = predictor("iris", &sample("iris")).await;
    let base = format!("http://{}", running.http);
    for (verb, there) in [("load", true), ("unload", false), ("load", true)] {
        let url = format!("{base}/v2/repository/models/iris/{verb}");
        assert_eq!(send("post", &url, None).await.status, 200, "{verb}");
        let now = ids(&document(&base).await);
        assert_eq!(now.iter().any(|it| it == "v1_predict_iris"), there, "{now:?}");
        assert!(now.iter().any(|it| it.starts_with("load_iris") || it == "load_unloaded_1"), "{now:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regressor_regresses_and_does_not_classify() {
    let folder = tempfile::tempdir().unwrap();
    let file = root().join("predictor/testdata/xgboost/3.2.0/poisson.json");
    std::fs::copy(file, folder.path().join("model.json")).unwrap();
    let running = predictor("price", &folder.path().display().to_string()).await;
    let base = format!("http://{}", running.http);
    check(&base).await;
    let ids = ids(&document(&base).await);
    assert!(ids.iter().any(|it| it == "v1_regress_price"), "{ids:?}");
    assert!(!ids.iter().any(|it| it.contains("classify")), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_lists_only_what_it_offers() {
    let steps = "[{labels: {output: predict, names: [a]}}]";
    let running = serve(weir_transformer::build, &["--model_name", "m", "--steps", steps]).await;
    let base = format!("http://{}", running.http);
    check(&base).await;
    let offered = ids(&document(&base).await);
    for verb in ["predict", "infer", "explain", "metadata", "load"] {
        assert!(!offered.iter().any(|it| it.contains(verb)), "a transformer does not {verb}: {offered:?}");
    }

    let background = sample("iris-explainer");
    let args = ["--model_name", "m", "--predictor_host", "127.0.0.1:1", "--storage_uri", &background];
    let running = serve(weir_explainer::build, &args).await;
    let base = format!("http://{}", running.http);
    let offered = ids(&document(&base).await);
    assert!(offered.iter().any(|it| it == "v1_explain_m"), "{offered:?}");
    assert!(!offered.iter().any(|it| it.contains("predict") || it.contains("infer")), "{offered:?}");

    // Behind a router a model has an explainer or has none.
    let spec = format!("  predictor: {{sklearn: {{storageUri: {}}}}}", sample("iris"));
    let (_folder, file) = manifest("plain", &spec);
    let mesh = mesh(&file).await;
    let base = format!("http://{}", mesh.http());
    check(&base).await;
    let offered = ids(&document(&base).await);
    assert!(offered.iter().any(|it| it == "v1_predict_plain"), "{offered:?}");
    assert!(!offered.iter().any(|it| it.contains("explain")), "{offered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_models_and_runs_nothing_but_its_own() {
    let mesh = mesh("deploy/samples").await;
    let base = format!("http://{}", mesh.http());
    let answer = get(&format!("{base}/docs")).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = &answer.text;
    for part in ["iris", "penguins", "input-0", "predict_proba", "flipper_length_mm", "ModelInfer", "431"] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    let line = format!(
        "curl -s -d &#39;{{&quot;instances&quot;:[[0.5,1.5,2.5,3.5]]}}&#39; {base}/v1/models/iris:predict"
    );
    assert!(page.contains(&line), "{line} is not on the page");
    // Nothing comes from elsewhere, and what is there is what the policy's hashes are of.
    for word in ["src=", "@import", "url(", " style=", " onclick"] {
        assert!(!page.contains(word), "`{word}` is on the page");
    }
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    for tag in ["style", "script"] {
        let hash = sha256(between(page, &format!("<{tag}>"), &format!("</{tag}>")));
        assert!(policy.contains(&format!("{tag}-src 'sha256-{hash}'")), "{tag}: {hash} is not in {policy}");
    }
    for alias in ["/v2/docs", "/v2/models/iris/docs"] {
        let page = get(&format!("{base}{alias}")).await.unwrap().text;
        assert_eq!(page.contains("flipper_length_mm"), alias == "/v2/docs", "{alias}");
    }
    let one = get(&format!("{base}/v2/models/iris/docs/dataplane.json")).await.unwrap().json();
    assert!(ids(&one).iter().all(|it| !it.contains("penguins")));
    assert_eq!(get(&format!("{base}/v2/docs/dataplane.json")).await.unwrap().json(), document(&base).await);
    assert_eq!(get(&format!("{base}/v2/models/nope/docs")).await.unwrap().status, 404);
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).unwrap().1;
    rest.split_once(to).unwrap().0
}

/// The hash in base64, by the system's own tool.
fn sha256(text: &str) -> String {
    let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let hex = out.split_whitespace().next().unwrap();
    let digits: Vec<u32> = hex.chars().map(|it| it.to_digit(16).unwrap()).collect();
    // Three hexadecimal digits are two of base64; 256 bits leave one digit over, and one `=`.
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in digits.chunks(3) {
        let bits = three.iter().fold(0, |all, it| all << 4 | it) << (4 * (3 - three.len()));
        text.push(letters[(bits >> 6) as usize].into());
        if three.len() > 1 {
            text.push(letters[(bits & 63) as usize].into());
        }
    }
    format!("{text}=")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_name_is_text_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let model = std::fs::read_to_string(root().join("deploy/samples/models/penguins/model.json")).unwrap();
    let column = r#"</script><img src=x onerror='alert(\"1\")'>&\\"#;
    std::fs::write(folder.path().join("model.json"), model.replace("\"island\"", &format!("\"{column}\"")))
        .unwrap();
    let name = "</title><script>alert('1')</script>{version}/\"%&";
    let running = predictor(name, &folder.path().display().to_string()).await;
    let base = format!("http://{}", running.http);
    check(&base).await;
    let request = client().get(format!("{base}/docs")).header("host", "evil\"><i>");
    let page = request.send().await.unwrap().text().await.unwrap();
    assert!(
        page.contains("&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"),
        "the name is shown"
    );
    assert!(page.contains("&lt;img src=x onerror"), "the column is shown");
    assert_eq!(page.matches("<script").count(), 1, "the page's own script, and no other");
    assert!(!page.contains("<img") && !page.contains("evil"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_can_be_turned_off() {
    let folder = sample("iris");
    let args = ["--model_name", "iris", "--model_dir", &folder, "--enable_docs_url=False"];
    let running = serve(weir_predictor::build, &args).await;
    for path in ["/docs", "/openapi.json", "/v2/docs", "/v2/docs/dataplane.json", "/v2/models/iris/docs"] {
        let answer = get(&format!("http://{}{path}", running.http)).await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_answer_is_not_in_the_document_and_is_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let spec = format!("  predictor: {{sklearn: {{storageUri: {}}}}}", folder.path().display());
    let (_folder, file) = manifest("broken", &spec);
    let mesh = crate::harness::unready_mesh(&file).await;
    let base = format!("http://{}", mesh.http());
    let page = || async { get(&format!("{base}/docs")).await.unwrap().text };
    wait_for(Duration::from_secs(10), || async { page().await.contains("UNAVAILABLE") }).await;
    assert!(page().await.contains("broken"));
    assert!(!document(&base).await.to_string().contains("broken"));
}

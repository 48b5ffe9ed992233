//! PMML over HTTP: rows of objects answered by objects, as KServe's server for it does, and by classes and scores.

use serde_json::{Value, json};

use crate::harness::{manifest, mesh, post, root, shared};

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_objects_are_answered_by_objects_and_by_classes() {
    let file = root().join("predictor/testdata/pmml/mixed.pmml");
    let golden = std::fs::read_to_string(file.with_extension("golden")).unwrap();
    let line = |word: &str| -> Value {
        let found = golden.lines().find_map(|line| line.strip_prefix(&format!("{word}\t")));
        serde_json::from_str(found.unwrap_or_else(|| panic!("no {word}"))).unwrap()
    };
    let spec = format!("  predictor: {{pmml: {{storageUri: {}}}}}", file.display());
    let (_folder, file) = manifest("card", &spec);
    let mesh = mesh(&file).await;
    let base = format!("http://{}/v1/models/card", mesh.http());
    let answer = post(&format!("{base}:predict"), json!({"instances": line("rows")}).to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let rows = answer["predictions"].as_array().unwrap();
    assert_eq!(rows.len(), 14);
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row["y"], line("y")[at]);
        let (got, want) = (row["probability(yes)"].as_f64(), line("probability(yes)")[at].as_f64());
        assert!((got.unwrap() - want.unwrap()).abs() < 1e-12, "{row}");
    }
    let examples = json!({"examples": line("rows")}).to_string();
    let classes = post(&format!("{base}:classify"), examples).await;
    assert_eq!(classes.status, 200, "{}", classes.text);
    let first = &classes.json()["results"][0];
    assert_eq!((&first[0][0], &first[1][0]), (&json!("no"), &json!("yes")));
    assert!((first[1][1].as_f64().unwrap() - line("probability(yes)")[0].as_f64().unwrap()).abs() < 1e-12);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_of_kserve_is_served() {
    let Some(folder) = shared("models/pmml/kserve-iris") else { return };
    let (_folder, file) =
        manifest("tree", &format!("  predictor: {{pmml: {{storageUri: {}}}}}", folder.display()));
    let mesh = mesh(&file).await;
    let body = json!({"instances": [[6.8, 2.8, 4.8, 1.4], [5.1, 3.5, 1.4, 0.2]]}).to_string();
    let answer = post(&format!("http://{}/v1/models/tree:predict", mesh.http()), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let rows = answer["predictions"].as_array().unwrap();
    assert_eq!(rows[0]["Species"], "versicolor");
    assert_eq!(
        rows[1],
        json!({"Species": "setosa", "Probability_setosa": 1.0, "Probability_versicolor": 0.0, "Probability_virginica": 0.0, "Node_Id": "2"})
    );
    let lacking = post(
        &format!("http://{}/v1/models/tree:predict", mesh.http()),
        r#"{"instances": [{"Sepal_Length": 5}]}"#,
    )
    .await;
    assert_eq!(lacking.status, 400, "{}", lacking.text);
    assert!(lacking.text.contains("Petal_Width"), "{}", lacking.text);
}

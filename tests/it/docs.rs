//! Tables in the documents that are made of the code: `UPDATE_GENERATED=1` writes them anew.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use weir_predictor::runtime::{onnx, sklearn};

use crate::harness::root;

const BEGIN: &str = "<!-- made by tests/it/docs.rs: begin -->\n";
const END: &str = "<!-- end -->";

/// Of each release of scikit-learn, how many golden models hold each class.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

#[test]
fn the_table_of_scikit_learns_classes_is_fresh() {
    let kept = root().join("predictor/testdata/golden/covered.json");
    let text = std::fs::read_to_string(&kept).unwrap();
    let mut counts: Counts = serde_json::from_str(&text).unwrap();
    let update = std::env::var_os("UPDATE_GENERATED").is_some();
    for (release, made) in golden() {
        let held = counts.entry(release.clone()).or_default();
        assert!(update || *held == made, "{} is stale: {HOW}", kept.display());
        *held = made;
    }
    if update {
        std::fs::write(&kept, serde_json::to_string_pretty(&counts).unwrap() + "\n").unwrap();
    }
    refresh("docs/sklearn.md", &table(&counts));
}

#[test]
fn the_list_of_onnxs_operators_is_fresh() {
    let mut domains: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (domain, name) in onnx::embedded::operators() {
        domains.entry(domain).or_default().push(name);
    }
    let mut list = String::from("\n| domain | operators of the interpreter |\n|---|---|\n");
    for (domain, mut names) in domains {
        names.sort_unstable();
        let domain = if domain.is_empty() { "ai.onnx" } else { domain };
        list += &format!("| `{domain}` | {} |\n", names.join(", "));
    }
    refresh("docs/onnx.md", &(list + "\n"));
}

/// Holds what stands between the marks of a page to what the code says, or writes it there.
fn refresh(page: &str, made: &str) {
    let page = root().join(page);
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}{made}{END}{after}");
    let update = std::env::var_os("UPDATE_GENERATED").is_some();
    if update {
        std::fs::write(&page, &fresh).unwrap();
    }
    assert!(update || text == fresh, "{} is stale: {HOW}", page.display());
}

const HOW: &str = "run the tests once with UPDATE_GENERATED=1, and WEIR_GOLDEN where golden files were made";

/// What `make.py` counted, of the releases that are in the repository's table.
fn golden() -> Counts {
    let Some(folder) = std::env::var_os("WEIR_GOLDEN").map(PathBuf::from) else { return Counts::new() };
    let entries = folder.read_dir().unwrap().map(|it| it.unwrap().path());
    let read = |path: PathBuf| {
        let release = path.file_name()?.to_str()?.strip_prefix("sklearn-")?.to_owned();
        let text = std::fs::read_to_string(path.join("covered.json")).ok()?;
        let Value::Object(counts) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        Some((release, counts.into_iter().map(|(name, count)| (name, count.as_u64().unwrap())).collect()))
    };
    entries.filter_map(read).collect()
}

fn table(counts: &Counts) -> String {
    let mut families: Vec<(&str, Vec<sklearn::Covered>)> = Vec::new();
    for it in sklearn::covered() {
        match families.iter_mut().find(|(title, _)| *title == it.family) {
            Some((_, classes)) => classes.push(it),
            None => families.push((it.family, vec![it])),
        }
    }
    let mut text = String::new();
    for (title, mut classes) in families {
        classes.sort_by_key(|it| (it.module, it.class));
        text += &format!("\n### {title}\n\n| class |");
        counts.keys().for_each(|release| text += &format!(" {release} |"));
        text += &format!("\n|---|{}\n", "---|".repeat(counts.len()));
        for it in classes {
            text += &format!("| `{}.{}` |", it.module, it.class);
            for held in counts.values() {
                text += &held.get(it.class).map_or_else(|| " |".to_owned(), |count| format!(" {count} |"));
            }
            text.push('\n');
        }
    }
    text + "\n"
}

//! TensorFlow Serving's configuration of several models: a `ModelServerConfig` in protobuf's text format.

use weir_sdk::host::repository::VersionPolicy;
use weir_sdk::text_proto::{Field, Message, Value};

/// The most models of a configuration.
const MAX_MODELS: usize = 10_000;

/// A model of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedModel {
    /// Its name.
    pub name: String,
    /// The folder of its versions.
    pub base_path: String,
    /// The platform that is written, such as `tensorflow`; empty where none is.
    pub platform: String,
    /// Which of its versions are served.
    pub policy: VersionPolicy,
    /// What stands for versions: pairs of label and version.
    pub labels: Vec<(String, String)>,
}

/// Reads a `ModelServerConfig`.
///
/// # Errors
/// The line, what was met, what was expected.
pub fn read(text: &str) -> Result<Vec<ServedModel>, String> {
    let mut models: Vec<ServedModel> = Vec::new();
    let fields = Message::read(text)?.0;
    if fields.is_empty() {
        // Who writes the file anew empties it first: that is not to unload every model.
        return Err("it has no `model_config_list`; write `model_config_list {}` for no models".to_owned());
    }
    for field in &fields {
        match &*field.name {
            "model_config_list" => {
                for field in &message(field)?.0 {
                    if field.name != "config" {
                        return Err(unknown(field, "config"));
                    }
                    let model = model(field)?;
                    if models.iter().any(|it| it.name == model.name) {
                        return Err(wrong(field, &format!("a model `{}` was there before", model.name)));
                    }
                    if models.len() == MAX_MODELS {
                        return Err(wrong(field, &format!("there are more than {MAX_MODELS} models")));
                    }
                    models.push(model);
                }
            }
            _ => return Err(unknown(field, "model_config_list")),
        }
    }
    Ok(models)
}

fn model(config: &Field) -> Result<ServedModel, String> {
    let mut model = ServedModel {
        name: String::new(),
        base_path: String::new(),
        platform: String::new(),
        policy: VersionPolicy::default(),
        labels: Vec::new(),
    };
    for field in &message(config)?.0 {
        match &*field.name {
            "name" => model.name = text(field)?,
            "base_path" => model.base_path = text(field)?,
            "model_platform" => model.platform = text(field)?,
            "model_version_policy" => model.policy = policy(message(field)?)?,
            "version_labels" => model.labels.push(label(field)?),
            // What is written of requests is another's affair here; the type is the platform of old.
            "logging_config" | "model_type" => {}
            _ => {
                let known = "name, base_path, model_platform, model_version_policy, version_labels";
                return Err(unknown(field, known));
            }
        }
    }
    for (what, said) in [("name", &model.name), ("base_path", &model.base_path)] {
        if said.is_empty() {
            return Err(wrong(config, &format!("the model has no `{what}`")));
        }
    }
    Ok(model)
}

fn policy(message_of_it: &Message) -> Result<VersionPolicy, String> {
    let mut policy = VersionPolicy::default();
    for field in &message_of_it.0 {
        let inner = message(field)?;
        policy = match &*field.name {
            "latest" => {
                let count = inner.0.iter().filter(|it| it.name == "num_versions").map(number).next_back();
                let count = count.transpose()?.unwrap_or(1);
                let count = usize::try_from(count).ok().filter(|&it| it > 0);
                VersionPolicy::Latest(
                    count.ok_or_else(|| wrong(field, "`num_versions` is 0, expected 1 or more"))?,
                )
            }
            "all" => VersionPolicy::All,
            "specific" => {
                let versions = inner.0.iter().filter(|it| it.name == "versions").map(number);
                VersionPolicy::Specific(versions.collect::<Result<_, _>>()?)
            }
            _ => return Err(unknown(field, "latest, all, specific")),
        };
    }
    Ok(policy)
}

/// An entry of a map, which is a message of a key and a value.
fn label(field: &Field) -> Result<(String, String), String> {
    let (mut key, mut value) = (String::new(), None);
    for field in &message(field)?.0 {
        match &*field.name {
            "key" => key = text(field)?,
            "value" => value = Some(number(field)?),
            _ => return Err(unknown(field, "key, value")),
        }
    }
    match value {
        Some(value) if !key.is_empty() => Ok((key, value.to_string())),
        Some(_) | None => Err(wrong(field, "a label needs a `key` and a `value`")),
    }
}

fn message(field: &Field) -> Result<&Message, String> {
    match &field.value {
        Value::Message(message) => Ok(message),
        Value::Word(_) | Value::Text(_) => {
            Err(wrong(field, &format!("`{}` has a value, expected `{{`", field.name)))
        }
    }
}

fn text(field: &Field) -> Result<String, String> {
    match &field.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Word(_) | Value::Message(_) => {
            Err(wrong(field, &format!("`{}` is no text in quotes", field.name)))
        }
    }
}

fn number(field: &Field) -> Result<u64, String> {
    let read = match &field.value {
        Value::Word(word) => word.parse().ok(),
        Value::Text(_) | Value::Message(_) => None,
    };
    read.ok_or_else(|| wrong(field, &format!("`{}` is no whole number from 0 on", field.name)))
}

fn unknown(field: &Field, known: &str) -> String {
    wrong(field, &format!("unknown field `{}`; known are: {known}", field.name))
}

fn wrong(field: &Field, what: &str) -> String {
    format!("line {}: {what}", field.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_documentation_of_tensorflow_serving_shows_is_read() {
        let text = r#"
            model_config_list {
              config {
                name: 'first'  # a comment
                base_path: '/models/first/'
                model_platform: 'tensorflow'
                model_version_policy { specific { versions: 42 versions: 43 } }
                version_labels { key: 'stable' value: 42 }
                version_labels { key: 'canary' value: 43 }
              }
              config: { name: "second", base_path: "/models/second", model_version_policy: {latest: {num_versions: 2}} }
              config { name: "third" base_path: "x" model_version_policy { all {} } }
            }"#;
        let models = read(text).unwrap();
        let label = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(models[0].policy, VersionPolicy::Specific(vec![42, 43]));
        assert_eq!(models[0].labels, [label("stable", "42"), label("canary", "43")]);
        assert_eq!((&*models[0].base_path, &*models[0].platform), ("/models/first/", "tensorflow"));
        assert_eq!(models[1].policy, VersionPolicy::Latest(2));
        assert_eq!((models[2].policy.clone(), &*models[2].name), (VersionPolicy::All, "third"));
        assert_eq!(read("model_config_list {}").unwrap(), []);
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_line() {
        let config =
            |inner: &str| read(&format!("model_config_list {{\nconfig {{ {inner} }} }}")).unwrap_err();
        assert_eq!(config("name: 'a'"), "line 2: the model has no `base_path`");
        assert_eq!(config("nam: 'a'").split(';').next(), Some("line 2: unknown field `nam`"));
        let base = "name: 'a' base_path: 'b'";
        let latest = config(&format!("{base} model_version_policy {{ latest {{ num_versions: 0 }} }}"));
        assert_eq!(latest, "line 2: `num_versions` is 0, expected 1 or more");
        assert!(
            config(&format!("{base} version_labels {{ key: 'x' }}")).contains("needs a `key` and a `value`")
        );
        let twice = format!("{base} }} config {{ {base}");
        assert!(read("# nothing\n").unwrap_err().starts_with("it has no `model_config_list`"));
        assert_eq!(config(&twice), "line 2: a model `a` was there before");
    }
}

//! How KServe starts the images that this predictor takes the place of: TensorFlow Serving by flags and two variables,
//! MLServer by variables and a word. Both become flags of the predictor, before those that are written, so that these count.

use std::borrow::Cow;

use weir_sdk::flags::Env;
use weir_sdk::{BuildError, Launch};

/// What MLServer calls its runtimes, by the format they read.
const IMPLEMENTATIONS: [(&str, &str); 6] = [
    ("mlserver_sklearn.SKLearnModel", "sklearn"),
    ("mlserver_xgboost.XGBoostModel", "xgboost"),
    ("mlserver_lightgbm.LightGBMModel", "lightgbm"),
    ("mlserver_catboost.CatboostModel", "catboost"),
    ("mlserver_mlflow.MLflowRuntime", "mlflow"),
    ("mlserver_onnx.OnnxModel", "onnx"),
];

/// MLServer's variables that are a flag here, whatever their value.
const MLSERVER: [(&str, &str); 6] = [
    ("MLSERVER_HOST", "host"),
    ("MLSERVER_HTTP_PORT", "http_port"),
    ("MLSERVER_GRPC_PORT", "grpc_port"),
    ("MLSERVER_METRICS_PORT", "admin_port"),
    ("MLSERVER_MODEL_NAME", "model_name"),
    ("MLSERVER_MODEL_URI", "model_dir"),
];

/// Returns the command line with what the environment and MLServer's words say in it.
///
/// # Errors
/// [`BuildError::Config`] when a variable makes no sense.
pub(crate) fn as_flags(launch: &Launch) -> Result<Launch, BuildError> {
    let mut args = tensorflow_serving(&launch.env);
    args.extend(mlserver(&launch.env)?);
    args.extend(without_start(&launch.args));
    Ok(Launch { args, env: launch.env.clone() })
}

/// The image of TensorFlow Serving finds its model at `$MODEL_BASE_PATH/$MODEL_NAME`.
fn tensorflow_serving(env: &Env) -> Vec<String> {
    let name = given(env, "MODEL_NAME");
    let mut flags: Vec<_> = name.map(|it| format!("--model_name={it}")).into_iter().collect();
    if let Some(base) = given(env, "MODEL_BASE_PATH") {
        let base = base.trim_end_matches('/');
        flags.push(format!("--model_base_path={base}/{}", name.unwrap_or("model")));
    }
    flags
}

fn mlserver(env: &Env) -> Result<Vec<String>, BuildError> {
    let mut flags = Vec::new();
    for (variable, flag) in MLSERVER {
        let Some(value) = given(env, variable) else { continue };
        if flag.ends_with("port") && value.parse::<u16>().is_err() {
            return Err(BuildError::Config(format!("variable {variable} is `{value}`, expected a port")));
        }
        flags.push(format!("--{flag}={value}"));
    }
    if let Some(implementation) = given(env, "MLSERVER_MODEL_IMPLEMENTATION") {
        flags.push(format!("--model_format={}", format_of(implementation)?));
    }
    Ok(flags)
}

/// The format that an implementation of MLServer reads.
fn format_of(implementation: &str) -> Result<&'static str, BuildError> {
    let found = IMPLEMENTATIONS.iter().find(|(name, _)| *name == implementation);
    found.map(|(_, format)| *format).ok_or_else(|| {
        let known: Vec<_> = IMPLEMENTATIONS.iter().map(|(name, _)| *name).collect();
        BuildError::Config(format!(
            "variable MLSERVER_MODEL_IMPLEMENTATION is `{implementation}`; known are {}",
            known.join(", ")
        ))
    })
}

/// A variable that says something: KServe fills its templates with `<no value>` where a label is missing.
fn given<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.get(name).map(str::trim).filter(|it| !it.is_empty() && *it != "<no value>")
}

/// MLServer is started with `start` and a folder.
fn without_start(args: &[String]) -> Vec<String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (folder, rest) = match words.as_slice() {
        ["start", folder, rest @ ..] if !folder.starts_with('-') => (Some(*folder), rest),
        ["start", rest @ ..] => (None, rest),
        rest => (None, rest),
    };
    // A folder of settings, and mostly of the model as well.
    let folder = folder.map(|it| Cow::Owned(format!("--model_dir={it}")));
    folder.into_iter().chain(rest.iter().map(|it| Cow::Borrowed(*it))).map(Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str], env: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let args = args.iter().map(|&it| it.to_owned()).collect();
        let launch = Launch { args, env: env.iter().copied().collect() };
        as_flags(&launch).map(|it| it.args).map_err(|error| error.to_string())
    }

    #[test]
    fn mlservers_variables_become_flags_before_those_that_are_written() {
        let env = [
            ("MLSERVER_HTTP_PORT", "8080"),
            ("MLSERVER_GRPC_PORT", "9000"),
            ("MLSERVER_MODEL_NAME", "iris"),
            ("MLSERVER_MODEL_URI", "/mnt/models"),
            ("MLSERVER_MODEL_IMPLEMENTATION", "mlserver_sklearn.SKLearnModel"),
        ];
        let read = flags(&["start", "/mnt/settings", "--http_port", "1"], &env).unwrap();
        let wanted = [
            "--http_port=8080",
            "--grpc_port=9000",
            "--model_name=iris",
            "--model_dir=/mnt/models",
            "--model_format=sklearn",
            "--model_dir=/mnt/settings",
            "--http_port",
            "1",
        ];
        assert_eq!(read, wanted);
        assert_eq!(flags(&[], &[("MLSERVER_MODEL_IMPLEMENTATION", "<no value>")]).unwrap(), [""; 0]);
    }

    #[test]
    fn tensorflow_servings_variables_make_one_path() {
        let env = [("MODEL_NAME", "m"), ("MODEL_BASE_PATH", "/models/")];
        assert_eq!(flags(&[], &env).unwrap(), ["--model_name=m", "--model_base_path=/models/m"]);
    }

    #[test]
    fn a_variable_without_sense_is_told_by_its_name() {
        let refuse = |name, value| flags(&[], &[(name, value)]).unwrap_err();
        assert_eq!(refuse("MLSERVER_HTTP_PORT", "x"), "variable MLSERVER_HTTP_PORT is `x`, expected a port");
        let text = refuse("MLSERVER_MODEL_IMPLEMENTATION", "{{.Labels.modelClass}}");
        assert!(text.contains("`{{.Labels.modelClass}}`; known are mlserver_sklearn.SKLearnModel"), "{text}");
    }
}

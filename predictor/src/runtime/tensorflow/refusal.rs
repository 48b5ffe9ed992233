//! What TensorFlow and Keras write that is no SavedModel: each with why it cannot be served, and the line of Python that makes a
//! SavedModel of it.

use std::path::Path;

use super::super::LoadError;

/// The endings of what is refused by its name alone; a `.pb` may be a SavedModel's message.
pub(super) const ENDINGS: &[&str] = &["h5", "hdf5", "keras", "tflite", "ckpt", "index", "meta"];

pub(super) struct Refusal {
    what: &'static str,
    advice: &'static str,
}

const KERAS: Refusal = Refusal {
    what: "a model in Keras' own format, whose layers are code of Keras,",
    advice: "export it: `import keras; keras.saving.load_model(\"model.keras\").export(\"model/1\")`",
};
const HDF5: Refusal = Refusal {
    what: "a Keras file of HDF5, which holds layers' names and weights and no graph,",
    advice: "export it: `import keras; keras.saving.load_model(\"model.h5\").export(\"model/1\")`",
};
const CHECKPOINT: Refusal = Refusal {
    what: "a checkpoint, which holds variables and no graph,",
    advice: "build the model, restore it and export it: `tf.train.Checkpoint(model=model).restore(\"ckpt-1\")\
             .expect_partial(); model.export(\"model/1\")`",
};
const FROZEN: Refusal = Refusal {
    what: "a frozen graph, which does not say what goes in and out,",
    advice: "wrap it: `tf.saved_model.save(tf.Module(), \"model/1\", signatures=tf.compat.v1.wrap_function(lambda x: \
             tf.graph_util.import_graph_def(graph_def, {\"x\": x}, [\"y:0\"]), [tf.TensorSpec(None, tf.float32)]))` with \
             your tensors' names",
};
const LITE: Refusal = Refusal {
    what: "a TensorFlow Lite model, which is for devices,",
    advice: "export the model it was converted from: `model.export(\"model/1\")`",
};
const SCRIPT: Refusal = Refusal {
    what: "a TensorFlow.js model, which is for browsers,",
    advice: "export the model it was converted from: `model.export(\"model/1\")`",
};

/// Says why a path without a SavedModel is not served.
pub(super) fn of(path: &Path) -> LoadError {
    let found = if path.is_dir() { of_folder(path) } else { of_file(path) };
    let Some(Refusal { what, advice }) = found else {
        return LoadError::Malformed {
            path: path.to_owned(),
            reason:
                "it holds no `saved_model.pb`; expected a SavedModel's folder, or one of versions such as `1`"
                    .to_owned(),
        };
    };
    LoadError::Unsupported { path: path.to_owned(), what: (*what).to_owned(), advice: (*advice).to_owned() }
}

/// A folder with a checkpoint or a TensorFlow.js model, which are several files.
pub(super) fn of_folder(folder: &Path) -> Option<&'static Refusal> {
    let entries = folder.read_dir().ok()?.flatten();
    let names: Vec<_> = entries.filter_map(|it| it.file_name().into_string().ok()).collect();
    let any = |fits: &dyn Fn(&str) -> bool| names.iter().any(|it| fits(it));
    if any(&|it| it.ends_with(".index")) && any(&|it| it.contains(".data-")) {
        return Some(&CHECKPOINT);
    }
    let shards = any(&|it| it.starts_with("group") && it.ends_with(".bin"));
    (shards && any(&|it| it == "model.json")).then_some(&SCRIPT)
}

fn of_file(file: &Path) -> Option<&'static Refusal> {
    let name = file.file_name()?.to_str()?;
    let ending = name.rsplit_once('.').map_or("", |(_, it)| it);
    match ending {
        "keras" => Some(&KERAS),
        "h5" | "hdf5" => Some(&HDF5),
        "tflite" => Some(&LITE),
        "pb" | "pbtxt" => Some(&FROZEN),
        "ckpt" | "index" | "meta" => Some(&CHECKPOINT),
        _ if name == "checkpoint" || ending.starts_with("data-") => Some(&CHECKPOINT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_file_is_told_with_the_line_that_exports_it() {
        let folder = tempfile::tempdir().unwrap();
        let told = |name: &str| of(&folder.path().join(name)).to_string();
        let kinds = [
            ("m.keras", "Keras' own format", "export(\"model/1\")"),
            ("m.h5", "HDF5", "load_model(\"model.h5\").export"),
            ("m.tflite", "Lite", "model.export"),
            ("frozen.pb", "frozen graph", "tf.saved_model.save"),
            ("ckpt-1.index", "checkpoint", "restore(\"ckpt-1\")"),
            ("ckpt-1.data-00000-of-00001", "checkpoint", "restore"),
            ("checkpoint", "checkpoint", "restore"),
            ("x.bin", "holds no `saved_model.pb`", "versions"),
        ];
        for (name, what, advice) in kinds {
            let text = told(name);
            assert!(text.contains(what) && text.contains(advice), "{name}: {text}");
        }
        for name in ["m-7.index", "m-7.data-00000-of-00001", "checkpoint"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        assert!(of(folder.path()).to_string().contains("checkpoint"));
    }
}
